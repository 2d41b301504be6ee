"""Sessions of nothing but errands, and the agents' sessions that they belong to.

Agents send most errands without their session's id, so that these have a session of their own: that of the process.
It belongs to the session of an agent's work that the same process did. If the process did several, it belongs to the
one in whose time it falls. If none is certain it belongs to none, and is hidden on its own.

The column `home` of a session of errands says which it is. It is found again whenever a call is added to, or taken out
of, a session of those processes: a list reads it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable

NOTHING_ELSE = "calls = 0 AND errands > 0"
_NEAR = f"""
SELECT n FROM sessions WHERE {NOTHING_ELSE} AND n IN (SELECT value FROM json_each(:sessions))
UNION SELECT errand.n FROM session_values AS here
JOIN session_values AS there ON there.kind = 'errand_callers' AND there.string = here.string
JOIN sessions AS errand ON errand.n = there.session AND errand.calls = 0
WHERE here.kind = 'callers' AND here.session IN (SELECT value FROM json_each(:sessions))
"""
_PROCESSES = """
SELECT errand.n, here.string, errand.started, errand.ended FROM sessions AS errand
JOIN session_values AS here ON here.session = errand.n AND here.kind = 'errand_callers'
WHERE errand.n IN (SELECT value FROM json_each(?)) AND errand.calls = 0
"""
_WORK = """
SELECT work.n, work.started, work.ended FROM session_values AS there JOIN sessions AS work ON work.n = there.session
WHERE there.kind = 'callers' AND there.string = ?
"""
_Span = tuple[int, int, int]
"""A session's number, start and end."""


def belonging_to(database: sqlite3.Connection, sessions: Iterable[int]) -> dict[int, list[int]]:
    """Return, of these sessions, the sessions of errands that belong to each. By their numbers."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    question = "SELECT home, n FROM sessions WHERE home IN (SELECT value FROM json_each(?))"
    for home, errands in database.execute(question, (json.dumps(list(sessions)),)):
        found[home].append(errands)
    return found


def near(database: sqlite3.Connection, sessions: Iterable[int]) -> set[int]:
    """Return the sessions of errands whose home may be another when these sessions change: their numbers."""
    return {n for (n,) in database.execute(_NEAR, {"sessions": json.dumps(list(sessions))})}


def find_homes(database: sqlite3.Connection, sessions: Iterable[int]) -> None:
    """Write anew to which session each of these belongs, if it holds nothing but errands; else that it does to none."""
    numbers = json.dumps(list(sessions))
    homes: defaultdict[int, set[int | None]] = defaultdict(set)
    within = "n IN (SELECT value FROM json_each(?))"
    work: dict[int, list[_Span]] = {}
    for n, process, started, ended in database.execute(_PROCESSES, (numbers,)).fetchall():
        if process not in work:
            work[process] = database.execute(_WORK, (process,)).fetchall()
        homes[n].add(_home(started, ended, work[process]))
    database.execute(f"UPDATE sessions SET home = NULL WHERE {within} AND home NOT NULL", (numbers,))
    found = [(one, n) for n, of_processes in homes.items() for one in of_processes if len(of_processes) == 1]
    database.executemany("UPDATE sessions SET home = ? WHERE n = ?", found)


def _home(started: int, ended: int, work: list[_Span]) -> int | None:
    """The one session of a process's `work` that errands of that time belong to."""
    if len(work) > 1:
        work = [one for one in work if one[1] <= started and ended <= one[2]]
    return work[0][0] if len(work) == 1 else None
