"""Bodies that are too large to be read in full: found before they are parsed, and read as far as that costs little.

What parsing costs depends less on a body's size (an image in base64 is one string) than on the number of its values:
400,000 messages of 30 bytes take a quarter of a second of the interpreter's lock, and as objects up to `DENSEST` times
their size. A body of up to `SMALL` bytes has no more values than are read, and it is only asked if there is memory for
the worst. Of any other, and if there is not, the values are counted (`measured`), 3 ms a megabyte.

Of a larger body's JSON the top-level fields that are known by name are read, one by one, as far as they are small: the
model and the usage are there, a list of a million items is not. The rest is skipped by a parser that makes no objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import msgspec

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import grpc
from sessiontap.llm.call import Call, Reply
from sessiontap.llm.families import FIELDS, MESSAGE_SHAPES, MESSAGES, PROMPTS, TOOLS
from sessiontap.llm.pick import MOST_TOLERATED, text_width
from sessiontap.llm.read import read_reply
from sessiontap.llm.streaming import STREAMS, BodyKind, body_kind, reply_kind

MOST_VALUES = 500_000
"""Values of a body that is read in full."""
SMALL = 1 << 20
"""Bytes of a body that has no more values than that, whatever it holds; of damaged JSON nothing is read."""
DENSEST = 64
"""Bytes of memory that a byte of a body takes at most when it is read: lists in lists take 46."""
MOST_EVENTS = 500_000
"""Lines or frames of a stream that is read: several times what any model says in one reply."""
MOST_MESSAGES = 10_000
"""Messages of a conversation that is followed: 70 ms of the proxy's time."""
MOST_TOOLS = 1_000
"""Tool calls of a reply."""
MOST_PROBLEMS = 20
_LEAST_FRAME = 16
"""Bytes of a frame of an AWS event stream."""
_EVENT = 100
"""Bytes of memory that a line or frame of a stream takes beside its text, roughly."""
_SCALARS = 4
"""Numbers of a list that count as one value: they take little time and less memory than objects."""
_OBJECT, _KEY, _LIST, _VALUE, _TEXT = 64, 120, 100, 56, 64
"""Bytes of memory, as CPython makes them. A text's characters come on top."""
_COPIES = 3
"""Times that a text is there at most while it is read: as it is, joined with others of its message, and cleaned."""
_NESTED = 4 << 20
"""Bytes of memory that JSON within a text takes, one at a time: arguments of a tool (`message_pieces`)."""
_CHUNK = 1 << 16
"""Bytes in which values are counted at a time."""
_MOST_OF_FIELD = 50_000
"""Values of a field that is read out of a larger body."""
_LONGEST_FIELD = 1 << 16
"""Bytes of such a field if there is no memory for more."""
_COMMON = (
    "model", "modelId", "stream", "id", "object", "type", "role", "user", "metadata", "tool_choice", "max_tokens",
    "temperature", "prompt_cache_key", "service_tier", "usage", "finish_reason", "error",
    "created",
)  # fmt: skip
"""Fields that several families have, or that clients add to a body of any family."""
_FIELDS = tuple(
    dict.fromkeys((*_COMMON, *PROMPTS, *MESSAGES, *(path[0] for path in TOOLS if len(path) == 1), *FIELDS)),
)
"""The fields that are read of a larger body: the first ones first, as far as there is room."""

Fits = Callable[[int], bool]
"""Asked for the bytes of memory that reading takes beside the body: False if there are not so many."""


class Room(NamedTuple):
    """The memory for reading a body."""

    fits: Fits
    """At once."""
    reach: Fits
    """Also if others have to give it back first; False if they do not. Asked last."""


_Fields = msgspec.defstruct("_Fields", [(name, msgspec.Raw, msgspec.Raw()) for name in _FIELDS])
_decode = msgspec.json.Decoder(_Fields).decode


class Measure(NamedTuple):
    """The size of what a body becomes when it is read."""

    values: int
    memory: int
    """Bytes that reading the body takes at most."""


class _Texts:
    """The memory that texts take, of which one may go on from chunk to chunk."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of those that have ended."""
        self._length, self._width = 0, 1
        """Of the one that goes on."""

    def add(self, pieces: list[bytes], *, goes_on: bool, is_open: bool) -> None:
        """`goes_on`: the first piece is a text's rest. `is_open`: the last piece's text does not end in the chunk."""
        if goes_on:
            self._extend(pieces[0])
            if is_open and len(pieces) == 1:
                return
            self.size += self._length * self._width
            pieces = pieces[1:]
        self._length, self._width = 0, 1
        if is_open:
            self._extend(pieces.pop())
        joined = b"".join(pieces)
        if joined.isascii() and b"\\u" not in joined:
            self.size += len(joined)
        else:
            self.size += sum(length * width for length, width in map(_characters, pieces))

    def _extend(self, piece: bytes) -> None:
        length, width = _characters(piece)
        self._length, self._width = self._length + length, max(self._width, width)

    @property
    def all(self) -> int:
        return self.size + self._length * self._width


