"""A recorded call as the proxy had it: its process, connection, destination and request.

Facts that the log does not hold stay unknown: see `RecordedFacts.unrecorded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sessiontap.analysis.recorded_call import asked_request
from sessiontap.bounded_dict import BoundedDict
from sessiontap.callers import Caller, Found, Process
from sessiontap.exchange import Request
from sessiontap.llm.hosts import is_call, may_be_call, provider_of
from sessiontap.proxy.connections import Connection, Destination, Destinations
from sessiontap.rules import Rules
from sessiontap.trace import BodyError, RecordedCall
from sessiontap.trust import Upstream

Record = Mapping[str, Any]

MOST_CONNECTIONS = 50_000
MOST_CALLERS = 4_096
STREAMED = "streamed_request"
"""The flag of a call that was planned without its body."""


@dataclass(frozen=True, slots=True)
class RecordedFacts:
    """The facts of a call before it is planned."""

    connection: Connection
    destination: Destination | None
    """None: the rules do not have its host decrypted, so it would not be recorded."""
    request: Request
    upstream: Upstream
    unrecorded: tuple[str, ...] = ()
    """Facts that the proxy had and the log does not: `body`, `connection`."""


class FactsReader:
    """Reads the facts of one call after the other, in the order in which they began."""

    def __init__(self, rules: Rules) -> None:
        self._destinations = Destinations(rules)
        self._connections = _Connections()
        self._listens: BoundedDict[str, bool] = BoundedDict(MOST_CALLERS)
        """Processes of which a session tells if they are servers."""
        self.asked_in_vain = False
        """It was asked if a process is a server, and nothing tells."""

    def read(self, call: RecordedCall) -> RecordedFacts:
        """Return the facts of a call. A body that cannot be read counts as not recorded."""
        record = call.recorded
        unrecorded: list[str] = []
        try:
            request = asked_request(call)
        except BodyError:
            request, unrecorded = asked_request(_WithoutBodies(call)), ["body"]
        flags = record.get("flags") or ()
        if STREAMED in flags:
            request = replace(request, body=None)
        elif request.body is None and (record["request"].get("body") or "request_unseen" in flags):
            unrecorded = ["body"]
        elif "request_cut" in flags or (record["request"].get("body") or {}).get("undecodable"):
            request, unrecorded = replace(request, body=None), ["body"]
        elif request.body is None:
            request = replace(request, body=b"")
        caller = self.caller(call)
        identity = self._connections.identity(record)
        if identity is None and caller is None:
            unrecorded.append("connection")
        client = record.get("client")
        connection = Connection(
            id=identity or f"of call {record['id']}",
            client=(client, 0) if client is not None else None,
            found=Found(caller, reason=None if caller is not None else record.get("caller_unknown")),
            proxy_user=record.get("proxy_user"),
        )
        # The log does not say whether certificates were verified. What was withheld stands in its changes.
        upstream = Upstream(request.scheme, request.host, request.port, request.host, verifies=True)
        return RecordedFacts(connection, self._destination(request), request, upstream, tuple(unrecorded))

    def caller(self, call: RecordedCall) -> Caller | None:
        """Return the process that made the call."""
        caller = caller_of(call)
        source = (call.recorded.get("session") or {}).get("source")
        if caller is not None and source in ("conversation", "process"):
            self._listens.put(caller.id, source == "conversation")
        return caller

    def listens(self, caller: Caller) -> bool | None:
        """Return True if a process was taken for a server; None if no session of it tells."""
        known = self._listens.get(caller.id)
        self.asked_in_vain = self.asked_in_vain or known is None
        return known

    def _destination(self, request: Request) -> Destination | None:
        found = self._destinations.find_call((request.host,), request.port, request.path)
        if found is not None or request.scheme != "http":
            return found
        kind = request.headers.get("content-type")
        if may_be_call(request.method, request.host, request.path, kind) and is_call(
            request.method, request.host, request.path, request.body or b""
        ):
            return Destination(request.host, provider_of(request.host, request.port))
        return None


class _Connections:
    """The identities of connections. The log has none, but two things that only calls of one connection share: the
    match scope of a conversation without a process, and a session by connection."""

    def __init__(self) -> None:
        self._known: BoundedDict[tuple[str, ...], str] = BoundedDict(MOST_CONNECTIONS)

    def identity(self, record: Record) -> str | None:
        """Return what stands for the connection of a call; None if nothing tells it from others."""
        signs = list(_signs_of_connection(record))
        known = next((found for sign in signs if (found := self._known.get(sign)) is not None), None)
        identity = known or (f"recorded {record['id']}" if signs else None)
        for sign in signs:
            if identity is not None:
                self._known.put(sign, identity)
        return identity


def _signs_of_connection(record: Record) -> Iterable[tuple[str, ...]]:
    session = record.get("session") or {}
    scope = (record.get("link") or {}).get("match_scope")
    if record.get("caller") is None and isinstance(scope, list | tuple) and scope:
        yield "scope", str(scope[0])
    if session.get("source") == "connection":
        yield "session", str(session.get("key") or session.get("id")), str(session.get("name"))


class _WithoutBodies(RecordedCall):
    """A call whose bodies cannot be read."""

    def __init__(self, call: RecordedCall) -> None:
        super().__init__(call.recorded, call.caller, lambda side, stored: None)


def process_names(record: Record) -> tuple[str, ...]:
    """The names of a recorded process."""
    return tuple(dict.fromkeys(filter(None, (record.get("name"), *(record.get("names") or ())))))


def caller_of(call: RecordedCall) -> Caller | None:
    """The process that made the call."""
    record = call.caller
    if record is None:
        return None
    ancestors = tuple(Process(one["pid"], one["name"], one.get("started")) for one in record.get("ancestors") or ())
    tree = record.get("tree") or {}
    return Caller(
        id=record["id"],
        pid=record["pid"],
        started=record.get("started"),
        name=record.get("name"),
        names=process_names(record),
        exe=record.get("exe"),
        argv=tuple(record.get("argv") or ()),
        cwd=record.get("cwd"),
        user=record.get("user"),
        uid=record.get("uid"),
        ancestors=ancestors,
        container=record.get("container"),
        env=record.get("env") or {},
        tree=Process(tree["pid"], "", None, id=tree["id"]) if tree.get("id") else None,
    )
