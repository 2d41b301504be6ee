"""Decode a finished call's bodies and read its reply.

The recorder's process calls this once for each call: `decode_exchange`, then `planner_update`, whose result goes back
to the proxy at once. The record is made of both later (`record.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from sessiontap.exchange import Headers, Request, Response
from sessiontap.faults import Faults
from sessiontap.headers import trace_id
from sessiontap.llm.call import Reply
from sessiontap.llm.content_encoding import LIMIT, Decoded, Fits, decode, decode_chunks
from sessiontap.llm.history import ReplyFingerprint, fingerprint_of
from sessiontap.llm.large_bodies import Room, read_bounded
from sessiontap.recording.budget import COPIES, Lease
from sessiontap.recording.finished import BodyTransfer, Fields, FinishedCall, Outcome, PlannerUpdate
from sessiontap.sessions.conversations import to_state
from sessiontap.value_classes import dataclass, replaced


@dataclass(frozen=True, slots=True)
class DecodedBody:
    """A body decoded, or as on the wire if it could not be (`undecodable`)."""

    data: bytes
    encoding: str | None = None
    """Content-Encoding on the wire."""
    undecodable: bool = False
    total: int | None = None
    """Bytes that went by, if `data` holds fewer: it was cut."""


@dataclass(frozen=True, slots=True)
class DecodedMessage:
    """The headers and the body of a request or a response."""

    headers: Headers
    body: DecodedBody | None = None
    """None: it was empty."""
    trailers: Headers | None = None


@dataclass(frozen=True, slots=True)
class DecodedExchange:
    """A finished call's messages, and what its reply says. Durations are nanoseconds; unknown is None."""

    request: DecodedMessage
    response: DecodedMessage | None
    """None: no response came."""
    outcome: Outcome
    """As of the call, but `stream_error` if the reply's stream tells of one."""
    reply: Reply | None = None
    flags: tuple[str, ...] = ()
    time_to_first_token: int | None = None

    @property
    def decoded_size(self) -> int:
        """Bytes of both bodies."""
        bodies = self.request.body, self.response.body if self.response is not None else None
        return sum(len(body.data) for body in bodies if body is not None)

    def without_texts(self) -> DecodedExchange:
        """Return the exchange without what its reply says, which its body holds as well."""
        if self.reply is None:
            return self
        tools = tuple(replaced(tool, arguments=None) for tool in self.reply.tool_calls)
        return replaced(self, reply=replaced(self.reply, text=None, reasoning=None, tool_calls=tools))


def decode_exchange(
    call: FinishedCall,
    request_wire: bytes,
    response_wire: bytes,
    faults: Faults,
    most: int = LIMIT,
    lease: Lease | None = None,
) -> DecodedExchange:
    """Decode both bodies and read the reply. `most`: bytes that a body may become. `lease`: of the memory that all
    of it takes; it grows while a body is decoded, and a body that finds none is not kept.

    Raises nothing for a damaged body; a fault in reading is told to `faults`, and the call is flagged `unread`.
    """
    received = call.received
    request_headers = _headers(call.sent.headers)
    response_headers = _headers(received.headers) if received else Headers()

    def reach(size: int) -> bool:
        return lease is None or lease.reach(size)

    def beside(other: bytes) -> Fits:
        return lambda length: reach((length + len(other)) * COPIES)

    request_body = _decoded(
        request_wire, call.request_body, request_headers, call.is_whole, most, beside(response_wire)
    )
    response_body = _decoded(
        response_wire, call.response_body, response_headers, call.is_whole, most, beside(request_body.data)
    )
    reply, flags = None, tuple(call.flags)
    for body, flag in ((request_body, "request_cut"), (response_body, "response_cut")):
        if body.beyond and flag not in flags:
            flags = (*flags, flag)
    if call.call is not None and received is not None:
        request = Request(call.method, call.host, call.target, request_headers)
        is_whole = call.is_whole and "response_cut" not in flags
        trailers = _headers(received.trailers)
        response = Response(received.status, response_headers, response_body.data, is_whole, trailers)
        flags = (*flags, "unread")
        bodies = request_wire, response_wire, request_body.data, response_body.data
        held = sum({id(body): len(body) for body in bodies}.values())  # one that is not encoded is its own wire
        if response_body.beyond:
            reply = Reply(problems=(f"the reply's body was {response_body.problem}, and is not kept",))
        else:
            with faults.guard("reading a reply"):
                room = Room(lambda size: lease is None or lease.grow_to(held + size), lambda size: reach(held + size))
                reply = read_bounded(call.call, request, response, room)
                flags = flags[:-1]
    if call.plan is None:
        flags = (*flags, "undecided")
    return DecodedExchange(
        request=DecodedMessage(
            request_headers,
            _body(request_wire, call.request_body, request_body, request_headers),
            _headers(call.sent.trailers) if call.sent.trailers else None,
        ),
        response=DecodedMessage(
            response_headers,
            _body(response_wire, call.response_body, response_body, response_headers),
            _headers(received.trailers) if received.trailers else None,
        )
        if received is not None
        else None,
        outcome=_outcome(call.outcome, reply),
        reply=reply,
        flags=flags,
        time_to_first_token=_first_token(reply, response_body.offsets, call.response_body),
    )


