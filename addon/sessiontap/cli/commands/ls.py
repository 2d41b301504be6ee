"""`sessiontap ls`: sessions."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sessiontap.cli.options import JsonOption, LimitOption, RulesOption, TraceOption, filtered, open_trace
from sessiontap.cli.output import note, progress, write_json_lines

if TYPE_CHECKING:
    from sessiontap.trace.index import answers
    from sessiontap.trace.index.filters import Filters

EXAMPLES = (
    "sessiontap ls --since 2h",
    "sessiontap ls --name 'Context*' --error",
    "sessiontap ls --property mode=test --sort cost -n 10",
    "sessiontap ls --json | jq -r .id",
)


class Sort(StrEnum):
    """The order of the list; all but names from the most down."""

    started = "started"
    ended = "ended"
    name = "name"
    duration = "duration"
    calls = "calls"
    errors = "errors"
    tokens = "tokens"
    cost = "cost"


@filtered
def ls(
    ctx: typer.Context,
    wanted: Filters,
    sort: Annotated[Sort | None, typer.Option("--sort", help="Sort by this; newest first if it is not given.")] = None,
    limit: LimitOption = 50,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """List sessions, newest first. A filter keeps those in which one call fits all of it."""
    from sessiontap.cli import gaps, listing
    from sessiontap.cli.call_costs import Costs
    from sessiontap.cli.listing import SESSION_ID_LENGTH
    from sessiontap.trace.index.filters import Filters

    prices = Costs.by(rules).prices
    log = open_trace(ctx, trace)
    with progress("reading the trace") as log.progress:
        rows = log.query_sessions(wanted, cast("answers.Sort | None", sort and sort.value), limit, prices)
    if json:
        write_json_lines(rows)
    elif rows:
        listing.sessions(rows, log.query_short_ids("sessions", [row["id"] for row in rows], SESSION_ID_LENGTH))
    else:
        note(f"no session in {log.folder}" + ("" if wanted == Filters() else " fits the filter"))
    gaps.tell(log, wanted.since)
