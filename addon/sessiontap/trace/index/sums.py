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
from sessiontap.trace.index.rows import ROW, SHARED, Strings
from sessiontap.trace.outcomes import STATEMENTS, stated_success
from sessiontap.trace.values import EXACT

Row = tuple[Any, ...]
(_SESSION, _TIME, _DURATION, _FAILED, _INPUT, _OUTPUT, _CACHE_READ, _CALLER, _ERRAND, _MAIN, _WELL, _ALIKE) = (
    ROW.index(name)
    for name in (
        "session", "time", "duration", "failed", "input", "output", "cache_read", "caller", "errand", "main", "well",
        "alike",
    )
)  # fmt: skip
_TOKENS = ((4, _INPUT), (5, _OUTPUT), (6, _CACHE_READ))
"""The places of sums of tokens in `Sums._sessions`, and of their values in a row."""
_LISTS = (
    ("paths", SHARED.index("path")),
    ("providers", SHARED.index("provider")),
    ("agents", SHARED.index("agent")),
    ("users", SHARED.index("user")),
)
_NAME, _ASKED, _ANSWERED, _TAGS, _PROPS = (
    SHARED.index(name) for name in ("session_name", "request_model", "response_model", "tags", "properties")
)

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

    `process(caller)` are the numbers of the id and of the name of a caller's process.
    """

    def __init__(self, strings: Strings, process: Callable[[int], tuple[int, int | None]]) -> None:
        self._strings, self._process = strings, process
        self._sessions: dict[int, list[Any]] = {}
        self._times: dict[tuple[int, int | None, bool, int], list[int]] = {}
        """Of the calls of a session that have caller and shared values in common: the starts of the first and of the
        last, and how many calls had been added with that one."""
        self._added = 0
        self._tag_lists: dict[int, list[int]] = {}
        self._property_maps: dict[int, list[tuple[int, str]]] = {}

    def add(self, row: Row) -> None:
        """A call of `rows.ROW`."""
        session, time = row[_SESSION], row[_TIME]
        if session is None:
            return
        end = time + (row[_DURATION] or 0)
        alike, errand = row[_ALIKE], row[_ERRAND]
        sums = self._sessions.get(session)
        if sums is None:
            sums = self._sessions[session] = [0, 0, time, end, None, None, None, time, alike, time, 0, -1, 0, None]
        else:
            if end > sums[3]:
                sums[3] = end
            if time < sums[7]:
                sums[2] = sums[7] = time
                sums[8] = alike
            if time > sums[9]:
                sums[9] = time
        if errand:
            sums[10] += 1
            rank = 0
        else:
            sums[0] += 1
            sums[1] += row[_FAILED]
            for at, column in _TOKENS:
                tokens = row[column]
                if tokens is not None:
                    tokens += sums[at] or 0
                    sums[at] = tokens if tokens < BEYOND else BEYOND
            rank = 2 if row[_MAIN] else 1
        if rank > sums[11] or (rank == sums[11] and time >= sums[12]):
            sums[11:] = rank, time, None if errand else row[_WELL]
        like = session, row[_CALLER], errand, alike
        self._added += 1
        times = self._times.get(like)
        if times is None:
            self._times[like] = [time, time, self._added]
        else:
            if time < times[0]:
                times[0] = time
            if time >= times[1]:
                times[1:] = time, self._added

    def _values(self) -> dict[tuple[int, str, int], int]:
        """The start of the first call of a session that has a value, by session, kind and value."""
        found: dict[tuple[int, str, int], int] = {}
        values: dict[tuple[int | None, bool, int], list[tuple[str, int]]] = {}
        for (session, called_by, errand, alike), (time, *_) in self._times.items():
            of = called_by, errand, alike
            if of not in values:
                values[of] = self._values_of(*of)
            for kind, string in values[of]:
                key = session, kind, string
                first = found.get(key)
                if first is None or time < first:
                    found[key] = time
        return found

    def _values_of(self, called_by: int | None, errand: bool, alike: int) -> list[tuple[str, int]]:
        """The kinds and numbers of the values that calls have of this caller and these shared values."""
        shared = self._strings.shared(alike)
        model = shared[_ASKED] if shared[_ANSWERED] is None else shared[_ANSWERED]
        caller, process = (None, None) if called_by is None else self._process(called_by)
        every = (
            *((kind, shared[at]) for kind, at in _LISTS), ("models", model), ("processes", process),
            ("errand_callers" if errand else "callers", caller),
            *(("tags", tag) for tag in self._tags(shared[_TAGS])),
        )  # fmt: skip
        return [(kind, string) for kind, string in every if string is not None]

    def _properties(self) -> dict[tuple[int, int], tuple[int, str]]:
        """The start of the last call of a session that has a property, and its value, by session and property."""
        found: dict[tuple[int, int], tuple[int, str]] = {}
        with_some = [
            (last, order, session, named)
            for (session, _, _, alike), (_, last, order) in self._times.items()
            if (named := self._named(self._strings.shared(alike)[_PROPS]))
        ]
        for last, _, session, named in sorted(with_some):
            for name, value in named:
                found[session, name] = last, value
        return found

    def _tags(self, number: int | None) -> list[int]:
        """Numbers of the tags of a list of them."""
        if number is None:
            return []
        if number not in self._tag_lists:
            self._tag_lists[number] = [
                self._strings.number("tag", tag) for tag in json.loads(self._strings.text(number))
            ]
        return self._tag_lists[number]

    def _named(self, number: int | None) -> list[tuple[int, str]]:
        """The number of the name, and the value as JSON, of each of a map of properties."""
        if number is None:
            return []
        if number not in self._property_maps:
            self._property_maps[number] = [
                (self._strings.number("property", name), json.dumps(value, ensure_ascii=False))
                for name, value in json.loads(self._strings.text(number)).items()
            ]
        return self._property_maps[number]

    def write(self, database: sqlite3.Connection) -> None:
        """Into the tables, and begin afresh."""
        added = [
            dict(zip(_NAMES, (session, *sums), strict=True), most=BEYOND) for session, sums in self._sessions.items()
        ]
        for one in added:
            one["name"] = self._strings.shared(one["name"])[_NAME]
        properties = self._properties()
        database.executemany(_ADD, added)
        database.executemany(
            "INSERT INTO session_values(session, kind, string, first) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET first = min(first, excluded.first)",
            [(*key, first) for key, first in self._values().items()],
        )
        database.executemany(
            "INSERT INTO session_properties(session, key, value, time) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET value = excluded.value, time = excluded.time WHERE excluded.time >= time",
            [(session, key, value, time) for (session, key), (time, value) in properties.items()],
        )
        stating = {session for session, key in properties if self._strings.text(key).lower() in STATEMENTS}
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
        self._times.clear()
        self._added = 0
        self._tag_lists.clear()
        self._property_maps.clear()
