"""The first build of a large index: first the rows alone, at the end the look-ups (SQLite's indexes and a trigger).

Keeping `tables.LOOK_UPS` up to date with each call takes longer than all else that SQLite does for it. If a build was
stopped, some of them are missing: answers are right, and slow. Whoever finds such an index makes them first or goes on
with the build; who has little time makes one. Nothing is synced meanwhile: an index that a power failure damages is
built again.
"""

from __future__ import annotations

import sqlite3
import time

from sessiontap.trace.index.database import settle, writing
from sessiontap.trace.index.tables import LOOK_UPS

LARGE = 4 << 20
"""Bytes of segment files: building an index of less takes a moment in any way."""
_CHECKPOINT_PAGES = 16_384
"""Pages of SQLite's log, 64 MB, until they are copied into the file."""


def begin(database: sqlite3.Connection) -> None:
    """Drop the look-ups if the index has no calls yet."""
    database.execute("PRAGMA synchronous = OFF")
    database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    with writing(database):
        if database.execute("SELECT 1 FROM calls LIMIT 1").fetchone() is None:
            for name, statement in LOOK_UPS.items():
                database.execute(f"DROP {statement.split()[1]} IF EXISTS {name}")


def finish(database: sqlite3.Connection, until: float | None = None) -> bool:
    """Make the look-ups that are missing, one after the other: other processes that write come between.

    `until`: no more than one of them (a second, of a million calls) once the monotonic clock says that. Return False if
    there is more to do.
    """
    if is_finished(database):
        return True
    while _make_one(database):
        if until is not None and time.monotonic() >= until:
            return False
    settle(database)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # synced, and the log of it is small again
    return True


def is_finished(database: sqlite3.Connection) -> bool:
    """Return True if all look-ups are there."""
    return not _missing(database)


def _make_one(database: sqlite3.Connection) -> bool:
    with writing(database):
        missing = _missing(database)
        if missing:
            database.execute(LOOK_UPS[missing[0]])
        if missing == ["calls_added"]:
            database.execute("INSERT OR IGNORE INTO unread_calls SELECT time, n FROM calls ORDER BY time, n")
    return len(missing) > 1


def _missing(database: sqlite3.Connection) -> list[str]:
    present = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE tbl_name = 'call_rows'")}
    return [name for name in LOOK_UPS if name not in present]
