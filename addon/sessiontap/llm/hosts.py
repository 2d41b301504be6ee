"""The hosts that are LLM services, and who runs them, by the table in hosts.txt; and calls at a host that is not in it.

A host of the table is intercepted. If it serves other things as well, its lines have paths, and only requests below
them are calls (`serves`): by the host alone, when TLS begins, that cannot be told. Hosts that rules name are no part
of this (`Rules.host_entry`).

At any other host a call is recognised in plain HTTP alone: vLLM, llama.cpp, a gateway of one's own. Many web services
have paths such as `/v1/messages`, `/api/chat` or `/responses`. So a request is a call only if its path is a route of a
wire family and its body is plainly a request of this family (`Family.is_request`). A body that is not at hand, or is no
JSON, makes no call: to record what is none would be worse than to miss one. The proxy asks twice: `may_be_call` when a
request begins, so that all else passes at once, `is_call` with its body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sessiontap.exchange import Headers
from sessiontap.llm.families import FAMILIES, family_of
from sessiontap.llm.large_bodies import Room, fitting, is_large
from sessiontap.llm.pick import parse
from sessiontap.llm.routes import endpoint_of
from sessiontap.llm.streaming import body_kind, may_be_json

TABLE = Path(__file__).with_name("hosts.txt")
_RECOGNISED = frozenset(
    {"chat", "text_completion", "embeddings", "rerank", "count_tokens", "image", "audio", "moderation"}
)
"""The operations by which a request of plain HTTP is recognised; the others are files, lists and jobs."""


class HostRow(NamedTuple):
    """A line of the table."""

    pattern: str
    path: str
    """Empty if the host serves nothing else."""
    provider: str | None
    sources: tuple[str, ...]


def rows(text: str) -> Iterator[HostRow]:
    """Yield the rows of a table. Raises ValueError for a line that is none."""
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        if len(fields) != 3:
            raise ValueError(f"line {number} has {len(fields)} fields, not host, provider and sources: {line.strip()}")
        host, slash, path = fields[0].partition("/")
        yield HostRow(host, slash + path, None if fields[1] == "-" else fields[1], tuple(fields[2].split(",")))


HOSTS: tuple[HostRow, ...] = tuple(rows(TABLE.read_text(encoding="utf-8")))


class _Host(NamedTuple):
    provider: str | None
    paths: tuple[list[str], ...]
    """Those of its API, in segments; empty if it serves nothing else."""


def is_llm_host(host: str) -> bool:
    """Return whether the table names the host."""
    return _find(host) is not None


def provider_of(host: str, port: int = 443) -> str | None:
    """Return who runs the service at `host`; None if that is not known. Of a host that is not in the table the port may
    tell: whatever listens on Ollama's is Ollama."""
    found = _find(host)
    return _BY_PORT.get(port) if found is None else found.provider


def serves(host: str, path: str) -> bool:
    """Return whether a request to `path` at a host of the table is for its LLM API. False for any other host."""
    found = _find(host)
    if found is None or not found.paths:
        return found is not None
    asked = path.partition("?")[0].split("/")
    return any(_is_below(asked, segments) for segments in found.paths)


def may_be_call(method: str, host: str, path: str, content_type: str | None) -> bool:
    """Return whether a request may be a call, by what is known before its body. Costs a look at a table."""
    if method.upper() != "POST" or not may_be_json(content_type):
        return False
    endpoint = endpoint_of(method, host, path, provider_of(host))
    return endpoint.operation in _RECOGNISED and family_of(endpoint.family).is_request is not None


def is_call(method: str, host: str, path: str, body: bytes, room: Room | None = None) -> bool:
    """Return whether a request that may be a call is one, by its body without its encoding. `room`: to read it."""
    return recognised_family(host, method, path, Headers(), body, room) is not None


def recognised_family(
    host: str, method: str, path: str, headers: Headers, body: bytes | None, room: Room | None = None
) -> str | None:
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
    value, _ = parse(fitting(body, room) if is_large(body, room) else body)
    return family.name if isinstance(value, dict) and family.is_request(endpoint.operation, value) else None


def _is_below(path: list[str], segments: list[str]) -> bool:
    """Return whether a path begins with these segments; of them `*` is any."""
    return len(path) >= len(segments) and all(known in ("*", one) for known, one in zip(segments, path, strict=False))


@lru_cache(maxsize=4096)
def _find(host: str) -> _Host | None:
    host = host.lower().rstrip(".")
    if host in _EXACT:
        return _EXACT[host]
    found = _WILD.fullmatch(host)
    return _WILD_HOSTS[int(found.lastgroup[1:])] if found and found.lastgroup else None


def _by_host() -> dict[str, _Host]:
    hosts: dict[str, _Host] = {}
    for row in HOSTS:
        paths = hosts[row.pattern].paths if row.pattern in hosts else ()
        hosts[row.pattern] = _Host(row.provider, (*paths, row.path.split("/")) if row.path else ())
    return hosts


def _glob(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*")


_BY_PORT = {family.port: family.provider for family in FAMILIES if family.port is not None}
_ALL = _by_host()
_EXACT = {pattern: host for pattern, host in _ALL.items() if "*" not in pattern}
_WILD_HOSTS = [host for pattern, host in _ALL.items() if "*" in pattern]
_WILD = re.compile(
    "|".join(f"(?P<p{n}>{_glob(pattern)})" for n, pattern in enumerate(pattern for pattern in _ALL if "*" in pattern))
)
