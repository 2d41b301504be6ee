"""Sessions and calls out of the index: the rows of the command line's JSON, as `views` makes them of records."""

from __future__ import annotations

import json
import sqlite3
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any, Literal

from sessiontap.trace.index import first_build, records, scores
from sessiontap.trace.index.activity import IsRunning, active_sessions
from sessiontap.trace.index.addresses import session_number
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.errand_sessions import NOTHING_ELSE, belonging_to
from sessiontap.trace.index.filters import Condition, Filters, condition, names_calls
from sessiontap.trace.index.rows import COST_COLUMNS
from sessiontap.trace.values import exact, iso, seconds
from sessiontap.trace.views import NO_SCORES, call_row, cost_parts, property_values, session_tree

Row = dict[str, Any]
Sort = str
"""One of `_ORDERS`, or `score:NAME`."""
SCORE = "score:"

_ORDERS = {
    None: "last_time DESC",
    "started": "started DESC, last_time DESC",
    "ended": "ended DESC, last_time DESC",
    "name": "(SELECT text FROM strings WHERE strings.n = sessions.name) IS NULL, "
    "(SELECT text FROM strings WHERE strings.n = sessions.name), last_time DESC",
    "duration": "ended - started DESC, last_time DESC",
    "calls": "calls DESC, last_time DESC",
    "errors": "errors DESC, last_time DESC",
    "tokens": "coalesce(input, 0) + coalesce(output, 0) DESC, input IS NULL AND output IS NULL, last_time DESC",
    "cost": "usd DESC, last_time DESC",
}
CallSort = Literal["time", "duration", "first_token", "tokens", "cost"]
_NEWEST = "calls.time DESC, calls.n DESC"
_CALL_ORDERS = {
    None: _NEWEST,
    "time": _NEWEST,
    "duration": f"calls.duration DESC, {_NEWEST}",
    "first_token": f"calls.first_token DESC, {_NEWEST}",
    "tokens": f"coalesce(calls.input + calls.output, calls.input, calls.output) DESC, {_NEWEST}",
    "cost": f"(SELECT usd FROM costs WHERE costs.call = calls.n) DESC, {_NEWEST}",
}


def _order(database: sqlite3.Connection, sort: Sort | None) -> str:
    """The order of sessions."""
    if sort is not None and sort.startswith(SCORE):
        return scores.session_order(database, sort.removeprefix(SCORE))
    return _ORDERS[sort]


_LISTS = ("paths", "models", "providers", "agents", "processes", "users", "tags")


def sessions(
    database: sqlite3.Connection,
    filters: Filters,
    sort: Sort | None,
    limit: int,
    prices: Prices | None,
    is_running: IsRunning | None = None,
) -> list[Row]:
    """Lines of `ls --json`."""
    where, values = _sessions_that_fit(database, filters, one_by_one=sort is None and limit > 0)
    chosen = f"WHERE {where} ORDER BY {_order(database, sort)} LIMIT ?"
    return _session_rows(database, chosen, [*values, limit or -1], prices, is_running)


def _sessions_that_fit(database: sqlite3.Connection, filters: Filters, one_by_one: bool = False) -> Condition:
    """The condition on a session. `one_by_one`: the calls of each are looked at, so that the first sessions of the list
    that fit are found without a look at all calls."""
    if replace(filters, without_errands=False) != Filters():
        asked, values = condition(database, filters)
        where = f"n IN (SELECT calls.session FROM calls WHERE {asked})"
        if one_by_one and not names_calls(filters) and first_build.is_finished(database):
            # Without `+` the comparison would be one of integers, for which `calls_by_session` is no index.
            where = f"EXISTS (SELECT 1 FROM calls WHERE calls.session = +sessions.n AND {asked})"
    else:
        where, values = "calls + errands > 0", []  # none are left of one whose calls were refused
    if filters.without_errands:
        return f"{where} AND calls > 0", values
    return f"{where} AND home IS NULL", values


def count_sessions(database: sqlite3.Connection, filters: Filters) -> int:
    """The number of sessions that fit."""
    where, values = _sessions_that_fit(database, filters)
    (number,) = database.execute(f"SELECT count(*) FROM sessions WHERE {where}", values).fetchone()
    return int(number)


def session_numbers(database: sqlite3.Connection, filters: Filters, sort: Sort | None) -> array[int]:
    """The numbers of all sessions that fit, in their order: `sessions_numbered` makes lines of some at a time."""
    where, values = _sessions_that_fit(database, filters)
    return _numbers(database, f"SELECT n FROM sessions WHERE {where} ORDER BY {_order(database, sort)}", values)


