"""Statistics over calls: how many, how many failed, tokens, cost and how long they took, by what they have in common.

Percentiles are exact, nearest-rank: of n sorted values the one at ceil(p * n). Unknown durations, tokens and costs are
left out, never taken as 0; what is known of nothing is None. SQLite makes the sums, of tokens in floats: they do not
overflow and are exact up to `values.EXACT`. It gives durations as JSON, in half of the time that it takes to fetch them
one by one, and they are sorted here, in half of the time that its ORDER BY takes.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from sessiontap.trace.index import group_sums, scores
from sessiontap.trace.index.filters import Condition, Filters, given
from sessiontap.trace.index.rows import COST_COLUMNS
from sessiontap.trace.values import exact, seconds
from sessiontap.trace.views import cost_parts

By = Literal[
    "name", "path", "model", "process", "machine", "provider", "operation", "agent", "user", "session", "step",
    "outcome", "tool", "property",
]  # fmt: skip
BYS: tuple[str, ...] = get_args(By)
ORDERS = ("value", "calls", "errors", "rate", "success", "tokens", "cost", "duration")
"""Orders of rows: values from the least up, all else from the most down."""
PROPERTY = "property:"
"""Before a property's name: by the values of that property alone."""
SCORE = "score:"
"""Before a score's name: by its values, of the call or else of its session."""

_KEYS = {
    "name": "session_name",
    "model": "coalesce(response_model, request_model)",
    "process": "callers.name",
    "machine": "segments.host",
}
_TEXT = ("name", "path", "model", "provider", "operation", "agent", "user", "outcome")
"""Whose key is the number of a text."""
_KNOWN = {
    # what is summed: (of calls, of sums of calls)
    "calls": ("count(*)", "sum(calls.calls)"),
    "failed": ("sum(failed)", "sum(failed)"),
    **{name: (f"sum({name} + 0.0)", f"sum({name})") for name in ("input", "output", "cache_read")},
    **{name: (f"sum({name})", f"sum({name})") for name in ("usd", *COST_COLUMNS)},
    "priced": ("count(usd)", "sum(priced)"),
    "unpriced": ("count(reason)", "sum(unpriced)"),
    "span": ("max(time + coalesce(duration, 0)) - min(time)", "max(ended) - min(started)"),
    "durations": ("group_concat(duration)", "group_concat(durations)"),
    "first_tokens": ("group_concat(first_token)", "group_concat(first_tokens)"),
}
_OF_CALLS, _OF_SUMS = ({name: both[which] for name, both in _KNOWN.items()} for which in range(2))
_BRIEF = "SELECT {key} AS k, {calls}, {failed}, {input}, {output}, {usd} FROM {table} WHERE {where} GROUP BY k"
"""The sums that rows are ordered by, but for orders that take all durations or a look at each session."""
_VALUES = "SELECT DISTINCT {key} FROM {table} WHERE {where} LIMIT ?"
_ORDERS_OF_WHOLE_ROWS = ("success", "duration")
_SUMS = f"""
SELECT {{key}} AS k, {{calls}}, {{failed}}, {{input}}, {{output}}, {{cache_read}}, {{usd}}, {{unpriced}},
    {', '.join(f'{{{name}}}' for name in COST_COLUMNS)},
    '[' || coalesce({{durations}}, '') || ']', '[' || coalesce({{first_tokens}}, '') || ']'
FROM {{table}} WHERE {{where}} GROUP BY k
"""
_SESSIONS = """
SELECT k, count(*), json_group_array(usd) FILTER (WHERE priced > 0),
    count(*) FILTER (WHERE priced > 0 AND unpriced > 0), count(*) FILTER (WHERE priced = 0 AND unpriced > 0),
    json_group_array(span), coalesce(sum(success), 0), count(success)
FROM (
    SELECT own.*, coalesce(stated, well) AS success FROM (
        SELECT {key} AS k, calls.session AS session, {usd} AS usd, {priced} AS priced, {unpriced} AS unpriced,
            {span} AS span
        FROM {table} WHERE {where} AND calls.session NOT NULL GROUP BY calls.session, k
    ) AS own LEFT JOIN sessions ON sessions.n = own.session
) GROUP BY k
"""
"""The sums of a row in each session: apart, so that what is sorted for it is small."""
_PRICED = "LEFT JOIN costs ON costs.call = calls.n"
_NO_COSTS = ", ".join(f"NULL AS {name}" for name in ("usd", *COST_COLUMNS))
_UNPRICED = f"LEFT JOIN (SELECT {_NO_COSTS}) ON 1"


def are_summed(by: str, filters: Filters) -> bool:
    """True if the sums that the index keeps of like calls (`group_sums`) are enough for it."""
    groups = by in group_sums.GROUPS or by.startswith(PROPERTY)
    return groups and all(name in group_sums.FILTERS for name, _ in given(filters))


