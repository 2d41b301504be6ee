"""A call in flight, and the plain values that it leaves when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Literal

from mitmproxy import http

from sessiontap.exchange import Request
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.proxy.bodies import BodyTap
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.plan import Plan
from sessiontap.recording.budget import DEFAULT, Budget, Lease
from sessiontap.recording.finished import Fields, Outcome
from sessiontap.trust import UNKNOWN, Upstream

OVER_BUDGET = "over_budget"
"""A flag: of a body that is cut there is less than was allowed, because the memory was in use."""


@dataclass(slots=True)
class LiveCall:
    """From the request's headers to its end."""

    id: str
    time: int
    """Unix nanoseconds."""
    started: int
    """By `perf_counter_ns`, for durations."""
    connection: Connection
    request: Request
    """As the app sent it."""
    there: Destination
    upstream: Upstream = UNKNOWN
    """How it travels to its own host."""
    call: Call | None = None
    past: History | None = None
    """The conversation so far, as the request tells it."""
    plan: Plan | None = None
    request_tap: BodyTap | None = None
    reply_tap: BodyTap | None = None
    first_byte: int | None = None
    """Nanoseconds from the start to the reply's headers."""
    undecided: Literal["full", "metadata", "none"] = "full"
    """How much of it is recorded if there is no plan."""
    flags: list[str] = field(default_factory=list)
    flow: http.HTTPFlow | None = None
    """While it is in flight, for a proxy that stops."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body's wire bytes, as far as they are kept."""

    pieces: Sequence[bytes]
    """As they came: to put them together is not for the loop."""
    kept: int
    """Bytes of all pieces."""
    size: int
    chunks: Sequence[tuple[int, int]] = ()
    """(arrival, size) of each chunk, where it streamed: nanoseconds since `since`."""
    since: int = 0
    lease: Lease | None = None
    """Of the memory that the pieces take."""

    @property
    def data(self) -> bytes:
        """The pieces as one."""
        return b"".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that ended: all that the recorder's thread needs, nothing that mitmproxy still changes."""

    live: LiveCall
    duration: int
    outcome: Outcome
    error: str | None
    forwarded_host: str
    http_version: str
    request_headers: Fields
    request_trailers: Fields
    request_body: Body
    status: int | None
    reply_http_version: str | None
    reply_headers: Fields
    reply_trailers: Fields
    reply_body: Body


def end(live: LiveCall, flow: http.HTTPFlow, outcome: Outcome, budget: Budget | None = None) -> Ended:
    """What `flow` leaves. Bodies are not copied where mitmproxy holds them whole; they do not change any more.

    From here on they take memory of the `budget`. A body for which there is none is left out, and the call is flagged.
    """
    now = perf_counter_ns()
    budget = budget if budget is not None else Budget(DEFAULT)
    request, reply = flow.request, flow.response
    request_body = _body(live, live.request_tap, request, "request", budget, budget.most)
    left = min(budget.most, budget.together - request_body.kept)
    reply_body = _body(live, live.reply_tap, reply, "response", budget, left)
    return Ended(
        live=live,
        duration=now - live.started,
        outcome=outcome,
        error=flow.error.msg if flow.error else None,
        forwarded_host=request.host,
        http_version=request.http_version,
        request_headers=request.headers.fields,
        request_trailers=request.trailers.fields if request.trailers else (),
        request_body=request_body,
        status=reply.status_code if reply else None,
        reply_http_version=reply.http_version if reply else None,
        reply_headers=reply.headers.fields if reply else (),
        reply_trailers=reply.trailers.fields if reply and reply.trailers else (),
        reply_body=reply_body,
    )


def _body(
    live: LiveCall, tap: BodyTap | None, message: http.Message | None, which: str, budget: Budget, most: int
) -> Body:
    """A body of which at most `most` bytes are kept."""
    if tap is not None:
        # An answer may end before the upload does.
        is_cut = tap.cut or (which == "request" and tap.size and not tap.ended)
        pieces, kept, lease = tap.settle()
        if kept > most:
            is_cut, pieces, kept = True, list(_first(pieces, most)), most
        if is_cut:
            _cut(live, which, tap.refused)
        return Body(pieces, kept, tap.size, tap.chunks, live.started, lease)
    data = (message.raw_content if message else None) or b""
    if message and message.stream and not data:
        live.flags.append(f"{which}_unseen")  # it streamed past us
    kept = min(len(data), most)
    lease = Lease(budget)
    if kept and not lease.grow(kept):
        _cut(live, which, True)
        return Body((), 0, len(data))
    if kept < len(data):
        _cut(live, which, False)
    return Body([data[:kept]], kept, len(data), lease=lease)


def _cut(live: LiveCall, which: str, refused: bool) -> None:
    live.flags.append(f"{which}_cut")
    if refused and OVER_BUDGET not in live.flags:
        live.flags.append(OVER_BUDGET)


def _first(pieces: Sequence[bytes], size: int) -> Iterator[bytes]:
    """The first `size` bytes of all pieces."""
    for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            return
