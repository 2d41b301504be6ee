"""The costs of calls, and their sums by session: the opinion of `Prices`, formed once for each call.

A call that is taken in while somebody asks for costs is priced at once, from its record. What was taken in without
prices, and all of it when the prices change, is priced from the index's rows when somebody asks.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sessiontap.trace.index.database import writing
from sessiontap.trace.index.rows import COST_COLUMNS
from sessiontap.trace.views import COST_PARTS, CallCost, CostOf

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the calls that are done and all that there are."""
BATCH = 10_000
"""Calls in one transaction."""
SMALL_BATCH = 1_000
"""The same if there is little time."""
_DONE, _VERSION = "costs", "prices"
"""In `state`: the last call that was priced, and by which prices."""
_NO_PARTS = (None,) * len(COST_PARTS)
_INSERT = f"INSERT OR REPLACE INTO costs VALUES (?, ?, {', '.join('?' * len(COST_COLUMNS))}, ?)"
_SUMS = ("usd", *COST_COLUMNS)
_ADD = f"""
UPDATE sessions SET unpriced = sessions.unpriced + added.unpriced,
    {", ".join(f"{name} = coalesce(sessions.{name} + added.{name}, sessions.{name}, added.{name})" for name in _SUMS)}
FROM (
    SELECT session, count(reason) AS unpriced, {", ".join(f"sum({name}) AS {name}" for name in _SUMS)}
    FROM call_rows JOIN costs ON costs.call = n WHERE session NOT NULL AND NOT errand AND {{which}} GROUP BY session
) AS added WHERE added.session = sessions.n
"""
_FORGET = f"UPDATE sessions SET unpriced = 0, summed = -1, {', '.join(f'{name} = NULL' for name in _SUMS)}"


@dataclass(frozen=True, slots=True)
class Prices:
    """The source of costs. `version` names all that the answer depends on: price list, the user's own rates."""

    cost_of: CostOf
    version: str


class CostWriter:
    """Writes costs within the transaction of its caller."""

    def __init__(self, database: sqlite3.Connection, prices: Prices) -> None:
        self._database, self._prices = database, prices
        self._reasons: dict[str, int] = {}

    def forget(self) -> None:
        """After a transaction that was taken back, or another process's."""
        self._reasons.clear()

    def add(self, first: int, costs: Iterable[CallCost]) -> None:
        """The costs of the calls that are numbered from `first` on, all of them newer than those that are priced."""
        rows = [
            (n, usd, *(parts or _NO_PARTS), None if unknown is None else self._reason(unknown))
            for n, (usd, parts, unknown) in enumerate(costs, first)
        ]
        self._add(rows)

    def add_stored(self, records: list[tuple[int, Record]]) -> None:
        """The costs of these calls: numbers and records."""
        found = ((n, self._prices.cost_of(record)) for n, record in records)
        self._add(
            [
                (n, cost.usd, *(cost.parts or _NO_PARTS), None if cost.unknown is None else self._reason(cost.unknown))
                for n, cost in found
            ]
        )

    def _add(self, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._database.executemany(_INSERT, rows)
            self._database.execute(_ADD.format(which="n BETWEEN ? AND ?"), (rows[0][0], rows[-1][0]))
            self.set_done(rows[-1][0])

    def is_current(self) -> bool:
        """All calls are priced by these prices."""
        return self.done() >= newest(self._database)

    def done(self) -> int:
        """The last call that was priced by these prices."""
        state = dict(self._database.execute("SELECT key, value FROM state WHERE key IN (?, ?)", (_DONE, _VERSION)))
        return int(state[_DONE]) if state.get(_VERSION) == self._prices.version else 0

    def set_done(self, call: int) -> None:
        """All calls up to this one are priced."""
        self._database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_DONE, call))
        self._database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_VERSION, self._prices.version))

    def begin_anew(self) -> None:
        """Forget what other prices said."""
        self._database.execute("DELETE FROM costs")
        self._database.execute("DELETE FROM cost_reasons")
        self._database.execute("DELETE FROM group_sums")
        self._database.execute(_FORGET)
        self.forget()

    def _reason(self, text: str) -> int:
        if text not in self._reasons:
            self._database.execute("INSERT OR IGNORE INTO cost_reasons(text) VALUES (?)", (text,))
            found = self._database.execute("SELECT n FROM cost_reasons WHERE text = ?", (text,))
            (self._reasons[text],) = found.fetchone()
        return self._reasons[text]


def add_costs(
    database: sqlite3.Connection,
    prices: Prices,
    records: Callable[[sqlite3.Connection, str, list[Any]], Iterable[tuple[int, Record]]],
    progress: Progress | None = None,
    until: float | None = None,
) -> bool:
    """Form an opinion on the calls that have none by these prices, until the monotonic clock says `until`.

    `records` gives calls by their numbers. Return False if there is more to do.
    """
    costs = CostWriter(database, prices)
    batch = BATCH if until is None else SMALL_BATCH
    while not costs.is_current():
        with writing(database):
            done = costs.done()
            if not done:
                costs.begin_anew()
            calls = list(records(database, "WHERE calls.n > ? ORDER BY calls.n LIMIT ?", [done, batch]))
            costs.add_stored(calls)
            last = calls[-1][0] if calls else newest(database)
            costs.set_done(last)
        costs.forget()
        if progress is not None:
            progress(last, max(newest(database), last))
        if until is not None and time.monotonic() >= until:
            break
    return costs.is_current()


def sum_again(database: sqlite3.Connection, sessions: str) -> None:
    """Make the sums of these sessions (their numbers as JSON) anew; `group_sums` makes its own when it is asked."""
    within = "(SELECT value FROM json_each(?))"
    database.execute(f"DELETE FROM group_sums WHERE session IN {within}", (sessions,))
    database.execute(f"{_FORGET} WHERE n IN {within}", (sessions,))
    database.execute(_ADD.format(which=f"session IN {within}"), (sessions,))


def newest(database: sqlite3.Connection) -> int:
    """The number of the newest call; 0 if there is none."""
    (found,) = database.execute("SELECT coalesce(max(n), 0) FROM call_rows").fetchone()
    return int(found)
