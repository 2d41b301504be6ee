"""The facts of a response that are the same for all families: the provider's error, its id of the request, rate limits.

Errors come in these shapes:

    {"error": {"type", "message", ...}}          OpenAI, Anthropic, Groq, OpenRouter (`code` a number, no `type`)
    {"error": {"status", "message", "code"}}     Google: the type is `status`
    {"error": "..."}                             Ollama, Hugging Face
    {"message", "type"?}                         Bedrock (type in `x-amzn-errortype`), Cohere, Mistral
    {"detail": "..." | {...} | [{"msg"}]}        FastAPI servers

Header names are as the providers document them. If several stand in one response, the first of the table is the
provider's own (a gateway adds another). Values stay text: units differ (`1s`, `6m0s`, Unix seconds, RFC 3339), and none
is guessed.
"""

from __future__ import annotations

from typing import Any

from sessiontap.exchange import Headers, Response
from sessiontap.llm.call import CallError
from sessiontap.llm.pick import dicts, dig, parse, text, written
from sessiontap.llm.streaming import body_kind, server_sent_events

_LONGEST = 64 * 1024
"""Characters of a message that are kept."""


def error_inside(body: Any) -> CallError | None:
    """The error that a JSON value states under `error`, as in a 200 or a stream's event; None if there is none."""
    error = dig(body, "error")
    if isinstance(error, list):  # Gemini's stream as an array, some proxies
        error = error[0] if error else None
    if isinstance(error, str) and error:
        return CallError(text(body, "error_type"), error[:_LONGEST])
    if isinstance(error, dict) and error:
        kind = text(error, "type") or text(error, "status")
        return CallError(kind, _message(error.get("message")))
    return None


def error_of(response: Response) -> CallError:
    """The error of a response with a status >= 400; type and message None if it states none."""
    kind = body_kind(response.headers.get("content-type"), response.body)
    body: Any = None
    if kind == "sse":
        body = next((parse(event.data)[0] for event in server_sent_events(response.body)), None)
    elif kind in ("json", "text", "ndjson"):
        body, _ = parse(response.body)
    if isinstance(body, list):
        body = body[0] if body else None
    error = error_inside(body)
    if error is None:
        message = _message(dig(body, "message")) or _detail(dig(body, "detail")) or _message(dig(body, "Message"))
        error = CallError(text(body, "type") if message else None, message)
    return CallError(_aws_type(response.headers) or error.type, error.message)


def _aws_type(headers: Headers) -> str | None:
    """`ValidationException:http://internal.amazon.com/...` -> ValidationException."""
    return (headers.get("x-amzn-errortype") or "").partition(":")[0] or None


def _message(value: Any) -> str | None:
    if isinstance(value, str):
        return value[:_LONGEST] or None
    if value in (None, [], {}):
        return None
    return (written(value) or "")[:_LONGEST] or None


def _detail(value: Any) -> str | None:
    if isinstance(value, list):
        messages = [found for item in dicts(value) if (found := text(item, "msg"))]
        if messages:
            return "; ".join(messages)[:_LONGEST]
    return text(value, "message") or _message(value)


# Headers -------------------------------------------------------------------------------------------------------------

REQUEST_IDS = (
    "request-id",  # Anthropic
    "apim-request-id",  # Azure
    "x-amzn-requestid",  # Bedrock
    "mistral-correlation-id",
    "x-debug-trace-id",  # Cohere
    "x-groq-request-id",
    "x-goog-request-id",
    "x-request-id",  # OpenAI and most others
    "x-amzn-request-id",
)
_LIMITS = ("x-ratelimit-", "anthropic-ratelimit-", "x-trial-endpoint-call-", "x-endpoint-monthly-call-")
_ALSO = frozenset(("retry-after", "retry-after-ms"))
MOST = 40
"""Headers about limits that are kept."""
LONGEST = 256
"""Characters of a value."""


def request_id(headers: Headers) -> str | None:
    """The provider's own id of the request."""
    for name in REQUEST_IDS:
        value = headers.get(name)
        if value and len(value) <= LONGEST and value.isprintable():
            return value
    return None


def rate_limits(headers: Headers) -> dict[str, str]:
    """Lower-case header name -> value, of every header about rate limits."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if (key in _ALSO or key.startswith(_LIMITS)) and len(value) <= LONGEST and len(found) < MOST:
            found.setdefault(key, value)
    return found
