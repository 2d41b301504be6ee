"""The costs of calls, brought up to date when somebody asks for them.

A cost is the opinion of `Prices`, formed once for each call, and again when the prices change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sessiontap.trace.index.database import writing
from sessiontap.trace.views import CostOf

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the calls that are done and all that there are."""
COSTS_BATCH = 10_000
"""Calls in one transaction."""
_COSTS, _PRICES = "costs", "prices"
"""In `state`: the last call that was priced, and by which prices."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The source of costs. `version` names all that the answer depends on: price list, the user's own rates."""

    cost_of: CostOf
    version: str


def add_costs(
    database: sqlite3.Connection,
    prices: Prices,
    records: Callable[[sqlite3.Connection, str, list[Any]], Iterable[tuple[int, Record]]],
    progress: Progress | None = None,
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
            calls = list(records(database, "WHERE calls.n > ? ORDER BY calls.n LIMIT ?", [done, COSTS_BATCH]))
            costs = [(n, usd) for n, record in calls if (usd := prices.cost_of(record)) is not None]
            database.executemany("INSERT OR REPLACE INTO costs VALUES (?, ?)", costs)
            done = calls[-1][0] if calls else newest
            database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_COSTS, done))
            database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_PRICES, prices.version))
        if progress is not None:
            progress(done, max(newest, done))


def _priced(database: sqlite3.Connection, version: str) -> int:
    """The last call that these prices were asked about."""
    state = dict(database.execute("SELECT key, value FROM state WHERE key IN (?, ?)", (_COSTS, _PRICES)))
    return int(state[_COSTS]) if state.get(_PRICES) == version else 0
