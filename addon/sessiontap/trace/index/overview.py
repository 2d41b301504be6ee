"""A session in sums: what `show --json` gives of it, of its calls no more than where each stands.

Sums of each path are made by SQLite, so that a session of 10,000 calls takes a tenth of what its rows take.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from sessiontap.trace.index.activity import IsRunning
from sessiontap.trace.index.addresses import session_number
from sessiontap.trace.index.answers import calls_of_session, session_row
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.filters import Condition
from sessiontap.trace.index.rows import COST_COLUMNS
from sessiontap.trace.values import iso
from sessiontap.trace.views import UNPRICED, Totals, property_values, tree

Row = dict[str, Any]
_TEXT = "(SELECT text FROM strings WHERE strings.n = {})"
_PATHS = f"""
SELECT coalesce(nullif({_TEXT.format("calls.path")}, ''), '/'), count(*), sum(failed),
    min(time), max(time + coalesce(duration, 0)), sum(input), sum(output), sum(cache_read),
    sum(usd), sum(reason NOT NULL OR costs.call IS NULL),
    {", ".join(f"sum({name})" for name in COST_COLUMNS)}
FROM calls LEFT JOIN costs ON costs.call = calls.n
"""


def overview(
    database: sqlite3.Connection,
    prefix: str,
    folder: Path,
    prices: Prices | None,
    is_running: IsRunning | None,
    errands: bool,
) -> Row:
    """`show --json`; of each call only `id`, `path` and `time`."""
    number = session_number(database, prefix, folder)
    shown = session_row(database, number, prices, is_running)
    chosen = calls_of_session(database, number, shown, errands, None)
    where, values = chosen
    places = database.execute(
        f"SELECT id, {_TEXT.format('calls.path')}, time FROM calls WHERE {where} ORDER BY time, id", values
    )
    return {
        "session": shown,
        "properties": _properties(database, chosen),
        "cost_unknown": _unknown(database, chosen, prices),
        "tree": tree(_totals(database, chosen, prices)),
        "calls": [{"id": id, "path": path, "time": iso(time)} for id, path, time in places],
    }


def _totals(database: sqlite3.Connection, chosen: Condition, prices: Prices | None) -> dict[str, Totals]:
    """The sums over the calls at each path."""
    where, values = chosen
    found = {}
    for path, calls, errors, started, ended, asked, answered, read, usd, unpriced, *parts in database.execute(
        f"{_PATHS} WHERE {where} GROUP BY 1", values
    ):
        found[path] = Totals(
            calls=calls,
            errors=errors,
            started=started,
            ended=ended,
            tokens={"input": asked, "output": answered, "cache_read": read},
            costs=[usd] if usd is not None and prices is not None else [],
            parts=[tuple(part or 0.0 for part in parts)] if parts[0] is not None and prices is not None else [],
            unpriced=unpriced if prices is not None else calls,
        )
    return found


def _properties(database: sqlite3.Connection, chosen: Condition) -> dict[str, list[Any]]:
    where, values = chosen
    found = database.execute(
        f"SELECT {_TEXT.format('calls.properties')} FROM calls WHERE {where} AND calls.properties NOT NULL "
        "GROUP BY calls.properties ORDER BY min(time)",
        values,
    )
    return property_values({"properties": json.loads(text)} for (text,) in found)


def _unknown(database: sqlite3.Connection, chosen: Condition, prices: Prices | None) -> dict[str, int]:
    """Why costs are not known, and of how many calls, errands aside."""
    where, values = chosen
    known = database.execute(
        f"SELECT text, count(*) FROM calls LEFT JOIN costs ON costs.call = calls.n AND ? "
        f"LEFT JOIN cost_reasons ON cost_reasons.n = reason WHERE {where} AND NOT errand "
        "AND (costs.call IS NULL OR reason NOT NULL) GROUP BY 1 ORDER BY 2 DESC, min(time)",
        [prices is not None, *values],
    )
    return {text or str(UNPRICED.unknown): number for text, number in known}
