"""The frame that stands before every map of a segment, and a scanner that gets past any damage.

A segment is plain msgpack: frame, map, frame, map, ... The frame is an ext value of type 83 whose 12 bytes are `STAP`,
the map's length and its CRC-32 (zlib's), both big-endian. A plain reader skips ext values; this one checks every map
and finds the next record behind damage by looking for the next frame.

No map that `encode` makes holds the seven bytes that every frame begins with (`MARK`), except by a 2^-56 accident: they
are no valid UTF-8, so only binary values could, and `body.py` keeps them out of those. So a frame that is found by
search is one that a writer meant, even if a damaged record had a whole trace segment in its body.

A scan takes time linear in the bytes, whatever they are: once `_PATIENCE` bytes were read for records whose CRC was
wrong, a record is compared with its CRC only if no other mark stands within it, so no byte counts for two records.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import msgpack  # type: ignore[import-untyped]

EXT_TYPE = 83
MARK = bytes((0xC7, 12, EXT_TYPE)) + b"STAP"
"""ext 8, 12 bytes, type 83, and the first four of them."""
_NUMBERS = struct.Struct(">II")
FRAME_SIZE = len(MARK) + _NUMBERS.size
MAX_RECORD = 1 << 29
"""A frame that states more than this is damaged."""
_BLOCK = 1 << 18
_PATIENCE = 1 << 28
"""Bytes of records with a wrong CRC: more than any damage leaves that was not made on purpose."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class Readable(Protocol):
    """A file with the bytes of a plain segment."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def read(self, size: int = -1, /) -> bytes | None: ...


class FrameError(ValueError):
    """A value that cannot be written as a record."""


class Frame(NamedTuple):
    """A record whose CRC was right. `size` counts the frame too; `payload` is the map's msgpack."""

    offset: int
    size: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a segment that is no intact record.

    `torn` is a last record that ends too early (a writer that died or is writing now); `bad` one whose bytes do not
    fit their CRC; `foreign` bytes that no frame announces.
    """

    offset: int
    size: int
    kind: Literal["torn", "bad", "foreign"]


def encode(record: dict[str, Any]) -> bytes:
    """One record as it stands in a segment: frame and map.

    Raises FrameError for values that msgpack does not know or that are too large.
    """
    try:
        payload = _packed(record)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"a record cannot be written as msgpack: {error}") from None
    if len(payload) > MAX_RECORD:
        raise FrameError(f"a record of {len(payload)} bytes is larger than {MAX_RECORD}")
    return framed(payload)


def framed(payload: bytes) -> bytes:
    """A map's msgpack with its frame before it."""
    return MARK + _NUMBERS.pack(len(payload), zlib.crc32(payload)) + payload


def decode(payload: bytes) -> dict[str, Any] | None:
    """The map; None if the bytes are some other msgpack value (a later format may have such)."""
    try:
        value = msgpack.unpackb(payload, strict_map_key=False)
    except (ValueError, msgpack.UnpackException):
        return None
    return value if isinstance(value, dict) else None


def scan(file: Readable, start: int = 0) -> Iterator[Frame | Damage]:
    """Every intact record from `start` on, in order, and what lies damaged between them.

    Damage at the very end comes last, so that a reader of a growing file can take up again where the last Frame ended.
    `file` may be unbuffered; it is read in blocks and never past what a record needs.
    """
    blocks = Blocks(file)
    offset = start
    while True:
        found = _frame_at(blocks, offset)
        if isinstance(found, Frame):
            yield found
            offset += found.size
            continue
        if found is None:
            return
        offset, following = _resynchronise(blocks, offset)
        yield Damage(found.offset, offset - found.offset, found.kind if following is None else _in_the_middle(found))
        if following is None:
            return


def read_one(file: Readable, offset: int) -> Frame | None:
    """The record at `offset`; None if it is not intact."""
    found = _frame_at(Blocks(file, block=FRAME_SIZE), offset)
    return found if isinstance(found, Frame) else None


def hop(file: Readable) -> Iterator[tuple[int, int]]:
    """Offset and size of each record by its stated length alone, unchecked, up to the first place without a frame."""
    offset = 0
    while True:
        file.seek(offset)
        frame = file.read(FRAME_SIZE) or b""
        if len(frame) < FRAME_SIZE or not frame.startswith(MARK):
            return
        size = FRAME_SIZE + _NUMBERS.unpack_from(frame, len(MARK))[0]
        yield offset, size
        offset += size


