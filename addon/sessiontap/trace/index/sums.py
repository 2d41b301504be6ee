"""The sums over the calls of each session: counts, first and last, the values that they had.

Agents' errands are counted by themselves, and nothing else of them is summed. How a session ended is told by its last
call: by one of its main agent, if there is any, else by another that is no errand.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from sessiontap.trace.index import errand_sessions
from sessiontap.trace.index.rows import COLUMNS, STRINGS
from sessiontap.trace.outcomes import STATEMENTS, stated_success
from sessiontap.trace.values import EXACT

Row = tuple[Any, ...]
_AT = {name: position for position, name in enumerate(COLUMNS)}
_LISTS = (
    ("paths", _AT["path"]),
    ("providers", _AT["provider"]),
    ("agents", _AT["agent"]),
    ("users", _AT["user"]),
)
(_SESSION, _TIME, _DURATION, _FAILED, _INPUT, _OUTPUT, _CACHE_READ, _NAME, _ASKED, _ANSWERED, _CALLER, _TAGS,
 _PROPS, _ERRAND, _MAIN, _WELL) = (
    _AT[name]
    for name in (
        "session", "time", "duration", "failed", "input", "output", "cache_read", "session_name", "request_model",
        "response_model", "caller", "tags", "properties", "errand", "main", "well",
    )
)  # fmt: skip

_NAMES = (
    "n", "calls", "errors", "started", "ended", "input", "output", "cache_read", "first", "name", "last", "errands",
    "rank", "judged", "well",
)  # fmt: skip
_ADD = """
UPDATE sessions SET
    calls = calls + :calls, errors = errors + :errors, errands = errands + :errands,
    started = min(coalesce(started, :started), :started), ended = max(coalesce(ended, :ended), :ended),
    input = min(coalesce(input + :input, input, :input), :most),
    output = min(coalesce(output + :output, output, :output), :most),
    cache_read = min(coalesce(cache_read + :cache_read, cache_read, :cache_read), :most),
    name = CASE WHEN first_time IS NULL OR :first < first_time THEN :name ELSE name END,
    first_time = min(coalesce(first_time, :first), :first),
    well = CASE WHEN (:rank, :judged) >= (coalesce(rank, -1), coalesce(judged, 0)) THEN :well ELSE well END,
    judged = CASE WHEN :rank > coalesce(rank, -1) THEN :judged WHEN :rank = rank THEN max(judged, :judged)
        ELSE judged END,
    rank = max(coalesce(rank, -1), :rank),
    last_time = max(coalesce(last_time, :last), :last)
