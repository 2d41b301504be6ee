"""The parts of calls: what each call added to the conversation, read out of the bodies and stored once.

Bodies are unpacked and read by the `PartsOf` of whoever opened the trace. A part that comes again (agents repeat theirs
with every turn) is stored once, by its digest. A call's request is stored as the number of parts that it begins with in
common with an earlier call's, and those behind them. That earlier call, its `base`, is a matter of storage alone: the
call that another one continues is its `parent`.

Calls are read from the newest to the oldest, in slices. A slice is one transaction, so that whoever interrupts it loses
a slice at most, and the next reader goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from sessiontap.part import CallParts, Part, PartsOf
from sessiontap.trace.body import BodyError, BodyReader
from sessiontap.trace.files import open_segment
from sessiontap.trace.index.database import writing
from sessiontap.trace.walk import read_at

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the calls that are done and all that there are."""
Placed = tuple[int, int | None]
"""A part's number, and the position of its message."""

SLICE = 200
"""Calls in one transaction."""
LONGEST = 1_000_000
"""Characters of a text that is kept and searched."""
MOST_TEXT = 16 << 20
"""Characters of new texts of one call that are kept: a body of a few bytes may stand for many."""
_MOST_LISTS = 1_000_000
"""Parts of calls that are remembered while others are read."""
_READ = "read"
"""In `state`: the ranges of calls that have been read, as [[first, last], ...]."""


