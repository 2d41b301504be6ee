"""The dialects: the list of all, and what follows from it alone.

    dialect.py       the descriptor, and what a dialect may say of a call
    helicone.py      Helicone's headers, and its key
    traceforge.py    TraceForge's headers, of requests and of replies
    litellm.py, portkey.py, openrouter.py, cloudflare.py
                     the headers of gateways
    w3c.py           `traceparent` and `baggage`
    members.py       headers that hold a set of members, to which an app's own belong
    header_text.py   text as the value or the name of a header

Imports nothing of ours but leaves, so that rules, headers and gateways can read the list. Which header says what, its
limits and their sources are in docs/dialects.md.
"""

import re
from collections.abc import Mapping

from sessiontap.dialects import cloudflare, helicone, litellm, openrouter, portkey, traceforge, w3c
from sessiontap.dialects.dialect import AppHeaders, Dialect, OwnKey, ProposedHeader, SessionInfo
from sessiontap.exchange import Headers

DIALECTS: tuple[Dialect, ...] = (
    helicone.DIALECT,
    traceforge.DIALECT,
    litellm.DIALECT,
    Dialect("langfuse", app=AppHeaders(id="langfuse_session_id", baggage="langfuse_session_id")),
    openrouter.DIALECT,
    portkey.DIALECT,
    cloudflare.DIALECT,
    *w3c.DIALECTS,
)
"""All dialects. If an app declares several sessions, the dialect that comes first here counts.

If one cannot be written, the session ids are recognised that an app sends in it. Trace ids (`x-litellm-trace-id`,
`x-portkey-trace-id`, `traceparent`) are not recognised: many apps make a new one for each call, and each would end the
session that the rules describe.
"""

NOT_YET = ("braintrust",)
"""Words of the rules' language that this version knows nothing else of."""

WRITTEN: Mapping[str, Dialect] = {one.name: one for one in DIALECTS if one.request_headers is not None}
"""The dialects that can be written, by name."""
LATER: tuple[str, ...] = (*(one.name for one in DIALECTS if one.request_headers is None), *NOT_YET)
"""Names of dialects that cannot be written yet."""
FOR_ANY_SERVER = frozenset(one.name for one in DIALECTS if one.for_any_server)
"""Dialects that may be sent to servers that are not known to read them."""
SESSION_PREFIXES: tuple[str, ...] = tuple(prefix for one in DIALECTS for prefix in one.prefixes)
OWN_KEYS: Mapping[str, OwnKey] = {one.own_key.header: one.own_key for one in DIALECTS if one.own_key is not None}
"""The headers that carry a key of the proxy's own."""

_HOSTS = {host: one.name for one in WRITTEN.values() for host in one.hosts if not host.startswith("*")}
_DOMAINS = tuple((host[1:], one.name) for one in WRITTEN.values() for host in one.hosts if host.startswith("*."))
_SIGNS = {sign: one.name for one in WRITTEN.values() for sign in one.signs}
_ANY_SIGN = re.compile("^(?:" + "|".join(map(re.escape, _SIGNS)) + ")", re.MULTILINE)


def reads(host: str, headers: Headers | None = None, provider: str | None = None) -> frozenset[str]:
    """Return the dialects that a destination is known to read: by its host, by the host's provider (as the rules'
    `hosts` may say), by what the app itself sends there. `headers` are the app's own.
    """
    host = host.lower().rstrip(".")
    found = {_SIGNS[sign] for sign in _ANY_SIGN.findall("\n".join(headers.first))} if headers else set()
    found.update(name for domain, name in _DOMAINS if host.endswith(domain))
    if host in _HOSTS:
        found.add(_HOSTS[host])
    if provider is not None and provider in WRITTEN:
        found.add(provider)
    return frozenset(found)


__all__ = [
    "DIALECTS",
    "FOR_ANY_SERVER",
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
