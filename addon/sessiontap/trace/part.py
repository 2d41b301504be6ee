"""One segment file as its readers see it: where its calls lie, taken in as it grows, and what of it is damaged.

A record that a writer is in the middle of is not seen yet; all other damage is a `Problem`, and is stepped over.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sessiontap.trace import frame, shared, templates
from sessiontap.trace.damage import HEADLESS, WORDS
from sessiontap.trace.segment import FORMAT, VERSION, is_live

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What cannot be read: `offset` and `size` in bytes of the file, `text` in words."""

    path: Path
    offset: int
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment file. `header` is None where it is damaged; `readable` False for other formats and later versions."""

    path: Path
    header: Record | None
    size: int
    live: bool
    readable: bool


@dataclass(slots=True)
class Part:
    """What is known of one segment, up to `end`."""

    path: Path
    header: Record | None = None
    readable: bool = True
    calls: list[tuple[int, int]] = field(default_factory=list)
    """(time, offset)"""
    notes: list[int] = field(default_factory=list)
    """Offsets."""
    callers: dict[str, Record] = field(default_factory=dict)
    values: dict[int, Any] = field(default_factory=dict)
    """What its calls repeat, by number."""
    problems: dict[int, Problem] = field(default_factory=dict)
    """By offset."""
    end: int = 0
    """Behind the last intact record."""
    file: tuple[int, int] | None = None
    """Device and inode of what was read."""
    successor: tuple[Part, dict[int, int]] | None = None
    """The file that has come in its place, and where its calls stand there."""

    def take_in(self, file: BinaryIO) -> None:
        """What `file` has got since it was looked at last. Raises OSError."""
        if self.end == 0:
            self._begin(file)
        if self.readable:
            self._scan(file)

    def record(self, offset: int) -> Record | None:
        """The record at `offset`; None where it, or the file that was looked at, is there no more."""
        try:
            with self.path.open("rb", buffering=0) as file:
                if self.file != identity(file):
                    return None
                found = frame.read_one(file, offset)
        except OSError:
            return None
        return frame.decode(found.payload) if found else None

    def trouble(self, offset: int, size: int, text: str) -> None:
        self.problems[offset] = Problem(self.path, offset, size, text)

    def replaced_by(self, new: Part) -> None:
        """`new` has all but some of this one's calls, in the same order."""
        moved: dict[int, int] = {}
        at = 0
        for time, offset in self.calls:
            if at < len(new.calls) and new.calls[at][0] == time:
                moved[offset] = new.calls[at][1]
                at += 1
        self.successor = new, moved

    def _begin(self, file: BinaryIO) -> None:
        first = next(frame.scan(file), None)
        if isinstance(first, frame.Frame):
            record = frame.decode(first.payload) or {}
            self.header = record if record.get("type") == "segment" else None
            if self.header is not None:
                self.readable = record.get("format") == FORMAT and record.get("version") == VERSION
            if not self.readable:
                what = f"format {record.get('format')!r} version {record.get('version')!r}"
                self.trouble(0, first.size, f"is of {what}, which this version cannot read")

    def _scan(self, file: BinaryIO) -> None:
        damage: list[frame.Damage] = []
        for found in frame.scan(file, self.end):
            if isinstance(found, frame.Damage):
                damage.append(found)
                continue
            self._take(found)
            self.end = found.offset + found.size
        if damage and damage[-1].offset >= self.end and is_live(file):
            damage.pop()
        for one in damage:
            self.trouble(one.offset, one.size, WORDS[one.kind])
        if self.end and self.header is None:
            self.trouble(0, 0, HEADLESS)

    def _take(self, found: frame.Frame) -> None:
        head = frame.leading(found.payload, "session")
        kind = head.get("type") if head else None
        if head is None:
            self.trouble(found.offset, found.size, "holds a value that is no record")
        elif kind == "call" and isinstance(head.get("time"), int):
            self.calls.append((head["time"], found.offset))
            if templates.is_lost(head, self.values):
                self.trouble(found.offset, found.size, templates.LOST)
        elif kind == "note":
            self.notes.append(found.offset)
        elif kind == "caller":
            record = frame.decode(found.payload)
            if record is not None and isinstance(record.get("id"), str):
                self.callers[record["id"]] = record
        elif kind == "values":
            self.values |= shared.values_of(frame.decode(found.payload) or {})


def identity(file: BinaryIO) -> tuple[int, int]:
    """Device and inode of an open file."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def segment_info(path: Path) -> SegmentInfo | None:
    """What its header says; None where the file cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            first = next(frame.scan(file), None)
            record = frame.decode(first.payload) if isinstance(first, frame.Frame) else None
            header = record if record is not None and record.get("type") == "segment" else None
            readable = header is None or (header.get("format") == FORMAT and header.get("version") == VERSION)
            return SegmentInfo(path, header, path.stat().st_size, is_live(file), readable)
    except OSError:
        return None
