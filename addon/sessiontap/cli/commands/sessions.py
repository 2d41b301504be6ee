"""`sessiontap ls`, `show` and `stats`: sessions, one session, and statistics."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.errors import Misuse
from sessiontap.cli.filter_options import OF_SESSIONS, all_option, filter_options
from sessiontap.cli.options import (
    SESSION_HELP,
    command,
    completes,
    json_option,
    limit_option,
    open_trace,
    rules_option,
    trace_option,
)
from sessiontap.cli.output import (
    flush,
    print_notice,
    progress,
    write,
    write_json,
    write_json_batches,
    write_json_lines,
    write_line,
)

if TYPE_CHECKING:
    from sessiontap.analysis.conversation import AgentConversation
    from sessiontap.trace.index.filters import Filters

SESSION_ORDERS = ("started", "ended", "name", "duration", "calls", "errors", "tokens", "cost")
"""Orders of `ls`: all but names from the most down."""
SCORE = "score:"
"""Before the name of a score, of an order of `ls`."""
STATISTICS_ORDERS = ("value", "calls", "errors", "rate", "success", "tokens", "cost", "duration")
"""Orders of `stats`, as `trace.index.statistics.ORDERS`, which a shell that completes does without."""


class _SessionOrder(click.Choice[str]):
    """One of `SESSION_ORDERS`, or a score."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value if value.startswith(SCORE) and value != SCORE else super().convert(value, param, ctx)


@command(
    "sessiontap ls --since 2h",
    "sessiontap ls --name 'Context*' --error",
    "sessiontap ls --property mode=test --sort cost -n 10",
    "sessiontap ls --json | jq -r .id",
)
@filter_options
@click.option(
    "--sort",
    metavar="KEY",
    type=_SessionOrder(SESSION_ORDERS),
    help=f"Sort by {', '.join(SESSION_ORDERS)}, score:NAME [default: newest first].",
)
@limit_option(50)
@rules_option
@json_option
@trace_option
def ls(wanted: Filters, sort: str | None, limit: int, rules: Path | None, json: bool, trace: Path | None) -> None:
    """List sessions, newest first. With filters: those in which one call fits all of them."""
    from sessiontap.cli import gaps, left_out, listing, scores_text
    from sessiontap.cli.call_costs import Costs

    prices = Costs.by(rules).prices
    log = open_trace(trace)
    left_out.limit_reading(log, wanted)
    with progress("reading the trace") as log.progress:
        rest = iter(()) if limit else log.each_session(wanted, sort, prices)
        rows = log.query_sessions(wanted, sort, limit, prices) if limit else next(rest, [])
    batches = chain([rows], rest) if rows else iter(())
    if json:
        write_json_batches(batches)
    elif rows:
        listing.session_batches(
            batches,
            lambda ids: log.query_short_ids("sessions", ids, listing.SESSION_ID_LENGTH),
            scored=scores_text.any_of(rows) if limit else log.query_has_scores(),
            machines=len(log.query_machines()) > 1,
        )
    if not rows:
        left_out.tell_nothing_fits(log, wanted, "session")
    left_out.tell_sessions_of_errands(log, wanted)
    left_out.tell_unread(log, wanted, ", and sums lack these calls")
    gaps.tell(log, wanted.since)


