"""Messages between the proxy and the recorder.

To the recorder, each is a head of 13 bytes (little-endian: kind, three lengths), the message in MessagePack, and for a
call its two bodies as they are: nothing copies them into a message first. Back comes a length and a list of events.
"""

from __future__ import annotations

import io
import os
import pickle
import select
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, get_args

import msgspec

from sessiontap.callers import Caller
from sessiontap.recording.budget import Lease
from sessiontap.recording.finished import Event, Fault, FinishedCall, Note, OwnPrice, Start

Pieces = tuple[Sequence[bytes], int]
"""Bytes as they came, and how many they are."""

START, RULES, CALLER, CALL, NOTE, HURRY, END = range(7)

_HEAD = struct.Struct("<BIII")
_LENGTH = struct.Struct("<I")
_AT_ONCE = 1 << 20
"""Bytes of one read."""
_ENOUGH = 2 << 20
"""Bytes of bodies that wait at most for more to come."""
_LARGE = 1 << 20
"""Bytes of a call's bodies from which on memory is had for them before they are read."""
_SMALL = 4096
_NO_BODIES: tuple[Pieces, Pieces] = ((), 0), ((), 0)
_MOST_EVENTS = 256 << 20
"""Bytes of one message from the recorder; a thousandth of it is already unusual."""
_MOST_PIECES = 512
"""Of one writev; the system allows 1,024."""

_PICKLED = 0x80
"""In the kind: MessagePack could not hold the message (text that is no UTF-8, a number of over 64 bits)."""

_encode = msgspec.msgpack.Encoder().encode
_TYPES: Mapping[int, Any] = {
    START: Start,
    RULES: tuple[tuple[str, ...], tuple[str, ...], tuple[OwnPrice, ...]],
    CALLER: Caller,
    CALL: FinishedCall,
    NOTE: Note,
    HURRY: None,
    END: None,
}
_decode_events = msgspec.msgpack.Decoder(list[Event]).decode


class Message(NamedTuple):
    """A message as it came: `value_of` reads it."""

    kind: int
    data: bytes
    bodies: tuple[bytes, bytes] = (b"", b"")
    pickled: bool = False
    lease: Lease | None = None
    """Of the memory that its bodies take, if they are large."""


def value_of(message: Message) -> Any:
    """Return the message's value. Raises msgspec's errors if it is malformed."""
    return pickle.loads(message.data) if message.pickled else _decoder(message.kind)(message.data)


@cache
def _decoder(kind: int) -> Callable[[bytes], Any]:
    """The decoder of a kind of message: the proxy needs none, and making all of them takes 5 ms."""
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(_TYPES[kind]).decode
    return decode


def message(kind: int, value: object = None, bodies: Sequence[Pieces] = ()) -> list[bytes]:
    """Return the pieces of a message to the recorder, of a call with the bodies of request and reply."""
    (request, before), (reply, after) = bodies or _NO_BODIES
    try:
        data = _encode(value)
    except (UnicodeError, OverflowError, TypeError):
        data = pickle.dumps(value)
        kind |= _PICKLED
    return [_HEAD.pack(kind, len(data), before, after) + data, *request, *reply]


def write(file: int, pieces: Sequence[bytes]) -> None:
    """Write all the pieces, however many and however large. Waits for the other side. Raises OSError."""
    for at in range(0, len(pieces), _MOST_PIECES):
        some = pieces[at : at + _MOST_PIECES]
        if sum(map(len, some)) < _SMALL * len(some):
            some = [b"".join(some)]  # which is less work than a view of each
        left = [memoryview(piece) for piece in some]
        while left:
            written = os.writev(file, left) if hasattr(os, "writev") else os.write(file, left[0])
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]