_PAIR = re.compile(rb"\\u[dD][89abAB]")


def _characters(piece: bytes) -> tuple[int, int]:
    """The number of a text's characters, and the bytes that each takes."""
    width = 1
    if b"\\u" in piece:
        width = 4 if _PAIR.search(piece) else 2
    if piece.isascii():
        return len(piece), width
    try:
        text = piece.decode()
    except UnicodeDecodeError:  # or it is cut there
        return len(piece), max(width, text_width(piece))
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        width = max(width, text_width(piece))
    return len(text), width


def measured(body: bytes) -> Measure:
    """Measure a body as JSON. Its texts are told from the rest, so that what they hold counts as text."""
    objects = keys = lists = commas = quotes = at = 0
    texts, in_text = _Texts(), False
    while at < len(body):
        end = min(at + _CHUNK, len(body))
        while end < len(body) and body[end - 1] == _BACKSLASH:
            end += 1  # no escape is cut in two
        chunk, at = body[at:end], end
        if b"\\" in chunk:
            chunk = chunk.replace(rb"\\", b"_").replace(rb"\"", b"_")
        parts = chunk.split(b'"')
        goes_on, in_text = in_text, in_text != (len(parts) % 2 == 0)
        quotes += len(parts) - 1
        outside = b"".join(parts[goes_on::2])
        objects += outside.count(b"{")
        lists += outside.count(b"[")
        commas += outside.count(b",")
        keys += outside.count(b":")
        texts.add(parts[not goes_on :: 2], goes_on=goes_on, is_open=in_text)
    containers = _OBJECT * objects + _KEY * keys + _LIST * lists + _VALUE * commas + _TEXT * (quotes // 2 + 1)
    as_text = len(body) * text_width(body)
    tolerated = as_text if as_text <= MOST_TOLERATED else 0  # what is no JSON by the letter is read as one text first
    copied = max((_COPIES - 1) * texts.all, tolerated) + min(_NESTED, _OBJECT * texts.all)
    memory = min(containers + texts.all + copied, DENSEST * len(body))
    return Measure(keys + objects + lists + commas // _SCALARS, memory)


_BACKSLASH = ord("\\")


def is_large(body: bytes, room: Room | None = None) -> bool:
    """The JSON is too large to be read in full. `room` is asked for what reading it takes."""
    if len(body) <= SMALL and (room is None or room.fits(DENSEST * len(body))):
        return False
    found = measured(body)
    return found.values > MOST_VALUES or (room is not None and not room.reach(found.memory))


def reduced(body: bytes, longest: int | None = None) -> bytes:
    """JSON with the known top-level fields of `body` that are small; an empty object if it is no object. `longest`:
    bytes of such a field."""
    try:
        fields = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"{}"
    left = MOST_VALUES
    parts: list[bytes] = []
    for name in _FIELDS:
        found = memoryview(getattr(fields, name))
        if longest is not None and len(found) > longest:
            continue
        raw = bytes(found)
        number = measured(raw).values if raw else 0
        if raw and number <= min(_MOST_OF_FIELD, left):
            left -= number
            parts.append(f'"{name}":'.encode() + raw)
    return b"{" + b",".join(parts) + b"}"


def readable(request: Request, room: Room | None = None) -> Request | None:
    """The request with so much of its body as is read of one that is too large; None: it is not too large.

    Of a body that is no object, or of other JSON than one value, nothing is read.
    """
    body, content_type = request.body, request.headers.get("content-type")
    if body is None:
        return None
    is_compressed = _is_grpc(content_type) and grpc.has_compressed(body)
    if not is_compressed and len(body) <= SMALL and (room is None or room.fits(DENSEST * len(body))):
        return None
    kind = body_kind(content_type, body)
    if kind == "binary":
        is_beyond = _is_grpc(content_type) and room is not None and not _fits_as_grpc(body, request.headers, room)
    else:
        is_beyond = is_large(body, room)
    if not is_beyond:
        return None
    is_value = kind in ("json", "text") and request.method != "GET"  # a WebSocket's turn is many values
    return replace(request, body=fitting(body, room) if is_value else None)


def fitting(body: bytes, room: Room | None) -> bytes:
    """Return what is read of a larger body; of it only small fields if there is no memory for more."""
    if room is None:
        return reduced(body)
    if room.fits(2 * len(body)):  # that many at most are copied
        part = reduced(body)
        if room.fits(len(part) + measured(part).memory):
            return part
    return reduced(body, _LONGEST_FIELD)


_LISTS = frozenset(key for shape in MESSAGE_SHAPES for key in shape.keys if key not in shape.single)
"""Fields of a body that hold a list of messages."""


def is_too_long(call: Call) -> bool:
    """The conversation in a request has more messages than are followed."""
    body = call.json
    if not isinstance(body, dict):
        return False
    return any(isinstance(items := body[key], list) and len(items) > MOST_MESSAGES for key in _LISTS & body.keys())


def read_bounded(call: Call, request: Request, response: Response, room: Room | None = None) -> Reply:
    """See `read_reply`. Of a reply that is too large to be read in full what is known of it, and a problem in words."""
    body, kind = response.body, reply_kind(response)
    if kind == "json" and is_large(body, room):
        reply = read_reply(call, request, replace(response, body=fitting(body, room)))
        return _bounded(replace(reply, problems=("the response is too large to be read in full", *reply.problems)))
    if kind != "json" and (why := _too_many(response, kind, room)):
        return Reply(stream=kind in STREAMS, problems=(why,))
    return _bounded(read_reply(call, request, response))


def _too_many(response: Response, kind: BodyKind, room: Room | None) -> str | None:
    """Return the reason why a stream is too large to be read, in words, or None."""
    body, as_grpc = response.body, kind == "binary" and _is_grpc(response.headers.get("content-type"))
    is_compressed = as_grpc and grpc.has_compressed(body)
    if not is_compressed and len(body) <= MOST_VALUES and (room is None or room.fits(DENSEST * len(body) + _EVENT)):
        return None
    if kind == "binary" and not as_grpc:
        return None
    if is_compressed and room is not None and not _fits_as_grpc(body, response.headers, room):
        return f"the response of {len(body)} bytes is too large to be read in the memory that there is"
    if is_compressed:
        return None
    memory = DENSEST * min(len(body), MOST_VALUES) + len(body) * _COPIES
    if kind in STREAMS:
        ends = _frame_ends(body) if kind == "eventstream" else _line_ends(body)
        start = number = most = 0
        for number, end in enumerate(ends, start=1):
            if number > MOST_EVENTS:
                return f"the response has more than {MOST_EVENTS} events or lines, too many to be read"
            if end - start > _LONGEST_FIELD:
                found = measured(body[start:end])
                if found.values > MOST_VALUES:
                    return f"the response has an event of {end - start} bytes, too large to be read"
                most = max(most, end - start + found.memory)
            start = end
        # One event at a time as objects, and what all of them say, twice: in pieces and as one text.
        most = max(most, DENSEST * min(len(body), _LONGEST_FIELD))
        memory = number * _EVENT + (1 + text_width(body)) * len(body) + most
    if room is not None and not room.reach(memory):
        return f"the response of {len(body)} bytes is too large to be read in the memory that there is"
    return None


def _is_grpc(content_type: str | None) -> bool:
    """Its messages, of at most so many fields as there are values, are no denser than JSON."""
    return (content_type or "").strip().lower().startswith("application/grpc")


def _fits_as_grpc(body: bytes, headers: Headers, room: Room) -> bool:
    """Return whether there is memory for a body's messages, decompressed and as objects, of which few are read."""
    size = len(body)
    if grpc.has_compressed(body):
        if not room.reach(2 * grpc.MOST_COMPRESSED + len(body)):
            return False
        size += grpc.decompressed_size(body, headers)
    return room.reach(DENSEST * min(size, MOST_VALUES) + size * _COPIES)


def _line_ends(body: bytes) -> Iterator[int]:
    at = body.find(b"\n")
    while at >= 0:
        yield at
        at = body.find(b"\n", at + 1)
    yield len(body)


def _frame_ends(body: bytes) -> Iterator[int]:
    """By the lengths that frames state; damaged ones are for their reader."""
    at = 0
    while at + _LEAST_FRAME <= len(body):
        at += max(int.from_bytes(body[at : at + 4]), _LEAST_FRAME)
        yield min(at, len(body))


def _bounded(reply: Reply) -> Reply:
    """A reply with no more tool calls and problems than anybody reads."""
    problems, tools = reply.problems, reply.tool_calls
    if len(tools) > MOST_TOOLS:
        problems = (f"of {len(tools)} tool calls the first {MOST_TOOLS} are kept", *problems)
    if len(problems) > MOST_PROBLEMS:
        problems = (*problems[:MOST_PROBLEMS], f"and more problems: {len(problems) - MOST_PROBLEMS}")
    if problems is reply.problems:
        return reply
    return replace(reply, tool_calls=tools[:MOST_TOOLS], problems=problems)
