"""A recorded call as the plain values that `llm/` and the rules read, so that both can be asked again.

The log holds a request as it was forwarded and what was changed; `asked_request` undoes the changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sessiontap import trust
from sessiontap.callers import Caller, Process
from sessiontap.exchange import Headers, Request, Response, UrlParts
from sessiontap.llm.call import Call, Endpoint, Reply
from sessiontap.llm.read import read_reply, read_request
from sessiontap.rules import Facts, SessionFacts
from sessiontap.trace import RecordedCall
from sessiontap.trust import Upstream

Record = Mapping[str, Any]


def asked_request(call: RecordedCall) -> Request:
    """The request as the app sent it: to its own host, without the headers that were added. Raises BodyError."""
    record = call.record
    sent = record["request"]
    url = UrlParts.of(sent["url"], record.get("host"), record.get("forwarded_host"))
    rerouted = any(change[0] == "route" for change in record.get("changes") or ())
    port = None if rerouted else url.port
    return Request(
        method=sent["method"],
        host=record.get("host") or url.host,
        target=url.target,
        headers=undo_changes(fields(sent), record.get("changes") or ()),
        body=call.request_body(),
        scheme=url.scheme,
        port=port or (80 if url.scheme == "http" else 443),
    )


def undo_changes(headers: Headers, changes: Sequence[Sequence[Any]]) -> Headers:
    """The headers before the changes: without those that were set, with those that were removed or replaced."""
    kept = list(headers)
    for action, name, old, *_ in changes:
        if action not in ("set", "remove") or not isinstance(name, str):
            continue
        at = next((index for index, (key, _) in enumerate(kept) if key.lower() == name.lower()), len(kept))
        if action == "set":
            kept = [pair for pair in kept if pair[0].lower() != name.lower()]
        if old is not None:
            kept.insert(at, (name, old))
    return Headers(kept)


def response_of(call: RecordedCall) -> Response | None:
    """The response, as far as it came; None if none did. Raises BodyError."""
    record = call.record
    recorded = record.get("response")
    if not recorded:
        return None
    whole = record.get("outcome") in ("ok", "http_error") and "response_cut" not in (record.get("flags") or ())
    trailers = Headers((name, value) for name, value in recorded.get("trailers") or ())
    return Response(recorded["status"], fields(recorded), call.response_body() or b"", whole, trailers)


def fields(message: Record) -> Headers:
    """A message's headers."""
    return Headers((name, value) for name, value in message.get("headers") or ())


def endpoint_of(call: RecordedCall) -> Endpoint:
    """The endpoint that the call was recognised as when it was recorded."""
    llm = call.record.get("llm") or {}
    return Endpoint(
        provider=llm.get("provider"),
        family=llm.get("family") or "other",
        operation=llm.get("operation") or "other",
        route=call.record.get("route") or "",
        model=llm.get("request_model"),
    )


def read(call: RecordedCall) -> tuple[Call, Reply | None]:
    """Read the call again from its bodies. Raises BodyError."""
    request = asked_request(call)
    found = _read_request(call, request)
    response = response_of(call)
    return found, read_reply(found, request, response) if response else None


def facts_of(call: RecordedCall) -> Facts:
    """The facts that the rules may look at. Raises BodyError."""
    record, request = call.record, asked_request(call)
    read_call = _read_request(call, request)
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


def _read_request(call: RecordedCall, request: Request) -> Call:
    """Read the request again, with the facts that its conversation gave when it was recorded."""
    found, record = read_request(request, endpoint_of(call)), call.record
    if found.asked.results:
        results = tuple(name for name in (record.get("llm") or {}).get("tool_results") or () if name)
        found = replace(found, asked=replace(found.asked, tool_results=results))
    return replace(found, inferred=record.get("subagent")) if record.get("subagent") != found.subagent else found


def session_of(call: RecordedCall) -> SessionFacts | None:
    """The session that it was given, if name and step of it are known."""
    session = call.record.get("session") or {}
    name, step = session.get("name"), session.get("step")
    return SessionFacts(session["id"], name, step) if name is not None and step is not None else None


def process_names(record: Record) -> tuple[str, ...]:
    """The names of a recorded process."""
    return tuple(dict.fromkeys(filter(None, (record.get("name"), *(record.get("names") or ())))))


UNKNOWN_PROCESS = {
    "remote client": "the program runs on another machine, or in another container",
    "gone": "it closed the connection, or ended, before it was found",
    "not permitted": "it is another user's, which only a proxy of that user or of root may see",
    "not visible": "no process that the proxy sees holds the connection, such as one in another container",
    "not found in time": "the search took too long on a busy machine",
}
"""Why a process is not known, by the reason of its look-up (`callers.find`)."""


def why_unknown(reason: str | None) -> str | None:
    """Return why a process is not known, in a sentence's words; None if the log does not say."""
    return UNKNOWN_PROCESS.get(reason, reason) if reason else None


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
