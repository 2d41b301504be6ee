"""Helicone's asynchronous log (docs.helicone.ai, "Manual Logger"): one request a call, with its session in `meta`.

`meta` is read as the headers of a call that goes through Helicone's gateway, so the dialect writes both. An entry with
the id of one that is there already replaces it. The id is derived from the call's, as a UUID of version 5: Helicone
passes over one of version 7 and makes up its own.

Helicone counts tokens itself, in the bodies that it is given, and each of its endpoints reads one form of them. Bodies
go as they are if it counts the log's tokens in them (helicone_counting.py), else as OpenAI's chat API would have them.
Without content it gets what it counts by: the model, and the token counts in the endpoint's form. A reply is read as a
stream if the request says `stream: true`, so that is made to fit what is sent.

Calls that went through a Helicone gateway are there already, and are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from sessiontap.dialects.dialect import SessionInfo
from sessiontap.dialects.header_text import is_token
from sessiontap.dialects.helicone import is_helicone, request_headers
from sessiontap.exchange import Headers
from sessiontap.export.exported_call import ExportedBody, ExportedCall, field, fields
from sessiontap.push.chat_form import Json, error_form, model_asked, reply_form, request_form, usage_form
from sessiontap.push.http import answer_of
from sessiontap.push.target import Item, NotReached, PushedCall, Sender, TargetAnswer, TargetSettings, UserTurn
from sessiontap.push.targets.helicone_counting import HeliconeCounts, counted

KEY_VARIABLE = "HELICONE_API_KEY"
MOST_BYTES = 10 * 1024 * 1024
"""Of an entry; Helicone refuses more."""
SELF_HOSTED = "/v1/trace/custom/log"
"""The path of a Helicone of one's own, for all providers."""

Name = Literal["oai", "anthropic", "googleapis", "custom"]
_PROVIDERS: Mapping[Name, str] = {"oai": "OPENAI", "anthropic": "ANTHROPIC", "googleapis": "GOOGLE", "custom": "CUSTOM"}
"""Endpoints, and the provider that each stands for."""

_OPENAI_LIKE = frozenset(("openai-chat", "openai-completions"))
_WHOLE: Mapping[Name, frozenset[str]] = {
    "oai": _OPENAI_LIKE | {"openai-responses", "openai-embeddings"},
    "anthropic": frozenset(("anthropic-messages",)),
    "googleapis": frozenset(("gemini",)),
    "custom": _OPENAI_LIKE | {"openai-responses", "openai-embeddings", "anthropic-messages"},
}
"""The wire families whose JSON an endpoint counts the tokens of."""
_STREAMED: Mapping[Name, frozenset[str]] = {
    "oai": _OPENAI_LIKE,
    "anthropic": _WHOLE["anthropic"],
    "googleapis": _WHOLE["googleapis"],
    "custom": _OPENAI_LIKE,
}
"""The same of server-sent events."""

CANCELLED = -3
"""Helicone's status of a stream that its client left."""
NO_RESPONSE = 502
"""The status that an app gets of the proxy if its call came to no server."""
_NOT_SENT = frozenset(("set-cookie", "content-length", "content-encoding", "transfer-encoding"))


class HeliconeEntry(NamedTuple):
    """A call as it is sent."""

    endpoint: Name
    body: bytes


class HeliconeSender:
    """Sends a call as soon as it has ended, each by itself."""

    max_bytes = MOST_BYTES
    max_items = 1

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings

    def call_items(self, call: PushedCall) -> Iterable[Item]:
        if is_there_already(call.call):
            return
        entry = log_entry(call, content=self._settings.content)
        yield Item(call.call.id, entry, len(entry.body))

    def turn_items(self, turn: UserTurn) -> Iterable[Item]:
        return ()

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        (item,) = items
        entry: HeliconeEntry = item.data
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self._settings.credentials[KEY_VARIABLE].removeprefix('Bearer ').strip()}",
            **self._settings.headers,
        }
        try:
            reply = self._settings.http.post(address(self._settings.endpoint, entry.endpoint), entry.body, headers)
        except NotReached as error:
            return TargetAnswer("later", str(error))
        if reply.status == 400 and b"too large" in reply.body:
            return TargetAnswer("too_much", f"400 {reply.body[:200].decode('utf-8', 'replace')}")
        answer = answer_of(reply)
        return _stated_error(reply.body) or answer if answer.kind == "accepted" else answer


