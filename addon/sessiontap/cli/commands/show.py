"""`sessiontap show`: one session."""

from __future__ import annotations

from typing import Annotated

import typer

from sessiontap.cli.options import JsonOption, RulesOption, TraceOption, open_trace
from sessiontap.cli.output import write, write_json

EXAMPLES = ("sessiontap show @1", "sessiontap show 5f3a9c21 --flat", "sessiontap show @1 --json | jq .tree")


def show(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Its id, a unique prefix of it, or @1, @2, ...")],
    flat: Annotated[bool, typer.Option("--flat", help="Calls in their order, without the paths' tree.")] = False,
    rules: RulesOption = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """One session: its paths as a tree, with their calls, time, tokens and cost."""
    from sessiontap.cli import gaps, listing, tree
    from sessiontap.cli.costs import Costs
    from sessiontap.cli.ids import CALL
    from sessiontap.trace import session_view

    costs = Costs.by(rules)
    log = open_trace(ctx, trace)
    found = log.session(session)
    shown = session_view([(call.record, call.caller) for call in found.calls], cost_of=costs.usd)
    if json:
        write_json(shown)
    else:
        write(tree.heading(shown["session"]) + "\n")
        short = {row["id"]: row["id"][:CALL] for row in shown["calls"]}
        if flat:
            listing.calls(sorted(shown["calls"], key=lambda row: str(row["time"])), short)
        else:
            tree.show(shown, short)
    gaps.tell(log, min((call.record["time"] for call in found.calls), default=None))
