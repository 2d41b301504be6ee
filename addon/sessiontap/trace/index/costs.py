"""What calls cost, kept beside them: an opinion that is formed once for each call and again when prices change."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sessiontap.trace.index.database import writing
from sessiontap.trace.views import CostOf

Row = dict[str, Any]
BATCH = 10_000
_DONE, _VERSION = "costs", "prices"


@dataclass(frozen=True, slots=True)
class Prices:
    """Who says what a call cost. `version` names all that the answer depends on: price list, the user's own rates."""

    cost_of: CostOf
    version: str


def catch_up(
    database: sqlite3.Connection,
    prices: Prices,
    records: Callable[[sqlite3.Connection, str, list[Any]], Iterable[tuple[int, Row]]],
    progress: Callable[[int, int], None] | None = None,
    batch: int = BATCH,
) -> None:
    """Form an opinion on the calls that have none by these prices. `records` gives calls by their numbers."""
    while True:
        (newest,) = database.execute("SELECT coalesce(max(n), 0) FROM calls").fetchone()
        if _priced(database, prices.version) >= newest:
            return
        with writing(database):
            done = _priced(database, prices.version)
            if not done:
                database.execute("DELETE FROM costs")
            calls = list(records(database, "WHERE calls.n > ? ORDER BY calls.n LIMIT ?", [done, batch]))
            costs = [(n, usd) for n, record in calls if (usd := prices.cost_of(record)) is not None]
            database.executemany("INSERT OR REPLACE INTO costs VALUES (?, ?)", costs)
            done = calls[-1][0] if calls else newest
            database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_DONE, done))
            database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_VERSION, prices.version))
        if progress is not None:
            progress(done, max(newest, done))


def _priced(database: sqlite3.Connection, version: str) -> int:
    """The last call that these prices were asked about."""
    state = dict(database.execute("SELECT key, value FROM state WHERE key IN (?, ?)", (_DONE, _VERSION)))
    return int(state[_DONE]) if state.get(_VERSION) == version else 0
