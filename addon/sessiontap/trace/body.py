"""Bodies as they lie in the log: raw if they are small, else zstd, checked by size and sha256 on the way back.

A stored body is `{"size", "sha256", "enc", "base", "back", "wire", "data"}`; size and sha256 (32 bytes) are of the
bytes that `decode` gives. `enc` nil stands for a body that was not kept, only measured; keys that are nil are missing.
No body is unpacked beyond `LARGEST`, whatever its record says.

Agents send their whole history again with every turn. `zstd-delta` is one zstd frame with another body as its
raw-content dictionary: the request body of the call `base`, which stands `back` bytes earlier in the same segment.
Replies are deltas of replies in the same way: what they share is their form.

Level 3 for bodies on their own, as measured: an agent request of 600 KB becomes 141 KB in 1.7 ms (level 1: 154 KB in
1.2 ms, level 9: 126 KB in 11.5 ms). Level 7 for deltas: 200 turns that grow to 620 KB, 70 MB in all, become 143 KB at
1.2 ms each (level 5: 151 KB at 0.9 ms, level 9: 141 KB at 2.5 ms, level 1 loses the dictionary: 11.7 MB).
Long-distance matching takes no dictionary and does not pay (620 KB); a hash table for the whole dictionary does: 2 MB
go to 1 KB instead of 73 KB, 8 MB to 2 KB instead of 3 MB. zstd works without the GIL.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import zstandard

from sessiontap.large_blocks import expect_large_blocks, kept_large_blocks
from sessiontap.trace.files import SegmentFile, identity, open_segment
from sessiontap.trace.frame import MARK
from sessiontap.trace.walk import StoredRecord, body_at, walk

Record = dict[str, Any]

LEVEL = 3
DELTA_LEVEL = 7
SMALL = 256
"""Bytes up to which compressing does not pay: such bodies stay readable for any msgpack reader."""
LARGEST = 1 << 28
"""Bytes: more than the recorder keeps of a body."""
LARGEST_DELTA = 16 << 20
"""Larger bodies and bases are not worth the tables that a delta needs."""
MAX_REACH = 112 << 20
"""Bytes that are decoded on the way to a body, itself included, at most ..."""
STEP = 192 << 10
"""... where each record on the way counts as so many more."""
_CLEARLY_SMALLER = 8
"""A delta that is this many times smaller than its body is taken without looking at what zstd alone would make."""
_LARGEST_HASH_LOG = 22
_LARGEST_WINDOW_LOG = 27
_PIECE = 1 << 20
"""Bytes that are made at once of a body whose size is only claimed."""
_MOST_REACH = 2 * MAX_REACH
"""No writer of ours made a chain beyond this: its bodies are not unpacked."""
_MOST_KNOWN = 8 << 20
"""Bytes of bodies that a reader remembers. More would be slower: fresh memory for body after body costs more than
decoding a chain twice."""
_SHORT_CHAIN = 4
"""Bodies; for so many no memory is prepared."""
_own = threading.local()
"""A compressor for each thread: making one takes longer than compressing a small body."""


_Place = tuple[str, int, int, int]
"""Side, device, inode, offset of the record."""


class BodyError(ValueError):
    """A stored body that cannot be given back as it was; the text says why."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A body in a record that is not packed yet. `extra` goes into the stored map beside what packing makes."""

    data: bytes
    wire: str | None = None
    """Content-Encoding on the wire."""
    extra: Mapping[str, Any] = field(default_factory=dict)


def encode(data: bytes, wire: str | None = None, small: int = SMALL) -> dict[str, Any]:
    """The stored form of `data`, which came in the content-encoding `wire` (None: as it is); up to `small` bytes it
    stays as it is."""
    marked = _holds_mark(data)
    if len(data) > small or marked:
        packed = _compress(data)
        if marked or len(packed) < len(data):
            return _stored(data, wire, "zstd", packed)
    return _stored(data, wire, "raw", data)


def encode_delta(data: bytes, wire: str | None, base: bytes, base_id: str, back: int) -> dict[str, Any]:
    """The stored form of `data` as what it adds to `base`, the same side's body of the call `base_id`, whose record
    begins `back` bytes earlier; as `encode` if that is no smaller."""
    if not SMALL < len(data) <= LARGEST_DELTA or not 0 < len(base) <= LARGEST_DELTA or _holds_mark(data):
        return encode(data, wire)
    packed = _compress_after(base, data)
    if len(packed) * _CLEARLY_SMALLER > len(data):
        alone = encode(data, wire)
        if len(packed) > len(alone["data"]) * 0.75:
            return alone
    return _stored(data, wire, "zstd-delta", packed, {"base": base_id, "back": back})


