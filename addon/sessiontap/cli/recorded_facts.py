"""A recorded call as the plain values that the rules look at, so that they can be asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sessiontap import trust
from sessiontap.analysis.recorded_call import asked_request, read_asked
from sessiontap.callers import Caller, Process
from sessiontap.rules import Facts, SessionFacts
from sessiontap.trace import RecordedCall
from sessiontap.trust import Upstream

Record = Mapping[str, Any]


def facts_of(call: RecordedCall) -> Facts:
    """The facts that the rules may look at. Raises BodyError."""
    record, request = call.record, asked_request(call)
    read_call = read_asked(call, request)
    facts = Facts(
        host=request.host,
        caller=caller_of(call),
        client_ip=record.get("client"),
        proxy_user=record.get("proxy_user"),
        provider=read_call.endpoint.provider,
        request=request,
        call=read_call,
        time=record.get("time"),
        client_is_local=trust.is_local(record.get("client"), None, call.caller is not None),
        # The log does not say whether certificates were verified. What was withheld stands in its changes.
        exposed=trust.why_exposed(
            Upstream(request.scheme, request.host, request.port, request.host, verifies=True), request.host
        ),
    )
    # The log does not say why a process is not known: for other machines it never is.
    return replace(facts, is_remote=facts.client_ip is not None and not facts.client_is_local)


def session_of(call: RecordedCall) -> SessionFacts | None:
    """The session that it was given, if name and step of it are known."""
    session = call.record.get("session") or {}
    name, step = session.get("name"), session.get("step")
    return SessionFacts(session["id"], name, step) if name is not None and step is not None else None


def process_names(record: Record) -> tuple[str, ...]:
    """The names of a recorded process."""
    return tuple(dict.fromkeys(filter(None, (record.get("name"), *(record.get("names") or ())))))


def caller_of(call: RecordedCall) -> Caller | None:
    """The process that made the call."""
    record = call.caller
    if record is None:
        return None
    ancestors = tuple(Process(one["pid"], one["name"], one.get("started")) for one in record.get("ancestors") or ())
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
    )
