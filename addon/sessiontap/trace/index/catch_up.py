"""Bring the index up to date with what the segments hold beyond the place where it stopped.

Work is done in batches, each one transaction that leaves rows, sums and place in agreement: a process that is
interrupted, or finds that another was quicker, goes on from there.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sessiontap.trace.files import FileStatus, SegmentFile, holds_annotations, open_segment, segments
from sessiontap.trace.folders import name_in
from sessiontap.trace.index import first_build, scores
from sessiontap.trace.index.costs import CostWriter, Prices
from sessiontap.trace.index.database import writing
from sessiontap.trace.index.findings import Finding, ReadAhead, findings
from sessiontap.trace.index.labelling import Labelling, Stored
from sessiontap.trace.index.removal import Removal
from sessiontap.trace.index.rows import INSERT, Callers, Strings, process_numbers
from sessiontap.trace.index.segment_sums import SegmentSums
from sessiontap.trace.index.sums import Sums
from sessiontap.trace.rewriting import Rewritten
from sessiontap.trace.walk import header_of, writer_of

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the bytes that are done and all that there are to do."""

BATCH = 10_000
"""Records in one transaction."""
SMALL_BATCH = 1_000
"""The same if there is little time."""
_ALL = 1 << 62
_TOGETHER = 1_000
"""Calls that are inserted at once."""
_READERS = 2
"""Processes that read ahead in a large build."""
UNFINISHED = -1
_STATE = 'name, closed, size, changed, "end"'


@dataclass(slots=True)
class _Indexed:
    n: int
    path: Path
    id: str | None
    closed: bool
    size: int
    changed: int
    end: int
    machine: str | None = None
    host: str | None = None


@dataclass(slots=True)
class _Batch:
    """The calls of one segment that go into the index together."""

    sums: SegmentSums
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    costs: list[Any] = field(default_factory=list)
    recorded: list[tuple[int, Stored]] = field(default_factory=list)
    """The recorded facts of those that labels change, by their places in `rows`."""