WHERE n = :n
"""
BEYOND = EXACT + 1
"""Sums of tokens stop here, far below what overflows: a sum that is not told is at least this much."""


class Sums:
    """Gathers what a batch of rows adds, then writes it in one go.

    `number(column, text)` numbers a text, `text(number)` is its way back; `process(caller)` are the numbers of the id
    and of the name of a caller's process.
    """

    def __init__(
        self,
        number: Callable[[str, str], int],
        text: Callable[[int], str],
        process: Callable[[int], tuple[int, int | None]],
    ) -> None:
        self._number, self._text, self._process = number, text, process
        self._sessions: dict[int, list[Any]] = {}
        self._first: dict[tuple[Any, ...], int] = {}
        """The start of the first of those calls of a session that have all of their values in common."""
        self._values: dict[tuple[int, str, int], int] = {}
        self._properties: dict[tuple[int, int], tuple[int, str]] = {}
        self._tag_lists: dict[int, list[int]] = {}
        self._property_maps: dict[int, list[tuple[int, str]]] = {}

    def add(self, row: Row) -> None:
        """A call of `rows.COLUMNS`."""
        session, time = row[_SESSION], row[_TIME]
        if session is None:
            return
        end = time + (row[_DURATION] or 0)
        name, errand = row[_NAME], row[_ERRAND]
        sums = self._sessions.get(session)
        if sums is None:
            sums = self._sessions[session] = [0, 0, time, end, None, None, None, time, name, time, 0, -1, 0, None]
        else:
            if end > sums[3]:
                sums[3] = end
            if time < sums[7]:
                sums[2] = sums[7] = time
                sums[8] = name
            if time > sums[9]:
                sums[9] = time
        if errand:
            sums[10] += 1
            rank = 0
        else:
            sums[0] += 1
            sums[1] += row[_FAILED]
            for at, column in ((4, _INPUT), (5, _OUTPUT), (6, _CACHE_READ)):
                if row[column] is not None:
                    sums[at] = min((sums[at] or 0) + row[column], BEYOND)
            rank = 2 if row[_MAIN] else 1
        if rank > sums[11] or (rank == sums[11] and time >= sums[12]):
            sums[11:] = rank, time, None if errand else row[_WELL]
        alike = session, row[_CALLER], errand, row[STRINGS]
        first = self._first.get(alike)
        if first is None or time < first:
            self._first[alike] = time
            self._add_values(session, time, row)
        if row[_PROPS] is not None:
            self._add_properties(session, time, row)

    def _add_values(self, session: int, time: int, row: Row) -> None:
        model = row[_ASKED] if row[_ANSWERED] is None else row[_ANSWERED]
        caller, process = (None, None) if row[_CALLER] is None else self._process(row[_CALLER])
        for kind, string in (
            *((kind, row[at]) for kind, at in _LISTS), ("models", model), ("processes", process),
            ("errand_callers" if row[_ERRAND] else "callers", caller),
            *(("tags", tag) for tag in self._tags(row[_TAGS])),
        ):  # fmt: skip
            if string is not None:
                key = session, kind, string
                self._values[key] = min(time, self._values.get(key, time))

    def _add_properties(self, session: int, time: int, row: Row) -> None:
        for name, value in self._named(row[_PROPS]):
            place = session, name
            if place not in self._properties or time >= self._properties[place][0]:
                self._properties[place] = time, value

    def _tags(self, number: int | None) -> list[int]:
        """Numbers of the tags of a list of them."""
        if number is None:
            return []
        if number not in self._tag_lists:
            self._tag_lists[number] = [self._number("tag", tag) for tag in json.loads(self._text(number))]
        return self._tag_lists[number]

    def _named(self, number: int | None) -> list[tuple[int, str]]:
        """The number of the name, and the value as JSON, of each of a map of properties."""
        if number is None:
            return []
        if number not in self._property_maps:
            self._property_maps[number] = [
                (self._number("property", name), json.dumps(value, ensure_ascii=False))
                for name, value in json.loads(self._text(number)).items()
            ]
        return self._property_maps[number]

    def write(self, database: sqlite3.Connection) -> None:
        """Into the tables, and begin afresh."""
        added = [
            dict(zip(_NAMES, (session, *sums), strict=True), most=BEYOND) for session, sums in self._sessions.items()
        ]
        database.executemany(_ADD, added)
        database.executemany(
            "INSERT INTO session_values(session, kind, string, first) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET first = min(first, excluded.first)",
            [(*key, first) for key, first in self._values.items()],
        )
        database.executemany(
            "INSERT INTO session_properties(session, key, value, time) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET value = excluded.value, time = excluded.time WHERE excluded.time >= time",
            [(session, key, value, time) for (session, key), (time, value) in self._properties.items()],
        )
        stating = {session for session, key in self._properties if self._text(key).lower() in STATEMENTS}
        database.executemany(
            "UPDATE sessions SET stated = ? WHERE n = ?", [(self._stated(database, one), one) for one in stating]
        )
        errand_sessions.find_homes(database, {*self._sessions, *errand_sessions.near(database, self._sessions)})
        self.forget()

    def _stated(self, database: sqlite3.Connection, session: int) -> bool | None:
        """The success that the properties of a session state; None if they state none."""
        rows = database.execute(
            "SELECT text, value FROM session_properties JOIN strings ON strings.n = key WHERE session = ?", (session,)
        )
        stated = {name.lower(): stated_success(json.loads(value)) for name, value in rows}
        return next((known for name in STATEMENTS if (known := stated.get(name)) is not None), None)

    def forget(self) -> None:
        """After a transaction that was taken back, or is over."""
        self._sessions.clear()
        self._first.clear()
        self._values.clear()
        self._properties.clear()
        self._tag_lists.clear()
        self._property_maps.clear()
