"""`sessiontap show`: one session."""

from __future__ import annotations

from typing import Annotated

import typer

from sessiontap.cli.options import JsonOption, RulesOption, TraceOption, open_trace
from sessiontap.cli.output import progress, write, write_json

EXAMPLES = (
    "sessiontap show @1",
    "sessiontap show 5f3a9c21 --timeline",
    "sessiontap show @1 --json | jq .tree",
)


def show(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Its id, a unique prefix of it, or @1, @2, ...")],
    timeline: Annotated[bool, typer.Option("--timeline", help="Draw to scale when each call ran.")] = False,
    flat: Annotated[bool, typer.Option("--flat", help="List calls in their order, without the tree of paths.")] = False,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """Show one session: its paths as a tree, with their calls, time, tokens and cost."""
    from sessiontap.cli import gaps, listing, tree
    from sessiontap.cli import timeline as picture
    from sessiontap.cli.call_costs import Costs
    from sessiontap.cli.listing import CALL_ID_LENGTH
    from sessiontap.cli.units import since

    prices = Costs.by(rules).prices
    log = open_trace(ctx, trace)
    with progress("reading the trace") as log.progress:
        shown = log.query_session(session, prices)
    if json:
        write_json(shown)
    else:
        write(tree.heading(shown["session"]) + "\n")
        if timeline:
            picture.show(shown, flat=flat)
        else:
            short = log.query_short_ids("calls", [row["id"] for row in shown["calls"]], CALL_ID_LENGTH)
            if flat:
                listing.calls(shown["calls"], short)
            else:
                tree.show(shown, short)
    gaps.tell(log, since(shown["session"]["started"]))