def session_numbers_after(
    database: sqlite3.Connection, filters: Filters, sort: Sort | None, after: int, limit: int
) -> list[int]:
    """The same of those behind the session `after`, whether that one fits or not; the first `limit`, 0: all."""
    where, values = _sessions_that_fit(database, filters, one_by_one=sort is None and limit > 0)
    question = f"SELECT n FROM sessions WHERE ({where} OR n = ?) ORDER BY {_order(database, sort)}"
    numbers = (n for (n,) in database.execute(question, [*values, after]))
    behind = islice(dropwhile(lambda n: n != after, numbers), 1, None)
    return list(islice(behind, limit or None))


def sessions_numbered(
    database: sqlite3.Connection,
    numbers: Sequence[int],
    sort: Sort | None,
    prices: Prices | None,
    is_running: IsRunning | None = None,
) -> list[Row]:
    """Lines of `ls --json` of sessions that stand one after the other in the order of `sort`."""
    chosen = f"WHERE n IN (SELECT value FROM json_each(?)) ORDER BY {_order(database, sort)}"
    return _session_rows(database, chosen, [json.dumps(list(numbers))], prices, is_running)


def _numbers(database: sqlite3.Connection, question: str, values: list[Any]) -> array[int]:
    return array("q", (n for (n,) in database.execute(question, values)))


def _session_rows(
    database: sqlite3.Connection, where: str, values: list[Any], prices: Prices | None, is_running: IsRunning | None
) -> list[Row]:
    found = database.execute(
        "SELECT n, id, (SELECT text FROM strings WHERE strings.n = sessions.name), started, ended, calls, errors, "
        "input, output, cache_read, errands, coalesce(stated, well), unpriced, usd, "
        f"{', '.join(COST_COLUMNS)} FROM sessions {where}",
        values,
    ).fetchall()
    numbers = json.dumps([row[0] for row in found])
    lists: dict[tuple[int, str], list[str]] = {}
    within = "session IN (SELECT value FROM json_each(?))"
    for session, kind, text in database.execute(
        "SELECT session, kind, text FROM session_values JOIN strings ON strings.n = string "
        f"WHERE {within} AND kind NOT IN ('callers', 'errand_callers') ORDER BY first, session_values.n",
        (numbers,),
    ):
        lists.setdefault((session, kind), []).append(text)
    properties: dict[int, Row] = {}
    for session, key, value in database.execute(
        f"SELECT session, text, value FROM session_properties JOIN strings ON strings.n = key WHERE {within}",
        (numbers,),
    ):
        properties.setdefault(session, {})[key] = json.loads(value)
    active = active_sessions(database, {n: ended for n, _, _, _, ended, *_ in found}, time.time_ns(), is_running)
    folded = _folded_errands(database, [row[0] for row in found])
    scored = scores.scores_of(database, "session", [row[1] for row in found])
    means = scores.call_means(database, [row[0] for row in found])
    machines = _machines(database, numbers)
    rows = []
    for n, session_id, name, started, ended, calls, errors, asked, answered, cached, errands, success, *costs in found:
        unpriced, usd, *parts = costs if prices is not None else (calls, None)
        rows.append(
            {
                "id": session_id,
                "name": name,
                "title": None,
                "last_reply": None,
                "started": iso(started),
                "ended": iso(ended),
                "duration": seconds(ended - started),
                "calls": calls,
                "calls_in_flight": 0,
                "in_flight_since": None,
                "errors": errors,
                "errands": errands + folded.get(n, 0),
                **{kind: lists.get((n, kind), []) for kind in _LISTS},
                "machines": machines.get(n, []),
                "properties": properties.get(n, {}),
                "input_tokens": exact(asked),
                "output_tokens": exact(answered),
                "cache_read_tokens": exact(cached),
                "cost_usd": None if usd is None else round(usd, 12),
                "cost_parts": cost_parts(parts or None),
                "cost_unknown_calls": unpriced,
                "success": None if success is None else bool(success),
                "status": "failed" if success == 0 else "active" if n in active else "completed",
                **scored.get(session_id, NO_SCORES),
                "call_scores": means.get(n, {}),
            }
        )
    return rows


def _machines(database: sqlite3.Connection, sessions: str) -> dict[int, list[str]]:
    """The names of the machines whose proxies recorded these sessions, by the sessions' numbers."""
    found: dict[int, list[str]] = {}
    for session, machine in database.execute(
        "SELECT DISTINCT session, host FROM session_segments JOIN segments ON segments.n = segment "
        "WHERE session IN (SELECT value FROM json_each(?)) AND host NOT NULL ORDER BY host",
        (sessions,),
    ):
        found.setdefault(session, []).append(machine)
    return found


