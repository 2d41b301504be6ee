"""`sessiontap calls`: calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from sessiontap.cli.options import JsonOption, LimitOption, RulesOption, TraceOption, filtered, open_trace
from sessiontap.cli.output import note, progress, write_json_lines

if TYPE_CHECKING:
    from sessiontap.trace.index.filters import Filters

EXAMPLES = (
    "sessiontap calls --since 1h --error",
    "sessiontap calls --model 'gpt-4o*' --process node",
    "sessiontap calls --search 'course outline' -n 0 --json",
)


@filtered
def calls(
    ctx: typer.Context,
    wanted: Filters,
    limit: LimitOption = 50,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """List calls, newest first."""
    from sessiontap.cli import gaps, listing
    from sessiontap.cli.call_costs import Costs
    from sessiontap.cli.listing import CALL_ID_LENGTH
    from sessiontap.trace.index.filters import Filters

    prices = Costs.by(rules).prices
    log = open_trace(ctx, trace)
    with progress("reading the trace") as log.progress:
        rows = log.query_calls(wanted, limit, prices)
    if json:
        write_json_lines(rows)
    elif rows:
        listing.calls(rows, log.query_short_ids("calls", [row["id"] for row in rows], CALL_ID_LENGTH))
    else:
        note(f"no call in {log.folder}" + ("" if wanted == Filters() else " fits the filter"))
    gaps.tell(log, wanted.since)