def is_known(by: str) -> bool:
    """True if there are statistics by it: one of `BYS`, or `property:` or `score:` and a name."""
    return by in BYS or any(by.startswith(kind) and by != kind for kind in (PROPERTY, SCORE))


class Statistics(NamedTuple):
    """Rows of statistics, and how many there would be without a limit."""

    rows: list[dict[str, Any]]
    matching: int


def stats(
    database: sqlite3.Connection,
    by: str,
    wanted: Condition,
    priced: bool = False,
    summed: bool = False,
    order: str | None = None,
    limit: int = 0,
) -> Statistics:
    """A row for each value of `by`, most calls first or in one of `ORDERS`; at most `limit` of them, 0: all. With
    `tool` a call counts for each tool that it asks for, with `property` for each of its properties as `key=value`, with
    `property:KEY` for its value of that one, None where it has none. `priced`: the index knows what calls cost.
    `summed`: its sums of like calls are enough (`are_summed`).

    A session succeeds or fails as a whole, whichever of its calls a row has.
    `session_...` are of what a session's calls of that row come to: their cost (of sessions where it is known for one
    at least; `partial`: not for all of them, so that it cost more), and the time from the first one's start to the end
    of the last."""
    where, values = wanted
    key, table = _grouping(database, by)
    is_summed = summed and priced and group_sums.are_complete(database)
    if is_summed:
        sums, source = _OF_SUMS, table.replace("calls", "group_sums AS calls", 1)
    else:
        sums = _OF_CALLS if priced else _OF_CALLS | {"unpriced": "count(*)"}
        source = f"{table} {_PRICED if priced else _UNPRICED}"
    asked = {**sums, "key": key, "table": source, "where": where}
    matching = None
    if limit and is_summed and order not in _ORDERS_OF_WHOLE_ROWS:
        several = database.execute(_VALUES.format(**asked), [*values, limit + 1]).fetchall()
        if len(several) > limit:  # a look at all of them twice takes longer, if they are few
            brief = {one: _brief(rest) for one, *rest in database.execute(_BRIEF.format(**asked), values)}
            names, matching = _names(database, by, list(brief)), len(brief)
            rows = [{by: names.get(one, one), "k": one, **row} for one, row in brief.items()]
            _sort(rows, by, order)
            where, values = _among(key, [row["k"] for row in rows[:limit]], (where, values))
            asked["where"] = where
    sessions = {name: rest for name, *rest in database.execute(_SESSIONS.format(**asked), values)}
    none = [0, "[]", 0, 0, "[]", 0, 0]
    found = database.execute(_SUMS.format(**asked), values)
    summed_up = {name: _row(rest, sessions.pop(name, none)) for name, *rest in found}  # a row has all its durations
    names = _names(database, by, list(summed_up))
    means = scores.means_by(database, key, table, (where, values))
    rows = [  # of a million sessions: no row is there twice
        {by: names.get(name, name), **summed_up.pop(name), "scores": means.get(name, {})} for name in list(summed_up)
    ]
    _sort(rows, by, order)
    return Statistics(rows[: limit or None], len(rows) if matching is None else matching)


def _brief(sums: Sequence[Any]) -> dict[str, Any]:
    """The keys of a row that it is ordered by."""
    calls, errors, asked, answered, usd = sums
    return {
        "calls": calls,
        "errors": errors,
        "error_rate": errors / calls,
        "input_tokens": exact(asked),
        "output_tokens": exact(answered),
        "cost_usd": _usd(usd),
    }


def _among(key: str, chosen: list[Any], wanted: Condition) -> Condition:
    """Those of `wanted` whose `key` is one of the chosen ones."""
    where, values = wanted
    none = f" OR {key} IS NULL" if None in chosen else ""
    return f"{where} AND ({key} IN (SELECT value FROM json_each(?)){none})", [*values, json.dumps(chosen)]


def order_rows(rows: list[dict[str, Any]], by: str, wanted: str) -> None:
    """Sort rows of `stats` by `value`, from the least up, or by another of `ORDERS`; unknown ones come last."""
    rows.sort(key=lambda row: _order_key(row, by, wanted))


def _sort(rows: list[dict[str, Any]], by: str, wanted: str | None) -> None:
    """The same, and those that are alike in that by their calls, the most first."""
    rows.sort(key=lambda row: (-row["calls"], str(row[by])))
    if wanted is not None:
        order_rows(rows, by, wanted)


def _order_key(row: dict[str, Any], by: str, wanted: str) -> tuple[bool, Any]:
    if wanted == "value":
        return row[by] is None, (isinstance(row[by], str), row[by] if row[by] is not None else "")
    if wanted == "tokens":
        known = [row[key] for key in ("input_tokens", "output_tokens") if row[key] is not None]
        value = sum(known) if known else None
    else:
        keys = {"rate": "error_rate", "success": "success_rate", "cost": "cost_usd", "duration": "duration_p95"}
        value = row[keys.get(wanted, wanted)]
    return value is None, -value if value is not None else 0


