"""Sums of the calls of a session that have in common all that statistics group them by, but their step and tools.

Statistics of a whole log read these few rows instead of every call. They are made when somebody asks for statistics, of
the sessions that have changed since, once all of their calls are priced. `sessions.summed` says of how many calls, and
errands, the sums of a session are; whatever makes the sums of a session anew (`costs`) takes its rows away.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator

from sessiontap.trace.index.costs import CostWriter, Prices, Progress
from sessiontap.trace.index.database import writing
from sessiontap.trace.index.rows import COST_COLUMNS
from sessiontap.trace.index.tables import GROUP_KEYS

FILTERS = frozenset(
    {"session", "name", "path", "machine", "process", "user", "provider", "model", "properties", "outcome",
     "without_errands"}
)  # fmt: skip
"""The filters that ask nothing but `tables.GROUP_KEYS`."""
GROUPS = frozenset(
    {"name", "path", "model", "process", "machine", "provider", "operation", "agent", "user", "session", "outcome",
     "property"}
)  # fmt: skip
"""The groups of statistics that are among them; `property:KEY`, too."""
_TOGETHER = 20_000
"""Calls of the sessions of one transaction."""
_STALE = "calls + errands != summed"
_CHOSEN = "IN (SELECT value FROM json_each(?))"
_KEYS = ", ".join(GROUP_KEYS)
_ADD = f"""
INSERT INTO group_sums SELECT session, {_KEYS}, count(*), sum(failed), sum(input + 0.0), sum(output + 0.0),
    sum(cache_read + 0.0), sum(usd), count(usd), count(reason), {", ".join(f"sum({name})" for name in COST_COLUMNS)},
    min(time), max(time + coalesce(duration, 0)), group_concat(duration), group_concat(first_token)
FROM calls LEFT JOIN costs ON costs.call = calls.n
WHERE session {_CHOSEN} GROUP BY session, {_KEYS}
"""


def add_group_sums(
    database: sqlite3.Connection, prices: Prices, progress: Progress | None = None, until: float | None = None
) -> None:
    """Make the sums of sessions that have changed, until the monotonic clock says `until`, or calls come that these
    prices have not priced."""
    stale = database.execute(f"SELECT n, calls + errands FROM sessions WHERE {_STALE} ORDER BY n").fetchall()
    costs, total, done = CostWriter(database, prices), sum(calls for _, calls in stale), 0
    for some, calls in _together(stale):
        if until is not None and time.monotonic() >= until:
            return
        chosen = json.dumps(some)
        with writing(database):
            if not costs.is_current():
                return
            database.execute(f"DELETE FROM group_sums WHERE session {_CHOSEN}", (chosen,))
            database.execute(_ADD, (chosen,))
            database.execute(f"UPDATE sessions SET summed = calls + errands WHERE n {_CHOSEN}", (chosen,))
        done += calls
        if progress is not None:
            progress(done, total)


def are_complete(database: sqlite3.Connection) -> bool:
    """The sums are of all calls of the log."""
    left = f"SELECT 1 FROM sessions WHERE {_STALE} UNION ALL SELECT 1 FROM calls WHERE session IS NULL LIMIT 1"
    return database.execute(left).fetchone() is None


def _together(stale: Iterable[tuple[int, int]]) -> Iterator[tuple[list[int], int]]:
    """Sessions whose sums are made in one transaction, and how many calls they have."""
    some: list[int] = []
    size = 0
    for n, calls in stale:
        some.append(n)
        size += calls
        if size >= _TOGETHER:
            yield some, size
            some, size = [], 0
    if some:
        yield some, size
