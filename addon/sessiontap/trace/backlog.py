"""The calls and the scores of a log that a reader has not taken yet. Another process goes on from its position.

Calls come across all segments in the order in which they ended. Their position, at any call: each segment's place, and
its last call. A closed segment of which all is read is known by its name alone. Of a segment that was written anew
meanwhile (`trace prune`) reading goes on behind the call that was read last; if that is gone, the segment is read again
from its start.

A backlog holds no call but the one that it gives, and two numbers for each segment that is read.

The position of scores is the end of the last record of each segment. There a segment that was written anew is read
again: a reader asks what counts now, so a score that comes twice is no second one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sessiontap.trace.annotations import Annotations
from sessiontap.trace.body import BodyReader
from sessiontap.trace.files import FileStatus, SegmentFile, holds_annotations, open_segment, segments, unreadable
from sessiontap.trace.folders import name_in
from sessiontap.trace.labels import Labels
from sessiontap.trace.outcomes import end, is_warm_up
from sessiontap.trace.recorded import RecordedCall
from sessiontap.trace.walk import StoredRecord, header_of, read_at, walk, writer_of

Record = dict[str, Any]
_STAMP = "20261121T050603.000001Z"
_WRITTEN_WITHIN = 60
"""Seconds from the end of a call until it is in the log, at most."""


class CallOrigin(NamedTuple):
    """The place of a call in the log, that of its caller, and the machine that saw it."""

    segment: str
    offset: int
    caller: int | None
    """The offset of its caller's record; None if that is unknown."""
    machine: str | None


@dataclass(slots=True)
class _Reading:
    """A segment of which not all is read."""

    path: Path
    header_id: str | None = None
    writer: Record | None = None
    offset: int = 0
    """Behind the last record that was taken."""
    last: str | None = None
    """The id of the last call that was taken."""
    callers: dict[str, tuple[int, Record]] = field(default_factory=dict)
    """Offset and record."""
    knows_callers: bool = False
    """`callers` are all up to `offset`."""
    listed: FileStatus | None = None
    """Its file as it was last read, or is read now."""
    complete: bool = False
    """It was read to the end."""


