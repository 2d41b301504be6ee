"""Calls' records out of the index, with what they cost, and the rows that lists show of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.packed_ids import unpack_id
from sessiontap.trace.index.rows import COLUMNS, COST_COLUMNS, JSONS, TEXTS, USAGE, call_of
from sessiontap.trace.index.scores import scores_of
from sessiontap.trace.values import iso, seconds
from sessiontap.trace.views import UNPRICED, CallCost, Record, call_row

Row = dict[str, Any]
_CALL = ", ".join(f'calls."{name}"' for name in COLUMNS)
_BEFORE = 4
"""Values in a row of `_records` before those of `COLUMNS`."""
_BILLED_TEXTS = (
    "outcome", "host", "route", "method", "provider", "family", "operation", "request_model", "response_model",
    "service_tier", "billed", "error",
)  # fmt: skip
_BILLED_OF_LLM = ("provider", "family", "operation", "request_model", "response_model", "service_tier")
_BILLED = ", ".join(
    f"calls.{name}"
    for name in (
        "n", "packed_id", "time", "status", "response_bytes", "cost_reported", "has_usage", *USAGE, *_BILLED_TEXTS,
    )
)  # fmt: skip
_BRIEF = ("conversation", "parent", "step", "errand", "has_usage", *USAGE)
_BRIEF_TEXTS = (
    "session_name", "path", "provider", "family", "operation", "host", "request_model", "response_model",
)  # fmt: skip
_ID = _BEFORE + COLUMNS.index("id")
_TEXTS, _JSONS = ([_BEFORE + COLUMNS.index(name) for name in names] for names in (TEXTS, JSONS))


def cost(call: Record) -> CallCost:
    """The cost of a call of `pairs`."""
    known: CallCost = call["cost"]
    return known


def _records(database: sqlite3.Connection, where: str, values: list[Any]) -> list[tuple[int, Row, Row | None]]:
    """Calls' numbers, their records, and their processes."""
    found = database.execute(
        f"SELECT calls.n, sessions.id, process, segments.host, {_CALL} FROM calls "
        "LEFT JOIN sessions ON sessions.n = calls.session LEFT JOIN callers ON callers.n = caller "
        f"LEFT JOIN segments ON segments.n = calls.segment {where}",
        values,
    ).fetchall()
    texts = _strings(database, found, _TEXTS)
    structures = {n: json.loads(text) for n, text in _strings(database, found, _JSONS).items()}
    scored = scores_of(database, "call", [row[_ID] for row in found])
    return [
        (
            n,
            call_of(dict(zip(COLUMNS, rest, strict=True)), texts, structures, session)
            | {"machine": machine, "scored": scored.get(rest[_ID - _BEFORE])},
            json.loads(process) if process is not None else None,
        )
        for n, session, process, machine, *rest in found
    ]


def pairs(
    database: sqlite3.Connection, where: str, values: list[Any], prices: Prices | None
) -> list[tuple[Row, Row | None]]:
    """Records and processes of calls; in `cost` what they cost."""
    found = _records(database, where, values)
    costs: dict[int, CallCost] = {}
    if prices is not None:
        costs = _costs(database, [n for n, _, _ in found])
    return [(call | {"cost": costs.get(n, UNPRICED)}, process) for n, call, process in found]


def _costs(database: sqlite3.Connection, calls: list[int]) -> dict[int, CallCost]:
    """The costs of calls, by their numbers."""
    found = database.execute(
        f"SELECT call, text, usd, {', '.join(COST_COLUMNS)} FROM costs LEFT JOIN cost_reasons ON n = reason "
        "WHERE call IN (SELECT value FROM json_each(?))",
        (json.dumps(calls),),
    )
    return {
        n: CallCost(usd, None if parts[0] is None else tuple(parts), reason) for n, reason, usd, *parts in found
    }


def _strings(
    database: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], columns: Sequence[int]
) -> dict[int | None, str]:
    """The texts that the numbers in these columns of `rows` stand for. Raises LookupError: the index lacks one."""
    numbers = {row[column] for column in columns for row in rows} - {None}
    question = "SELECT n, text FROM strings WHERE n IN (SELECT value FROM json_each(?))"
    found = dict(database.execute(question, (json.dumps(list(numbers)),)))
    if len(found) < len(numbers):
        raise LookupError("a text that calls refer to is not in the index")
    return found


