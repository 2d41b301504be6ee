"""Answers out of the index: the rows of the command line's JSON, as `views` makes them of records, and look-ups."""

from __future__ import annotations

import json
import sqlite3
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from sessiontap.trace.index import records
from sessiontap.trace.index.activity import IsRunning, active_sessions
from sessiontap.trace.index.addresses import session_number
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.errand_sessions import NOTHING_ELSE, belonging_to
from sessiontap.trace.index.filters import Condition, Filters, condition
from sessiontap.trace.index.rows import COST_COLUMNS
from sessiontap.trace.segment import FittingCalls, Place, SegmentContents
from sessiontap.trace.values import exact, iso, seconds
from sessiontap.trace.views import call_row, cost_parts, property_values, session_tree

Row = dict[str, Any]
Sort = Literal["started", "ended", "name", "duration", "calls", "errors", "tokens", "cost"]

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
    where, values = _sessions_that_fit(database, filters)
    chosen = f"WHERE {where} ORDER BY {_ORDERS[sort]} LIMIT ?"
    return _session_rows(database, chosen, [*values, limit or -1], prices, is_running)


def _sessions_that_fit(database: sqlite3.Connection, filters: Filters) -> Condition:
    if replace(filters, without_errands=False) != Filters():
        asked, values = condition(database, filters)
        where = f"n IN (SELECT calls.session FROM calls WHERE {asked})"
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


def session_numbers(
    database: sqlite3.Connection, filters: Filters, sort: Sort | None, after: int | None = None
) -> array[int]:
    """The numbers of all sessions that fit, in their order: `sessions_numbered` makes lines of some at a time.

    `after`: of those behind this one, whether it fits or not.
    """
    where, values = _sessions_that_fit(database, filters)
    if after is not None:
        where, values = f"({where} OR n = ?)", [*values, after]
    found = _numbers(database, f"SELECT n FROM sessions WHERE {where} ORDER BY {_ORDERS[sort]}", values)
    return found if after is None else found[found.index(after) + 1 :]


def sessions_numbered(
    database: sqlite3.Connection,
    numbers: Sequence[int],
    sort: Sort | None,
    prices: Prices | None,
    is_running: IsRunning | None = None,
) -> list[Row]:
    """Lines of `ls --json` of sessions that stand one after the other in the order of `sort`."""
    chosen = f"WHERE n IN (SELECT value FROM json_each(?)) ORDER BY {_ORDERS[sort]}"
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
                "properties": properties.get(n, {}),
                "input_tokens": exact(asked),
                "output_tokens": exact(answered),
                "cache_read_tokens": exact(cached),
                "cost_usd": None if usd is None else round(usd, 12),
                "cost_parts": cost_parts(parts or None),
                "cost_unknown_calls": unpriced,
                "success": None if success is None else bool(success),
                "status": "failed" if success == 0 else "active" if n in active else "completed",
            }
        )
    return rows


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


def places(database: sqlite3.Connection, folder: Path, filters: Filters, sessions: Iterable[str]) -> list[Place]:
    """The places of the calls that fit, oldest first; of these sessions alone if there are any."""
    where, values = condition(database, filters)
    if wanted := list(sessions):
        where = f"({where}) AND session IN (SELECT n FROM sessions WHERE id IN (SELECT value FROM json_each(?)))"
        values = [*values, json.dumps(wanted)]
    paths = {n: folder / name for n, name in database.execute("SELECT n, name FROM segments")}
    callers = dict(database.execute('SELECT n, "offset" FROM callers'))
    found = database.execute(
        f'SELECT segment, "offset", id, caller FROM calls WHERE {where} ORDER BY time, n', values
    )
    return [Place(paths[segment], offset, id, callers.get(caller)) for segment, offset, id, caller in found]


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


def sums(database: sqlite3.Connection) -> Row:
    """`calls`, `sessions`, `first` and `last` start (Unix nanoseconds), `body_bytes`."""
    question = (
        "SELECT coalesce(sum(calls), 0), (SELECT count(*) FROM sessions WHERE calls > 0), min(first_time), "
        "max(last_time), CAST(total(body_bytes) AS INTEGER) FROM segments"
    )
    names = ("calls", "sessions", "first", "last", "body_bytes")
    return dict(zip(names, database.execute(question).fetchone(), strict=True))


