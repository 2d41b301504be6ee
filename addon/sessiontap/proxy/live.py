"""A call in flight, and the plain values that it leaves when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns

from mitmproxy import http

from sessiontap.exchange import Request
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.proxy.bodies import CAP, BodyTap
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.plan import Plan
from sessiontap.recording.finished import Fields, Outcome
from sessiontap.trust import UNKNOWN, Upstream


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


def end(live: LiveCall, flow: http.HTTPFlow, outcome: Outcome) -> Ended:
    """What `flow` leaves. Bodies are not copied where mitmproxy holds them whole; they do not change any more."""
    now = perf_counter_ns()
    request, reply = flow.request, flow.response
    request_body = _body(live, live.request_tap, request, "request")
    reply_body = _body(live, live.reply_tap, reply, "response")
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


def _body(live: LiveCall, tap: BodyTap | None, message: http.Message | None, which: str) -> Body:
    if tap is not None:
        # An answer may end before the upload does.
        if tap.cut or (which == "request" and tap.size and not tap.ended):
            live.flags.append(f"{which}_cut")
        return Body(tap.pieces, tap.kept, tap.size, tap.chunks, live.started)
    data = (message.raw_content if message else None) or b""
    if message and message.stream and not data:
        live.flags.append(f"{which}_unseen")  # it streamed past us
    if len(data) > CAP:
        live.flags.append(f"{which}_cut")
        return Body([data[:CAP]], CAP, len(data))
    return Body([data], len(data), len(data))