class CatchUp:
    """Brings the index of `folder` up to date. The folder's files are read; nothing but the database is written."""

    def __init__(
        self, database: sqlite3.Connection, folder: Path, batch: int = BATCH, prices: Prices | None = None
    ) -> None:
        self._database, self._folder, self._batch = database, folder, batch
        self._strings = Strings(database)
        self._processes: dict[int, tuple[int, int | None]] = {}
        self._version: int | None = None
        self._labelling = Labelling(database, self._strings)
        self._scored: set[str] = set()
        """Sessions and calls that were scored, by their ids."""
        self._sums = Sums(self._strings, self._process)
        self._removal = Removal(database, self._labelling, self._sums)
        self._cost_of = prices.cost_of if prices is not None else None
        self._costs = CostWriter(database, prices) if prices is not None else None
        self._prices_now = False
        self._last_call = 0
        self._ahead: list[ReadAhead] = []
        self._ahead_prices = False
        self._ahead_segment: int | None = None
        """The segment of which another process has given records."""

    def run(self, progress: Progress | None = None, until: float | None = None) -> bool:
        """Take in what is new, the newest segments first, until the monotonic clock says `until`.

        Return False if there is more to do. Raises sqlite3.OperationalError if the database is busy for too long.
        """
        finished = True
        if until is not None:
            finished = first_build.finish(self._database, until)
        elif not self._rows("n").fetchone() and self._bytes() > first_build.LARGE:
            first_build.begin(self._database)
        try:
            complete = self._take_all(progress, until)
        finally:
            self._stop_reading_ahead()
        if complete and until is None:
            first_build.finish(self._database)
        return complete and finished

    def _take_all(self, progress: Progress | None, until: float | None) -> bool:
        if not self._is_behind():
            return True
        if until is None:
            self._read_ahead()
        while True:
            try:
                with _without_collections(), writing(self._database):
                    self._forget_if_changed()
                    self._prices_now = self._costs is not None and self._costs.is_current()
                    done, total, more = self._step()
                    self._sums.write(self._database)
            except BaseException:
                self._strings.forget()
                self._sums.forget()
                self._labelling.forget()
                self._scored.clear()
                self._processes.clear()
                if self._costs is not None:
                    self._costs.forget()
                raise
            if progress is not None:
                progress(done, total)
            if not more or not self._is_behind():
                return True
            if until is not None and time.monotonic() >= until:
                return False

    def _forget_if_changed(self) -> None:
        """Empty the caches if another process has changed the index."""
        (version,) = self._database.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version = version
            self._strings.forget()
            self._labelling.forget()
            self._processes.clear()
            if self._costs is not None:
                self._costs.forget()

    def _is_behind(self) -> bool:
        rows = self._rows("name, closed, size, changed")
        known = {name: FileStatus(bool(closed), *rest) for name, closed, *rest in rows}
        return known != _files(self._folder)

    def _bytes(self) -> int:
        return sum(file.size for file in _files(self._folder).values())

    def _read_ahead(self) -> None:
        """Have other processes read what is new, if that is much: they take turns with its segments."""
        known = {name: (FileStatus(bool(closed), *rest), end) for name, closed, *rest, end in self._rows(_STATE)}
        new = {
            name: file
            for name, file in _newest_first(_files(self._folder))
            if (name not in known or known[name][0] != file) and not holds_annotations(self._folder / name)
        }
        if sum(file.size for file in new.values()) > first_build.LARGE and ReadAhead.is_possible():
            self._ahead_prices = self._costs is not None and self._costs.is_current()
            places = [(self._folder / name, known[name][1] if name in known else 0) for name in new]
            cost_of = self._cost_of if self._ahead_prices else None
            for first in range(min(_READERS, len(places))):
                self._ahead.append(ReadAhead(places[first::_READERS], cost_of))

    def _stop_reading_ahead(self) -> None:
        for one in self._ahead:
            one.close()
        self._ahead.clear()

    def _rows(self, columns: str) -> sqlite3.Cursor:
        return self._database.execute(f"SELECT {columns} FROM segments")

    def _step(self) -> tuple[int, int, bool]:
        """One batch. Bytes that are done and bytes in all, and whether there is more to do."""
        files = _files(self._folder)
        columns = 'n, name, id, closed, size, changed, "end"'
        known = {
            name: _Indexed(n, self._folder / name, header_id, bool(closed), *rest)
            for n, name, header_id, closed, *rest in self._rows(columns)
        }
        gone = [segment for name, segment in known.items() if name not in files]
        if gone:
            self._remove([segment.n for segment in gone])
        left, done = self._batch, 0
        annotations = {name for name in files if holds_annotations(self._folder / name)}
        for name in annotations:  # labels come before the calls that they are for
            done += self._take_new(known.get(name) or self._begin(name), files[name], _ALL)[1]
        self._apply_annotations()
        for name, _ in _newest_first(files):
            if name in annotations:
                continue
            taken, end = self._take_new(known.get(name) or self._begin(name), files[name], left)
            left -= taken
            done += end
        return done, max(sum(file.size for file in files.values()), done), left <= 0

    def _take_new(self, segment: _Indexed, file: FileStatus, most: int) -> tuple[int, int]:
        """Take in what a segment has got, `most` records of it. How many there were, and the bytes that are done."""
        taken = 0
        if most > 0 and FileStatus(segment.closed, segment.size, segment.changed) != file:
            taken = self._take(segment, file, most)
        return taken, file.size if segment.size == file.size else min(segment.end, file.size)

    def _apply_annotations(self) -> None:
        """Label the calls again that labels are for which came or went, and find the scores that count."""
        if relabelled := self._labelling.relabel():
            self._removal.sum_again(json.dumps(relabelled))
            self._strings.forget()
        scores.find_current(self._database, self._scored)
        self._scored.clear()

    def _begin(self, name: str) -> _Indexed:
        (n,) = self._database.execute(
            'INSERT INTO segments(name, closed, size, changed, "end") VALUES (?, 0, ?, 0, 0) RETURNING n',
            (name, UNFINISHED),
        ).fetchone()
        return _Indexed(n, self._folder / name, None, False, UNFINISHED, 0, 0)

    def _take(self, segment: _Indexed, listed: FileStatus, most: int) -> int:
        """Records of a segment that has changed. How many there were."""
        try:
            with open_segment(segment.path) as file:
                header = header_of(file)
                header_id = str(header.get("id")) if header is not None else None
                writer = writer_of(header, segment.path)
                segment.machine, segment.host = writer.get("machine"), writer["host"]
                if segment.end and not self._goes_on(segment, listed, file.size, header_id):
                    self._remove([segment.n])  # another segment of the same name, or one that was changed in place
                    restarted = self._begin(name_in(self._folder, segment.path))
                    segment.n, segment.end = restarted.n, 0
                segment.id, segment.closed, segment.changed = header_id, listed.closed, listed.changed
                taken = self._walk(segment, file, listed.size, most)
        except FileNotFoundError:  # pruned meanwhile: gone with the next look
            return 0
        except OSError as error:
            self._trouble(segment, 0, 0, f"cannot be read: {error.strerror or error}")
            segment.size, segment.changed, taken = UNFINISHED, listed.changed, 0
        self._database.execute(
            'UPDATE segments SET id = ?, machine = coalesce(?, machine), closed = ?, size = ?, changed = ?, "end" = ?, '
            "host = coalesce(?, host) WHERE n = ?",
            (segment.id, segment.machine, segment.closed, segment.size, segment.changed, segment.end, segment.host,
             segment.n),
        )
        return taken

    def _goes_on(self, segment: _Indexed, listed: FileStatus, plain_size: int, header_id: str | None) -> bool:
        """The file is what was taken in so far, grown or closed since."""
        if plain_size < segment.end or header_id != segment.id:
            return False
        return segment.closed != listed.closed or segment.size != listed.size

    def _walk(self, segment: _Indexed, file: SegmentFile, size: int, most: int) -> int:
        source = self._source(segment, file)
        callers = Callers(self._database, segment.n, self._strings)
        batch = _Batch(SegmentSums(segment.n))
        strings, has_labels = self._strings, bool(self._labelling.labels)
        add_to_segment, add_to_sessions = batch.sums.add, self._sums.add
        taken = 0
        complete = True
        for found in source:
            kind, offset, end, told = found
            if kind == "trouble":
                size_of, text, growing = told
                if growing:
                    complete = False
                else:
                    self._trouble(segment, offset, size_of, text)
                continue
            if taken >= most:
                complete = False
                break
            taken += 1
            segment.end = end
            if kind != "call":
                self._record(segment, found, callers, batch)
                continue
            values, cost = told
            if has_labels:
                values, recorded = self._labelling.labelled(values)
                if recorded is not None:
                    batch.recorded.append((len(batch.rows), recorded))
            plain, texts, jsons, session_id, caller = values
            session = strings.session(session_id) if session_id is not None else None
            # `rows.row_of`, without its call: this is done a million times
            row = session, callers.numbers.get(caller or ""), segment.n, offset, *plain, strings.alike(texts, jsons)
            batch.rows.append(row)
            add_to_segment(row)
            add_to_sessions(row)
            if cost is not None:
                batch.costs.append(cost)
            if len(batch.rows) == _TOGETHER:
                self._insert(batch)
        self._insert(batch)
        batch.sums.write(self._database, self._last_call)
        whole = segment.closed or segment.end <= size  # a plain one may grow while it is read
        segment.size = size if complete and whole else UNFINISHED
        return taken

    def _source(self, segment: _Indexed, file: SegmentFile) -> Iterator[Finding]:
        """The findings of a segment that are not taken in yet."""
        ahead = next((one for one in self._ahead if one.has(segment.path, file, segment.end)), None)
        if ahead is None or self._ahead_prices != self._prices_now:
            return self._findings(segment, file)
        if self._ahead_segment != segment.n:
            self._forget_problems(segment)
            self._ahead_segment = segment.n
        return self._findings_ahead(ahead, segment, file)

    def _findings_ahead(self, ahead: ReadAhead, segment: _Indexed, file: SegmentFile) -> Iterator[Finding]:
        try:
            yield from ahead.findings()
        except EOFError:  # somebody has ended that process
            self._stop_reading_ahead()
            yield from self._findings(segment, file)

    def _findings(self, segment: _Indexed, file: SegmentFile) -> Iterator[Finding]:
        self._forget_problems(segment)
        yield from findings(file, segment.end, self._cost_of if self._prices_now else None)

    def _forget_problems(self, segment: _Indexed) -> None:
        self._database.execute("DELETE FROM problems WHERE segment = ? AND offset >= ?", (segment.n, segment.end))

    def _insert(self, batch: _Batch) -> None:
        if not batch.rows:
            return
        self._database.executemany(INSERT, batch.rows)
        (self._last_call,) = self._database.execute("SELECT last_insert_rowid()").fetchone()
        first = self._last_call - len(batch.rows) + 1
        if self._costs is not None and self._prices_now:
            self._costs.add(first, batch.costs)
        if batch.recorded:
            self._labelling.keep((first + place, stored) for place, stored in batch.recorded)
            batch.recorded.clear()
        batch.rows.clear()
        batch.costs.clear()

    def _record(self, segment: _Indexed, found: Finding, callers: Callers, batch: _Batch) -> None:
        kind, offset, _, told = found
        if kind == "warm_up":
            id, session, time = told
            batch.sums.add_warm_up(self._labelling.add_warm_up(id, segment.n, offset, session), time)
        elif kind == "caller":
            callers.add(told, offset)
            self._processes.clear()
        elif kind == "note":
            self._database.execute("INSERT INTO notes(segment, time, record) VALUES (?, ?, ?)", (segment.n, *told))
        elif kind == "label" and holds_annotations(segment.path):
            self._labelling.add(segment.n, told)
        elif kind == "score" and holds_annotations(segment.path):
            self._scored.update(scores.add(self._database, segment.n, told))

    def _process(self, caller: int) -> tuple[int, int | None]:
        if caller not in self._processes:
            self._processes[caller] = process_numbers(self._database, self._strings, caller)
        return self._processes[caller]

    def _trouble(self, segment: _Indexed, offset: int, size: int, text: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO problems VALUES (?, ?, ?, ?)", (segment.n, offset, size, text))

    def _remove(self, segments: list[int]) -> None:
        self._scored.update(self._removal.remove(segments))
        self._strings.forget()
        self._processes.clear()

    def follow(self, one: Rewritten) -> None:
        """Forget the calls that a segment has lost, and know the others where they stand now."""
        if one.before is None or one.after is None:
            return
        with _without_collections(), writing(self._database):
            known = "name = ? AND id IS ? AND closed = ? AND size = ? AND changed = ?"
            found = self._database.execute(
                f"SELECT n, first_call, last_call FROM segments WHERE {known}",
                (name_in(self._folder, one.path), one.old_id, *one.before),
            ).fetchone()
            if found is not None:
                self._forget_if_changed()
                self._removal.move(one, *found)
                self._strings.forget()


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Let no garbage collection run meanwhile. Records hold no cycles, and so many of them that they would cause one
    after the other: an eighth of the time of a batch."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _newest_first(files: dict[str, FileStatus]) -> list[tuple[str, FileStatus]]:
    return sorted(files.items(), key=lambda one: (Path(one[0]).name, one[0]), reverse=True)


def _files(folder: Path) -> dict[str, FileStatus]:
    return {name_in(folder, path): listed for path, listed in segments(folder).items()}
