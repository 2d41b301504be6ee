"""The places of a segment's calls, as a reader knows them; it reads on as the segment grows.

A record that is being written is read later. Damage is stepped over here; the index reports it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sessiontap.trace.files import SegmentFile, file_of, identity, open_segment
from sessiontap.trace.walk import StoredRecord, header_of, read_at, refusal, walk

Record = dict[str, Any]


class Place(NamedTuple):
    """The place of a call in the log."""

    path: Path
    """Its segment, by its name."""
    offset: int
    id: str
    """The call's: another record may have come to stand there."""
    caller: int | None
    """The offset of its caller's record; None if that is unknown."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stretch that cannot be read: `offset` and `size` in bytes of the plain segment, `text` in words."""

    path: Path
    offset: int
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment. `header` is None if it is damaged; `readable` False for other formats and versions."""

    path: Path
    """Its file: plain, or closed and compressed."""
    header: Record | None
    size: int
    """Bytes of the file."""
    plain_size: int
    """Bytes of the segment."""
    live: bool
    """It is being written."""
    readable: bool


class SegmentContents(NamedTuple):
    """The contents of a segment as the index knows them, as of a size of its file."""

    closed: bool
    size: int
    newest: int | None
    """The start of its last call or warm-up, Unix nanoseconds; None if there is none."""
    records: int
    """Calls and warm-ups."""
    calls: int
    records_that_fit: int
    """Calls that fit the filters that were asked for, and warm-ups of sessions all of whose calls fit."""
    calls_that_fit: int


@dataclass(slots=True)
class Segment:
    """One segment as far as it was read, up to `end`."""

    path: Path
    """Its name, whichever its file is."""
    header: Record | None = None
    calls: list[tuple[int, int]] = field(default_factory=list)
    """(time, offset)"""
    callers: dict[str, Record] = field(default_factory=dict)
    end: int = 0
    """Behind the last intact record."""
    file: tuple[int, int] | None = None
    """Device and inode of what was read."""
    successor: tuple[Segment, dict[int, int]] | None = None
    """The segment that has replaced it, and the offsets of its calls there, by their offsets here."""

    def take_in(self, file: SegmentFile) -> None:
        """Read what `file` has got since the last time. Raises OSError."""
        self.file = identity(file)
        if self.end == 0:
            self.header = header_of(file)
        for found in walk(file, self.end):
            if isinstance(found, StoredRecord):
                self.end = found.end
                if found.kind == "call":
                    self.calls.append((found.record["time"], found.offset))
                elif found.kind == "caller":
                    self.callers[found.record["id"]] = found.record

    def is_in(self, file: SegmentFile) -> bool:
        """`file` holds what was read: it is the same file, or the one that it was closed into. Raises OSError."""
        if self.file in (None, identity(file)):
            return True
        known = self.header.get("id") if self.header is not None else None
        header = header_of(file)
        return known is not None and header is not None and header.get("id") == known and file.size >= self.end

    def record(self, offset: int) -> Record | None:
        """The record at `offset`; None if it, or the segment that was read, is there no more."""
        try:
            with open_segment(self.path) as file:
                if not self.is_in(file):
                    return None
                self.file = identity(file)
                return read_at(file, offset)
        except OSError:
            return None

    def replaced_by(self, new: Segment) -> None:
        """`new` has all but some of this one's calls, in the same order."""
        moved: dict[int, int] = {}
        at = 0
        for time, offset in self.calls:
            if at < len(new.calls) and new.calls[at][0] == time:
                moved[offset] = new.calls[at][1]
                at += 1
        self.successor = new, moved


def segment_info(path: Path) -> SegmentInfo | None:
    """The segment by its header; None if the file cannot be read."""
    try:
        with open_segment(path) as file:
            header = header_of(file)
            place = file_of(path)
            return SegmentInfo(place, header, place.stat().st_size, file.size, file.is_live, refusal(header) is None)
    except OSError:
        return None
