"""A recorded call as formats get it: plain values, bodies unpacked, and a sentence for each body that is missing.

The log keeps the messages of a WebSocket's turn in its bodies, one a line. `turn_messages` takes them out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sessiontap.trace import BodyError, RecordedCall, call_row
from sessiontap.trace.outcomes import part
from sessiontap.trace.views import CostOf, scored, unknown_cost

Record = Mapping[str, Any]
Replace = Callable[[str], str]
HeaderFields = list[tuple[str, str]]

NOT_RECORDED = "not recorded: a rule says `capture: metadata`"


@dataclass(frozen=True, slots=True)
class ExportedBody:
    """A body as it lies in the log: decoded and redacted. Without `data` and `missing` there was none."""

    data: bytes | None = None
    missing: str | None = None
    """Why there is no `data` although there was a body."""
    is_damaged: bool = False
    """It is missing because it cannot be read any more."""
    size: int | None = None
    """Bytes of `data`, known also if that is missing."""
    total: int | None = None
    """Bytes that went by, if the body was cut."""
    encoding: str | None = None
    """The Content-Encoding in which it came."""
    undecodable: bool = False
    """`data` is still in that encoding."""
    sha256: str | None = None
    """Of `data`, hexadecimal."""


NOT_READ = ExportedBody(missing="not read")


@dataclass(frozen=True, slots=True)
class ExportedCall:
    """One call: `record` and `caller` are the log's maps (docs/trace-format.md), `row` its line of `calls --json`."""

    row: dict[str, Any]
    record: Record
    caller: Record | None
    request_body: ExportedBody
    response_body: ExportedBody
    redact: Replace | None = None
    """Further redaction: a format that puts a text together of pieces, such as a stream's, asks it again."""
    scores: tuple[dict[str, Any], ...] = ()
    """Its scores, star and note that count, oldest first: `name`, `value`, `note`, `time`, `by`, `source` of each."""
    session_scores: tuple[dict[str, Any], ...] = ()
    """The same of its session."""

    @property
    def id(self) -> str:
        return str(self.record.get("id"))

    @property
    def title(self) -> str:
        """Name and path of its session, as mitmproxy shows them while the call passes; empty without a session."""
        return " ".join(str(self.row[key]) for key in ("session_name", "path") if self.row[key] is not None)

    @property
    def request(self) -> Record:
        return part(self.record, "request")

    @property
    def response(self) -> Record | None:
        """None if none came."""
        return part(self.record, "response") or None

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(self.record.get("flags") or ())

    @property
    def is_websocket(self) -> bool:
        """A turn of a WebSocket: its messages are the upgrade's, its bodies the frames, one a line."""
        return "websocket" in self.flags

    @property
    def damage(self) -> list[str]:
        """A sentence for each body that cannot be read any more."""
        sides = {"request": self.request_body, "response": self.response_body}
        return [f"call {self.id}, {side}: {body.missing}" for side, body in sides.items() if body.is_damaged]


def export_call(call: RecordedCall, cost_of: CostOf = unknown_cost, *, bodies: bool = True) -> ExportedCall:
    """Return the call with its bodies. A damaged body is missing and says why. `cost_of` gives US dollars.

    Without `bodies` they are not read, which takes most of the time.
    """
    return ExportedCall(
        row=call_row(call.record | {"machine": call.machine}, call.caller, cost_of),
        record=call.record,
        caller=call.caller,
        request_body=_body(call, "request") if bodies else NOT_READ,
        response_body=_body(call, "response") if bodies else NOT_READ,
    )


def with_scores(call: ExportedCall, own: Iterable[Record], of_session: Iterable[Record]) -> ExportedCall:
    """Return the call with its scores and those of its session, as `Trace.query_scores` gives them."""
    scores, session_scores = (tuple(dict(one) for one in some) for some in (own, of_session))
    return replace(call, row=call.row | scored(scores), scores=scores, session_scores=session_scores)


def fields(message: Record, which: str = "headers") -> HeaderFields:
    """Return the headers or trailers, in order."""
    return [(str(name), str(value)) for name, value in message.get(which) or ()]


def field(message: Record, name: str) -> str | None:
    """Return the first header of this name, in any case, or None."""
    return next((value for key, value in fields(message) if key.lower() == name), None)


def _body(call: RecordedCall, side: str) -> ExportedBody:
    stored = part(part(call.record, side), "body")
    if not stored:
        return ExportedBody()
    digest = stored.get("sha256")
    data: bytes | None
    missing, is_damaged = None, False
    try:
        data = call.body(side)
    except BodyError as error:
        data, missing, is_damaged = None, str(error), True
    if data is None and missing is None:
        if stored.get("size") == 0:
            data = b""
        else:
            missing = NOT_RECORDED
    return ExportedBody(
        data=data,
        missing=missing,
        is_damaged=is_damaged,
        size=stored.get("size"),
        total=stored.get("total"),
        encoding=stored.get("wire"),
        undecodable=bool(stored.get("undecodable")),
        sha256=digest.hex() if isinstance(digest, bytes) else digest,
    )


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """One message of a WebSocket. Of binary messages and audio only the size is known (docs/trace-format.md)."""

    time: int
    """Unix nanoseconds: of the turn's beginning for the client's messages, and if the message's own is not known."""
    from_client: bool
    data: bytes
    """Text in UTF-8, its line ends as spaces."""


def turn_messages(call: ExportedCall) -> list[TurnMessage]:
    """Return the client's messages, then the server's, each in their order."""
    began = int(call.record.get("time") or 0)
    sent = [TurnMessage(began, True, line.rstrip(b"\n")) for line in _lines(call.request_body.data)]
    received = _lines(call.response_body.data)
    times = _times([len(line) for line in received], _arrivals(call))
    timed = zip(times, received, strict=True)
    return sent + [TurnMessage(began + time, False, line.rstrip(b"\n")) for time, line in timed]


def _lines(body: bytes | None) -> list[bytes]:
    """Return the lines with their ends. The last has none if it was cut."""
    *whole, rest = (body or b"").split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def _arrivals(call: ExportedCall) -> list[tuple[int, int]]:
    """Return (nanoseconds since the call's start, bytes) of each chunk."""
    from sessiontap.trace.values import unpack_chunks  # brings the value types of every package

    return unpack_chunks((call.response or {}).get("chunks") or ())


def _times(sizes: list[int], arrivals: list[tuple[int, int]]) -> list[int]:
    """Return the nanoseconds from the call's start to each line.

    If there is one arrival a line, they pair up. Else the bytes before a line tell its arrival, since the log joins
    neighbours. If redaction changed the sizes, the times are 0.
    """
    if len(sizes) == len(arrivals):
        return [time for time, _ in arrivals]
    if sum(sizes) != sum(size for _, size in arrivals):
        return [0] * len(sizes)
    times = []
    begins = came = at = 0
    for size in sizes:
        while at < len(arrivals) - 1 and came + arrivals[at][1] <= begins:
            came += arrivals[at][1]
            at += 1
        times.append(arrivals[at][0])
        begins += size
    return times