@command(
    "sessiontap show @1",
    "sessiontap show @1 --conversation",
    "sessiontap show 5f3a9c21 --timeline",
    "sessiontap show @1 --tool Bash --error",
    "sessiontap show @1 --json | jq .tree",
)
@click.argument("session", metavar="SESSION", help=SESSION_HELP, shell_complete=completes("session"))
@click.option("--timeline", is_flag=True, help="Draw to scale when each call ran.")
@click.option("--flat", is_flag=True, help="List calls in their order, without the tree of paths.")
@click.option(
    "--conversation", "-c", is_flag=True, help="Show what was said: prompts, replies, tools and their results."
)
@click.option("--full", "-v", is_flag=True, help="With --conversation: fold and cut nothing.")
@partial(filter_options, without=OF_SESSIONS)
@all_option
@rules_option
@json_option
@trace_option
def show(
    wanted: Filters,
    session: str,
    timeline: bool,
    flat: bool,
    conversation: bool,
    full: bool,
    without_errands: bool,
    rules: Path | None,
    json: bool,
    trace: Path | None,
) -> None:
    """Show a session: the tree of its paths and calls.

    Each has its time, tokens and cost. Filters choose among its calls; the figures above them are the whole session's.
    """
    from sessiontap import units
    from sessiontap.analysis.conversation import conversations
    from sessiontap.cli import gaps, left_out, listing, tree
    from sessiontap.cli import timeline as picture
    from sessiontap.cli.call_costs import Costs
    from sessiontap.trace.index.filters import given

    if conversation and given(wanted):
        raise Misuse("--conversation takes no filter", "`sessiontap show SESSION` lists the calls that fit")
    if conversation and (timeline or flat):
        raise Misuse("--conversation cannot be combined with --timeline or --flat", "give one of them")
    if full and not conversation:
        raise Misuse("--full unfolds a conversation", "give --conversation, too")
    prices = Costs.by(rules).prices
    log = open_trace(trace)
    with progress("reading the trace") as log.progress:
        shown = log.query_session(session, prices, errands=not without_errands, filters=wanted)
        found = conversations(log.query_turns(shown["session"]["id"], prices)) if conversation else None
    if json:
        write_json(shown if found is None else {"session": shown["session"], "conversations": list(map(asdict, found))})
    else:
        write(tree.heading(shown) + "\n")
        if found is not None:
            _converse(found, full)
        elif not shown["calls"] and given(wanted):
            flush()
            left_out.tell_nothing_fits(log, replace(wanted, session=shown["session"]["id"]))
        elif timeline:
            picture.show(shown, flat=flat)
        else:
            ids = [row["id"] for row in shown["calls"]]
            short = log.query_short_ids("calls", ids, listing.CALL_ID_LENGTH)
            if flat:
                listing.calls(shown["calls"], short)
            else:
                tree.show(shown, short)
    gaps.tell(log, units.since(shown["session"]["started"]))


def _converse(found: list[AgentConversation], full: bool) -> None:
    """Print the conversations of a session."""
    from sessiontap.cli import conversation_text

    if not conversation_text.has_words(found):
        print_notice("nothing of what was said is recorded: a rule says `capture: metadata`, or no call has a body")
        return
    for text, style in conversation_text.lines(found, full=full):
        write_line(text, style)


@command(
    "sessiontap stats --by model --since 1d",
    "sessiontap stats --by step --name 'Course*'",
    "sessiontap stats --by property:mode --sort cost",
    "sessiontap stats --by path --json | jq '[.path, .duration_p95]'",
)
@click.option(
    "--by",
    metavar="WHAT",
    default="name",
    help="name, path, step, model, process, tool, property, property:KEY, score:NAME; also machine, provider, "
    "operation, agent, user, session, outcome.",
)
@filter_options
@click.option(
    "--sort",
    metavar="KEY",
    type=click.Choice(STATISTICS_ORDERS),
    help=f"Sort by {', '.join(STATISTICS_ORDERS)} [default: most calls first, steps in their order].",
)
@limit_option(50)
@rules_option
@json_option
@trace_option
def stats(
    by: str, wanted: Filters, sort: str | None, limit: int, rules: Path | None, json: bool, trace: Path | None
) -> None:
    """Sum up calls, errors, tokens, cost and durations.

    There is a row for each value of what --by names. A call of several tools counts under each of them, and so do
    properties.
    """
    from sessiontap.cli import gaps, left_out, listing
    from sessiontap.cli.call_costs import Costs
    from sessiontap.trace.index.statistics import BYS, is_known
    from sessiontap.units import plural

    if not is_known(by):
        raise Misuse(f"there are no statistics by {by!r}", f"choose one of {', '.join(BYS)}, property:KEY, score:NAME")
    prices = Costs.by(rules).prices
    log = open_trace(trace)
    with progress("reading the trace") as log.progress:
        order = sort or ("value" if by == "step" else None)
        shown, matching = log.query_statistics(by, wanted, prices, order, limit)
    if json:
        write_json_lines(shown)
    elif shown:
        listing.statistics(shown, by)
        if matching > len(shown):
            print_notice(f"{plural(matching - len(shown), 'row')} more: --limit 0 shows all")
    if not shown:
        left_out.tell_nothing_fits(log, wanted, "call")
    left_out.tell_errands(log, wanted)
    gaps.tell(log, wanted.since)
