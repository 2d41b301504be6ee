"""`sessiontap ls`: sessions."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessiontap.cli.errors import note
from sessiontap.cli.options import (
    ErrorOption,
    JsonOption,
    LimitOption,
    ModelOption,
    NameOption,
    ProcessOption,
    PropertyOption,
    RulesOption,
    SearchOption,
    SinceOption,
    TraceOption,
    open_trace,
)
from sessiontap.cli.output import write_json_lines

if TYPE_CHECKING:
    from sessiontap.trace.sessions import Pair

EXAMPLES = (
    "sessiontap ls --since 2h",
    "sessiontap ls --name 'Context*' --error",
    "sessiontap ls --property mode=test --sort cost -n 10",
    "sessiontap ls --json | jq -r .id",
)


class Sort(StrEnum):
    """What the list is ordered by; all but names from the most down."""

    started = "started"
    ended = "ended"
    name = "name"
    duration = "duration"
    calls = "calls"
    errors = "errors"
    tokens = "tokens"
    cost = "cost"


def ls(
    ctx: typer.Context,
    name: NameOption = None,
    since: SinceOption = None,
    process: ProcessOption = None,
    model: ModelOption = None,
    property: PropertyOption = None,
    error: ErrorOption = False,
    search: SearchOption = None,
    sort: Annotated[Sort | None, typer.Option("--sort", help="Order by; newest first without.")] = None,
    limit: LimitOption = 50,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """Sessions, newest first; a filter keeps those in which one call fits all of it."""
    from sessiontap.cli import gaps, listing
    from sessiontap.cli.costs import Costs
    from sessiontap.cli.filters import Filter
    from sessiontap.cli.ids import shortest
    from sessiontap.cli.units import since as moment
    from sessiontap.trace import session_rows

    wanted = Filter(name, moment(since) if since else None, process, model, tuple(property or ()), error, search)
    wanted.check()
    log = open_trace(ctx, trace)
    costs = Costs.by(rules)
    calls: dict[str, list[Pair]] = {}
    meant: set[str] = set()
    for call in log.calls():
        if call.session_id is not None:
            calls.setdefault(call.session_id, []).append((_without_bodies(call.record), call.caller))
            if call.session_id not in meant and wanted.holds(call):
                meant.add(call.session_id)
    rows = session_rows(
        (pair for one, pairs in calls.items() if one in meant for pair in pairs), cost_of=costs.usd
    )
    if sort is not None:
        rows.sort(key=lambda row: _key(row, sort), reverse=sort is not Sort.name)
    rows = rows[: limit or None]
    if json:
        write_json_lines(rows)
    elif rows:
        listing.sessions(rows, shortest(calls))
    else:
        note(f"no session in {log.folder}" + ("" if wanted.is_empty else " fits the filter"))
    gaps.tell(log, wanted.since)


def _without_bodies(record: dict[str, Any]) -> dict[str, Any]:
    """What a session's sums need, so that a large log fits into memory."""
    return {key: value for key, value in record.items() if key not in ("request", "response", "changes", "state")}


def _key(row: dict[str, Any], sort: Sort) -> tuple[bool, Any]:
    """Unknown ones come last."""
    if sort is Sort.name:
        return row["name"] is None, row["name"] or ""
    if sort is Sort.tokens:
        known = [row[key] for key in ("input_tokens", "output_tokens") if row[key] is not None]
        return bool(known), sum(known)
    value = row["cost_usd" if sort is Sort.cost else sort.value]
    return value is not None, value if value is not None else 0
