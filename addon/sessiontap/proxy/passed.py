"""Passages: connections that went through unrecorded, with program, host, reason and bytes. Bounded, in memory alone.

The proxy answers it at its own address (own_address.py), so that `exec` and `doctor` can say what is missing in a log.
One passage stands for all connections of one process (or of one address, if the process is not known) to one host that
passed for one reason. An answer puts those of one program's processes together.

Reasons (`Why`):

    unknown_host   TLS to a host that neither the table of LLM hosts nor a rule names: it was not decrypted
    distrust       the program refused the proxy's certificate before
    refused        the program refused the proxy's certificate: that connection failed
    ignore         a rule says `ignore`
    path           a request with a path of no LLM API: plain HTTP to a host that nothing names, or one to a known host
                   that serves other things as well
    body           the same, with such a path, but the body is no LLM call's
    http2          HTTP/2 without TLS (prior knowledge), such as plain gRPC
    not_http       another protocol
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sessiontap.bounded_dict import BoundedDict
from sessiontap.proxy.connections import Connection
from sessiontap.proxy.own_address import descends

Why = Literal["unknown_host", "distrust", "refused", "ignore", "path", "body", "http2", "not_http"]

MOST = 4096
"""Passages that are remembered."""


@dataclass(slots=True)
class Passage:
    """Connections, or requests in plain HTTP, of one process to one host that passed for one reason."""

    connection: Connection
    """The first of them; its caller may be found late."""
    host: str
    port: int
    why: Why
    first: float
    """Unix seconds."""
    last: float
    connections: int = 0
    requests: int = 0
    """Of plain HTTP; a connection may have any number."""
    sent: int = 0
    """Bytes from the client: all of a tunnel's, the bodies of plain HTTP."""
    received: int = 0
    uncounted: int = 0
    """Connections whose bytes are not in `sent` and `received`."""

    def count_sent(self, data: bytes) -> bytes:
        """Count a chunk of a request's body: a `stream` callable for mitmproxy."""
        self.sent += len(data)
        return data

    def count_received(self, data: bytes) -> bytes:
        """Count a chunk of a reply's body."""
        self.received += len(data)
        return data


class Passed:
    """The passages so far."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._passages: BoundedDict[tuple[str, str, int, Why], Passage] = BoundedDict(MOST, self._forget)
        self.forgotten = 0
        """Passages that had to make room for others."""

    def connection(self, connection: Connection, host: str, port: int, why: Why, *, counted: bool = True) -> Passage:
        """Take in a connection that passes. `counted`: its bytes will be counted on what is returned."""
        passage = self._passage(connection, host, port, why)
        passage.connections += 1
        passage.uncounted += not counted
        return passage

    def request(self, connection: Connection, host: str, port: int, why: Why) -> Passage:
        """Take in a request in plain HTTP that passes."""
        passage = self._passage(connection, host, port, why)
        passage.requests += 1
        if connection.id != passage.connection.id or not passage.connections:
            passage.connections += 1
            passage.connection = connection
        return passage

    def about(self, pid: int | None) -> list[dict[str, Any]]:
        """Return the passages in plain values, the last one first; with `pid` those of that process and of what it
        started."""
        passages = [one for _, one in self._passages.items()]
        if pid is not None:
            passages = [one for one in passages if descends(one.connection.caller, pid)]
        return _newest_first(_together(passages))

    def _passage(self, connection: Connection, host: str, port: int, why: Why) -> Passage:
        key = (_source(connection), host, port, why)
        passage = self._passages.get(key)
        now = self._clock()
        if passage is None:
            passage = Passage(connection, host, port, why, now, now)
            self._passages.put(key, passage)
        passage.last = now
        return passage

    def _forget(self, key: tuple[str, str, int, Why], passage: Passage) -> None:
        self.forgotten += 1


def _source(connection: Connection) -> str:
    """The process of a connection; if it is not known, its address; while it is looked for, the connection itself."""
    if connection.caller is not None:
        return connection.caller.id
    return connection.id if connection.look is not None else connection.client_ip or ""


def _together(passages: Iterable[Passage]) -> list[dict[str, Any]]:
    """One item for all processes of a program."""
    found: dict[tuple[Any, ...], list[Passage]] = {}
    for one in passages:
        caller = one.connection.caller
        program = (caller.name, caller.exe, None) if caller else (None, None, one.connection.client_ip)
        found.setdefault((*program, one.host, one.port, one.why), []).append(one)
    return [_item(key, ones) for key, ones in found.items()]


def put_together(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several proxies' answers as one: items of one program, host and reason are added up."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in items:
        key = tuple(one[name] for name in ("program", "exe", "client", "host", "port", "why"))
        found.setdefault(key, []).append(one)
    return _newest_first([_sum(ones) for ones in found.values()])


def _sum(ones: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {name: [one[name] for one in ones] for name in ("connections", "requests", "sent", "received")}
    return {
        **ones[0],
        "pids": sorted({pid for one in ones for pid in one["pids"]}),
        **{name: None if None in values else sum(values) for name, values in counts.items()},
        "first": min(one["first"] for one in ones),
        "last": max(one["last"] for one in ones),
    }


def _newest_first(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: item["last"], reverse=True)


def _item(key: tuple[Any, ...], ones: list[Passage]) -> dict[str, Any]:
    name, exe, client, host, port, why = key
    counted = not any(one.uncounted for one in ones)
    return {
        "program": name,
        "exe": exe,
        "pids": sorted({one.connection.caller.pid for one in ones if one.connection.caller}),
        "process_unknown": ones[0].connection.found.reason if name is None else None,
        "client": client,
        "host": host,
        "port": port,
        "why": why,
        "connections": sum(one.connections for one in ones),
        "requests": sum(one.requests for one in ones),
        "sent": sum(one.sent for one in ones) if counted else None,
        "received": sum(one.received for one in ones) if counted else None,
        "first": min(one.first for one in ones),
        "last": max(one.last for one in ones),
    }