def measured(size: int, wire: str | None = None) -> dict[str, Any]:
    """The stored form of a body of which only the size is kept."""
    return {"size": size} if wire is None else {"size": size, "wire": wire}


def is_delta(body: Mapping[str, Any]) -> bool:
    """Return True if a body is stored as its difference from an earlier one."""
    return body.get("enc") == "zstd-delta"


def decode(body: Mapping[str, Any], base: bytes | None = None, *, check: bool = True) -> bytes | None:
    """The body's bytes, None if it was not kept; `base` is the body that a delta refers to. Raises BodyError.

    `check` False leaves out the sha256: for bodies that only lead to the one that is asked for.
    """
    kind, data = body.get("enc"), body.get("data")
    if kind is None:
        return None
    if kind not in ("raw", "zstd", "zstd-delta"):
        raise BodyError(f"the body is stored as {kind!r}, which this version cannot read")
    size = body.get("size")
    if not isinstance(data, bytes) or not isinstance(size, int) or size < 0:
        raise BodyError("the body's record lacks its data or its size")
    if size > LARGEST:
        raise BodyError(f"the body's record says {size} bytes, and no body has more than {LARGEST}")
    if kind == "zstd-delta":
        plain = _decompress_after(base, data, size, body.get("base"))
    else:
        plain = data if kind == "raw" else _decompress(data, size)
    if len(plain) != size:
        raise BodyError(f"the body has {len(plain)} bytes, and its record says {size}")
    digest = body.get("sha256")
    if check and hashlib.sha256(plain).digest() != digest:
        raise BodyError("the body does not fit its sha256")
    return plain


def _stored(
    data: bytes, wire: str | None, enc: str, packed: bytes, base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    stored: dict[str, Any] = {"size": len(data), "sha256": hashlib.sha256(data).digest(), "enc": enc}
    if base is not None:
        stored |= base
    if wire is not None:
        stored["wire"] = wire
    stored["data"] = packed
    return stored


def _holds_mark(data: bytes) -> bool:
    """Return True if the data holds a frame's mark. Text has its first byte hardly ever, and one byte is found fast."""
    return MARK[0] in data and MARK in data


def _compress(data: bytes) -> bytes:
    """One zstd frame, or several: each frame mark of the log's own is cut in two, so that no body can hold one."""
    compressor = getattr(_own, "compressor", None)
    if compressor is None:
        compressor = _own.compressor = zstandard.ZstdCompressor(level=LEVEL)
    at = data.find(MARK) if _holds_mark(data) else -1
    if at < 0:
        alone: bytes = compressor.compress(data)
        return alone
    cuts = [0]
    while at >= 0:
        cuts.append(at + 1)
        at = data.find(MARK, at + 1)
    cuts.append(len(data))
    return b"".join(compressor.compress(data[a:b]) for a, b in pairwise(cuts))


def _compress_after(base: bytes, data: bytes) -> bytes:
    """One zstd frame whose window reaches over both and whose tables hold the whole of `base`."""
    window_log = min(max((len(base) + len(data)).bit_length(), 10), _LARGEST_WINDOW_LOG)
    sizes = {"source_size": len(data), "dict_size": len(base), "window_log": window_log}
    chosen = zstandard.ZstdCompressionParameters.from_level(DELTA_LEVEL, **sizes)
    hash_log = max(chosen.hash_log, min(len(base).bit_length() - 1, _LARGEST_HASH_LOG))
    chain_log = max(chosen.chain_log, hash_log - 1)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        DELTA_LEVEL, **sizes, hash_log=hash_log, chain_log=chain_log
    )
    with kept_large_blocks():  # its tables are several megabytes, anew for each body
        return zstandard.ZstdCompressor(dict_data=_dictionary(base), compression_params=parameters).compress(data)


