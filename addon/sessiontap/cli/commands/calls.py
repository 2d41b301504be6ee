"""`sessiontap calls`: calls."""

from __future__ import annotations

from itertools import islice

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

EXAMPLES = (
    "sessiontap calls --since 1h --error",
    "sessiontap calls --model 'gpt-4o*' --process node",
    "sessiontap calls --search 'course outline' -n 0 --json",
)


def calls(
    ctx: typer.Context,
    name: NameOption = None,
    since: SinceOption = None,
    process: ProcessOption = None,
    model: ModelOption = None,
    property: PropertyOption = None,
    error: ErrorOption = False,
    search: SearchOption = None,
    limit: LimitOption = 50,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """Calls, newest first."""
    from sessiontap.cli import listing
    from sessiontap.cli.costs import Costs
    from sessiontap.cli.filters import Filter
    from sessiontap.cli.ids import CALL
    from sessiontap.cli.units import since as moment
    from sessiontap.trace import call_row

    wanted = Filter(name, moment(since) if since else None, process, model, tuple(property or ()), error, search)
    wanted.check()
    log = open_trace(ctx, trace)
    costs = Costs.by(rules)
    rows = (call_row(call.record, call.caller, costs.usd) for call in log.calls() if wanted.holds(call))
    chosen = islice(rows, limit or None)
    if json:
        write_json_lines(chosen)
        return
    listed = list(chosen)
    if listed:
        listing.calls(listed, {row["id"]: row["id"][:CALL] for row in listed})
    else:
        note(f"no call in {log.folder}" + ("" if wanted.is_empty else " fits the filter"))
