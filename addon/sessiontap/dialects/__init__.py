"""The dialects: the list of all, and what follows from it alone.

    dialect.py       the descriptor, and what a dialect may say of a call
    helicone.py      Helicone's headers, and its key
    traceforge.py    TraceForge's headers, of requests and of replies
    header_text.py   text as the value or the name of a header

Imports nothing of ours but leaves, so that rules, headers and gateways can read the list.
"""

from collections.abc import Mapping

from sessiontap.dialects import helicone, traceforge
from sessiontap.dialects.dialect import AppHeaders, Dialect, OwnKey, ProposedHeader, SessionInfo
from sessiontap.exchange import Headers

DIALECTS: tuple[Dialect, ...] = (
    helicone.DIALECT,
    traceforge.DIALECT,
    Dialect("litellm", app=AppHeaders(id="x-litellm-session-id")),
    Dialect("langfuse", app=AppHeaders(id="langfuse_session_id", baggage="langfuse_session_id")),
    # Elsewhere anybody's `x-session-id` may mean anything.
    Dialect(
        "openrouter",
        app=AppHeaders(id="x-session-id", hosts=("openrouter.ai", "openrouter.helicone.ai"), sent_by_agents=True),
    ),
    Dialect("w3c", app=AppHeaders(baggage="session.id")),
)
"""All dialects. If an app declares several sessions, the dialect that comes first here counts.

Of those without a module of their own the session ids are recognised if an app sends them, and nothing is written.
Trace ids (`x-litellm-trace-id`, `x-portkey-trace-id`, `traceparent`) are not recognised: many apps make a new one for
each call, and each would end the session that the rules describe.
"""

NOT_YET = ("portkey", "cloudflare", "braintrust", "otel")
"""Words of the rules' language that this version knows nothing else of."""

WRITTEN: Mapping[str, Dialect] = {one.name: one for one in DIALECTS if one.request_headers is not None}
"""The dialects that can be written, by name."""
LATER: tuple[str, ...] = (*(one.name for one in DIALECTS if one.request_headers is None), *NOT_YET)
"""Names of dialects that cannot be written yet."""
SESSION_PREFIXES: tuple[str, ...] = tuple(prefix for one in DIALECTS for prefix in one.prefixes)
OWN_KEYS: Mapping[str, OwnKey] = {one.own_key.header: one.own_key for one in DIALECTS if one.own_key is not None}
"""The headers that carry a key of the proxy's own."""


def reads(host: str, headers: Headers | None = None, provider: str | None = None) -> frozenset[str]:
    """The dialects that a destination is known to read. `headers` are the app's own."""
    headers = headers or Headers()
    return frozenset(name for name, dialect in WRITTEN.items() if dialect.reads(host, headers, provider))


__all__ = [
    "DIALECTS",
    "LATER",
    "OWN_KEYS",
    "SESSION_PREFIXES",
    "WRITTEN",
    "AppHeaders",
    "Dialect",
    "OwnKey",
    "ProposedHeader",
    "SessionInfo",
    "reads",
]
