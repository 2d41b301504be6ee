"""A closed segment's file: independent zstd frames, with the table of zstd's seekable format behind them.

`zstd -dc` and any zstd library read it from the beginning; by the table a reader finds the one frame that holds an
offset of the plain segment. Every frame but the last holds `BLOCK` plain bytes. The table is a skippable frame: for
each frame its compressed and its plain size, then the number of frames, a byte of flags and a magic number, all
32 bits little-endian but the flags.

Every frame has a checksum of its content. One that does not fit reads as zeros, which are no record, so that what
stands in the others is found. If the table is damaged, the frames are found by their headers, one after the other.

A file of any content is read in time and memory that its size bounds: no frame gives more than a block, no file more
than `most_plain` bytes, and finding the frames decompresses nothing.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Self

import zstandard

from sessiontap.trace.frame import MAX_RECORD, Blocks

BLOCK = 64 << 10
"""Plain bytes of a frame."""
LEVEL = 3
TABLE_MAGIC, FOOTER_MAGIC, FRAME_MAGIC = 0x184D2A5E, 0x8F92EAB1, 0xFD2FB528
_ENTRY = struct.Struct("<II")
_CHECKED_ENTRY = struct.Struct("<III")
_HEAD = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_CHECKED = 0x80
"""The flag of a table that has checksums as well, as other tools write it; the other flags are reserved."""
_LONGEST_FRAME = 2 * BLOCK
"""Bytes of a frame: zstd makes one of data that does not compress hardly longer than that is."""
_MOST_PARTS = 64
"""zstd blocks of a frame; a writer of ours makes one or two."""
_DENSEST = 512
"""Plain bytes for each byte of a file. Records hold ids, times and digests, so that no segment comes near it."""
_MOST_PLAIN = 2 * MAX_RECORD
"""Plain bytes of a file: more than a full segment and one record more."""
_REMEMBERED = 48
"""Plain blocks that are kept for the next look: 3 MB."""
_TABLES = 16
_MAGIC, _TABLE = FRAME_MAGIC.to_bytes(4, "little"), TABLE_MAGIC.to_bytes(4, "little")

Identity = tuple[int, int, int, int]
"""Device, inode, last change and size of a file: closed segments are never written to again."""


@dataclass(frozen=True, slots=True)
class Table:
    """The places of the frames of a file."""

    frames: tuple[tuple[int, int], ...]
    """(offset, size) in the file."""
    size: int
    """Plain bytes of all of them."""
    sound: bool
    """It is what the file says; else it was made by walking through the frames."""
    cut: bool = False
    """The file holds more than `most_plain`, and what is beyond is left out."""


def compress(plain: bytes) -> bytes:
    """One frame of up to BLOCK plain bytes."""
    compressor = getattr(_own, "compressor", None)
    if compressor is None:
        compressor = _own.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    packed: bytes = compressor.compress(plain)
    return packed


def table(sizes: list[tuple[int, int]]) -> bytes:
    """The table of frames of these compressed and plain sizes, as it ends a file."""
    entries = b"".join(_ENTRY.pack(*one) for one in sizes)
    return _HEAD.pack(TABLE_MAGIC, len(entries) + _FOOTER.size) + entries + _FOOTER.pack(len(sizes), 0, FOOTER_MAGIC)


def most_plain(size: int) -> int:
    """The plain bytes that are read of a file of `size` bytes, at most."""
    return min(size * _DENSEST, _MOST_PLAIN)


class SeekableFile:
    """The plain bytes of a closed segment, read like a file's. It owns `file` and closes it. Raises OSError."""

    def __init__(self, file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        self._file = file
        self._of: Identity = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
        self._table = _tables.get(self._of) or _tables.keep(self._of, _read_table(file, status.st_size))
        self._at = 0

    @property
    def size(self) -> int:
        """The size of the plain segment in bytes."""
        return self._table.size

    @property
    def has_sound_table(self) -> bool:
        """The file's own table could be used."""
        return self._table.sound

    @property
    def is_cut(self) -> bool:
        """The file holds more than is read of it."""
        return self._table.cut

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset of the plain segment, and return it from the start. Nothing is read."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._table.size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes (all for -1): fewer only at the end."""
        end = self._table.size if size < 0 else min(self._at + size, self._table.size)
        pieces = []
        while self._at < end:
            number, within = divmod(self._at, BLOCK)
            piece = self._block(number)[0][within : within + end - self._at]
            pieces.append(piece)
            self._at += len(piece)
        return b"".join(pieces)

    def is_damaged(self, offset: int, size: int) -> bool:
        """A frame that holds some of these plain bytes is damaged."""
        last = min(offset + max(size, 1), self._table.size) - 1
        return not all(self._block(number)[1] for number in range(offset // BLOCK, last // BLOCK + 1))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _block(self, number: int) -> tuple[bytes, bool]:
        """The plain bytes of a frame, zeros if it is damaged; and whether it is sound."""
        key = self._of, number
        found = _blocks.get(key)
        if found is None:
            plain = self._plain(number)
            found = _blocks.keep(key, (bytes(self._length(number)), False) if plain is None else (plain, True))
        return found

    def _plain(self, number: int) -> bytes | None:
        offset, size = self._table.frames[number]
        if size > _LONGEST_FRAME:
            return None
        self._file.seek(offset)
        return _decompressed(self._file.read(size), self._length(number))

    def _length(self, number: int) -> int:
        return min(BLOCK, self._table.size - number * BLOCK)


def _decompressed(packed: bytes, length: int) -> bytes | None:
    """The `length` bytes of a frame; None if it is damaged. No more is ever made of it than a block."""
    try:
        if not 0 < zstandard.frame_content_size(packed) == length <= BLOCK:
            return None
        plain: bytes = zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError:
        return None
    return plain


def _read_table(file: BinaryIO, size: int) -> Table:
    stated = _stated_table(file, size)
    return stated if stated is not None else _walked_table(file, size)


def _stated_table(file: BinaryIO, size: int) -> Table | None:
    """The file's own table; None if it does not tell the whole truth."""
    if size < _HEAD.size + _FOOTER.size:
        return None
    file.seek(size - _FOOTER.size)
    count, flags, magic = _FOOTER.unpack(file.read(_FOOTER.size))
    entry = _CHECKED_ENTRY if flags == _CHECKED else _ENTRY
    length = count * entry.size + _FOOTER.size
    start = size - length - _HEAD.size
    if magic != FOOTER_MAGIC or flags not in (0, _CHECKED) or start < 0:
        return None
    file.seek(start)
    if file.read(_HEAD.size) != _HEAD.pack(TABLE_MAGIC, length):
        return None
    entries = list(entry.iter_unpack(file.read(count * entry.size)))
    frames: list[tuple[int, int]] = []
    offset = plain = 0
    for number, (packed, unpacked, *_) in enumerate(entries):
        if packed > _LONGEST_FRAME or not 0 < unpacked <= BLOCK or (unpacked < BLOCK and number < count - 1):
            return None
        frames.append((offset, packed))
        offset += packed
        plain += unpacked
    if offset != start or plain > most_plain(size):
        return None
    if frames and _stated_size(file, *frames[-1]) not in (None, entries[-1][1]):
        return None
    return Table(tuple(frames), plain, True)


def _stated_size(file: BinaryIO, offset: int, size: int) -> int | None:
    """The plain size that a frame states; None if it states none that can be."""
    file.seek(offset)
    try:
        stated = zstandard.frame_content_size(file.read(min(size, 18)))
    except zstandard.ZstdError:
        return None
    return stated if 0 < stated <= BLOCK else None


def _walked_table(file: BinaryIO, size: int) -> Table:
    """Made of the frames' own headers; what is no frame is one that is damaged."""
    frames: list[tuple[int, int]] = []
    last, most = 0, most_plain(size)
    for offset, length, plain in _walk(Blocks(file), size):
        if len(frames) * BLOCK + plain > most:
            return Table(tuple(frames), len(frames) * BLOCK, False, cut=True)
        frames.append((offset, length))
        last = plain
        if plain < BLOCK:  # the last one, or what follows has no place any more
            break
    return Table(tuple(frames), max(len(frames) - 1, 0) * BLOCK + last, False)


def _walk(blocks: Blocks, size: int) -> Iterator[tuple[int, int, int]]:
    """Offset, size and plain size of each frame; a damaged one ends at the beginning of the next sound one."""
    offset = 0
    while offset < size:
        if _is_table(blocks, offset, size):
            return
        found = _frame(blocks, offset, size)
        if found is not None:
            yield offset, *found
            offset += found[0]
            continue
        start, offset = offset, _next_frame(blocks, offset + 1, size)
        if offset < size or start == 0 or blocks.read(start, 4) == _MAGIC:
            yield start, offset - start, BLOCK


def _frame(blocks: Blocks, offset: int, size: int) -> tuple[int, int] | None:
    """Size and plain size of the frame at `offset` by its headers; None if none stands there with another behind it."""
    header = blocks.read(offset, 18)
    try:
        plain = zstandard.frame_content_size(header)
        end = offset + zstandard.frame_header_size(header)
        checksum = 4 if zstandard.get_frame_parameters(header).has_checksum else 0
    except zstandard.ZstdError:
        return None
    if not 0 < plain <= BLOCK:
        return None
    longest = min(offset + _LONGEST_FRAME, size)
    for _ in range(_MOST_PARTS):
        if end + 3 > longest:
            return None
        part = int.from_bytes(blocks.read(end, 3), "little")
        is_last, kind, length = part & 1, part >> 1 & 3, part >> 3
        end += 3 + (1 if kind == 1 else length)  # 1: a byte that repeats
        if is_last:
            end += checksum
            whole = end == size or (end < size and blocks.read(end, 4) in (_MAGIC, _TABLE))
            return (end - offset, plain) if whole and end <= longest else None
    return None


def _next_frame(blocks: Blocks, offset: int, size: int) -> int:
    """The beginning of the next sound frame from `offset` on, or of the table; else the file's end."""
    while (at := blocks.find(_MAGIC, offset)) is not None:
        if (table := _next_table(blocks, offset, at, size)) is not None:
            return table
        if _frame(blocks, at, size) is not None:
            return at
        offset = at + 1
    table = _next_table(blocks, offset, size, size)
    return size if table is None else table


def _next_table(blocks: Blocks, offset: int, end: int, size: int) -> int | None:
    while (at := blocks.find(_TABLE, offset, end)) is not None:
        if _is_table(blocks, at, size):
            return at
        offset = at + 1
    return None


def _is_table(blocks: Blocks, offset: int, size: int) -> bool:
    """A table begins at `offset`: it reaches to the end of the file, or did before that was cut."""
    head = blocks.read(offset, _HEAD.size)
    return head[:4] == _TABLE and (len(head) < _HEAD.size or offset + len(head) + _HEAD.unpack(head)[1] >= size)


class _Latest[K, V]:
    """A few values, those that were used last. For any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
            return found

    def keep(self, key: K, value: V) -> V:
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


_own = threading.local()
"""A compressor for each thread."""
_blocks = _Latest[tuple[Identity, int], tuple[bytes, bool]](_REMEMBERED)
_tables = _Latest[Identity, Table](_TABLES)