def _sorted(values: str) -> list[Any]:
    """The numbers of a JSON array, from the smallest."""
    numbers: list[Any] = msgspec.json.decode(values)  # a third of the time that `json` takes
    numbers.sort()
    return numbers


def _row(sums: Sequence[Any], of_sessions: Sequence[Any]) -> dict[str, Any]:
    calls, errors, asked, answered, cached, usd, unpriced, *parts, durations, first_tokens = sums
    sessions, session_costs, partial, unknown, session_spans, well, judged = of_sessions
    paid, spans = _sorted(session_costs), _sorted(session_spans)
    return {
        "calls": calls,
        "errors": errors,
        "error_rate": errors / calls,
        "sessions": sessions,
        "sessions_succeeded": well,
        "sessions_failed": judged - well,
        "success_rate": well / judged if judged else None,
        "input_tokens": exact(asked),
        "output_tokens": exact(answered),
        "cache_read_tokens": exact(cached),
        "cost_usd": _usd(usd),
        "cost_parts": cost_parts([_usd(usd) for usd in parts]),
        "cost_unknown_calls": unpriced,
        "session_cost_usd_mean": _usd(math.fsum(paid) / len(paid)) if paid else None,
        **{f"session_cost_usd_p{p}": _usd(percentile(paid, p)) for p in (50, 95)},
        "session_cost_partial": partial,
        "session_cost_unknown": unknown,
        **{f"session_duration_p{p}": seconds(percentile(spans, p)) for p in (50, 95)},
        **_percentiles("duration", durations),
        **_percentiles("time_to_first_token", first_tokens),
    }


def _percentiles(name: str, values: str) -> dict[str, float | None]:
    """Those of a JSON array of nanoseconds, in seconds."""
    ordered = _sorted(values)
    return {f"{name}_p{p}": seconds(percentile(ordered, p)) for p in (50, 95, 99)}


def percentile[N: (int, float)](ordered: Sequence[N], percent: int) -> N | None:
    """Nearest-rank, of sorted values; None of none."""
    return ordered[-(-percent * len(ordered) // 100) - 1] if ordered else None


def _grouping(database: sqlite3.Connection, by: str) -> tuple[str, str]:
    """A grouping of calls, and the tables that it takes."""
    if by == "tool":
        _spread(database, "tool_calls", lambda tools: map(str, tools))
        return "spread.key", "calls JOIN spread ON spread.string = calls.tool_calls"
    if by == "property":
        _spread(database, "properties", lambda found: (f"{name}={value}" for name, value in found.items()))
        return "spread.key", "calls JOIN spread ON spread.string = calls.properties"
    if by.startswith(PROPERTY):
        wanted = by.removeprefix(PROPERTY)
        _spread(database, "properties", lambda found: [str(found[wanted])] if wanted in found else [])
        return "spread.key", "calls LEFT JOIN spread ON spread.string = calls.properties"
    if by.startswith(SCORE):
        scores.make_scored(database, by.removeprefix(SCORE))
        return "scored.key", "calls LEFT JOIN scored ON scored.call = calls.n"
    if by == "process":
        return _KEYS[by], "calls LEFT JOIN callers ON callers.n = calls.caller"
    if by == "machine":
        return _KEYS[by], "calls LEFT JOIN segments ON segments.n = calls.segment"
    return _KEYS.get(by, f"calls.{by}"), "calls"


def _spread(database: sqlite3.Connection, column: str, parts: Any) -> None:
    """A table from the number of a list or map that stood in `column` to each of its `parts`."""
    database.execute("CREATE TEMP TABLE IF NOT EXISTS spread(string INTEGER, key TEXT, PRIMARY KEY(string, key))")
    database.execute("DELETE FROM spread")
    found = database.execute("SELECT n, text FROM strings JOIN facets ON string = n WHERE column = ?", (column,))
    pairs = {(n, part) for n, text in found.fetchall() for part in parts(json.loads(text))}
    database.executemany("INSERT INTO spread VALUES (?, ?)", sorted(pairs))


def _names(database: sqlite3.Connection, by: str, numbers: list[Any]) -> dict[Any, str]:
    """The texts, or ids of sessions, that numbers stand for."""
    table, column = ("strings", "text") if by in _TEXT else ("sessions", "id") if by == "session" else (None, None)
    if table is None:
        return {}
    chosen = json.dumps([number for number in numbers if number is not None])
    return dict(
        database.execute(f"SELECT n, {column} FROM {table} WHERE n IN (SELECT value FROM json_each(?))", (chosen,))
    )


def _usd(amount: float | None) -> float | None:
    """Rounded to 12 digits: sums of binary fractions are no further to be trusted, and differ by their order."""
    if amount is None:
        return None
    whole = len(str(int(abs(amount)))) if abs(amount) >= 1 else 0
    return round(amount, 12 - whole)