def _folded_errands(database: sqlite3.Connection, sessions: list[int]) -> dict[int, int]:
    """How many errands each of these sessions has in sessions of errands that belong to it."""
    found = {}
    for session, others in belonging_to(database, sessions).items():
        count = "SELECT sum(errands) FROM sessions WHERE n IN (SELECT value FROM json_each(?))"
        (found[session],) = database.execute(count, (json.dumps(others),)).fetchone()
    return found


def calls(
    database: sqlite3.Connection, filters: Filters, sort: CallSort | None, limit: int, prices: Prices | None
) -> list[Row]:
    """Lines of `calls --json`."""
    where, values = condition(database, filters)
    ordered = f"WHERE {where} ORDER BY {_CALL_ORDERS[sort]} LIMIT ?"
    found = records.pairs(database, ordered, [*values, limit or -1], prices)
    return [call_row(call, process, records.cost) for call, process in found]


def errands(database: sqlite3.Connection, filters: Filters) -> Row:
    """Agents' errands that fit: `calls`, and `sessions` that hold nothing else and belong to no other."""
    wanted = replace(filters, without_errands=False)
    where, values = condition(database, wanted)
    alone = f"SELECT n FROM sessions WHERE {NOTHING_ELSE} AND home IS NULL"
    fitting = f"FROM calls WHERE calls.errand AND {where}"
    (calls,) = database.execute(f"SELECT count(*) {fitting}", values).fetchone()
    of_those = f"{alone} AND n IN (SELECT calls.session {fitting})" if wanted != Filters() else alone
    (sessions,) = database.execute(f"SELECT count(*) FROM ({of_those})", values).fetchone()
    return {"calls": calls, "sessions": sessions}


def call_numbers(database: sqlite3.Connection, filters: Filters, sort: CallSort | None) -> array[int]:
    """The numbers of all calls that fit, in their order: `calls_numbered` makes lines of some at a time."""
    where, values = condition(database, filters)
    return _numbers(database, f"SELECT calls.n FROM calls WHERE {where} ORDER BY {_CALL_ORDERS[sort]}", values)


def calls_numbered(database: sqlite3.Connection, numbers: Sequence[int], prices: Prices | None) -> list[Row]:
    """Lines of `calls --json` of these calls."""
    chosen = "WHERE calls.n IN (SELECT value FROM json_each(?))"
    rows = dict(records.numbered_rows(database, chosen, [json.dumps(list(numbers))], prices))
    return [rows[n] for n in numbers if n in rows]


def session(
    database: sqlite3.Connection,
    prefix: str,
    folder: Path,
    prices: Prices | None,
    is_running: IsRunning | None = None,
    errands: bool = True,
    filters: Filters | None = None,
) -> Row:
    """`show --json`. `errands` False: without them, unless the session holds nothing else. `filters`: of its calls.

    Errands are those of other sessions, too, that belong to it (`errand_sessions`).
    """
    number = session_number(database, prefix, folder)
    shown = session_row(database, number, prices, is_running)
    where, values = calls_of_session(database, number, shown, errands, filters)
    pairs = records.pairs(database, f"WHERE {where} ORDER BY calls.time, calls.id", values, prices)
    rows = [call_row(call, process, records.cost) for call, process in pairs]
    unknown = Counter(row["cost_unknown"] for row in rows if row["cost_unknown"] and not row["errand"])
    return {
        "session": shown,
        "properties": property_values(call for call, _ in pairs),
        "cost_unknown": dict(unknown.most_common()),
        "tree": session_tree((call for call, _ in pairs), records.cost),
        "calls": rows,
    }


def calls_of_session(
    database: sqlite3.Connection, number: int, row: Row, errands: bool, filters: Filters | None
) -> Condition:
    """The condition on the calls that `session` shows of the session of this number and `row`."""
    within = [number, *belonging_to(database, [number]).get(number, ())] if errands else [number]
    where = "calls.session IN (SELECT value FROM json_each(?))"
    if not errands and row["calls"]:
        where += " AND NOT calls.errand"
    fitting, values = condition(database, filters or Filters())
    return f"{where} AND {fitting}", [json.dumps(within), *values]


def session_row(
    database: sqlite3.Connection, number: int, prices: Prices | None, is_running: IsRunning | None = None
) -> Row:
    """The line of `ls --json` of the session of this number."""
    return _session_rows(database, "WHERE n = ?", [number], prices, is_running)[0]