class Backlog:
    """Iterate over it for the calls that are new; again, for those that were written meanwhile.

    `position` is that behind the last call that was given.
    """

    def __init__(self, folder: Path, position: Mapping[str, Any] | None = None, since: int | None = None) -> None:
        """`position` as another one gave it. `since`: Unix nanoseconds; older calls are passed over."""
        self._folder = folder
        self._since = since or 0
        self._bodies = BodyReader()
        self._annotations = Annotations(folder)
        self._labels = Labels()
        known = position or {}
        self._done: set[str] = set(known.get("done", ()))
        self._readings: dict[str, _Reading] = {
            name: _Reading(folder / name, header, offset=offset, last=last)
            for name, (header, offset, last) in known.get("open", {}).items()
        }
        self.gone: list[str] = []
        """The segments that went away before all of them was read."""

    @property
    def position(self) -> dict[str, Any]:
        """How far it has read, in values that JSON takes."""
        begun = {name: [one.header_id, one.offset, one.last] for name, one in self._readings.items() if one.offset}
        return {"done": sorted(self._done), "open": begun}

    def __iter__(self) -> Iterator[tuple[RecordedCall, CallOrigin]]:
        """Raises TraceError if the folder cannot be read."""
        waiting = self._unread()[::-1]
        ready: list[tuple[int, str, _Reading, StoredRecord, Iterator[StoredRecord]]] = []
        while waiting or ready:
            while waiting and (not ready or _earliest(waiting[-1].path) <= ready[0][0]):
                self._push(ready, waiting[-1], self._records(waiting.pop()))
            if not ready:
                continue
            _, _, reading, found, records = heapq.heappop(ready)
            reading.offset, reading.last = found.end, found.record["id"]
            if not is_warm_up(found.record) and found.record["time"] >= self._since:
                yield self._call(reading, found)
            self._push(ready, reading, records)

    def at(self, origin: CallOrigin, id: str) -> RecordedCall | None:
        """Return the call `id` by the place that was given with it before; None if it is there no more."""
        path, offset = self._folder / origin.segment, origin.offset
        try:
            with open_segment(path) as file:
                header, record = header_of(file), read_at(file, offset)
                caller = read_at(file, origin.caller) if origin.caller is not None else None
        except OSError:
            return None
        if record is None or record["type"] != "call" or record["id"] != id:
            return None
        if caller is not None and (caller["type"] != "caller" or caller["id"] != record.get("caller")):
            caller = None

        def decode(side: str, stored: Record) -> bytes | None:
            return self._bodies.decode(path, offset, side, stored)

        return RecordedCall(record, caller, decode, self._annotations.labels(), writer_of(header, path))

    def _unread(self) -> list[_Reading]:
        """The segments with something new, oldest first."""
        try:
            every = segments(self._folder)
        except OSError as error:
            raise unreadable(self._folder, error) from None
        self._labels = self._annotations.labels(every)
        listed = {path: status for path, status in every.items() if not holds_annotations(path)}
        names = {name_in(self._folder, path) for path in listed}
        self._done &= names
        for name in [name for name in self._readings if name not in names]:
            reading = self._readings.pop(name)
            if not reading.complete:
                self.gone.append(name)
        found = []
        for path, status in listed.items():
            name = name_in(self._folder, path)
            if name in self._done:
                continue
            if status.closed and status.changed < self._since and name not in self._readings:
                self._done.add(name)
                continue
            reading = self._readings.setdefault(name, _Reading(path))
            if reading.listed != status or not reading.complete:
                reading.listed, reading.complete = status, False
                found.append(reading)
        return found

    def _push(
        self,
        ready: list[tuple[int, str, _Reading, StoredRecord, Iterator[StoredRecord]]],
        reading: _Reading,
        records: Iterator[StoredRecord],
    ) -> None:
        found = next(records, None)
        if found is not None:
            heapq.heappush(ready, (end(found.record), str(reading.path), reading, found, records))
            return
        reading.complete = reading.listed is not None
        if reading.listed is not None and reading.listed.closed:
            name = name_in(self._folder, reading.path)
            self._done.add(name)
            self._readings.pop(name, None)

    def _records(self, reading: _Reading) -> Iterator[StoredRecord]:
        """The calls of a segment behind those that were taken."""
        try:
            with open_segment(reading.path) as file:
                start = self._begin(reading, file)
                for found in walk(file, start):
                    if not isinstance(found, StoredRecord):
                        continue
                    if found.kind == "caller":
                        reading.callers[found.record["id"]] = found.offset, found.record
                    elif found.kind == "call" and found.offset >= reading.offset:
                        yield found
        except OSError:
            reading.listed = None  # the next look tries again

    def _begin(self, reading: _Reading, file: SegmentFile) -> int:
        """Find the place behind the last call that was taken. Return where the walk has to start."""
        header = header_of(file)
        header_id = str(header.get("id")) if header is not None else None
        if reading.offset and header_id != reading.header_id:  # written anew, without some of its calls
            records = (one for one in walk(file) if isinstance(one, StoredRecord))
            reading.offset = next((one.end for one in records if one.record.get("id") == reading.last), 0)
            reading.callers.clear()
            reading.knows_callers = False
        reading.header_id = header_id
        reading.writer = writer_of(header, reading.path)
        start = reading.offset if reading.knows_callers else 0
        reading.knows_callers = True
        return start

    def _call(self, reading: _Reading, found: StoredRecord) -> tuple[RecordedCall, CallOrigin]:
        path, offset = reading.path, found.offset

        def decode(side: str, stored: Record) -> bytes | None:
            return self._bodies.decode(path, offset, side, stored)

        caller_offset, caller = reading.callers.get(found.record.get("caller") or "", (None, None))
        call = RecordedCall(found.record, caller, decode, self._labels, reading.writer)
        machine = (reading.writer or {}).get("machine")
        return call, CallOrigin(name_in(self._folder, path), offset, caller_offset, machine)


def _earliest(path: Path) -> int:
    """Return the time before which no call of the segment of this name ended, in Unix nanoseconds; 0 if that is not
    known. A segment is made when its first call is written, which may be a while after its end."""
    try:
        made = datetime.strptime(path.name[: len(_STAMP)], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return (int(made.timestamp()) - _WRITTEN_WITHIN) * 10**9


class ScoreBacklog:
    """Iterate over it for the scores that are new; again, for those that were written meanwhile."""

    def __init__(self, folder: Path, position: Mapping[str, Any] | None = None) -> None:
        """`position` as another one gave it."""
        self._folder = folder
        self._read: dict[str, tuple[str, int]] = {name: (id, end) for name, (id, end) in (position or {}).items()}

    @property
    def position(self) -> dict[str, Any]:
        """How far it has read, in values that JSON takes: the segment's name, its id, the end of its last record."""
        return {name: list(read) for name, read in self._read.items()}

    def __iter__(self) -> Iterator[Record]:
        """Raises TraceError if the folder cannot be read."""
        try:
            listed = [path for path in segments(self._folder) if holds_annotations(path)]
        except OSError as error:
            raise unreadable(self._folder, error) from None
        names = {name_in(self._folder, path) for path in listed}
        self._read = {name: read for name, read in self._read.items() if name in names}
        for path in listed:
            yield from self._new(path)

    def _new(self, path: Path) -> Iterator[Record]:
        name = name_in(self._folder, path)
        try:
            with open_segment(path) as file:
                header = header_of(file)
                if header is None:
                    return
                id, end = self._read.get(name, ("", 0))
                if id != header["id"]:
                    id, end = str(header["id"]), 0
                for found in walk(file, end):
                    if isinstance(found, StoredRecord):
                        self._read[name] = id, found.end
                        if found.kind == "score":
                            yield found.record
        except OSError:  # pruned meanwhile, or not ours
            return
