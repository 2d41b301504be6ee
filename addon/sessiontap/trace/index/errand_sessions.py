"""Sessions of nothing but errands, and the agents' sessions that they belong to.

Agents send most errands without their session's id, so that these have a session of their own: that of the process.
It belongs to the session of an agent's work that the same process did. If the process did several, it belongs to the
one in whose time it falls. If none is certain it belongs to none, and is hidden on its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable

_NOTHING_ELSE = "calls = 0 AND errands > 0"
_WITH_PROCESSES = """
SELECT errand.n, here.string, errand.started, errand.ended, work.n, work.started, work.ended
FROM sessions AS errand
JOIN session_values AS here ON here.session = errand.n AND here.kind = 'errand_callers'
LEFT JOIN session_values AS there ON there.kind = 'callers' AND there.string = here.string
LEFT JOIN sessions AS work ON work.n = there.session
WHERE errand.n IN (SELECT value FROM json_each(?))
"""
_OF_SAME_PROCESSES = """
SELECT DISTINCT errand.n FROM session_values AS here
JOIN session_values AS there ON there.kind = 'errand_callers' AND there.string = here.string
JOIN sessions AS errand ON errand.n = there.session AND errand.calls = 0
WHERE here.kind = 'callers' AND here.session IN (SELECT value FROM json_each(?))
"""
Span = tuple[int, int]


def belonging_to(database: sqlite3.Connection, sessions: Iterable[int]) -> dict[int, list[int]]:
    """Return, of these sessions, the sessions of errands that belong to each. By their numbers."""
    wanted = set(sessions)
    near = [n for (n,) in database.execute(_OF_SAME_PROCESSES, (json.dumps(list(wanted)),))]
    found: defaultdict[int, list[int]] = defaultdict(list)
    for errands, home in _homes(database, near).items():
        if home in wanted:
            found[home].append(errands)
    return found


def with_a_home(database: sqlite3.Connection) -> list[int]:
    """Return the numbers of all sessions of errands that belong to another."""
    alone = [n for (n,) in database.execute(f"SELECT n FROM sessions WHERE {_NOTHING_ELSE}")]
    return list(_homes(database, alone))


def _homes(database: sqlite3.Connection, sessions: list[int]) -> dict[int, int]:
    """The session that each of these belongs to, if one is certain."""
    spans: dict[int, Span] = {}
    work: defaultdict[int, dict[int, dict[int, Span]]] = defaultdict(dict)
    for n, process, started, ended, other, began, over in database.execute(_WITH_PROCESSES, (json.dumps(sessions),)):
        spans[n] = started, ended
        of_process = work[n].setdefault(process, {})
        if other is not None:
            of_process[other] = began, over
    found = {}
    for n, processes in work.items():
        homes = {_home(spans[n], candidates) for candidates in processes.values()}
        if len(homes) == 1 and (home := homes.pop()) is not None:
            found[n] = home
    return found


def _home(span: Span, candidates: dict[int, Span]) -> int | None:
    """The one session of a process's that errands of that time belong to."""
    if len(candidates) > 1:
        candidates = {n: one for n, one in candidates.items() if one[0] <= span[0] <= span[1] <= one[1]}
    return next(iter(candidates)) if len(candidates) == 1 else None
