"""AWS event-stream frames (application/vnd.amazon.eventstream), and the events that Bedrock sends in them.

Source: the event stream specification of Smithy (smithy.io/2.0/aws/amazon-eventstream.html). A frame is big-endian:

    total length (4) | headers length (4) | CRC-32 of these 8 bytes (4) | headers | payload | CRC-32 of all before (4)
    a header: name length (1) | name | type (1) | value

A damaged frame whose lengths hold is stepped over; behind damaged lengths nothing can be found any more.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from sessiontap.exchange import Response
from sessiontap.llm.pick import parse, text
from sessiontap.llm.streaming import body_kind

Value = bool | int | bytes | str

_PRELUDE = struct.Struct(">III")
_AROUND = _PRELUDE.size + 4
"""Bytes of a frame that are neither headers nor payload."""


class EventStreamFrame(NamedTuple):
    headers: dict[str, Value]
    payload: bytes
    end: int
    """Offset in the body just behind the frame."""
    fault: str | None = None
    """The reason why it cannot be read, in words; then it has neither headers nor payload."""
    cut: bool = False
    """The body ends in the middle of it."""


def frames(body: bytes) -> Iterator[EventStreamFrame]:
    """The frames of a whole or cut body, in order."""
    at = 0
    while at < len(body):
        if len(body) - at < _PRELUDE.size:
            yield EventStreamFrame({}, b"", len(body), "the stream ends in the middle of a frame", cut=True)
            return
        total, headers_length, crc = _PRELUDE.unpack_from(body, at)
        if zlib.crc32(body[at : at + 8]) != crc or total < _AROUND + headers_length:
            yield EventStreamFrame(
                {}, b"", len(body), f"the frame at byte {at} has no valid length; what follows is lost"
            )
            return
        end = at + total
        if end > len(body):
            yield EventStreamFrame({}, b"", len(body), "the stream ends in the middle of a frame", cut=True)
            return
        yield _frame(body, at, headers_length, end)
        at = end


def _frame(body: bytes, at: int, headers_length: int, end: int) -> EventStreamFrame:
    if zlib.crc32(body[at : end - 4]) != int.from_bytes(body[end - 4 : end]):
        return EventStreamFrame({}, b"", end, f"the frame at byte {at} is damaged (its checksum is wrong)")
    start = at + _PRELUDE.size
    headers = _headers(body[start : start + headers_length])
    if headers is None:
        return EventStreamFrame({}, b"", end, f"the headers of the frame at byte {at} are not understood")
    return EventStreamFrame(headers, body[start + headers_length : end - 4], end)


_FIXED: dict[int, tuple[int, Callable[[bytes], Value]]] = {
    0: (0, lambda _: True),
    1: (0, lambda _: False),
    2: (1, lambda raw: int.from_bytes(raw, signed=True)),
    3: (2, lambda raw: int.from_bytes(raw, signed=True)),
    4: (4, lambda raw: int.from_bytes(raw, signed=True)),
    5: (8, lambda raw: int.from_bytes(raw, signed=True)),
    8: (8, lambda raw: int.from_bytes(raw, signed=True)),  # a timestamp, milliseconds since 1970
    9: (16, lambda raw: str(UUID(bytes=raw))),
}
"""Header types of a fixed size: their bytes and how to read them."""
_SIZED: dict[int, Callable[[bytes], Value]] = {6: bytes, 7: lambda raw: raw.decode("utf-8", "replace")}
"""Header types with two bytes of length in front."""


def _headers(raw: bytes) -> dict[str, Value] | None:
    headers: dict[str, Value] = {}
    at = 0
    while at < len(raw):
        kind_at = at + 1 + raw[at]
        if kind_at >= len(raw):
            return None
        name, kind = raw[at + 1 : kind_at].decode("utf-8", "replace"), raw[kind_at]
        at = kind_at + 1
        if kind in _FIXED:
            size, read = _FIXED[kind]
        elif kind in _SIZED and at + 2 <= len(raw):
            size, read = int.from_bytes(raw[at : at + 2]), _SIZED[kind]
            at += 2
        else:
            return None
        if at + size > len(raw):
            return None
        headers[name] = read(raw[at : at + size])
        at += size
    return headers


class EventStreamMessage(NamedTuple):
    """A frame as a service means it: a JSON payload of a named type."""

    kind: str
    """The event's type, or that of an exception."""
    value: Any
    end: int
    failed: bool = False
    """An exception or error frame: `value` has the `message`, if there is one."""


def is_eventstream(response: Response) -> bool:
    """The body is event-stream frames."""
    return body_kind(response.headers.get("content-type"), response.body) == "eventstream"


def events(response: Response, problems: list[str]) -> Iterator[EventStreamMessage]:
    """The events of a response, in order; what cannot be read goes into `problems`."""
    for frame in frames(response.body):
        if frame.fault is not None:
            if not frame.cut or response.complete:
                problems.append(frame.fault)
            continue
        headers = {name: value for name, value in frame.headers.items() if isinstance(value, str)}
        message_type = headers.get(":message-type")
        if message_type == "error":
            yield EventStreamMessage(
                headers.get(":error-code", ""), {"message": headers.get(":error-message")}, frame.end, True
            )
            continue
        value, problem = parse(frame.payload) if frame.payload else ({}, None)
        if message_type == "exception":
            message = text(value, "message") or text(value, "Message")
            yield EventStreamMessage(headers.get(":exception-type", ""), {"message": message}, frame.end, True)
        elif problem:
            problems.append(f"the event that ends at byte {frame.end} is {problem}")
        else:
            yield EventStreamMessage(headers.get(":event-type", ""), value, frame.end)
