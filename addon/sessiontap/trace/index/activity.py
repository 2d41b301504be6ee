"""Tell which sessions are active: they had a call lately, and a process that made one has not ended.

The process counts that called, also in a session of a process tree: the shell above it may wait for its user for hours.
The log names it, and the machine that saw it. Whether it still runs is asked of the system, by a function that whoever
opens the log passes in. If it cannot be known, the time of the last call decides alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from sessiontap.trace.outcomes import ACTIVE_SECONDS

IsRunning = Callable[[str, int, str], bool | None]
"""Of a process by the machine that saw it, its pid there and its id; None if it cannot be known."""

NEWEST = 200
"""Calls of a session whose processes are asked for: it costs a list of fifty sessions some ten milliseconds."""
_CALLERS = f"""
SELECT DISTINCT callers.id, callers.process, segments.machine
FROM (
    SELECT caller, segment, time + coalesce(duration, 0) AS ended FROM calls
    WHERE session = ? ORDER BY time DESC LIMIT {NEWEST}
) AS newest LEFT JOIN callers ON callers.n = newest.caller LEFT JOIN segments ON segments.n = newest.segment
WHERE newest.ended >= ?
"""


def active_sessions(
    database: sqlite3.Connection, ended: Mapping[int, int | None], now: int, is_running: IsRunning | None
) -> set[int]:
    """Return the numbers of those sessions that are active. `ended`: when their last call did, in Unix nanoseconds."""
    lately = now - ACTIVE_SECONDS * 1_000_000_000
    recent = [session for session, end in ended.items() if (end or 0) > lately]
    if is_running is None:
        return set(recent)
    ask = cache(is_running)  # several sessions may be of one process
    return {
        session for session in recent if any(may_run(*one, ask) for one in _processes(database, session, lately))
    }


def may_run(machine: str | None, pid: int | None, id: str | None, is_running: IsRunning) -> bool:
    """Return False if the process is known to have ended."""
    return machine is None or pid is None or id is None or is_running(machine, pid, id) is not False


def _processes(
    database: sqlite3.Connection, session: int, since: int
) -> Iterator[tuple[str | None, int | None, str | None]]:
    """The machine, pid and id of each process that made a call of the session lately."""
    rows = database.execute(_CALLERS, (session, since)).fetchall()
    if not rows:  # its last end is that of a call that many later ones hide
        yield None, None, None
    for id, process, machine in rows:
        yield machine, json.loads(process)["pid"] if process else None, id
