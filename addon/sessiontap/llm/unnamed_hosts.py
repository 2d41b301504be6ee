"""Recognise a call of an LLM API at a host that nobody named: plain HTTP to vLLM, llama.cpp, a gateway of one's own.

Many web services have paths such as `/v1/messages`, `/api/chat` or `/responses`. So a request is a call only if its
path is a route of a wire family and its body is plainly a request of this family (`Family.is_request`). A body that is
not at hand, or is no JSON, makes no call: to record what is none would be worse than to miss one.

The proxy asks twice: `may_be_call` when a request begins, so that all else passes at once, `is_call` with its body.
"""

from __future__ import annotations

from sessiontap.exchange import Headers
from sessiontap.llm.families import family_of
from sessiontap.llm.hosts import provider_of
from sessiontap.llm.large_bodies import is_large, reduced
from sessiontap.llm.pick import parse
from sessiontap.llm.routes import endpoint_of
from sessiontap.llm.streaming import body_kind, may_be_json

OPERATIONS = frozenset(
    {"chat", "text_completion", "embeddings", "rerank", "count_tokens", "image", "audio", "moderation"}
)
"""Those that a request of plain HTTP is recognised by; the others are files, lists and jobs."""


def may_be_call(method: str, host: str, path: str, content_type: str | None) -> bool:
    """Return whether a request may be a call, by what is known before its body. Costs a look at a table."""
    if method.upper() != "POST" or not may_be_json(content_type):
        return False
    endpoint = endpoint_of(method, host, path, provider_of(host))
    return endpoint.operation in OPERATIONS and family_of(endpoint.family).is_request is not None


def is_call(method: str, host: str, path: str, body: bytes) -> bool:
    """Return whether a request that may be a call is one, by its body without its encoding."""
    return recognised_family(host, method, path, Headers(), body) is not None


def recognised_family(host: str, method: str, path: str, headers: Headers, body: bytes | None) -> str | None:
    """Return the wire family of a request, or None if it is not plainly a call of an LLM API.

    `path` may have a query. `body` is decoded; None if it is not at hand. If the path is a route, that costs little
    more than parsing the body.
    """
    endpoint = endpoint_of(method, host, path, provider_of(host))
    family = family_of(endpoint.family)
    if (headers.get("upgrade") or "").lower() == "websocket":
        return family.name if family.is_upgrade is not None and family.is_upgrade(path, headers) else None
    content_type = headers.get("content-type")
    if family.is_request is None or not body or not may_be_call(method, host, path, content_type):
        return None
    if body_kind(content_type, body) != "json":
        return None
    value, _ = parse(reduced(body) if is_large(body) else body)
    return family.name if isinstance(value, dict) and family.is_request(endpoint.operation, value) else None
