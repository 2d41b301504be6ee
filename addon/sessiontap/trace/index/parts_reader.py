"""Reading the parts of calls into the index.

Bodies are unpacked and read by the `PartsOf` of whoever opened the trace. Calls are read from the newest to the oldest,
in slices. A slice is one transaction, so that whoever interrupts it loses a slice at most, and the next reader goes on
from there. `unread_calls` names those that are left.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from sessiontap.part import CallParts, Part, PartsOf
from sessiontap.trace.body import BodyError, BodyReader
from sessiontap.trace.files import open_segment
from sessiontap.trace.index import first_build
from sessiontap.trace.index.database import writing
from sessiontap.trace.index.packed_ids import id_text, pack_id
from sessiontap.trace.index.parts import Placed, add_text, digest_of, packed, reply_list, request_list
from sessiontap.trace.index.shared_list import common
from sessiontap.trace.walk import read_at

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the calls that are done and all that there are."""

SLICE = 20
"""Calls in one transaction."""
FIRST_SLICE = 4
"""The same of the first one if there is little time: an agent's bodies take a while."""
LONGEST = 1_000_000
"""Characters of a text that is kept and searched."""
MOST_TEXT = 16 << 20
"""Characters of new texts of one call that are kept: a body of a few bytes may stand for many."""
_MOST_LISTED = 1_000_000
"""Parts of calls that are remembered while others are read."""
_MOST_NUMBERS = 200_000
"""Parts whose numbers are remembered."""
_NOTHING = CallParts([], [])


