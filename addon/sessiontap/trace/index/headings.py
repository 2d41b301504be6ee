"""The titles and last replies of sessions: read from bodies for the sessions that are listed, and kept until they grow.

A session's title is what its client was given when it asked a model for one, else what its user said first to its main
agent; its last reply is the newest one of the main agent that says something. Bodies are read by the `HeadingOf` of
whoever opened the trace. What was not recorded has none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from sessiontap.trace.body import BodyError, BodyReader
from sessiontap.trace.files import open_segment
from sessiontap.trace.index.costs import Progress, Record
from sessiontap.trace.index.database import writing
from sessiontap.trace.walk import read_at

HeadingOf = Callable[[Record, bytes | None, bytes | None], tuple[str | None, str | None, str | None]]
"""Of a call's record, its request body and its response body: the title that its client asked for, the user's first
words, and the reply. It is given the bodies that the question takes."""

MOST = 500
"""Sessions that are read for one question: a list of more has the others at the next one."""
BATCH = 50
"""Sessions in one transaction."""
_TRIED = 3
"""Calls that are looked at for one line."""


class SessionHeading(NamedTuple):
    """The words by which a person knows a session."""

    title: str | None
    last_reply: str | None


def add_headings(
    database: sqlite3.Connection, folder: Path, heading_of: HeadingOf, ids: list[str], progress: Progress | None = None
) -> None:
    """Read the headings of those of these sessions that have none, or have got calls since. The first of them first."""
    stale = database.execute(
        "SELECT sessions.n, sessions.calls + errands FROM json_each(?) AS wanted JOIN sessions ON sessions.id = value "
        "LEFT JOIN headings ON headings.session = sessions.n "
        "WHERE headings.calls IS NOT sessions.calls + errands ORDER BY wanted.key LIMIT ?",
        (json.dumps(ids), MOST),
    ).fetchall()
    reader = _Reader(database, folder, heading_of)
    for at in range(0, len(stale), BATCH):
        batch = [(n, calls, *reader.heading(n)) for n, calls in stale[at : at + BATCH]]
        with writing(database):
            database.executemany("INSERT OR REPLACE INTO headings VALUES (?, ?, ?, ?)", batch)
        if progress is not None:
            progress(at + len(batch), len(stale))


def headings(database: sqlite3.Connection, ids: Iterable[str]) -> dict[str, SessionHeading]:
    """The headings that are known of these sessions, by their ids."""
    found = database.execute(
        "SELECT sessions.id, title, last_reply FROM headings JOIN sessions ON sessions.n = headings.session "
        "WHERE sessions.id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    return {session: SessionHeading(*rest) for session, *rest in found}


_AUXILIARY = "calls.kind = (SELECT n FROM strings WHERE text = 'auxiliary')"
_TITLES = f"{_AUXILIARY} AND NOT calls.failed ORDER BY calls.time DESC"
_FIRST = f"NOT coalesce({_AUXILIARY}, 0) ORDER BY calls.main DESC, calls.time"
_LAST = f"NOT coalesce({_AUXILIARY}, 0) AND NOT calls.failed ORDER BY calls.main DESC, calls.time DESC"


class _Reader:
    """Reads the headings of sessions, one by one."""

    def __init__(self, database: sqlite3.Connection, folder: Path, heading_of: HeadingOf) -> None:
        self._database, self._folder, self._heading_of = database, folder, heading_of
        self._bodies = BodyReader()

    def heading(self, session: int) -> SessionHeading:
        title = self._first_of(session, _TITLES, ("request", "response"), 0)
        return SessionHeading(
            title if title is not None else self._first_of(session, _FIRST, ("request",), 1),
            self._first_of(session, _LAST, ("response",), 2),
        )

    def _first_of(
        self, session: int, which: str, sides: tuple[str, ...], line: Literal[0, 1, 2]
    ) -> str | None:
        """The first line of its kind that one of the chosen calls has."""
        lines = (self._lines(place, record, sides)[line] for place, record in self._records(session, which))
        return next((found for found in lines if found is not None), None)

    def _records(self, session: int, which: str) -> Iterator[tuple[tuple[Path, int], Record]]:
        rows = self._database.execute(
            'SELECT name, calls."offset" FROM calls JOIN segments ON segments.n = segment '
            f"WHERE calls.session = ? AND NOT calls.errand AND {which} LIMIT {_TRIED}",
            (session,),
        ).fetchall()
        for name, offset in rows:
            try:
                with open_segment(self._folder / name) as file:
                    record = read_at(file, offset)
            except OSError:
                continue
            if record is not None and record["type"] == "call":
                yield (self._folder / name, offset), record

    def _lines(
        self, place: tuple[Path, int], record: Record, sides: tuple[str, ...]
    ) -> tuple[str | None, str | None, str | None]:
        """The lines of a call; none if it is damaged or of a shape that their reader does not expect."""
        try:
            found: dict[str, bytes | None] = {}
            for side in sides:
                stored = (record.get(side) or {}).get("body")
                found[side] = self._bodies.decode(*place, side, stored) if stored is not None else None
            if not any(found.values()):
                return None, None, None
            return self._heading_of(record, found.get("request"), found.get("response"))
        except (BodyError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return None, None, None
