"""A recorded call as every format is given it: plain values, bodies unpacked, and in words what could not be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sessiontap.trace import BodyError, RecordedCall, call_row
from sessiontap.trace.views import CostOf, part, unknown_cost

Record = Mapping[str, Any]
Fields = list[tuple[str, str]]

NOT_RECORDED = "not recorded: a rule says `capture: metadata`"


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it lies in the log: decoded and redacted. Without `data` and `missing` there was none."""

    data: bytes | None = None
    missing: str | None = None
    """Why there is no `data` although there was a body."""
    is_damaged: bool = False
    """It is missing because it cannot be read any more."""
    size: int | None = None
    """Bytes of `data`, known also where that is missing."""
    total: int | None = None
    """Bytes that went by, where the body was cut."""
    encoding: str | None = None
    """The Content-Encoding in which it came."""
    undecodable: bool = False
    """`data` is still in that encoding."""
    sha256: str | None = None
    """Of `data`, hexadecimal."""


@dataclass(frozen=True, slots=True)
class ExportedCall:
    """One call: `record` and `caller` are the log's maps (docs/trace-format.md), `row` its line of `calls --json`."""

    row: dict[str, Any]
    record: Record
    caller: Record | None
    request_body: Body
    response_body: Body

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
        """None where none came."""
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
        """What of it cannot be read any more, in words."""
        sides = {"request": self.request_body, "response": self.response_body}
        return [f"call {self.id}, {side}: {body.missing}" for side, body in sides.items() if body.is_damaged]


def exported(call: RecordedCall, cost_of: CostOf = unknown_cost) -> ExportedCall:
    """The call with its bodies; one that is damaged is missing and says why. `cost_of` gives US dollars."""
    return ExportedCall(
        row=call_row(call.record, call.caller, cost_of),
        record=call.record,
        caller=call.caller,
        request_body=_body(call, "request"),
        response_body=_body(call, "response"),
    )


def fields(message: Record, which: str = "headers") -> Fields:
    """Headers or trailers, in order."""
    return [(str(name), str(value)) for name, value in message.get(which) or ()]


def field(message: Record, name: str) -> str | None:
    """The first header of this name, in any case."""
    return next((value for key, value in fields(message) if key.lower() == name), None)


def _body(call: RecordedCall, side: str) -> Body:
    stored = part(part(call.record, side), "body")
    if not stored:
        return Body()
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
    return Body(
        data=data,
        missing=missing,
        is_damaged=is_damaged,
        size=stored.get("size"),
        total=stored.get("total"),
        encoding=stored.get("wire"),
        undecodable=bool(stored.get("undecodable")),
        sha256=digest.hex() if isinstance(digest, bytes) else digest,
    )