def planner_update(
    call: FinishedCall, exchange: DecodedExchange | None, faults: Faults
) -> tuple[PlannerUpdate, dict[str, Any]]:
    """Return the state that later calls need, and the `link_state` that the record keeps for a restart.

    `exchange` is None if the call could not be read.
    """
    plan, ending, link_state = call.plan, None, {}
    with faults.guard("conversations"):
        if exchange is not None and plan is not None and plan.history is not None:
            status = call.received.status if call.received else None
            ending = fingerprint_of(plan.history, exchange.reply, status, complete=call.is_whole)
            link_state = _link_state(call, ending)
    session = plan.session.id if plan is not None and plan.session is not None else None
    if exchange is not None and exchange.response is not None:
        trace = trace_id(exchange.response.headers)
    else:
        trace = trace_id(_headers(call.received.headers)) if call.received is not None else None
    return PlannerUpdate(call.id, session, call.time + call.duration, ending, trace), link_state


def _link_state(call: FinishedCall, ending: ReplyFingerprint) -> dict[str, Any]:
    plan = call.plan
    if call.call is None or plan is None or plan.history is None or plan.match_scope is None:
        return {}
    link = plan.link
    if link.conversation is None:
        return {}
    more = {"kind": link.kind, "root": link.root, "lineage": list(link.lineage)}
    return more | to_state(plan.match_scope, call.call, plan.history, ending)


def _headers(fields: Fields) -> Headers:
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields])


def _decoded(wire: bytes, transfer: BodyTransfer, headers: Headers, complete: bool, most: int, fits: Fits) -> Decoded:
    encoding = headers.get("content-encoding")
    complete = complete and len(wire) == transfer.size
    if not transfer.chunks:
        return decode(wire, encoding, complete=complete, limit=most, fits=fits)
    if not encoding:
        ends = accumulate(size for _, size in transfer.chunks)
        return Decoded(wire, offsets=tuple(min(end, len(wire)) for end in ends))
    return decode_chunks(_pieces(wire, transfer), encoding, complete=complete, limit=most, fits=fits)


def _pieces(wire: bytes, transfer: BodyTransfer) -> Iterator[memoryview]:
    """The chunks as they came."""
    at, view = 0, memoryview(wire)
    for _, size in transfer.chunks:
        yield view[at : at + size]
        at += size
    if at < len(wire):  # chunks beyond those whose arrival is kept
        yield view[at:]


def _body(wire: bytes, transfer: BodyTransfer, decoded: Decoded, headers: Headers) -> DecodedBody | None:
    if not transfer.size:
        return None
    encoding = headers.get("content-encoding")
    if decoded.beyond:
        return DecodedBody(b"", encoding, undecodable=True, total=transfer.size)
    total = transfer.size if transfer.size > len(wire) else None
    if decoded.problem is not None and encoding:
        return DecodedBody(wire, encoding, undecodable=True, total=total)
    return DecodedBody(decoded.data, encoding, total=total)


def _outcome(outcome: Outcome, reply: Reply | None) -> Outcome:
    if outcome == "ok" and reply is not None and reply.stream and reply.error is not None:
        return "stream_error"
    return outcome


def _first_token(reply: Reply | None, offsets: tuple[int, ...], transfer: BodyTransfer) -> int | None:
    """When the chunk arrived that completed the event with the first generated content."""
    if reply is None or reply.first_token is None or not transfer.chunks:
        return None
    number = bisect_left(offsets, reply.first_token)
    return transfer.arrivals[number][0] if number < len(transfer.chunks) else None