def segments(database: sqlite3.Connection, filters: Filters | None) -> dict[str, SegmentContents]:
    """The contents of each segment, by its name; `filters`: of calls that are looked for in it."""
    where, values = condition(database, filters) if filters is not None else ("0", [])
    fitting = dict(database.execute(f"SELECT segment, count(*) FROM calls WHERE {where} GROUP BY segment", values))
    warm_ups: dict[int, int] = {}
    if fitting:
        warm_ups = dict(
            database.execute(
                "SELECT segment, sum(warm_ups) FROM session_segments WHERE warm_ups > 0 AND session IN "
                f"({_WHOLE.format(where=where)}) GROUP BY segment",
                values,
            )
        )
    found = database.execute("SELECT n, name, closed, size, newest, calls + warm_ups, calls FROM segments")
    return {
        name: SegmentContents(
            bool(closed), size, newest, records, calls, fitting.get(n, 0) + warm_ups.get(n, 0), fitting.get(n, 0)
        )
        for n, name, closed, size, newest, records, calls in found
    }


_WHOLE = """
SELECT n FROM (SELECT session, count(*) AS fitting FROM calls WHERE {where} GROUP BY session) AS fit
JOIN sessions ON sessions.n = fit.session WHERE fitting = sessions.calls + sessions.errands
"""
"""The sessions of which all calls fit."""


def fitting(database: sqlite3.Connection, filters: Filters, files: list[str]) -> dict[str, FittingCalls]:
    """The calls of the segments named `files` that fit, by these names."""
    where, values = condition(database, filters)
    whole = database.execute(f"SELECT id FROM sessions WHERE n IN ({_WHOLE.format(where=where)})", values)
    sessions = frozenset(id for (id,) in whole)
    found = {}
    for name in files:
        of = database.execute("SELECT first_call, last_call, n FROM segments WHERE name = ?", (name,)).fetchone()
        within = f"SELECT id FROM calls WHERE calls.n BETWEEN ? AND ? AND segment = ? AND {where}"
        ids = database.execute(within, [*of, *values]) if of is not None else ()
        found[name] = FittingCalls(frozenset(id for (id,) in ids), sessions)
    return found


def count_sessions_within(
    database: sqlite3.Connection, files: list[str], filters: Filters | None, others: list[str]
) -> int:
    """Sessions whose calls all stand in segments named `files`; those that fit `filters` may stand in `others`, too."""
    if filters is None:
        question = (
            "SELECT count(*) FROM sessions WHERE calls > 0 AND NOT EXISTS (SELECT 1 FROM session_segments AS here "
            "JOIN segments ON segments.n = segment WHERE here.session = sessions.n AND here.calls > 0 "
            "AND name NOT IN (SELECT value FROM json_each(?)))"
        )
        return int(database.execute(question, (json.dumps(files),)).fetchone()[0])
    where, values = condition(database, filters)
    named = "calls.segment IN (SELECT n FROM segments WHERE name IN (SELECT value FROM json_each(?)))"
    question = _WHOLE.format(where=f"{named} OR ({named} AND {where})")
    question = f"SELECT count(*) FROM ({question} AND sessions.calls > 0)"
    return int(database.execute(question, [json.dumps(files), json.dumps(others), *values]).fetchone()[0])


def notes(database: sqlite3.Connection, since: int) -> list[Row]:
    """Notes, oldest first, those from `since` (Unix nanoseconds) on."""
    found = database.execute("SELECT record FROM notes WHERE time >= ? ORDER BY time, n", (since,))
    return [json.loads(text) for (text,) in found]


def problems(database: sqlite3.Connection) -> list[tuple[str, int, int, str]]:
    """The stretches that cannot be read: segment name, offset, size, text."""
    return database.execute(
        'SELECT name, problems."offset", problems.size, text FROM problems JOIN segments ON segments.n = segment '
        'ORDER BY name, problems."offset"'
    ).fetchall()