class Blocks:
    """Reads of a file by offset, served from one block as far as it reaches."""

    def __init__(self, file: Readable, block: int = _BLOCK) -> None:
        self.file = file
        self._size = block
        self._start = 0
        self._block = b""
        self.patience = _PATIENCE
        """Bytes that may still be read for records with a wrong CRC."""

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes: fewer only at the file's end."""
        at = offset - self._start
        if at < 0 or at + size > len(self._block):
            self.file.seek(offset)
            self._start, at = offset, 0
            self._block = self.file.read(max(size, self._size)) or b""
        return self._block[at : at + size]

    def find(self, wanted: bytes, offset: int, end: int | None = None) -> int | None:
        """The offset of the next `wanted` that begins and ends between `offset` and `end`; None if there is none."""
        while end is None or offset + len(wanted) <= end:
            if not self._start <= offset <= self.read_to - len(wanted):
                self.read(offset, self._size)
                if len(self._block) < len(wanted):
                    return None
            at = self._block.find(wanted, offset - self._start)
            if at >= 0:
                found = self._start + at
                return found if end is None or found + len(wanted) <= end else None
            offset = self.read_to - len(wanted) + 1
        return None

    @property
    def read_to(self) -> int:
        """Behind the last byte of the block."""
        return self._start + len(self._block)

    def end(self) -> int:
        return self.file.seek(0, 2)

    def forget(self) -> None:
        """Read afresh next time."""
        self._block = b""


def _frame_at(blocks: Blocks, offset: int) -> Frame | Damage | None:
    """The record or the damage at `offset`; None at the file's end. Apparent damage is read twice."""
    found = _look(blocks, offset)
    if isinstance(found, Damage) and blocks.patience > 0:
        found = _look(Blocks(blocks.file, block=FRAME_SIZE), offset)  # a writer may have taken a torn record back
        if not isinstance(found, Damage):
            blocks.forget()
    return found


def _look(blocks: Blocks, offset: int) -> Frame | Damage | None:
    frame = blocks.read(offset, FRAME_SIZE)
    if not frame:
        return None
    if not frame.startswith(MARK[: len(frame)]):
        return Damage(offset, 0, "foreign")
    if len(frame) < FRAME_SIZE:
        return Damage(offset, 0, "torn")
    length, crc = _NUMBERS.unpack_from(frame, len(MARK))
    if length > MAX_RECORD:
        return Damage(offset, 0, "bad")
    start = offset + FRAME_SIZE
    if length > _BLOCK and start + length > blocks.end():
        return Damage(offset, 0, "torn")
    if blocks.patience <= 0 and blocks.find(MARK, start, start + length) is not None:
        return Damage(offset, 0, "bad")
    payload = blocks.read(start, length)
    if len(payload) < length:
        return Damage(offset, 0, "torn")
    if zlib.crc32(payload) != crc:
        blocks.patience -= length
        return Damage(offset, 0, "bad")
    return Frame(offset, FRAME_SIZE + length, payload)


def _resynchronise(blocks: Blocks, offset: int) -> tuple[int, Frame | None]:
    """The next intact frame behind `offset`, or the file's end."""
    at = blocks.find(MARK, offset + 1)
    while at is not None:
        found = _look(blocks, at)
        if isinstance(found, Frame):
            return at, found
        at = blocks.find(MARK, at + 1)
    return blocks.read_to, None


def _in_the_middle(damage: Damage) -> Literal["bad", "foreign"]:
    """A record that seems to end behind the file, with others after it, had its length damaged."""
    return "foreign" if damage.kind == "foreign" else "bad"


def _packed(record: dict[str, Any]) -> bytes:
    try:
        payload: bytes = msgpack.packb(record)
    except UnicodeEncodeError:
        payload = msgpack.packb(_without_surrogates(record))
    return payload


def _without_surrogates(value: Any) -> Any:
    """Bytes that were decoded with `surrogateescape` become the Latin-1 characters that they are."""
    if isinstance(value, str):
        return _SURROGATE.sub(lambda match: _replacement(ord(match[0])), value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def _replacement(surrogate: int) -> str:
    return chr(surrogate - 0xDC00) if 0xDC80 <= surrogate <= 0xDCFF else "\N{REPLACEMENT CHARACTER}"
