"""`sessiontap tools`, `context`, `cache` and `waste`: answers about a session, made of its turns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.errors import Failure
from sessiontap.cli.options import (
    SESSION_HELP,
    WholeNumber,
    command,
    completes,
    json_option,
    limit_option,
    open_trace,
    rules_option,
    trace_option,
)
from sessiontap.cli.output import progress, write_json

if TYPE_CHECKING:
    from sessiontap.analysis.part_costs import InputTerms
    from sessiontap.trace import Trace
    from sessiontap.trace.index.turns import Turn

session_argument = click.argument(
    "session", metavar="SESSION", help=SESSION_HELP, shell_complete=completes("session")
)


@command("sessiontap tools @1", "sessiontap tools @1 --name Bash", "sessiontap tools @1 --name 'mcp__*' --json")
@session_argument
@click.option("--name", metavar="GLOB", help="Show each call of these tools, its arguments and its result.")
@limit_option(50)
@json_option
@trace_option
def tools(session: str, name: str | None, limit: int, json: bool, trace: Path | None) -> None:
    """Show what tools did: calls, errors, time, results.

    The time is inferred: from the reply that asked for the tool to the request that brought its result.
    """
    from sessiontap.analysis.tools import runs_of, tools
    from sessiontap.cli import tool_tables
    from sessiontap.trace.index.filters import glob
    from sessiontap.trace.index.turns import session_of

    log = open_trace(trace)
    turns = _turns(log, session)
    if name is None:
        found = session_of(turns) | tools(turns)
        write_json(found) if json else tool_tables.show_tools(found)
        return
    wanted = glob(name)
    found = session_of(turns) | runs_of(turns, lambda tool: wanted(tool))
    if not found["calls"] and not json:
        names = ", ".join(row["tool"] or "?" for row in tools(turns)["tools"]) or "none"
        raise Failure(f"session {found['session_id']} calls no tool {name}", f"it calls {names}")
    write_json(found) if json else tool_tables.show_runs(found, limit)


@command("sessiontap context @1", "sessiontap context @1 --turn 12", "sessiontap context @1 --json | jq .blocks")
@session_argument
@click.option(
    "--turn",
    metavar="STEP",
    type=WholeNumber(0),
    help="Show what this turn's context holds [default: the fullest turn].",
)
@limit_option(50)
@rules_option
@json_option
@trace_option
def context(
    session: str, turn: int | None, limit: int, rules: Path | None, json: bool, trace: Path | None
) -> None:
    """Show what fills the context window, turn by turn.

    Totals are the provider's. Their split is estimated, and marked by ~.
    """
    from sessiontap.analysis.context import context
    from sessiontap.cli import context_tables
    from sessiontap.trace.index.turns import session_of

    log = open_trace(trace)
    turns = _turns(log, session)
    found = session_of(turns) | context(turns, _terms(log, turns, rules), turn)
    if turn is not None and found["detail"] is None:
        raise Failure(f"session {found['session_id']} has no step {turn}", "sessiontap show lists its steps")
    write_json(found) if json else context_tables.show(found, limit)


@command("sessiontap cache @1", "sessiontap cache @1 --json | jq .sum")
@session_argument
@limit_option(50)
@rules_option
@json_option
@trace_option
def cache(session: str, limit: int, rules: Path | None, json: bool, trace: Path | None) -> None:
    """Show where the provider's cache was hit, where it was not, and why.

    The reason is found by comparing the requests. EXTRA is what the lost tokens cost more than
    reading them from the cache would have.
    """
    from sessiontap.analysis.cache import cache
    from sessiontap.cli import cache_table, listing
    from sessiontap.trace.index.turns import session_of

    log = open_trace(trace)
    turns = _turns(log, session)
    found = session_of(turns) | cache(turns, _terms(log, turns, rules))
    if json:
        write_json(found)
        return
    ids = [row["call"] for row in found["turns"]]
    cache_table.show(found, log.query_short_ids("calls", ids, listing.CALL_ID_LENGTH), limit)


@command("sessiontap waste @1", "sessiontap waste @1 --json | jq .repeated")
@session_argument
@limit_option(10)
@rules_option
@json_option
@trace_option
def waste(session: str, limit: int, rules: Path | None, json: bool, trace: Path | None) -> None:
    """Show what was sent without need.

    That is tools that were never called, results that nothing refers to, and content that was sent twice at once.
    """
    from sessiontap.analysis.waste import waste
    from sessiontap.cli import waste_tables
    from sessiontap.trace.index.turns import session_of

    log = open_trace(trace)
    turns = _turns(log, session)
    found = session_of(turns) | waste(turns, _terms(log, turns, rules))
    write_json(found) if json else waste_tables.show(found, limit)


def _turns(log: Trace, session: str) -> list[Turn]:
    """The turns of the session. Raises Failure if no request of it can be read."""
    with progress("reading the trace") as log.progress:
        turns = log.query_brief_turns(session)
    if not any(turn.request for turn in turns):
        name = turns[0].call["session_id"] if turns else session
        raise Failure(f"session {name} has no request that can be read", "a rule may say `capture: metadata`")
    return turns


def _terms(log: Trace, turns: list[Turn], rules: Path | None) -> dict[str, InputTerms]:
    """The terms of the session's calls, by their ids. Raises Misuse if a named rules file is not valid."""
    from sessiontap.cli.call_costs import Costs

    costs = Costs.by(rules)
    billing = log.query_billing(turns[0].call["session_id"])
    return {id: costs.terms(record) for id, record in billing.items()}
