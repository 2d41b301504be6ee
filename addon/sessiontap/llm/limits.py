"""Facts from response headers: the provider's own id of the request, and the state of its rate limits.

Names as the providers document them; where several stand in one response, the first of the table is the provider's own
(a gateway adds another). Values stay text: units differ (`1s`, `6m0s`, Unix seconds, RFC 3339), and none is guessed.
"""

from __future__ import annotations

from sessiontap.exchange import Headers

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