def numbered_rows(
    database: sqlite3.Connection, where: str, values: list[Any], prices: Prices | None = None
) -> list[tuple[int, Row]]:
    """Lines of `calls --json` with the calls' numbers, of those that the condition `where` chooses."""
    found = _records(database, where, values)
    costs = _costs(database, [n for n, _, _ in found]) if prices is not None else {}
    return [(n, call_row(call | {"cost": costs.get(n, UNPRICED)}, process, cost)) for n, call, process in found]


def brief_rows(database: sqlite3.Connection, session: int) -> list[tuple[int, Row]]:
    """The calls of a session, oldest first, with their numbers and those keys of `calls --json` that answers about all
    of its turns ask for: who it is, what it asked of whom, when, and its tokens.

    A quarter of the time that whole rows take.
    """
    columns = ", ".join(f"calls.{name}" for name in (*_BRIEF, *_BRIEF_TEXTS))
    rows = database.execute(
        f"SELECT calls.n, sessions.id, time, duration, first_byte, calls.packed_id, {columns} FROM calls "
        "JOIN sessions ON sessions.n = session WHERE session = ? ORDER BY time, calls.n",
        (session,),
    ).fetchall()
    first = 6 + len(_BRIEF)
    text = _strings(database, rows, range(first, first + len(_BRIEF_TEXTS))).get
    ids: dict[str | bytes | None, str | None] = {}
    """Ids as texts, by how they are packed: a call shares its own with those that continue it."""
    alike: dict[tuple[int | None, ...], Row] = {}
    found = []
    for n, session_id, time, duration, first_byte, id, conversation, parent, step, errand, has_usage, *more in rows:
        for packed in (id, conversation, parent):
            if packed not in ids:
                ids[packed] = unpack_id(packed)
        names = tuple(more[len(USAGE) :])
        if names not in alike:
            alike[names] = dict(zip(_BRIEF_TEXTS, map(text, names), strict=True))
        row = {
            "id": ids[id],
            "session_id": session_id,
            "conversation": ids[conversation],
            "parent": ids[parent],
            "step": step,
            "errand": bool(errand),
            "time": iso(time),
            "duration": seconds(duration),
            "time_to_first_byte": seconds(first_byte),
            "usage": dict(zip(USAGE, more, strict=False)) if has_usage else None,
            **alike[names],
        }
        found.append((n, row))
    return found


class BilledCalls(NamedTuple):
    """Some calls of a session."""

    ids: Collection[str] = ()
    """These, ..."""
    above: int | None = None
    """... and those whose input has more tokens, but for errands."""


def billing(database: sqlite3.Connection, session: int, chosen: BilledCalls | None = None) -> dict[str, Row]:
    """The same as `billed`, by the id of the call; of all calls of a session, or of the chosen ones."""
    where, values = "session = ?", list[Any]([session])
    if chosen is not None:
        where += " AND (id IN (SELECT value FROM json_each(?)) OR (input > ? AND NOT errand))"
        values += [json.dumps(list(chosen.ids)), chosen.above]
    return {call["id"]: call for _, call in billed(database, f"WHERE {where}", values)}


def billed(database: sqlite3.Connection, where: str, values: list[Any]) -> list[tuple[int, Row]]:
    """The facts that decide what a call costs, in the shape of its record, with its number; of the calls that the
    condition `where` chooses.

    A third of the time that whole records take. Calls share what they have in common.
    """
    rows = database.execute(f"SELECT {_BILLED} FROM calls {where}", values).fetchall()
    first = 7 + len(USAGE)
    text = _strings(database, rows, range(first, first + len(_BILLED_TEXTS))).get
    shared: dict[tuple[int | None, ...], tuple[Row, Row, Row]] = {}
    found = []
    for n, packed, time, status, response_bytes, cost_reported, has_usage, *more in rows:
        numbers = tuple(more[len(USAGE) :])
        if numbers not in shared:
            own = dict(zip(_BILLED_TEXTS, map(text, numbers), strict=True))
            structures = {name: json.loads(own[name] or "null") for name in ("billed", "error")}
            of_call = {name: own[name] for name in ("outcome", "host", "route")}
            of_llm = {name: own[name] for name in _BILLED_OF_LLM}
            shared[numbers] = of_call, {"method": own["method"]}, of_llm | structures
        of_call, request, of_llm = shared[numbers]
        usage = dict(zip(USAGE, more, strict=False)) if has_usage else None
        came = status is not None or response_bytes is not None
        call = {
            "id": unpack_id(packed),
            "time": time,
            **of_call,
            "request": request,
            "response": {"status": status} if came else None,
            "llm": {**of_llm, "usage": usage, "cost_reported": cost_reported},
        }
        found.append((n, call))
    return found
