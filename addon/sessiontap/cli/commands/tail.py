"""`sessiontap tail`: calls as they happen."""

from __future__ import annotations

from itertools import chain, islice
from typing import Annotated

import typer

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
    TraceOption,
    open_trace,
)
from sessiontap.cli.output import flush, write_json, write_line

EXAMPLES = ("sessiontap tail -f", "sessiontap tail -f --process node --json", "sessiontap tail -n 5")


def tail(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with the calls that end from now on.")] = False,
    name: NameOption = None,
    process: ProcessOption = None,
    model: ModelOption = None,
    property: PropertyOption = None,
    error: ErrorOption = False,
    search: SearchOption = None,
    limit: LimitOption = 10,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """The last calls, the newest at the end, and with -f those that follow."""
    from sessiontap.cli.costs import Costs
    from sessiontap.cli.filters import Filter
    from sessiontap.cli.listing import call_line
    from sessiontap.trace import call_row

    wanted = Filter(name, None, process, model, tuple(property or ()), error, search)
    wanted.check()
    costs = Costs.by(rules)
    log = open_trace(ctx, trace)
    coming = log.follow() if follow else ()  # from here on: a call that ends meanwhile is in both
    latest = list(islice((call for call in log.calls() if wanted.holds(call)), limit or None))
    shown = {call.id for call in latest}
    for call in chain(reversed(latest), (one for one in coming if one.id not in shown and wanted.holds(one))):
        row = call_row(call.record, call.caller, costs.usd)
        if json:
            write_json(row)
        else:
            write_line(*call_line(row))
        flush()
