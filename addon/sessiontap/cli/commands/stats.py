"""`sessiontap stats`: what calls have in common, counted."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sessiontap.cli.errors import Misuse
from sessiontap.cli.options import JsonOption, LimitOption, RulesOption, TraceOption, filtered, open_trace
from sessiontap.cli.output import note, progress, write_json_lines

if TYPE_CHECKING:
    from sessiontap.trace.index.filters import Filters

EXAMPLES = (
    "sessiontap stats --by model --since 1d",
    "sessiontap stats --by step --name 'Course*'",
    "sessiontap stats --by property:mode --sort cost",
    "sessiontap stats --by path --json | jq '[.path, .duration_p95]'",
)


class Sort(StrEnum):
    """The order of the list, the most first; values from the least up."""

    value = "value"
    calls = "calls"
    errors = "errors"
    rate = "rate"
    tokens = "tokens"
    cost = "cost"
    duration = "duration"


@filtered
def stats(
    ctx: typer.Context,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="WHAT",
            help="name, path, step, model, process, tool, property, property:KEY; also provider, operation, agent, "
            "user, session, outcome.",
        ),
    ] = "name",
    *,
    wanted: Filters,
    sort: Annotated[
        Sort | None, typer.Option("--sort", help="Order by; most calls first without, steps in their order.")
    ] = None,
    limit: LimitOption = 50,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """Sum up calls, errors, tokens, cost and durations by what calls have in common.

    A call of several tools counts under each of them, and so do properties.
    """
    from sessiontap.cli import gaps, listing
    from sessiontap.cli.call_costs import Costs
    from sessiontap.cli.units import plural
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.statistics import BYS, is_known

    if not is_known(by):
        raise Misuse(f"there are no statistics by {by!r}", f"choose one of {', '.join(BYS)}, property:KEY")
    prices = Costs.by(rules).prices
    log = open_trace(ctx, trace)
    with progress("reading the trace") as log.progress:
        rows = log.stats(by, wanted, prices)
    order = sort or (Sort.value if by == "step" else None)
    if order is not None:
        listing.order_statistics(rows, by, order.value)
    shown = rows[: limit or None]
    if json:
        write_json_lines(shown)
    elif shown:
        listing.statistics(shown, by)
        if len(rows) > len(shown):
            note(f"{plural(len(rows) - len(shown), 'row')} more: --limit 0 shows all")
    else:
        note(f"no call in {log.folder}" + ("" if wanted == Filters() else " fits the filter"))
    gaps.tell(log, wanted.since)