class PartsReader:
    """Reads the parts of calls into the index."""

    def __init__(self, database: sqlite3.Connection, folder: Path, parts_of: PartsOf) -> None:
        self._database, self._folder, self._parts_of = database, folder, parts_of
        self._bodies = BodyReader()
        self._lists: OrderedDict[int, list[Placed]] = OrderedDict()
        self._listed = 0
        self._numbers: dict[bytes, int] = {}
        """Of parts, by their digests."""
        self._version: int | None = None

    def read_session(
        self,
        session: int,
        progress: Progress | None = None,
        wanted: str | None = None,
        until: float | None = None,
    ) -> None:
        """Read the calls of a session that were not read yet, the oldest first: a slice at least, until all are read or
        the monotonic clock says `until`. `wanted`: the ids of some, as a JSON list."""
        if not first_build.finish(self._database, until):  # it says which calls were not read
            return
        where, values = "WHERE session = :session", {"session": session, "wanted": wanted}
        if wanted is not None:
            where += " AND packed_id IN (SELECT pack_id(value) FROM json_each(:wanted))"
        calls = "SELECT n, calls.time FROM calls JOIN unread_calls ON call = n AND unread_calls.time = calls.time"
        unread = self._database.execute(f"{calls} {where} ORDER BY 2, 1", values).fetchall()
        for at in range(0, len(unread), SLICE):
            with self._slice():
                self._read([n for n, _ in unread[at : at + SLICE]])
            if progress is not None:
                progress(min(at + SLICE, len(unread)), len(unread))
            if until is not None and time.monotonic() >= until:
                return

    def _read_newest(self, most: int) -> int:
        """Read the newest calls that were not read yet, at most so many, as a slice. Return how many there were."""
        with self._slice():
            newest = "SELECT call FROM unread_calls ORDER BY time DESC, call DESC LIMIT ?"
            calls = [n for (n,) in self._database.execute(newest, (most,))]
            self._read(calls)
        return len(calls)

    def read(self, until: float | None = None, progress: Progress | None = None) -> None:
        """Read calls slice by slice, at least one, until all are read or the monotonic clock says `until`."""
        first_build.finish(self._database)
        if not (left := unread_calls(self._database)):
            return
        total, most = left, SLICE if until is None else min(FIRST_SLICE, SLICE)
        while read := self._read_newest(most):
            left, most = max(0, left - read), SLICE
            if progress is not None:
                progress(total - left, total)
            if until is not None and time.monotonic() >= until:
                return

    def _read(self, calls: list[int]) -> None:
        """Read these calls, those that were read meanwhile left out, each behind the one that it continues."""
        rows = self._database.execute(
            f'SELECT calls.n, segments.name, calls."offset", {id_text("calls.parent")}, calls.time FROM calls '
            "JOIN segments ON segments.n = segment WHERE calls.n IN (SELECT value FROM json_each(?)) "
            "AND NOT EXISTS (SELECT 1 FROM call_parts WHERE call = calls.n) ORDER BY calls.time, calls.n",
            (json.dumps(calls),),
        ).fetchall()
        for row, found in self._found(rows):
            self._store(row[0], row[3], found)
        read = [(time, n) for n, _, _, _, time in rows]
        self._database.executemany("DELETE FROM unread_calls WHERE time = ? AND call = ?", read)

    @contextlib.contextmanager
    def _slice(self) -> Iterator[None]:
        """A transaction. The caches are emptied if it is taken back, and if another process has changed the index: it
        may have removed what they name."""
        try:
            with writing(self._database):
                (version,) = self._database.execute("PRAGMA data_version").fetchone()
                if version != self._version:
                    self._version = version
                    self._forget()
                yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._lists.clear()
        self._listed = 0
        self._numbers.clear()

    def _found(self, rows: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], CallParts]]:
        """Calls with their parts; none of those whose file is gone or damaged."""
        for name, calls in groupby(rows, key=lambda row: row[1]):
            left = list(calls)[::-1]
            try:
                with open_segment(self._folder / name) as file:
                    while left:
                        record = read_at(file, left[-1][2])
                        known = record is not None and record["type"] == "call"
                        place = self._folder / name, left[-1][2]
                        yield left.pop(), self._parts(place, record) if record and known else _NOTHING
            except OSError:
                yield from ((row, _NOTHING) for row in reversed(left))

    def _parts(self, place: tuple[Path, int], record: Record) -> CallParts:
        """The parts of a call; none if it is damaged or of a shape that their reader does not expect."""
        try:
            bodies: dict[str, bytes | None] = {}
            for side in ("request", "response"):
                stored = (record.get(side) or {}).get("body")
                bodies[side] = self._bodies.decode(*place, side, stored) if stored is not None else None
            return self._parts_of(record, bodies["request"], bodies["response"])
        except (BodyError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return _NOTHING  # the call is found by its other columns alone

    def _store(self, call: int, parent: str | None, parts: CallParts) -> None:
        room = _Room(MOST_TEXT)
        request = [(self._number(part, room), part.message) for part in parts.request]
        database = self._database
        base, shared = self._base(parent, request)
        database.execute("INSERT INTO call_parts VALUES (?, ?, ?)", (call, base, shared))
        if base is None and parent is not None and request:
            database.execute("INSERT INTO orphans VALUES (?, ?)", (parent, call))
        replied = self._replied(base)
        added = [(call, 0, at, *request[at], request[at][0] in replied) for at in range(shared, len(request))]
        added += [(call, 1, at, self._number(part, room), None, False) for at, part in enumerate(parts.reply)]
        database.executemany("INSERT INTO added_parts VALUES (?, ?, ?, ?, ?, ?)", added)
        self._remember(call, request)
        self._adopt(call, request)

    def _adopt(self, call: int, request: list[Placed]) -> None:
        """Store calls that were read before the one that they continue as changes of it."""
        database = self._database
        orphans = "SELECT call FROM orphans WHERE parent = (SELECT id FROM calls WHERE n = ?)"
        for (orphan,) in database.execute(orphans, (call,)).fetchall():
            shared = common(self._list(orphan), request)
            if shared:
                database.execute("UPDATE call_parts SET base = ?, shared = ? WHERE call = ?", (call, shared, orphan))
                database.execute(
                    "DELETE FROM added_parts WHERE call = ? AND reply = 0 AND position < ?", (orphan, shared)
                )
                replied = [(orphan, part) for part in self._replied(call)]
                database.executemany(
                    "UPDATE added_parts SET sent_back = 1 WHERE call = ? AND reply = 0 AND part = ?", replied
                )
            database.execute("DELETE FROM orphans WHERE call = ?", (orphan,))

    def _number(self, part: Part, room: _Room) -> int:
        """The number of a part; it is stored if it is new."""
        digest = digest_of(part)
        if (known := self._numbers.get(digest)) is not None:
            return known
        found = self._database.execute("SELECT n FROM parts WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            name = None if part.name is None else _string(self._database, part.name)
            text = room.take(part.text)
            found = self._database.execute(
                "INSERT INTO parts(digest, kind, role, name, id, error, bytes, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                "RETURNING n",
                (digest, part.kind, part.role, name, _utf8(part.id), part.error, part.bytes, packed(text)),
            ).fetchone()
            add_text(self._database, found[0], text)
        if len(self._numbers) >= _MOST_NUMBERS:
            self._numbers.clear()
        self._numbers[digest] = number = int(found[0])
        return number

    def _base(self, parent: str | None, request: list[Placed]) -> tuple[int | None, int]:
        """The call that the request is stored as a change of, and the number of parts that both begin with."""
        if parent is None or not request:
            return None, 0
        found = self._database.execute(
            "SELECT n FROM calls JOIN call_parts ON call = n WHERE packed_id = ? ORDER BY n DESC LIMIT 1",
            (pack_id(parent),),
        ).fetchone()
        shared = common(request, self._list(found[0])) if found is not None else 0
        return (found[0], shared) if shared else (None, 0)

    def _replied(self, call: int | None) -> set[int]:
        """The parts of a call's reply."""
        return set() if call is None else {part for part, _ in reply_list(self._database, call)}

    def _list(self, call: int) -> list[Placed]:
        if call in self._lists:
            self._lists.move_to_end(call)
            return self._lists[call]
        found = request_list(self._database, call)
        self._remember(call, found)
        return found

    def _remember(self, call: int, parts: list[Placed]) -> None:
        self._lists[call] = parts
        self._listed += len(parts)
        while self._listed > _MOST_LISTED and len(self._lists) > 1:
            self._listed -= len(self._lists.popitem(last=False)[1])


def unread_calls(database: sqlite3.Connection) -> int:
    """The number of calls that were not read yet."""
    return int(database.execute("SELECT count(*) FROM unread_calls").fetchone()[0])


class _Room:
    """The room for texts that one call may bring."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, text: str | None) -> str | None:
        """As much of a text as is kept."""
        if text is None:
            return None
        kept = text[: min(LONGEST, self._left)]
        self._left -= len(kept)
        return _utf8(kept)


def _utf8(text: str | None) -> str | None:
    """A text that SQLite takes, and in which its trigrams see no end."""
    return text if text is None else text.replace("\0", " ").encode("utf-8", "replace").decode()


def _string(database: sqlite3.Connection, text: str) -> int:
    kept = _utf8(text)
    found = database.execute("SELECT n FROM strings WHERE text = ?", (kept,)).fetchone()
    found = found or database.execute("INSERT INTO strings(text) VALUES (?) RETURNING n", (kept,)).fetchone()
    return int(found[0])
