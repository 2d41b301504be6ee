"""Bodies that are too large to be read in full: found before they are parsed, and read as far as that costs little.

What parsing costs depends less on a body's size (an image in base64 is one string) than on the number of its values:
400,000 messages of 30 bytes take a quarter of a second of the interpreter's lock, and as objects up to thirty times
their size. So values are estimated by the characters that begin them. Texts hold such characters, too, but a body that
is taken for larger than it is has at least several megabytes.

Of a larger body's JSON the top-level fields that are known by name are read, one by one, as far as they are small: the
model and the usage are there, a list of a million items is not. The rest is skipped by a parser that makes no objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import msgspec

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Call, Reply
from sessiontap.llm.families import FIELDS, MESSAGE_SHAPES, MESSAGES, PROMPTS, TOOLS
from sessiontap.llm.read import read_reply
from sessiontap.llm.streaming import STREAMS, BodyKind, body_kind, reply_kind

MOST_VALUES = 500_000
"""Values of a body that is read in full."""
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
_WIDEST = 4
"""Bytes of a character in a text that has one beyond the first 65,536."""
_SCALARS = 4
"""Numbers of a list that count as one value: they take little time and less memory than objects."""
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

_Fields = msgspec.defstruct("_Fields", [(name, msgspec.Raw, msgspec.Raw()) for name in _FIELDS])
_decode = msgspec.json.Decoder(_Fields).decode


class _Signs(NamedTuple):
    """The characters of a JSON body that begin values. Texts hold some of them, too: it is rather too many."""

    keys: int
    objects: int
    lists: int
    commas: int

    @classmethod
    def of(cls, body: bytes) -> _Signs:
        """Under 2 ms a megabyte."""
        return cls(body.count(b'":'), body.count(b"{"), body.count(b"["), body.count(b","))

    @property
    def values(self) -> int:
        return self.keys + self.objects + self.lists + self.commas // _SCALARS

    def memory(self, body: bytes) -> int:
        """Return the bytes that reading the body takes at most: objects as CPython makes them, a key and a text of 14
        letters 64 bytes each, a number and its place 30 and twice its digits; and its texts, one encoded again."""
        is_narrow = body.isascii() and b"\\u" not in body
        texts = body.count(b'"') // 2 * (64 if is_narrow else 80)
        objects = 64 * self.objects + 120 * self.keys + 88 * self.lists + 30 * self.commas
        return objects + texts + _texts(body, is_narrow)


def is_large(body: bytes, fits: Fits | None = None) -> bool:
    """The JSON is too large to be read in full. `fits` is not asked if it is small."""
    if len(body) <= MOST_VALUES:
        return False
    signs = _Signs.of(body)
    return signs.values > MOST_VALUES or (fits is not None and not fits(signs.memory(body)))


def _texts(body: bytes, is_narrow: bool | None = None) -> int:
    """Return the bytes that a body's texts take, one of them encoded again."""
    if is_narrow is None:
        is_narrow = body.isascii() and b"\\u" not in body
    return len(body) * (1 + (1 if is_narrow else _WIDEST))


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
        number = _Signs.of(raw).values if raw else 0
        if raw and number <= min(_MOST_OF_FIELD, left):
            left -= number
            parts.append(f'"{name}":'.encode() + raw)
    return b"{" + b",".join(parts) + b"}"


def readable(request: Request, fits: Fits | None = None) -> Request | None:
    """The request with so much of its body as is read of one that is too large; None: it is not too large.

    Of a body that is no object, or of other JSON than one value, nothing is read.
    """
    body = request.body
    if body is None or len(body) <= MOST_VALUES:
        return None
    is_json = body_kind(request.headers.get("content-type"), body) in ("json", "text")
    if not is_large(body, fits if is_json else None):
        return None
    is_value = is_json and request.method != "GET"  # a WebSocket's turn is many values
    return replace(request, body=_fitting(body, fits) if is_value else None)


def _fitting(body: bytes, fits: Fits | None) -> bytes:
    """Return what is read of a larger body; of it only small fields if there is no memory for more."""
    if fits is None:
        return reduced(body)
    if fits(2 * len(body)):  # that many at most are copied
        part = reduced(body)
        if fits(len(part) + _Signs.of(part).memory(part)):
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


def read_bounded(call: Call, request: Request, response: Response, fits: Fits | None = None) -> Reply:
    """See `read_reply`. Of a reply that is too large to be read in full what is known of it, and a problem in words."""
    body, kind = response.body, reply_kind(response)
    if kind == "json" and is_large(body, fits):
        reply = read_reply(call, request, replace(response, body=_fitting(body, fits)))
        return _bounded(replace(reply, problems=("the response is too large to be read in full", *reply.problems)))
    if len(body) > MOST_VALUES and (why := _too_many(body, kind, fits)):
        return Reply(stream=kind in STREAMS, problems=(why,))
    return _bounded(read_reply(call, request, response))


def _too_many(body: bytes, kind: BodyKind, fits: Fits | None) -> str | None:
    """Return the reason why a stream is too large to be read, in words, or None."""
    if kind == "eventstream":
        ends = _frame_ends(body)
    elif kind in STREAMS:
        ends = _line_ends(body)
    else:
        return None
    start = number = most = 0
    for number, end in enumerate(ends, start=1):
        if number > MOST_EVENTS:
            return f"the response has more than {MOST_EVENTS} events or lines, too many to be read"
        if end - start > MOST_VALUES:
            event = body[start:end]
            signs = _Signs.of(event)
            if signs.values > MOST_VALUES:
                return f"the response has an event of {end - start} bytes, too large to be read"
            most = max(most, len(event) + signs.memory(event))
        start = end
    if fits is not None and not fits(number * _EVENT + _texts(body) + most):  # one event at a time
        return f"the response of {len(body)} bytes is too large to be read in the memory that there is"
    return None


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
