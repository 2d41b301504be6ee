"""`sessiontap tail`: calls as they happen."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from sessiontap.cli.options import JsonOption, LimitOption, RulesOption, TraceOption, filtered, open_trace
from sessiontap.cli.output import flush, progress, write_json, write_line

if TYPE_CHECKING:
    from sessiontap.trace.index.filters import Filters

EXAMPLES = ("sessiontap tail -f", "sessiontap tail -f --process node --json", "sessiontap tail -n 5")


@filtered
def tail(
    ctx: typer.Context,
    wanted: Filters,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with the calls that end from now on.")] = False,
    limit: LimitOption = 10,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """List the last calls, the newest at the end, and with -f those that follow."""
    from sessiontap.cli.call_costs import Costs
    from sessiontap.cli.listing import call_line

    prices = Costs.by(rules).prices
    log = open_trace(ctx, trace)
    coming = log.follow() if follow else ()  # from here on: a call that ends meanwhile is in both
    with progress("reading the trace") as log.progress:
        latest = log.query_calls(wanted, limit, prices)[::-1]
    shown = {row["id"] for row in latest}
    later = (
        row
        for call in coming
        if call.id not in shown
        for row in log.query_calls(replace(wanted, ids=(call.id,)), prices=prices)
    )
    for row in chain(latest, later):
        if json:
            write_json(row)
        else:
            write_line(*call_line(row))
        flush()
