"""Bringing the index up to date: what the segments hold beyond the place where it stopped.

Work is done in batches, each one transaction that leaves rows, sums and place in agreement: whoever is interrupted, or
finds that another process was quicker, goes on from there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sessiontap.trace import frame, shared, templates
from sessiontap.trace.damage import HEADLESS, WORDS
from sessiontap.trace.index import values as shared_values
from sessiontap.trace.index.rows import COLUMNS, row_of
from sessiontap.trace.index.strings import Callers, Strings, process_number
from sessiontap.trace.index.sums import Sums
from sessiontap.trace.index.transaction import writing
from sessiontap.trace.segment import SUFFIX, is_live, is_ours
from sessiontap.trace.views import is_warm_up

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the bytes that are done and all that there are to do."""

BATCH = 10_000
"""Records in one transaction."""
UNFINISHED = -1
_INSERT = f"INSERT INTO calls({', '.join(f'"{name}"' for name in COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


@dataclass(slots=True)
class _Segment:
    n: int
    path: Path
    id: str | None
    readable: bool
    size: int
    changed: int
    end: int


class CatchUp:
    """Brings the index of `folder` up to date. The folder's files are read; nothing but the database is written."""

    def __init__(self, database: sqlite3.Connection, folder: Path, batch: int = BATCH) -> None:
        self._database, self._folder, self._batch = database, folder, batch
        self._strings = Strings(database)
        self._processes: dict[int, int | None] = {}
        self._version: int | None = None
        self._sums = Sums(self._strings.number, self._strings.text, self._process)

    def run(self, progress: Progress | None = None) -> None:
        """Take in all that is new. Raises sqlite3.OperationalError where the database is busy for too long."""
        while self._is_behind():
            try:
                with writing(self._database):
                    self._forget_if_changed()
                    done, total, more = self._step()
                    self._sums.write(self._database)
            except BaseException:
                self._strings.forget()
                self._sums.forget()
                self._processes.clear()
                raise
            if progress is not None:
                progress(done, total)
            if not more:
                return

    def _forget_if_changed(self) -> None:
        """Another process may have taken away what is known by heart."""
        (version,) = self._database.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version = version
            self._strings.forget()
            self._processes.clear()

    def _is_behind(self) -> bool:
        known = {name: (size, changed) for name, size, changed in self._rows("name, size, changed")}
        return known != _files(self._folder)

    def _rows(self, columns: str) -> Iterator[tuple[Any, ...]]:
        return iter(self._database.execute(f"SELECT {columns} FROM segments"))

    def _step(self) -> tuple[int, int, bool]:
        """One batch. Bytes that are done and bytes in all, and whether there is more to do."""
        files = _files(self._folder)
        columns = 'n, name, id, readable, size, changed, "end"'
        known = {
            name: _Segment(n, self._folder / name, header_id, bool(readable), *rest)
            for n, name, header_id, readable, *rest in self._rows(columns)
        }
        gone = [segment for name, segment in known.items() if name not in files]
        if gone:
            self._remove([segment.n for segment in gone])
        left = self._batch
        done = total = 0
        for name in sorted(files):
            size, changed = files[name]
            segment = known.get(name) or self._begin(name)
            total += size
            if left > 0 and (segment.size, segment.changed) != (size, changed):
                segment.changed = changed
                left -= self._take(segment, size, left)
            done += size if segment.size == size else min(segment.end, size)
        return done, max(total, done), left <= 0

    def _begin(self, name: str) -> _Segment:
        (n,) = self._database.execute(
            'INSERT INTO segments(name, readable, size, changed, "end") VALUES (?, 1, ?, 0, 0) RETURNING n',
            (name, UNFINISHED),
        ).fetchone()
        return _Segment(n, self._folder / name, None, True, UNFINISHED, 0, 0)

    def _take(self, segment: _Segment, size: int, most: int) -> int:
        """Records of a segment that has changed. How many there were."""
        try:
            with segment.path.open("rb", buffering=0) as file:
                header = _header(file)
                header_id = str(header.get("id")) if header else None
                if segment.end and (size < segment.end or size == segment.size or header_id != segment.id):
                    self._remove([segment.n])  # another file of the same name, or one that was changed in place
                    restarted = self._begin(segment.path.name)
                    segment.n, segment.end = restarted.n, 0
                segment.id = header_id
                segment.readable = header is None or is_ours(header)
                taken = (
                    self._scan(segment, file, size, most) if segment.readable else self._refuse(segment, header, size)
                )
        except FileNotFoundError:  # pruned meanwhile: gone with the next look
            return 0
        except OSError as error:
            self._trouble(segment, 0, 0, f"cannot be read: {error.strerror or error}")
            segment.size, taken = UNFINISHED, 0
        self._database.execute(
            'UPDATE segments SET id = ?, readable = ?, size = ?, changed = ?, "end" = ? WHERE n = ?',
            (segment.id, segment.readable, segment.size, segment.changed, segment.end, segment.n),
        )
        return taken

    def _refuse(self, segment: _Segment, header: Record | None, size: int) -> int:
        what = f"format {(header or {}).get('format')!r} version {(header or {}).get('version')!r}"
        self._trouble(segment, 0, size, f"is of {what}, which this version cannot read")
        segment.size = size
        return 0

    def _scan(self, segment: _Segment, file: BinaryIO, size: int, most: int) -> int:
        self._database.execute("DELETE FROM problems WHERE segment = ? AND offset >= ?", (segment.n, segment.end))
        values = shared_values.of_segment(self._database, segment.n)
        callers = Callers(self._database, segment.n, self._strings)
        damage: list[frame.Damage] = []
        rows: list[tuple[Any, ...]] = []
        taken = 0
        complete = True
        for found in frame.scan(file, segment.end):
            if isinstance(found, frame.Damage):
                damage.append(found)
                continue
            if taken >= most:
                complete = False
                break
            taken += 1
            self._record(segment, found, callers, values, rows)
            segment.end = found.offset + found.size
        if complete and damage and damage[-1].offset >= segment.end and is_live(file):
            damage.pop()  # it is being written
            complete = False
        for one in damage:
            self._trouble(segment, one.offset, one.size, WORDS[one.kind])
        if segment.end and segment.id is None:
            self._trouble(segment, 0, 0, HEADLESS)
        self._database.executemany(_INSERT, rows)
        segment.size = size if complete and segment.end <= size else UNFINISHED  # it may grow while it is read
        return taken

    def _record(
        self,
        segment: _Segment,
        found: frame.Frame,
        callers: Callers,
        values: dict[int, Any],
        rows: list[tuple[Any, ...]],
    ) -> None:
        record = frame.decode(found.payload)
        kind = record.get("type") if record is not None else None
        if record is None:
            self._trouble(segment, found.offset, found.size, "holds a value that is no record")
        elif kind == "call" and isinstance(record.get("time"), int):
            if templates.is_lost(record, values):
                self._trouble(segment, found.offset, found.size, templates.LOST)
            record = shared.indexed(record, values)
            if is_warm_up(record):
                self._database.execute(
                    "INSERT INTO warm_ups VALUES (?, ?, ?)", (str(record.get("id")), segment.n, found.offset)
                )
                return
            try:
                session = (record.get("session") or {}).get("id")
                row = row_of(
                    record,
                    segment=segment.n,
                    offset=found.offset,
                    session=self._strings.session(session) if isinstance(session, str) else None,
                    caller=callers.numbers.get(str(record.get("caller"))),
                    strings=self._strings,
                )
            except (TypeError, ValueError, AttributeError):
                self._trouble(
                    segment, found.offset, found.size, "holds a call whose values are not what they should be"
                )
                return
            rows.append(row)
            self._sums.add(row)
        elif kind == "caller":
            callers.add(record)
            self._processes.clear()
        elif kind == "values":
            new = shared.values_of(record)
            values |= new
            shared_values.keep(self._database, segment.n, new)
        elif kind == "note":
            at = record.get("time")
            self._database.execute(
                "INSERT INTO notes(segment, time, record) VALUES (?, ?, ?)",
                (segment.n, at if isinstance(at, int) else 0, json.dumps(record, default=str)),
            )

    def _process(self, caller: int) -> int | None:
        if caller not in self._processes:
            self._processes[caller] = process_number(self._database, self._strings, caller)
        return self._processes[caller]

    def _trouble(self, segment: _Segment, offset: int, size: int, text: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO problems VALUES (?, ?, ?, ?)", (segment.n, offset, size, text))

    def _remove(self, segments: list[int]) -> None:
        """Forget segments; the sums of the sessions that had calls there are made again from what is left."""
        self._sums.write(self._database)  # what this batch has added so far is among the rows that are left
        chosen = json.dumps(segments)
        within = "segment IN (SELECT value FROM json_each(?))"
        database = self._database
        touched = json.dumps(
            [n for (n,) in database.execute(f"SELECT DISTINCT session FROM calls WHERE {within}", (chosen,)) if n]
        )
        database.execute(f"DELETE FROM call_texts WHERE call IN (SELECT n FROM calls WHERE {within})", (chosen,))
        database.execute(f"DELETE FROM costs WHERE call IN (SELECT n FROM calls WHERE {within})", (chosen,))
        database.execute("DELETE FROM texts WHERE n NOT IN (SELECT text FROM call_texts)")
        for table in ("calls", "callers", "notes", "problems", "shared", "warm_ups"):
            database.execute(f"DELETE FROM {table} WHERE {within}", (chosen,))
        database.execute("DELETE FROM segments WHERE n IN (SELECT value FROM json_each(?))", (chosen,))
        again = "IN (SELECT value FROM json_each(?))"
        database.execute(f"DELETE FROM session_values WHERE session {again}", (touched,))
        database.execute(f"DELETE FROM session_properties WHERE session {again}", (touched,))
        database.execute(
            "UPDATE sessions SET calls = 0, errors = 0, started = NULL, ended = NULL, input = NULL, output = NULL, "
            f"cache_read = NULL, first_time = NULL, name = NULL, last_time = NULL, last_failed = NULL WHERE n {again}",
            (touched,),
        )
        columns = ", ".join(f'"{name}"' for name in COLUMNS)
        for row in database.execute(f"SELECT {columns} FROM calls WHERE session {again} ORDER BY n", (touched,)):
            self._sums.add(row)
        self._sums.write(database)
        database.execute("DELETE FROM sessions WHERE calls = 0")
        self._strings.forget()
        self._processes.clear()


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """The segment files, their sizes and last changes."""
    files = {}
    for path in folder.iterdir():
        if path.suffix == SUFFIX:
            try:
                if path.is_file():
                    status = path.stat()
                    files[path.name] = status.st_size, status.st_mtime_ns
            except OSError:
                continue
    return files


def _header(file: BinaryIO) -> Record | None:
    first = frame.read_one(file, 0)
    record = frame.decode(first.payload) if first is not None else None
    return record if record is not None and record.get("type") == "segment" else None