def _decompress(data: bytes, size: int) -> bytes:
    """At most `size` bytes and one more: of a few bytes zstd makes as many as it is asked for."""
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
    pieces: list[bytes] = []
    left = size + 1
    try:
        while left and (piece := reader.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
    except zstandard.ZstdError as error:
        raise BodyError(f"the body's zstd data is damaged: {error}") from None


def _decompress_after(base: bytes | None, data: bytes, size: int, base_id: object) -> bytes:
    if base is None:
        raise BodyError(f"the body is a delta of that of call {base_id}, which is not at hand")
    try:
        stated = zstandard.frame_content_size(data)
        if stated != size:
            raise BodyError(f"the body's zstd data states {stated} bytes, and its record says {size}")
        decompressor = zstandard.ZstdDecompressor(
            dict_data=_dictionary(base), max_window_size=1 << (_LARGEST_WINDOW_LOG + 1)
        )
        return decompressor.decompress(data)
    except zstandard.ZstdError as error:
        raise BodyError(f"the body's zstd data is damaged: {error}") from None


def _dictionary(base: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


class BodyReader:
    """Reads bodies out of segments, and remembers the latest that others were stored as changes of. For one thread.

    A delta is read by going back through the segment to a body that is whole, and forward again. Each step back is one
    read at a known place (`back` bytes before the record); only if that is not the named call (some other tool rewrote
    the segment, or it is damaged), the segment is searched, once. Reading call after call in either direction decodes
    each body about once.
    """

    def __init__(self, max_bytes: int = _MOST_KNOWN) -> None:
        self._max_bytes = max_bytes
        self._known: OrderedDict[_Place, bytes] = OrderedDict()
        self._bytes = 0
        self._searched: tuple[Hashable, dict[str, int]] = None, {}
        """The segment that was searched last, and the places of its calls by their ids."""

    def decode(self, path: Path, offset: int, side: str, stored: Record) -> bytes | None:
        """The bytes of the body `stored`, the `request` or `response` of the record at `offset` of the segment `path`.

        Raises BodyError.
        """
        if not is_delta(stored):
            return decode(stored)
        try:
            return self._decode_delta(path, offset, side, stored)
        except BodyError:
            if not self._known:
                raise
        self._known.clear()  # a file of the same inode may have come in place of the one that was read before
        self._bytes = 0
        return self._decode_delta(path, offset, side, stored)

    def _decode_delta(self, path: Path, offset: int, side: str, stored: Record) -> bytes | None:
        try:
            with open_segment(path) as file:
                return self._follow(file, offset, side, stored)
        except OSError as error:
            text = f"the body is a delta of others in {path}, which cannot be read: {error.strerror}"
            raise BodyError(text) from None

    def _follow(self, file: SegmentFile, offset: int, side: str, stored: Record) -> bytes | None:
        own = (side, *identity(file))
        steps: list[tuple[int, Record]] = []
        plain: bytes | None = None
        reach = 0
        while True:
            steps.append((offset, stored))
            if not is_delta(stored):
                break
            reach += stored["size"] + STEP
            if reach > _MOST_REACH:
                raise BodyError("the body is a delta of too many others")
            call_id, back = stored.get("base"), stored.get("back")
            base = _base(file, offset, offset - back, call_id, side) if back is not None else None
            if base is None:
                base = _base(file, offset, self._places(file).get(call_id or ""), call_id, side)
            if base is None:
                raise BodyError(f"the body is a delta of that of call {call_id}, which cannot be read in its segment")
            offset, stored = base
            if (plain := self._recall((*own, offset))) is not None:
                break
        # Who reads one body alone needs no other: others are remembered from the second chain on.
        most = self._max_bytes if self._known else min(self._max_bytes, steps[0][1]["size"])
        if len(steps) > _SHORT_CHAIN:
            expect_large_blocks(2 * max(stored["size"] for _, stored in steps if is_delta(stored)))
        while steps:
            offset, stored = steps.pop()
            plain = decode(stored, plain, check=not steps)
            if plain is None:
                raise BodyError("the body is a delta of one that was not kept")
            self._keep((*own, offset), plain, most)
        return plain

    def _places(self, file: SegmentFile) -> dict[str, int]:
        """The offsets of the segment's calls by their ids."""
        key = identity(file), file.size
        if self._searched[0] != key:
            places: dict[str, int] = {}
            for one in walk(file):
                if isinstance(one, StoredRecord) and one.kind == "call":
                    places.setdefault(one.record["id"], one.offset)
            self._searched = key, places
        return self._searched[1]

    def _recall(self, place: _Place) -> bytes | None:
        plain = self._known.get(place)
        if plain is not None:
            self._known.move_to_end(place)
        return plain

    def _keep(self, place: _Place, plain: bytes, most: int) -> None:
        self._bytes += len(plain) - len(self._known.pop(place, b""))
        self._known[place] = plain
        while self._bytes > most:
            self._bytes -= len(self._known.popitem(last=False)[1])


def _base(
    file: SegmentFile, offset: int, place: int | None, call_id: str | None, side: str
) -> tuple[int, Record] | None:
    """`place` and the body of the call `call_id` there; None if it does not stand there, before `offset`."""
    if place is None or not 0 <= place < offset:
        return None
    found = body_at(file, place, call_id, side)
    return (place, found) if found is not None else None
