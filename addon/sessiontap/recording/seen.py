"""What came of a call: its bodies decoded, its reply read; and from there to what is kept of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from sessiontap.callers import Caller
from sessiontap.exchange import Headers, Request, Response
from sessiontap.faults import Faults
from sessiontap.headers import trace_id
from sessiontap.llm.bounded import read_bounded
from sessiontap.llm.call import Call, Reply
from sessiontap.llm.decode import LIMIT, Decoded, decode, decode_chunks
from sessiontap.llm.history import Ending
from sessiontap.llm.history import ending as end_of
from sessiontap.recording.finished import Fields, Finished, Left, Outcome, Passed, Planned
from sessiontap.rules.decision import Decision
from sessiontap.sessions.kept import heads
from sessiontap.trace.record import CallSeen, SeenBody, SeenRequest, SeenResponse


class Came(NamedTuple):
    """What came of a call, decoded and read."""

    request_headers: Headers
    request_body: Decoded
    reply_headers: Headers
    reply_body: Decoded
    reply: Reply | None
    flags: tuple[str, ...]


def come(call: Finished, request_wire: bytes, reply_wire: bytes, faults: Faults, most: int = LIMIT) -> Came:
    """Decode and read what came back. Raises nothing of a damaged body. `most`: bytes that a body may become."""
    request_headers, reply_headers = _headers(call.request_headers), _headers(call.reply_headers)
    whole = call.outcome in ("ok", "http_error")
    request_body = _decoded(request_wire, call.request, request_headers, whole, most)
    reply_body = _decoded(reply_wire, call.reply, reply_headers, whole, most)
    reply, flags = None, tuple(call.flags)
    for body, flag in ((request_body, "request_cut"), (reply_body, "response_cut")):
        if body.beyond and flag not in flags:
            flags = (*flags, flag)
    if call.call is not None and call.status is not None:
        request = Request(call.method, call.host, call.target, request_headers)
        response = Response(call.status, reply_headers, reply_body.data, whole and "response_cut" not in flags)
        flags = (*flags, "unread")
        if reply_body.beyond:
            reply = Reply(problems=(f"the reply's body was {reply_body.problem}, and is not kept",))
        else:
            with faults.guard("reading a reply"):
                reply = read_bounded(call.call, request, response)
                flags = flags[:-1]
    return Came(request_headers, request_body, reply_headers, reply_body, reply, flags)


def leave(call: Finished, came: Came | None, faults: Faults) -> tuple[Left, dict[str, Any]]:
    """What the call leaves for later ones, and what its record keeps so that its conversation goes on after a restart.

    `came` is None where it could not be read.
    """
    planned, ending, kept = call.planned, None, {}
    with faults.guard("conversations"):
        if came is not None and planned is not None and planned.history is not None:
            ending = end_of(planned.history, came.reply, call.status, complete=call.outcome in ("ok", "http_error"))
            kept = _kept(planned, call.call, ending)
    session = planned.session.id if planned is not None and planned.session is not None else None
    trace = trace_id(came.reply_headers if came is not None else _headers(call.reply_headers))
    return Left(call.id, session, call.time + call.duration, ending, trace), kept


def _kept(planned: Planned, call: Call | None, ending: Ending) -> dict[str, Any]:
    link, past = planned.link, planned.history
    if call is None or past is None or planned.ground is None or link.conversation is None:
        return {}
    more = {"kind": link.kind, "root": link.root, "lineage": list(link.lineage)}
    return more | heads(planned.ground, call, past, ending)


def see(
    call: Finished, came: Came, wires: tuple[bytes, bytes], caller: Caller | None, kept: dict[str, Any]
) -> CallSeen:
    """Put together what is kept. `wires` are the bodies of request and reply as they went by."""
    planned, reply, arrivals = call.planned, came.reply, call.reply.arrivals
    session = planned.session if planned else None
    return CallSeen(
        id=call.id,
        time=call.time,
        request=SeenRequest(
            method=call.method,
            url=call.url,
            http_version=call.http_version,
            headers=came.request_headers,
            body=_body(wires[0], call.request, came.request_body, came.request_headers),
            trailers=_headers(call.request_trailers) if call.request_trailers else None,
        ),
        response=SeenResponse(
            status=call.status,
            http_version=call.reply_http_version or "",
            headers=came.reply_headers,
            body=_body(wires[1], call.reply, came.reply_body, came.reply_headers),
            trailers=_headers(call.reply_trailers) if call.reply_trailers else None,
            chunks=arrivals,
        )
        if call.status is not None
        else None,
        outcome=_outcome(call.outcome, reply),
        duration=call.duration,
        time_to_first_byte=call.first_byte,
        time_to_first_token=_first_token(reply, came.reply_body.offsets, arrivals),
        host=call.host,
        forwarded_host=call.forwarded_host,
        caller=caller,
        client=call.client,
        proxy_user=call.proxy_user,
        call=call.call,
        reply=reply,
        decision=Decision(rules=planned.rules, capture=planned.capture, set_by=planned.set_by)
        if planned
        else Decision(capture=call.undecided),
        labels=planned.labels if planned else None,
        session=session,
        session_extra={"key": session.key} if session and session.key else {},
        link=planned.link if planned else None,
        link_extra=kept,
        edits=planned.edits if planned else (),
        gateway=(planned.route or planned.direct) if planned else None,
        flags=came.flags if planned else (*came.flags, "undecided"),
    )


def _headers(fields: Fields) -> Headers:
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields])


def _decoded(wire: bytes, passed: Passed, headers: Headers, complete: bool, most: int) -> Decoded:
    encoding = headers.get("content-encoding")
    complete = complete and len(wire) == passed.size
    if not passed.chunks:
        return decode(wire, encoding, complete=complete, limit=most)
    if not encoding:
        ends = accumulate(size for _, size in passed.chunks)
        return Decoded(wire, offsets=tuple(min(end, len(wire)) for end in ends))
    return decode_chunks(_pieces(wire, passed), encoding, complete=complete, limit=most)


def _pieces(wire: bytes, passed: Passed) -> Iterator[bytes]:
    """The chunks as they came."""
    at = 0
    for _, size in passed.chunks:
        yield wire[at : at + size]
        at += size
    if at < len(wire):  # chunks beyond those whose arrival is kept
        yield wire[at:]


def _body(wire: bytes, passed: Passed, decoded: Decoded, headers: Headers) -> SeenBody | None:
    if not passed.size:
        return None
    encoding = headers.get("content-encoding")
    if decoded.beyond:
        return SeenBody(b"", encoding, undecodable=True, total=passed.size)
    total = passed.size if passed.size > len(wire) else None
    if decoded.problem is not None and encoding:
        return SeenBody(wire, encoding, undecodable=True, total=total)
    return SeenBody(decoded.data, encoding, total=total)


def _outcome(outcome: Outcome, reply: Reply | None) -> Outcome:
    if outcome == "ok" and reply is not None and reply.stream and reply.error is not None:
        return "stream_error"
    return outcome


def _first_token(
    reply: Reply | None, offsets: tuple[int, ...], chunks: list[tuple[int, int]]
) -> int | None:
    """When the chunk arrived that completed the event with the first generated content."""
    if reply is None or reply.first_token is None or not chunks:
        return None
    number = bisect_left(offsets, reply.first_token)
    return chunks[number][0] if number < len(chunks) else None
