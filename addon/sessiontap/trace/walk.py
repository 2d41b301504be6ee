"""The one walk through a segment: every record that is whole and fits, in order, and what cannot be read between them.

Lists, the index, a start that goes on from the log, pruning and verifying all read segments by this; `frame` and
`shape`, on which it stands, are called by nobody else. One rule: what is damaged, foreign or of another version is a
`Trouble` with its place, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sessiontap.trace import frame, shape
from sessiontap.trace.files import FORMAT, VERSION, SegmentFile

Record = dict[str, Any]

_WORDS = {
    "torn": "a record ends too early: its writer was stopped in the middle of it",
    "bad": "a record does not fit its checksum",
    "foreign": "bytes that are no record",
}
_DAMAGED_FRAME = "a part of the compressed segment does not fit its checksum"
_DAMAGED_TABLE = "the table of the compressed segment is damaged; its parts were found without it"
_CUT = "the compressed segment holds more than any segment of its size does; what follows is not read"
_HEADLESS = f"has lost its header; its records are read as version {VERSION}"


class StoredRecord(NamedTuple):
    """A record and its place, `size` with its frame."""

    offset: int
    size: int
    record: Record
    payload: bytes

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def kind(self) -> str | None:
        """Its type; None if it has none."""
        kind: str | None = self.record["type"]
        return kind


@dataclass(frozen=True, slots=True)
class Trouble:
    """A stretch that cannot be read, in words. `growing`: a writer may be in the middle of it, so it is nothing yet."""

    offset: int
    size: int
    text: str
    growing: bool = False

    @property
    def end(self) -> int:
        return self.offset + self.size


def walk(file: SegmentFile, start: int = 0) -> Iterator[StoredRecord | Trouble]:
    """Records and troubles of a segment from `start` on, which is 0 or the end of a record. Raises OSError.

    A segment that is not to be read (`refusal`) is one trouble.
    """
    header: Record | None = None
    if start == 0:
        header = header_of(file)
        if (why := refusal(header)) is not None:
            yield Trouble(0, file.size, why)
            return
        if not file.has_sound_table:
            yield Trouble(file.size, 0, _CUT if file.is_cut else _DAMAGED_TABLE)
    headless = start == 0 and header is None
    last: Trouble | None = None
    for found in frame.scan(file, start):
        if last is not None:
            yield last
            last = None
        if isinstance(found, frame.Damage):
            damaged = file.is_damaged(found.offset, found.size)
            last = Trouble(found.offset, found.size, _DAMAGED_FRAME if damaged else _WORDS[found.kind])
            continue
        record = shape.read(found.payload)
        if isinstance(record, shape.Misfit):
            yield Trouble(found.offset, found.size, record.text)
            continue
        if headless:
            headless = False
            yield Trouble(0, 0, _HEADLESS)
        yield StoredRecord(found.offset, found.size, record, found.payload)
    if last is not None:
        yield Trouble(last.offset, last.size, last.text, growing=file.is_live)


def walk_back(file: SegmentFile) -> Iterator[Record | None]:
    """Records from the last one back; None for each step that gave none, so that the caller may look at the clock.

    The segment is hopped through first, from length to length without reading: the newest record comes soon.
    Raises OSError.
    """
    places: list[int] = []
    end = 0
    for offset, size in frame.hop(file):
        places.append(offset)
        end = offset + size
        yield None
    if end != file.size:  # damage: the last hop may have led astray
        start = places.pop() if places else 0
        for found in frame.scan(file, start):
            if isinstance(found, frame.Frame):
                places.append(found.offset)
            yield None
    for offset in reversed(places):
        yield read_at(file, offset)


def read_at(file: SegmentFile, offset: int) -> Record | None:
    """The record at `offset`; None if none stands there that is whole and fits."""
    found = frame.read_one(file, offset)
    record = shape.read(found.payload) if found is not None else None
    return record if isinstance(record, dict) else None


def body_at(file: SegmentFile, offset: int, call_id: str | None, side: str) -> Record | None:
    """The stored body of one side of the call `call_id` whose record stands at `offset`; None if it does not."""
    found = frame.read_one(file, offset)
    return shape.read_body(found.payload, call_id, side) if found is not None else None


def header_of(file: SegmentFile) -> Record | None:
    """The header; None if it is damaged."""
    record = read_at(file, 0)
    return record if record is not None and record["type"] == "segment" else None


def writer_of(header: Record | None, path: Path) -> Record:
    """The proxy that wrote the segment `path`, by its header. `host` is the folder's name if the header has none."""
    known = header.get("writer") if header is not None else None
    return {**(known or {}), "host": (known or {}).get("host") or path.parent.name}


def refusal(header: Record | None) -> str | None:
    """Why a segment with this header is not read, in words; None: it is."""
    if header is None:
        return None
    if header["format"] != FORMAT:
        return f"is of format {header['format']!r}, which this version cannot read"
    if header["version"] < VERSION:
        return (
            f"was written by an older Sessiontap (format version {header['version']}), and this one reads only version "
            f"{VERSION}: read it with the older one, or remove it (sessiontap trace prune --older-than takes it, too)"
        )
    if header["version"] > VERSION:
        return f"was written by a newer Sessiontap (format version {header['version']}): read it with that one"
    return None