def open_sender(settings: TargetSettings) -> Sender:
    return HeliconeSender(settings)


def address(endpoint: str, name: Name) -> str:
    """Return the URL that entries go to: Helicone's own by provider, a self-hosted one's path, or the path as given."""
    at = urlsplit(endpoint)
    if at.path.endswith("/log"):
        return endpoint
    return f"{endpoint}/{name}/v1/log" if is_helicone(at.hostname or "") else f"{endpoint}{SELF_HOSTED}"


def request_id(call_id: str) -> str:
    """Return the id of a call's entry: a UUID of version 5."""
    return str(uuid5(NAMESPACE_URL, f"sessiontap/1/call/{call_id}"))


def is_there_already(call: ExportedCall) -> bool:
    """Return True if the call went through one of Helicone's gateways, which logs it itself."""
    hosts = (call.row["host"], call.row["forwarded_host"])
    return any(host and is_helicone(host) for host in hosts) or field(call.response or {}, "helicone-id") is not None


def log_entry(call: PushedCall, content: bool) -> HeliconeEntry:
    """Return the entry of a call; without `content` it has the model and the token counts."""
    name = endpoint_of(call.call.row["provider"], call.call.row["family"])
    exchange = (_as_recorded(call, name) if content else None) or _counted(call, name)
    body: Json = {
        "providerRequest": {
            "url": str(call.call.request.get("url") or "").partition("?")[0] or "unknown",
            "json": exchange.request,
            "meta": meta(call.call),
        },
        "providerResponse": {
            "status": _status(call.call, exchange),
            "headers": _headers(call.call),
            **({"textBody": exchange.reply} if isinstance(exchange.reply, str) else {"json": exchange.reply}),
        },
        "timing": timing(call.call.record),
        "provider": _PROVIDERS[name],
    }
    if name == "custom" and (cost := call.call.row["cost_usd"]) is not None:
        body["providerResponse"]["cost"] = cost
    return HeliconeEntry(name, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def endpoint_of(provider: str | None, family: str | None) -> Name:
    """Return the endpoint for a provider's calls; `custom` for one that Helicone has none for."""
    if provider in ("openai", "azure"):
        return "oai"
    if provider == "anthropic" and family == "anthropic-messages":
        return "anthropic"
    if provider in ("google", "vertex") and family == "gemini":
        return "googleapis"
    return "custom"


def meta(call: ExportedCall) -> dict[str, str]:
    """Return what Helicone reads as its headers: session, user, properties, and the entry's id."""
    session, record = call.record.get("session"), call.record
    info = SessionInfo(
        id=session["id"] if session else "",
        name=(session or {}).get("name") or "",
        step=(session or {}).get("step") or 0,
        path=(session or {}).get("path") or "/",
        user=record.get("user"),
        properties=record.get("properties") or {},
    )
    planned = request_headers(info)
    return {"Helicone-Request-Id": request_id(call.id)} | {
        one.header: one.value
        for one in planned
        if one.value is not None and (session or not one.field.startswith("session."))
    }


def timing(record: Mapping[str, Any]) -> Json:
    """Return when the call began and ended, and the milliseconds to the first token of a stream."""
    began = int(record["time"])
    found: Json = {"startTime": _moment(began), "endTime": _moment(began + int(record.get("duration") or 0))}
    if (first := record.get("time_to_first_token")) is not None:
        found["timeToFirstToken"] = round(first / 1_000_000)
    return found


class _Exchange(NamedTuple):
    request: Json
    reply: Any
    """JSON; or text, of a stream."""


def _as_recorded(call: PushedCall, name: Name) -> _Exchange | None:
    """Return the bodies as they are, or as chat; None if neither can be read."""
    row = call.call.row
    asked = _json(call.call.request_body)
    if isinstance(asked, dict) and not call.call.is_websocket and row["family"] in _WHOLE[name]:
        if "model" not in asked and (model := model_asked(call)):
            asked = {"model": model, **asked}
        answer = _json(call.call.response_body)
        is_stream = not isinstance(answer, (dict, list) if name == "googleapis" else dict)
        if is_stream:
            answer = _text(call.call) if row["stream"] and row["family"] in _STREAMED[name] else None
        if answer and _is_counted(answer, call, name):
            return _Exchange(_said_to_stream(asked, is_stream), answer)
    if call.parts is None:
        return None
    return _Exchange(request_form(call), _with_counts(reply_form(call), call, name))


def _is_counted(reply: Any, call: PushedCall, name: Name) -> bool:
    """Return True if Helicone counts the tokens of a reply as the log does."""
    usage = call.call.row["usage"] or {}
    if not usage:
        return True
    return counted(reply, _PROVIDERS[name]) == HeliconeCounts(usage.get("input") or 0, usage.get("output") or 0)


def _counted(call: PushedCall, name: Name) -> _Exchange:
    """Return what Helicone counts by: the models, the tokens, and that there was an error."""
    row = call.call.row
    request: Json = {"model": model} if (model := model_asked(call)) else {}
    reply: Json = {"model": model} if (model := row["response_model"] or row["request_model"]) else {}
    if error := error_form(call):
        reply["error"] = {key: error[key] for key in ("type",) if key in error}
    return _Exchange(request, _with_counts(reply, call, name))


def _with_counts(reply: Json, call: PushedCall, name: Name) -> Json:
    """Return a reply with its token counts in the form that the endpoint reads."""
    usage = call.call.row["usage"] or {}
    rest = {key: value for key, value in reply.items() if key != "usage"}
    given, made, read, written = (usage.get(key) for key in ("input", "output", "cache_read", "cache_write"))
    counts: Json
    if name == "anthropic":
        net = None if given is None else max(0, given - (read or 0) - (written or 0))
        counts = {"input_tokens": net, "output_tokens": made}
        counts |= {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    elif name == "googleapis":
        total = None if given is None or made is None else given + made
        counts = {"promptTokenCount": given, "candidatesTokenCount": made, "totalTokenCount": total}
        counts |= {"cachedContentTokenCount": read}
    else:
        counts = usage_form(usage)
    known = {key: value for key, value in counts.items() if value is not None}
    if not known:
        return rest
    return rest | {"usageMetadata" if name == "googleapis" else "usage": known}


def _said_to_stream(asked: Json, is_stream: bool) -> Json:
    """Return a request that asks for a stream if the reply is given as one, and else does not."""
    if is_stream:
        return asked | {"stream": True}
    return {key: value for key, value in asked.items() if key != "stream"}


def _status(call: ExportedCall, exchange: _Exchange) -> int:
    if call.response is None:
        return NO_RESPONSE
    if call.row["outcome"] == "client_gone" and isinstance(exchange.reply, str):
        return CANCELLED
    status: int = call.response["status"]
    return 200 if call.is_websocket and status == 101 else status


def _headers(call: ExportedCall) -> dict[str, str]:
    """Return the response's headers that Helicone can hold as headers again."""
    headers = Headers(fields(call.response or {}))
    return {
        name: value
        for name, value in headers.first.items()
        if name not in _NOT_SENT and is_token(name) and value.isascii() and value.isprintable()
    }


def _json(body: ExportedBody) -> Any:
    if not body.data or body.undecodable:
        return None
    try:
        return json.loads(body.data, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _text(call: ExportedCall) -> str | None:
    try:
        return (call.response_body.data or b"").decode() or None
    except UnicodeDecodeError:
        return None


def _moment(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return {"seconds": seconds, "milliseconds": rest // 1_000_000}


def _stated_error(body: bytes) -> TargetAnswer | None:
    """Return the answer of a reply whose status is 200 although the entry was not stored."""
    try:
        stated = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = stated.get("error") if isinstance(stated, dict) else None
    if not error:
        return None
    text = " ".join(str(error).split())[:300]
    if "auth" in text.lower() or "organization" in text.lower():
        return TargetAnswer("misconfigured", f"Helicone did not store the call: {text}. Check {KEY_VARIABLE}")
    return TargetAnswer("later", f"Helicone did not store the call: {text}")
