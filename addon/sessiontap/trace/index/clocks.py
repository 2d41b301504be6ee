"""Clocks of machines that differ, as far as their calls show it.

A call that continues another one began after it. If two machines recorded them and their times say otherwise, the clock
of one is behind, by at least so much. A time in the future shows a clock that is ahead of this machine's. Nothing is
known of clocks that no call ties together.

Steps show nothing: a step that a store gave too late is taken by a later call.
"""

from __future__ import annotations

import json
import sqlite3
import time
from typing import NamedTuple

LEAST_GAP = 10_000_000
"""Nanoseconds. A smaller difference is left out."""
_MOST_SESSIONS = 1_000
"""The newest sessions of several machines are looked at, at most so many."""
_SHARED_SESSIONS = f"""
SELECT session FROM session_segments JOIN segments ON segments.n = segment JOIN sessions ON sessions.n = session
WHERE session_segments.calls > 0 GROUP BY session HAVING count(DISTINCT host) > 1
ORDER BY sessions.last_time DESC LIMIT {_MOST_SESSIONS}
"""
_EARLY_CALLS = f"""
SELECT here.host, there.host, max(parents.time - calls.time) AS least
FROM calls JOIN calls AS parents ON parents.packed_id = calls.parent
JOIN segments AS here ON here.n = calls.segment JOIN segments AS there ON there.n = parents.segment
WHERE calls.session IN (SELECT value FROM json_each(?)) AND here.host != there.host
    AND calls.evidence IN (SELECT n FROM strings WHERE text IN ('declared', 'exact', 'strong'))
GROUP BY here.host, there.host HAVING least >= {LEAST_GAP}
"""
_AHEAD_OF_US = f"""
SELECT host, max(last_time) - :now AS least FROM segments WHERE host NOT NULL GROUP BY host HAVING least >= {LEAST_GAP}
"""


class ClockGap(NamedTuple):
    """The clock of one machine is behind that of another."""

    behind: str | None
    """None: this machine's."""
    ahead: str
    least: int
    """Nanoseconds; it may be more."""


def machines(database: sqlite3.Connection) -> list[str]:
    """Return the names of the machines whose proxies recorded calls."""
    found = database.execute("SELECT DISTINCT host FROM segments WHERE calls > 0 AND host NOT NULL ORDER BY host")
    return [name for (name,) in found]


def clock_gaps(database: sqlite3.Connection) -> list[ClockGap]:
    """Return the gaps between each two machines, as far as calls show them."""
    shared = json.dumps([session for (session,) in database.execute(_SHARED_SESSIONS)])
    ahead = database.execute(_AHEAD_OF_US, {"now": time.time_ns()})
    early = database.execute(_EARLY_CALLS, (shared,))
    return [*(ClockGap(None, *row) for row in ahead), *(ClockGap(*row) for row in early)]
