"""Recognise a call of an LLM API at a host that nobody named: plain HTTP to a local server, a gateway of one's own.

Many web services have paths such as `/v1/messages`, `/api/chat` or `/responses`. So a request is a call only if its
path is a route of a wire family and its body is plainly a request of this family (`Family.is_request`). A body that is
not at hand, or is no JSON, makes no call: to record what is none would be worse than to miss one.
"""

from __future__ import annotations

from sessiontap.exchange import Headers
from sessiontap.llm.families import family_of
from sessiontap.llm.hosts import provider_of
from sessiontap.llm.large_bodies import is_large, reduced
from sessiontap.llm.pick import parse
from sessiontap.llm.routes import endpoint_of
from sessiontap.llm.streaming import body_kind


def recognised_family(host: str, method: str, path: str, headers: Headers, body: bytes | None) -> str | None:
    """Return the wire family of a request, or None if it is not plainly a call of an LLM API.

    `path` may have a query. `body` is decoded; None if it is not at hand. Costs a look at a table unless the path is a
    route, and then little more than parsing the body.
    """
    endpoint = endpoint_of(method, host, path, provider_of(host))
    family = family_of(endpoint.family)
    if _is_upgrade(headers):
        return family.name if family.is_upgrade is not None and family.is_upgrade(path, headers) else None
    if family.is_request is None or method.upper() != "POST" or not body:
        return None
    if body_kind(headers.get("content-type"), body) != "json":
        return None
    value, _ = parse(reduced(body) if is_large(body) else body)
    return family.name if isinstance(value, dict) and family.is_request(value) else None


def _is_upgrade(headers: Headers) -> bool:
    return (headers.get("upgrade") or "").lower() == "websocket"
