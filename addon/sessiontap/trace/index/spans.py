"""The spans of a session: when each of its calls ran, and the little that a picture of thousands of them shows of each.

Far less than a line of `calls --json` has, in a tenth of the time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sessiontap.trace.index.filters import Filters, condition
from sessiontap.trace.index.packed_ids import unpack_id
from sessiontap.trace.index.rows import COST_COLUMNS
from sessiontap.trace.outcomes import ERRORS
from sessiontap.trace.views import COST_PARTS

Row = dict[str, Any]
_TEXTS = (
    "path", "operation", "request_model", "response_model", "agent", "subagent", "kind", "outcome", "finish_reason",
)  # fmt: skip
_PLAIN = (
    "packed_id", "time", "duration", "first_byte", "first_token", "step", "conversation", "parent", "failed", "errand",
    "input", "output",
)  # fmt: skip
_COSTS = "LEFT JOIN costs ON costs.call = calls.n"
_NO_COSTS = f"LEFT JOIN (SELECT NULL AS usd, {', '.join(f'NULL AS {name}' for name in COST_COLUMNS)}, 1 AS reason) ON 1"


class CallSpan(NamedTuple):
    """A call in time: Unix nanoseconds and durations in nanoseconds, as in the log. Unknown is None."""

    id: str
    start: int
    duration: int | None
    """Of a call in flight its age when it was asked for."""
    first_byte: int | None
    """Nanoseconds from the start, as are those of the first token."""
    first_token: int | None
    step: int | None
    path: str | None
    operation: str | None
    model: str | None
    agent: str | None
    subagent: str | None
    process: str | None
    conversation: str | None
    parent: str | None
    kind: str | None
    outcome: str | None
    failed: bool
    finish_reason: str | None
    tool_calls: tuple[str, ...]
    input: int | None
    output: int | None
    cost_usd: float | None
    cost_parts: tuple[float, ...] | None
    """By `views.COST_PARTS`; None if there is nothing to tell apart."""
    cost_unknown: bool
    errand: bool = False
    in_flight: bool = False

    @property
    def end(self) -> int:
        """When it was over, as far as it is known."""
        return self.start + (self.duration or 0)


def spans(database: sqlite3.Connection, session: int, filters: Filters, *, priced: bool) -> list[CallSpan]:
    """The calls of a session that fit, oldest first. `priced`: the index knows what calls cost."""
    fitting, values = condition(database, filters)
    columns = ", ".join(f"calls.{name}" for name in (*_PLAIN, *_TEXTS, "tool_calls"))
    found = database.execute(
        f"SELECT {', '.join(COST_COLUMNS)}, callers.name, usd, reason, {columns} FROM calls "
        f"LEFT JOIN callers ON callers.n = calls.caller {_COSTS if priced else _NO_COSTS} "
        f"WHERE calls.session = ? AND {fitting} ORDER BY calls.time, calls.packed_id",
        [session, *values],
    ).fetchall()
    numbers = {number for row in found for number in row[-len(_TEXTS) - 1 :] if number is not None}
    chosen = json.dumps(sorted(numbers))
    texts: dict[int | None, str] = dict(
        database.execute("SELECT n, text FROM strings WHERE n IN (SELECT value FROM json_each(?))", (chosen,))
    )
    tools = {number: tuple(json.loads(texts[number])) for number in {row[-1] for row in found} - {None}}
    return [_span(row, texts, tools) for row in found]


def _span(row: tuple[Any, ...], texts: Mapping[int | None, str], tools: Mapping[int, tuple[str, ...]]) -> CallSpan:
    parts = row[: len(COST_COLUMNS)]
    process, usd, reason, id, time, duration, first_byte, first_token, step, *more = row[len(COST_COLUMNS) :]
    conversation, parent, *more = more
    failed, errand, input, output, path, operation, request_model, response_model, agent, subagent, kind, *rest = more
    outcome, finish_reason, tool_calls = rest
    get = texts.get
    return CallSpan(
        id=unpack_id(id) or "",
        start=time or 0,
        duration=duration,
        first_byte=first_byte,
        first_token=first_token,
        step=step,
        path=get(path),
        operation=get(operation),
        model=get(response_model) or get(request_model),
        agent=get(agent),
        subagent=get(subagent),
        process=process,
        conversation=unpack_id(conversation),
        parent=unpack_id(parent),
        kind=get(kind),
        outcome=get(outcome),
        failed=bool(failed),
        finish_reason=get(finish_reason),
        tool_calls=tools.get(tool_calls, ()),
        input=input,
        output=output,
        cost_usd=usd,
        cost_parts=None if parts[0] is None else parts,
        cost_unknown=reason is not None,
        errand=bool(errand),
    )


def span_of(row: Mapping[str, Any], now: int) -> CallSpan:
    """The span of a call in flight, of its line of `calls --json`. `now` in Unix nanoseconds."""
    usage = row["usage"] or {}
    start = _nanoseconds(row["time"])
    return CallSpan(
        id=row["id"],
        start=start,
        duration=max(now - start, 0) if row["in_flight"] else _of_seconds(row["duration"]),
        first_byte=_of_seconds(row["time_to_first_byte"]),
        first_token=_of_seconds(row["time_to_first_token"]),
        step=row["step"],
        path=row["path"],
        operation=row["operation"],
        model=row["response_model"] or row["request_model"],
        agent=row["agent"],
        subagent=row["subagent"],
        process=(row["process"] or {}).get("name"),
        conversation=row["conversation"],
        parent=row["parent"],
        kind=row["kind"],
        outcome=row["outcome"],
        failed=row["outcome"] in ERRORS or bool(row["error"]),
        finish_reason=row["finish_reason"],
        tool_calls=tuple(row["tool_calls"]),
        input=usage.get("input"),
        output=usage.get("output"),
        cost_usd=row["cost_usd"],
        cost_parts=None if row["cost_parts"] is None else tuple(row["cost_parts"][name] for name in COST_PARTS),
        cost_unknown=row["cost_unknown"] is not None,
        errand=row["errand"],
        in_flight=row["in_flight"],
    )


def _nanoseconds(iso: str) -> int:
    moment = datetime.fromisoformat(iso)
    return int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000


def _of_seconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 10**9)
