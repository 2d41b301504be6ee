"""A recorded reply's body as the pieces in which it came, and how quickly they come in a replay.

The log keeps the bytes of each chunk on the wire, and the body decoded and redacted. So a chunk's end is known exactly
only if neither changed the body's length. Else its share of the bytes is taken, and the piece ends where an event, a
JSON line or a frame ends: no client is given half an event that the server had sent whole. Frames of a WebSocket are
lines of their own, and each is a piece.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from sessiontap.exchange import Headers, Response
from sessiontap.llm.eventstream import frames
from sessiontap.llm.streaming import json_lines, reply_kind, server_sent_events
from sessiontap.replay.question import Piece, RecordedReply

Chunk = tuple[int, int]
"""Nanoseconds since the call's start, and bytes on the wire."""


def pieces_of(
    body: bytes, chunks: Sequence[Chunk], headers: Headers, first_byte: int, *, is_socket: bool = False
) -> tuple[Piece, ...]:
    """Return the pieces of a body; their data together is the body. `first_byte`: nanoseconds from the call's start to
    the reply's headers."""
    if not body:
        return ()
    timed = [(max(at, first_byte), size) for at, size in chunks]
    if not timed:
        timed = [(first_byte, len(body))]
    if is_socket:
        ends = _line_ends(body)
        if len(ends) == len(timed):
            return _cut(body, [(at, end) for (at, _), end in zip(timed, ends, strict=True)], first_byte)
    else:
        ends = _event_ends(body, headers)
    passed = list(accumulate(size for _, size in timed))
    if passed[-1] == len(body) and not is_socket:
        return _cut(body, [(at, end) for (at, _), end in zip(timed, passed, strict=True)], first_byte)
    total = passed[-1] or 1
    return _cut(
        body,
        [(at, _settled(len(body) * share // total, ends)) for (at, _), share in zip(timed, passed, strict=True)],
        first_byte,
    )


def paced(reply: RecordedReply, speed: float) -> RecordedReply:
    """Return the reply as it comes `speed` times as fast: 1 as recorded, 10 in a tenth of the time, inf at once."""
    if speed <= 0:
        raise ValueError("a replay's speed is greater than 0")
    return replace(
        reply,
        first_byte=int(reply.first_byte / speed),
        pieces=tuple(Piece(int(piece.delay / speed), piece.data) for piece in reply.pieces),
    )


def _settled(at: int, ends: Sequence[int]) -> int:
    """The last end of an event at or before `at`; `at` itself if the body has no events."""
    if not ends:
        return at
    number = bisect_right(ends, at)
    return ends[number - 1] if number else 0


def _cut(body: bytes, ends: Sequence[Chunk], first_byte: int) -> tuple[Piece, ...]:
    """Pieces that end at these times and offsets. What is left of the body comes with the last one."""
    found: list[Piece] = []
    before, start = first_byte, 0
    for number, (at, end) in enumerate(ends, 1):
        end = len(body) if number == len(ends) else end
        if end > start:
            found.append(Piece(max(at - before, 0), body[start:end]))
            before, start = max(at, before), end
    return tuple(found)


def _line_ends(body: bytes) -> list[int]:
    return list(accumulate(len(line) for line in body.splitlines(keepends=True)))


def _event_ends(body: bytes, headers: Headers) -> list[int]:
    """Where the events, lines or frames of a stream end; none if the body is no stream."""
    match reply_kind(Response(200, headers, body)):
        case "sse":
            return [event.end for event in server_sent_events(body)]
        case "ndjson":
            return [line.end for line in json_lines(body)]
        case "eventstream":
            return [frame.end for frame in frames(body)]
    return []
