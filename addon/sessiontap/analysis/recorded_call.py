"""A recorded call as the plain values that `llm/` reads, so that it can be read again.

The log holds a request as it was forwarded and what was changed; `asked_request` undoes the changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sessiontap.exchange import Headers, Request, Response, UrlParts
from sessiontap.llm.call import Call, Endpoint, Reply
from sessiontap.llm.read import read_reply, read_request
from sessiontap.trace import RecordedCall

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
    found = read_asked(call, request)
    response = response_of(call)
    return found, read_reply(found, request, response) if response else None


def read_asked(call: RecordedCall, request: Request) -> Call:
    """Read the request of a call again, with the facts that its conversation gave when it was recorded."""
    found, record = read_request(request, endpoint_of(call)), call.record
    if found.asked.results:
        results = tuple(name for name in (record.get("llm") or {}).get("tool_results") or () if name)
        found = replace(found, asked=replace(found.asked, tool_results=results))
    return replace(found, inferred=record.get("subagent")) if record.get("subagent") != found.subagent else found


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