class PartsReader:
    """Reads the parts of calls into the index."""

    def __init__(self, database: sqlite3.Connection, folder: Path, parts_of: PartsOf) -> None:
        self._database, self._folder, self._parts_of = database, folder, parts_of
        self._bodies = BodyReader()
        self._lists: OrderedDict[int, list[Placed]] = OrderedDict()
        self._listed = 0

    def read_session(self, session: int, progress: Progress | None = None) -> None:
        """Read the calls of a session that were not read yet."""
        unread = "session = ? AND NOT EXISTS (SELECT 1 FROM call_parts WHERE call = calls.n)"
        question = f"SELECT n FROM calls WHERE {unread} ORDER BY n"
        calls = [n for (n,) in self._database.execute(question, (session,))]
        for at in range(0, len(calls), SLICE):
            with self._writing():
                self._read(calls[at : at + SLICE])
            if progress is not None:
                progress(min(at + SLICE, len(calls)), len(calls))

    def read_newest(self, most: int = SLICE) -> tuple[int, int]:
        """Read a slice of the newest calls that were not read yet. The calls that are read, and all there are."""
        with self._writing():
            (newest,) = self._database.execute("SELECT coalesce(max(n), 0) FROM calls").fetchone()
            ranges = read_ranges(self._database)
            last = newest
            if ranges and ranges[-1][1] >= newest:
                last = ranges[-1][0] - 1
            first = max(1, last - most + 1)
            if len(ranges) > 1 or (ranges and ranges[-1][1] < newest):
                below = ranges[-1][1] if ranges[-1][1] < newest else ranges[-2][1]
                first = max(first, below + 1)
            if last >= first:
                question = "SELECT n FROM calls WHERE n BETWEEN ? AND ? ORDER BY n"
                calls = [n for (n,) in self._database.execute(question, (first, last))]
                self._read(calls)
                ranges = _joined([*ranges, [first, last]])
                self._database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_READ, json.dumps(ranges)))
        return sum(end - start + 1 for start, end in ranges), newest

    def _writing(self) -> Any:
        return writing(self._database)

    def _read(self, calls: list[int]) -> None:
        """Read these calls, those that were read before left out."""
        rows = self._database.execute(
            'SELECT calls.n, segments.name, calls."offset", calls.parent, calls.session FROM calls '
            "JOIN segments ON segments.n = segment WHERE calls.n IN (SELECT value FROM json_each(?)) "
            "AND NOT EXISTS (SELECT 1 FROM call_parts WHERE call = calls.n) ORDER BY calls.n",
            (json.dumps(calls),),
        ).fetchall()
        try:
            for call, parent, found in self._found(rows):
                self._store(call, parent, found)
        except BaseException:
            self._forget()
            raise

    def _found(self, rows: list[tuple[Any, ...]]) -> Iterator[tuple[int, str | None, CallParts]]:
        """Calls with their parents and parts; none of those whose file is gone or damaged."""
        for name, calls in groupby(rows, key=lambda row: row[1]):
            left = list(calls)
            try:
                with open_segment(self._folder / name) as file:
                    while left:
                        call, _, offset, parent, _ = left[0]
                        record = read_at(file, offset)
                        known = record is not None and record["type"] == "call"
                        parts = self._parts((self._folder / name, offset), record) if record and known else _NONE
                        left.pop(0)
                        yield call, parent, parts
            except OSError:
                yield from ((call, parent, _NONE) for call, _, _, parent, _ in left)

    def _parts(self, place: tuple[Path, int], record: Record) -> CallParts:
        """None if the call is damaged or of a shape that their reader does not expect."""
        try:
            bodies: dict[str, bytes | None] = {}
            for side in ("request", "response"):
                stored = (record.get(side) or {}).get("body")
                bodies[side] = self._bodies.decode(*place, side, stored) if stored is not None else None
            return self._parts_of(record, bodies["request"], bodies["response"])
        except (BodyError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return _NONE  # the call is found by its other columns alone

    def _store(self, call: int, parent: str | None, parts: CallParts) -> None:
        room = _Room(MOST_TEXT)
        request = [(self._number(part, room), part.message) for part in parts.request]
        base, shared = self._base(parent, request)
        database = self._database
        database.execute("INSERT INTO call_parts VALUES (?, ?, ?)", (call, base, shared))
        added = [(call, 0, at, *request[at]) for at in range(shared, len(request))]
        added += [(call, 1, at, self._number(part, room), None) for at, part in enumerate(parts.reply)]
        database.executemany("INSERT INTO added_parts VALUES (?, ?, ?, ?, ?)", added)
        self._remember(call, request)

    def _number(self, part: Part, room: _Room) -> int:
        """The number of a part; it is stored if it is new."""
        digest = digest_of(part)
        found = self._database.execute("SELECT n FROM parts WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            name = None if part.name is None else _string(self._database, part.name)
            found = self._database.execute(
                "INSERT INTO parts(digest, kind, role, name, id, error, bytes, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                "RETURNING n",
                (digest, part.kind, part.role, name, _utf8(part.id), part.error, part.bytes, room.take(part.text)),
            ).fetchone()
        return int(found[0])

    def _base(self, parent: str | None, request: list[Placed]) -> tuple[int | None, int]:
        """The call that the request is stored as a change of, and the number of parts that both begin with."""
        if parent is None:
            return None, 0
        found = self._database.execute(
            "SELECT n FROM calls JOIN call_parts ON call = n WHERE id = ? ORDER BY n DESC LIMIT 1", (parent,)
        ).fetchone()
        if found is None:
            return None, 0
        shared = common(request, self._list(found[0]))
        return (found[0], shared) if shared else (None, 0)

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
        while self._listed > _MOST_LISTS and len(self._lists) > 1:
            self._listed -= len(self._lists.popitem(last=False)[1])

    def _forget(self) -> None:
        self._lists.clear()
        self._listed = 0


_NONE = CallParts([], [])


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


def digest_of(part: Part) -> bytes:
    """The digest of all that is stored of a part, wherever it stands."""
    hashed = hashlib.blake2b(digest_size=16)
    for value in (part.kind, part.role, part.name, part.id, part.error, part.bytes, part.text):
        told = b"\0" if value is None else str(value).encode("utf-8", "surrogatepass")
        hashed.update(len(told).to_bytes(8) + (b"n" if value is None else b"v") + told)
    return hashed.digest()


def common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The number of items that two lists begin with in common."""
    least = min(len(one), len(other))
    if one[:least] == other[:least]:
        return least
    return next(at for at in range(least) if one[at] != other[at])


def request_list(database: sqlite3.Connection, call: int) -> list[Placed]:
    """The parts of a call's request, in order."""
    pieces: list[list[Placed]] = []
    wanted: int | None = None
    at: int | None = call
    while at is not None and wanted != 0:
        row = database.execute("SELECT base, shared FROM call_parts WHERE call = ?", (at,)).fetchone()
        base, shared = row or (None, 0)
        own = database.execute(
            "SELECT part, message FROM added_parts WHERE call = ? AND reply = 0 AND position < ? ORDER BY position",
            (at, wanted if wanted is not None else 1 << 60),
        ).fetchall()
        pieces.append(own)
        wanted = shared if wanted is None else min(shared, wanted)
        at = base
    return [placed for own in reversed(pieces) for placed in own]


def reply_list(database: sqlite3.Connection, call: int) -> list[Placed]:
    """The parts of a call's reply, in order."""
    question = "SELECT part, message FROM added_parts WHERE call = ? AND reply = 1 ORDER BY position"
    return database.execute(question, (call,)).fetchall()


def load(database: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, Part]:
    """Parts by their numbers, without the positions of their messages."""
    found = database.execute(
        "SELECT parts.n, kind, role, parts.text, bytes, strings.text, id, error FROM parts "
        "LEFT JOIN strings ON strings.n = name WHERE parts.n IN (SELECT value FROM json_each(?))",
        (json.dumps(list(numbers)),),
    )
    return {
        n: Part(kind, role, None, text, size, name, call_id, None if error is None else bool(error))
        for n, kind, role, text, size, name, call_id, error in found
    }


def containing(database: sqlite3.Connection, text: str) -> list[int]:
    """Numbers of the parts whose text holds `text`, without case."""
    wanted = text.casefold()
    folded = text.lower().replace("\0", " ")
    if len(folded) < 3:
        rows = database.execute("SELECT n, text FROM parts WHERE text IS NOT NULL")
    else:
        pieces = dict.fromkeys(folded[at : at + 3] for at in range(len(folded) - 2))
        query = " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)
        rows = database.execute(
            "SELECT n, text FROM parts WHERE n IN (SELECT rowid FROM trigrams WHERE trigrams MATCH ?)", (query,)
        )
    return [n for n, found in rows if wanted in found.casefold()]


def remove(database: sqlite3.Connection, gone: str, chosen: str) -> None:
    """Forget the parts of the calls that the question `gone` names, with `chosen` as its value.

    Calls that are stored as changes of these are stored whole.
    """
    within = f"IN ({gone})"
    heirs = database.execute(
        f"SELECT call FROM call_parts WHERE base {within} AND call NOT {within}", (chosen, chosen)
    ).fetchall()
    for (call,) in heirs:
        request = request_list(database, call)
        database.execute("DELETE FROM added_parts WHERE call = ? AND reply = 0", (call,))
        database.executemany(
            "INSERT INTO added_parts VALUES (?, 0, ?, ?, ?)",
            [(call, at, *placed) for at, placed in enumerate(request)],
        )
        database.execute("UPDATE call_parts SET base = NULL, shared = 0 WHERE call = ?", (call,))
    parts = [n for (n,) in database.execute(f"SELECT DISTINCT part FROM added_parts WHERE call {within}", (chosen,))]
    database.execute(f"DELETE FROM added_parts WHERE call {within}", (chosen,))
    database.execute(f"DELETE FROM call_parts WHERE call {within}", (chosen,))
    database.execute(
        "DELETE FROM parts WHERE n IN (SELECT value FROM json_each(?)) "
        "AND NOT EXISTS (SELECT 1 FROM added_parts WHERE part = parts.n)",
        (json.dumps(parts),),
    )


def read_ranges(database: sqlite3.Connection) -> list[list[int]]:
    """The ranges of calls, first and last, that have been read, in order."""
    found = database.execute("SELECT value FROM state WHERE key = ?", (_READ,)).fetchone()
    return json.loads(found[0]) if found else []


def _joined(ranges: list[list[int]]) -> list[list[int]]:
    joined: list[list[int]] = []
    for first, last in sorted(ranges):
        if joined and joined[-1][1] >= first - 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return joined


def _string(database: sqlite3.Connection, text: str) -> int:
    kept = _utf8(text)
    found = database.execute("SELECT n FROM strings WHERE text = ?", (kept,)).fetchone()
    found = found or database.execute("INSERT INTO strings(text) VALUES (?) RETURNING n", (kept,)).fetchone()
    return int(found[0])
