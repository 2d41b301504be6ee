"""The hosts that are LLM services, and who runs them, by the table in hosts.txt.

A host of the table is intercepted. If it serves other things as well, its lines have paths, and only requests below
them are calls (`serves`): by the host alone, when TLS begins, that cannot be told. Hosts that rules name are no part
of this (`Rules.host_entry`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sessiontap.llm.families import FAMILIES

TABLE = Path(__file__).with_name("hosts.txt")

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
