"""The facts of each segment: its calls, their times and bytes, the sessions and texts that stand in it.

They answer what a folder holds and what a pruning would take without a look at any call, and tell what is left of
nothing else when a segment goes.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sessiontap.trace.index.rows import ROW

_AT = {name: position for position, name in enumerate(ROW)}
(_SESSION, _TIME, _SENT, _GIVEN, _ALIKE) = (
    _AT[name] for name in ("session", "time", "request_bytes", "response_bytes", "alike")
)
_ADD = """
UPDATE segments SET
    calls = calls + :calls, body_bytes = body_bytes + :bytes,
    first_time = min(coalesce(first_time, :first), :first), last_time = max(coalesce(last_time, :last), :last),
    newest = max(coalesce(newest, :last), :last),
    first_call = coalesce(first_call, :first_call), last_call = :last_call
WHERE n = :n
"""


class SegmentSums:
    """Gathers what the records of one segment add in one batch, then writes it."""

    def __init__(self, segment: int) -> None:
        self._segment = segment
        self._calls = self._bytes = 0
        self._first = self._last = self._warm_ups = self._newest_warm_up = 0
        self._sessions: dict[int, list[int]] = {}
        self._alike: set[int] = set()

    def add(self, row: tuple[Any, ...]) -> None:
        """A call of `rows.ROW`."""
        time, session = row[_TIME], row[_SESSION]
        if not self._calls or time < self._first:
            self._first = time
        if time > self._last:
            self._last = time
        self._calls += 1
        self._bytes += (row[_SENT] or 0) + (row[_GIVEN] or 0)
        if session is not None:
            if session in self._sessions:
                self._sessions[session][0] += 1
            else:
                self._sessions[session] = [1, 0]
        self._alike.add(row[_ALIKE])

    def add_warm_up(self, session: int | None, time: int) -> None:
        """A request that is no call of its session."""
        self._warm_ups += 1
        self._newest_warm_up = max(self._newest_warm_up, time)
        if session is not None:
            self._sessions.setdefault(session, [0, 0])[1] += 1

    def write(self, database: sqlite3.Connection, last_call: int) -> None:
        """Into the tables. `last_call`: the number of the last call that was added."""
        if self._calls:
            database.execute(
                _ADD,
                {
                    "n": self._segment,
                    "calls": self._calls,
                    "bytes": self._bytes,
                    "first": self._first,
                    "last": self._last,
                    "first_call": last_call - self._calls + 1,
                    "last_call": last_call,
                },
            )
        if self._warm_ups:
            database.execute(
                "UPDATE segments SET warm_ups = warm_ups + ?, newest = max(coalesce(newest, 0), ?) WHERE n = ?",
                (self._warm_ups, self._newest_warm_up, self._segment),
            )
        database.executemany(
            "INSERT INTO session_segments VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET calls = calls + excluded.calls, warm_ups = warm_ups + excluded.warm_ups",
            [(session, self._segment, *numbers) for session, numbers in self._sessions.items()],
        )
        database.executemany(
            "INSERT OR IGNORE INTO segment_alike VALUES (?, ?)", [(self._segment, n) for n in self._alike]
        )
