"""Statistics over calls: how many, how many failed, tokens, and how long they took, by what they have in common.

Percentiles are nearest-rank: of n sorted durations the one at ceil(p * n). Unknown durations and tokens are left out;
sums of tokens are None where no call reported any.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, Literal, get_args

from sessiontap.trace.index.filters import Condition
from sessiontap.trace.views import seconds

By = Literal[
    "name", "path", "model", "process", "provider", "operation", "agent", "user", "session", "step", "outcome", "tool",
    "property",
]  # fmt: skip
BYS: tuple[str, ...] = get_args(By)

_PERCENTILES = (50, 95, 99)
_KEYS = {
    "name": "session_name",
    "model": "coalesce(response_model, request_model)",
    "process": "(SELECT name FROM callers WHERE callers.n = caller)",
    "session": "session",
    "step": "step",
}
_TEXT = ("name", "path", "model", "provider", "operation", "agent", "user", "outcome")
"""Whose key is the number of a text."""
_SUMS = "count(*), sum(failed), sum(input), sum(output), sum(cache_read), sum(usd), count(usd)"


def stats(database: sqlite3.Connection, by: str, wanted: Condition, priced: bool = False) -> list[dict[str, Any]]:
    """A row for each value of `by`, most calls first. With `tool` a call counts for each tool that it asks for, with
    `property` for each of its properties as `key=value`. `priced`: the index knows what calls cost."""
    where, values = wanted
    if by in ("tool", "property"):
        _spread(database, by)
        key, table = "spread.key", "calls JOIN spread ON spread.string = " + _SPREAD[by]
    else:
        key, table = _KEYS.get(by, by), "calls"
    rows: dict[Any, dict[str, Any]] = {}
    costs = "LEFT JOIN costs ON costs.call = calls.n" if priced else "LEFT JOIN (SELECT NULL AS usd) ON 1"
    found = database.execute(f"SELECT {key} AS k, {_SUMS} FROM {table} {costs} WHERE {where} GROUP BY k", values)
    for name, calls, errors, asked, answered, cached, cost, known_costs in found:
        rows[name] = {
            by: name,
            "calls": calls,
            "errors": errors,
            "input_tokens": asked,
            "output_tokens": answered,
            "cache_read_tokens": cached,
            "cost_usd": None if cost is None else round(cost, 12),
            "cost_unknown_calls": calls - known_costs,
        }
    for column, called in (("duration", "duration"), ("first_token", "time_to_first_token")):
        durations = database.execute(
            f"SELECT {key} AS k, {column} FROM {table} WHERE {column} IS NOT NULL AND ({where}) ORDER BY k, {column}",
            values,
        )
        known = dict(_groups(durations))
        for name, row in rows.items():
            row |= {f"{called}_p{p}": seconds(_percentile(known.get(name, ()), p)) for p in _PERCENTILES}
    _name(database, by, rows)
    return sorted(rows.values(), key=lambda row: (-row["calls"], str(row[by])))


_SPREAD = {"tool": "tool_calls", "property": "properties"}


def _spread(database: sqlite3.Connection, by: str) -> None:
    """A table from the number of a list or map to each of what it holds."""
    database.execute("CREATE TEMP TABLE IF NOT EXISTS spread(string INTEGER, key TEXT, PRIMARY KEY(string, key))")
    database.execute("DELETE FROM spread")
    rows = database.execute(
        "SELECT n, text FROM strings JOIN facets ON string = n WHERE column = ?", (_SPREAD[by],)
    ).fetchall()
    pairs = {
        (n, str(one) if by == "tool" else f"{one[0]}={one[1]}")
        for n, text in rows
        for one in (json.loads(text) if by == "tool" else json.loads(text).items())
    }
    database.executemany("INSERT INTO spread VALUES (?, ?)", sorted(pairs))


def _groups(rows: sqlite3.Cursor) -> Iterator[tuple[Any, list[int]]]:
    """Sorted durations by key, of rows sorted by key."""
    key: Any = None
    durations: list[int] = []
    for name, duration in rows:
        if name != key and durations:
            yield key, durations
            durations = []
        key = name
        durations.append(duration)
    if durations:
        yield key, durations


def _percentile(durations: list[int] | tuple[int, ...], percent: int) -> int | None:
    return durations[-(-percent * len(durations) // 100) - 1] if durations else None


def _name(database: sqlite3.Connection, by: str, rows: dict[Any, dict[str, Any]]) -> None:
    """Put texts in the place of numbers."""
    table, column = ("strings", "text") if by in _TEXT else ("sessions", "id") if by == "session" else (None, None)
    if table is None:
        return
    numbers = json.dumps([number for number in rows if number is not None])
    names = dict(
        database.execute(f"SELECT n, {column} FROM {table} WHERE n IN (SELECT value FROM json_each(?))", (numbers,))
    )
    for number, row in rows.items():
        row[by] = names.get(number)
