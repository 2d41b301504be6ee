"""Read bodies that are stored as changes of others: back through the segment to one that is whole, and forward again.

Readers, verifying, pruning and the full text call it. What comes out fits the record's size and sha256, or is a
BodyError.

Each step back is one read at a known place (`back` bytes before the record); only where that is not the named call (a
segment that some other tool rewrote) the segment is searched. What was decoded last is kept, so that reading call after
call in either direction decodes each body about once.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

from sessiontap.trace import body
from sessiontap.trace.body import MAX_REACH, STEP, BodyError
from sessiontap.trace.files import SegmentFile, identity, open_segment
from sessiontap.trace.walk import Found, read_at, walk

Record = dict[str, Any]
MAX_BYTES = 8 << 20
"""More would be slower: fresh memory for body after body costs more than decoding a chain twice."""

_MOST_REACH = 2 * MAX_REACH
"""A chain beyond this no writer of ours has made: its bodies are not unpacked."""
_MOST_SEARCHES = 8
"""Of a chain: other bytes may have come between its records in a few places."""

_Place = tuple[str, int, int, int]
"""Side, device, inode, offset of the record."""


class DeltaReader:
    """Decodes bodies and remembers the latest. Not safe for several threads."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._known: OrderedDict[_Place, bytes] = OrderedDict()
        self._bytes = 0

    def decode(self, path: Path, offset: int, side: str, stored: Record) -> bytes | None:
        """The bytes of the body `stored`, the `request` or `response` of the record at `offset` of the segment `path`.

        Raises BodyError.
        """
        if not body.is_delta(stored):
            return body.decode(stored)
        try:
            return self._decode(path, offset, side, stored)
        except BodyError:
            if not self._known:
                raise
        self._known.clear()  # a file of the same inode may have come in place of the one that was read before
        self._bytes = 0
        return self._decode(path, offset, side, stored)

    def _decode(self, path: Path, offset: int, side: str, stored: Record) -> bytes | None:
        try:
            with open_segment(path) as file:
                return self._follow(file, offset, side, stored)
        except OSError as error:
            raise BodyError(f"the body leans on others in {path}, which cannot be read: {error.strerror}") from None

    def _follow(self, file: SegmentFile, offset: int, side: str, stored: Record) -> bytes | None:
        own = (side, *identity(file))
        steps: list[tuple[int, Record]] = []
        plain: bytes | None = None
        reach = searches = 0
        while True:
            steps.append((offset, stored))
            if not body.is_delta(stored):
                break
            reach += stored["size"] + STEP
            if reach > _MOST_REACH:
                raise BodyError("the body leans on too many others")
            base = _base(file, offset, side, stored)
            if base is None:
                searches += 1
                base = _searched(file, offset, side, stored) if searches <= _MOST_SEARCHES else None
            if base is None:
                call_id = stored.get("base")
                raise BodyError(f"the body leans on that of call {call_id}, which cannot be read in its segment")
            offset, stored = base
            if (plain := self._recall((*own, offset))) is not None:
                break
        while steps:
            offset, stored = steps.pop()
            plain = body.decode(stored, plain, check=not steps)
            if plain is None:
                raise BodyError("the body leans on one that was not kept")
            self._keep((*own, offset), plain)
        return plain

    def _recall(self, place: _Place) -> bytes | None:
        plain = self._known.get(place)
        if plain is not None:
            self._known.move_to_end(place)
        return plain

    def _keep(self, place: _Place, plain: bytes) -> None:
        self._bytes += len(plain) - len(self._known.pop(place, b""))
        self._known[place] = plain
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._known.popitem(last=False)[1])


def _base(file: SegmentFile, offset: int, side: str, stored: Record) -> tuple[int, Record] | None:
    """Where the base's record should stand, and its body there."""
    back = stored.get("back")
    if back is None or not 0 < back <= offset:
        return None
    found = _body(read_at(file, offset - back), stored.get("base"), side)
    return (offset - back, found) if found is not None else None


def _searched(file: SegmentFile, offset: int, side: str, stored: Record) -> tuple[int, Record] | None:
    """Where the base's record stands before `offset`, wherever that is, and its body."""
    for one in walk(file):
        if one.offset >= offset:
            break
        if isinstance(one, Found) and (found := _body(one.record, stored.get("base"), side)) is not None:
            return one.offset, found
    return None


def _body(record: Record | None, call_id: str | None, side: str) -> Record | None:
    if record is None or record["type"] != "call" or record["id"] != call_id:
        return None
    message = record.get(side)
    stored: Record | None = message.get("body") if message is not None else None
    return stored
