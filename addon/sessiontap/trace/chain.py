"""Bodies that lean on others: the way back through a segment to one that stands by itself, and forward again.

Each step back is one read at a known place (`back` bytes before the record); only where that is not the named call (a
segment that some other tool rewrote) the segment is searched. What was decoded last is kept, so that reading call after
call in either direction decodes each body about once.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

from sessiontap.trace import body, frame
from sessiontap.trace.body import BodyError

Record = dict[str, Any]
MAX_BYTES = 8 << 20
"""More would be slower: fresh memory for body after body costs more than decoding a chain twice."""

_Place = tuple[str, int, int, int]
"""Side, device, inode, offset of the record."""


class Chains:
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
            with path.open("rb", buffering=0) as file:
                return self._follow(file, offset, side, stored)
        except OSError as error:
            raise BodyError(f"the body leans on others in {path}, which cannot be read: {error.strerror}") from None

    def _follow(self, file: BinaryIO, offset: int, side: str, stored: Record) -> bytes | None:
        own = (side, *_status(file))
        steps: list[tuple[int, Record]] = []
        plain: bytes | None = None
        while True:
            steps.append((offset, stored))
            if not body.is_delta(stored):
                break
            offset, stored = _base(file, offset, side, stored)
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


def _status(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _base(file: BinaryIO, offset: int, side: str, stored: Record) -> tuple[int, Record]:
    """Where the base's record stands, and its body."""
    call_id, back = stored.get("base"), stored.get("back")
    if isinstance(back, int) and 0 < back <= offset:
        found = _body(frame.read_one(file, offset - back), call_id, side)
        if found is not None:
            return offset - back, found
    for one in frame.scan(file):
        if one.offset >= offset:
            break
        if isinstance(one, frame.Frame) and (found := _body(one, call_id, side)) is not None:
            return one.offset, found
    raise BodyError(f"the body leans on that of call {call_id}, which cannot be read in its segment")


def _body(found: frame.Frame | None, call_id: object, side: str) -> Record | None:
    if found is None:
        return None
    head = frame.leading(found.payload, "time")
    if head is None or head.get("id") != call_id or head.get("type") != "call":
        return None
    record = frame.decode(found.payload) or {}
    message = record.get(side)
    stored = message.get("body") if isinstance(message, dict) else None
    return body.spelled_out(stored, record.get("parent")) if isinstance(stored, dict) else None