class Messages:
    """The messages that come to the recorder: iterate it for lists of messages.

    What comes after a while of silence is given at once; under load, what comes within `linger` seconds is given
    together: a process that wakes for each batch of a few calls spends as much on its cold caches as on the calls.
    HURRY ends the wait.

    A call with large bodies comes alone: it is read when all before it is taken, and there is memory for it.
    """

    def __init__(self, file: int, linger: float = 0.0) -> None:
        self.reserve: Callable[[int], Lease] | None = None
        """Returns a lease for bodies of so many bytes, once they may be had."""
        self._file = file
        self._linger = linger if os.name == "posix" else 0.0  # elsewhere a pipe cannot be waited for
        self._buffer = bytearray()
        self._is_open = True
        self._large_is_next = False

    def __iter__(self) -> Iterator[list[Message]]:
        """Ends with the pipe. Raises OSError."""
        until = time.monotonic()
        while self._is_open:
            found = self._read()
            while self._can_wait(found) and (left := until - time.monotonic()) > 0:
                if select.select([self._file], [], [], left)[0]:
                    found += self._read()
            if found:
                until = time.monotonic() + self._linger
                yield found
            if self._large_is_next and (found := self._read_large()):
                yield found  # the only hold on it: its lease ends with whoever takes it

    def _can_wait(self, found: Sequence[Message]) -> bool:
        return self._is_open and not self._large_is_next and _can_wait(found)

    def _read(self) -> list[Message]:
        """Read once. Return the messages that are complete."""
        data = os.read(self._file, _AT_ONCE)
        self._is_open = bool(data)
        buffer = self._buffer
        buffer += data
        found: list[Message] = []
        at = 0
        while len(buffer) - at >= _HEAD.size:
            kind, size, request, reply = _HEAD.unpack_from(buffer, at)
            start = at + _HEAD.size
            if len(buffer) < start + size + request + reply:
                self._large_is_next = request + reply >= _LARGE
                break
            with memoryview(buffer) as view:
                cut = [bytes(view[a:b]) for a, b in _spans(start, size, request, reply)]
            found.append(Message(kind & ~_PICKLED, cut[0], (cut[1], cut[2]), bool(kind & _PICKLED)))
            at = start + size + request + reply
        del buffer[:at]
        return found

    def _read_large(self) -> list[Message]:
        """Return the message that is next, its bodies read into their place; nothing if it breaks off."""
        self._large_is_next = False
        kind, *sizes = _HEAD.unpack_from(self._buffer)
        del self._buffer[: _HEAD.size]
        lease = self.reserve(sum(sizes[1:])) if self.reserve is not None else None
        found: list[bytes] = []
        for size in sizes:
            data = self._exactly(size)
            if data is None:
                return []
            found.append(data)
        return [Message(kind & ~_PICKLED, found[0], (found[1], found[2]), bool(kind & _PICKLED), lease)]

    def _exactly(self, size: int) -> bytes | None:
        into = io.BytesIO()  # its bytes are given away without a copy
        ahead = self._buffer[:size]
        del self._buffer[:size]
        into.write(ahead)
        while (left := size - into.tell()) > 0:
            data = os.read(self._file, min(left, _AT_ONCE))
            if not data:
                self._is_open = False
                return None
            into.write(data)
        return into.getvalue()


def _can_wait(found: Sequence[Message]) -> bool:
    return all(one.kind < HURRY for one in found) and sum(len(part) for one in found for part in one.bodies) < _ENOUGH


def _spans(start: int, *sizes: int) -> Iterator[tuple[int, int]]:
    for size in sizes:
        yield start, start + size
        start += size


def events(found: Sequence[Event]) -> bytes:
    """Return the recorder's events as they are sent."""
    try:
        data, mark = _encode(found), 0
    except (UnicodeError, OverflowError, TypeError):
        data, mark = pickle.dumps(list(found)), _PICKLED << 24
    return _LENGTH.pack(len(data) | mark) + data


def events_from(file: int) -> Iterator[list[Event]]:
    """Yield the recorder's events as they come. Ends with the pipe, or with a length that no message has.

    A message that cannot be read is stepped over, and given as a fault.
    """
    buffer = bytearray()
    while True:
        try:
            data = os.read(file, _AT_ONCE)
        except OSError:
            return
        if not data:
            return
        buffer += data
        while len(buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer)
            pickled, size = size >> 31, size & 0x7FFFFFFF
            if size > _MOST_EVENTS:  # nobody knows any more where the next message begins
                yield [Fault("recorder", f"it sent an event of {size:,} bytes, more than any event has")]
                return
            end = _LENGTH.size + size
            if len(buffer) < end:
                break
            data = bytes(buffer[_LENGTH.size : end])
            del buffer[:end]
            yield _events(data, pickled=bool(pickled))


def _events(data: bytes, *, pickled: bool) -> list[Event]:
    try:
        return _plain_events(pickle.loads(data)) if pickled else _decode_events(data)
    except Exception as error:
        return [Fault("recorder", f"an event of the recorder could not be read: {type(error).__name__}: {error}")]


def _plain_events(found: object) -> list[Event]:
    if not isinstance(found, list) or not all(isinstance(one, get_args(Event)) for one in found):
        raise TypeError("not a list of events")
    return found
