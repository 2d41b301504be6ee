"""`sessiontap diff`: the changes from one call to another, or from one session to another."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.errors import Failure, failure_of
from sessiontap.cli.options import CALL_HELP, command, completes, json_option, open_trace, rules_option, trace_option
from sessiontap.cli.output import print_notice, progress, write_json, write_line

if TYPE_CHECKING:
    from sessiontap.trace import RecordedCall, Trace


@command(
    "sessiontap diff @2 @1",
    "sessiontap diff @1/-1",
    "sessiontap diff @2/3 @1/3 --full",
    "sessiontap diff 019a7c31-5e0b 019a7c31-6f1c --json | jq .parameters",
)
@click.argument("before", metavar="CALL|SESSION", help=CALL_HELP, shell_complete=completes("call or session"))
@click.argument(
    "after",
    metavar="[CALL|SESSION]",
    required=False,
    shell_complete=completes("call or session"),
    help="The later one. Without it, the first CALL is the later one, and its parent the earlier.",
)
@click.option("--calls", is_flag=True, help="Compare calls, though both names mean sessions, too.")
@click.option("--full", is_flag=True, help="Show long texts, and what every call asks differently, in full.")
@rules_option
@json_option
@trace_option
def diff(
    before: str, after: str | None, calls: bool, full: bool, rules: Path | None, json: bool, trace: Path | None
) -> None:
    """Show what changed between two sessions or two requests.

    Two sessions are compared by their sums, models, tools, labels and calls, in pairs by path and step; two calls by
    messages, system prompt, tools, parameters and headers. Names that mean both (@1) are taken as sessions.
    """
    log = open_trace(trace)
    if after is None:
        later = log.call(before)
        _diff_calls(_parent(log, later), later, full=full, json=json)
        return
    with progress("reading the trace") as log.progress:
        sessions, both_calls = _meant(log, before, after)
    if sessions is not None and not (calls and both_calls is not None):
        if both_calls is not None:
            print_notice(f"{before} and {after} are taken as sessions; --calls compares the calls of these names")
        _diff_sessions(log, *sessions, rules, full=full, json=json)
    elif both_calls is not None:
        if sessions is None and not calls:
            _tell_calls(log, before, after)
        _diff_calls(*both_calls, full=full, json=json)


def _meant(
    log: Trace, before: str, after: str
) -> tuple[tuple[str, str] | None, tuple[RecordedCall, RecordedCall] | None]:
    """The ids of the sessions, if both names are of sessions, and the calls, if both are of calls. Raises Failure."""
    names = before, after
    sessions, calls = [_session(log, name) for name in names], [_call(log, name) for name in names]
    for name, session, call in zip(names, sessions, calls, strict=True):
        if session is None and call is None:
            message = f"{name!r} names neither a session nor a call in {log.shown_folder}, or more than one"
            raise Failure(message, "list them with `sessiontap ls` and `sessiontap calls`")
    both_sessions = (sessions[0], sessions[1]) if sessions[0] is not None and sessions[1] is not None else None
    both_calls = (calls[0], calls[1]) if calls[0] is not None and calls[1] is not None else None
    if both_sessions is None and both_calls is None:
        kinds = ["a session" if session is not None else "a call" for session in sessions]
        message = f"{before} names {kinds[0]} and {after} {kinds[1]}"
        raise Failure(message, "name two of a kind; SESSION/STEP names a call of a session")
    return both_sessions, both_calls


def _tell_calls(log: Trace, before: str, after: str) -> None:
    """Say that calls are compared, if one of the names means a session, too."""
    names = before, after
    none = [name for name in names if _session(log, name) is None]
    if len(none) == 1:
        print_notice(f"{before} and {after} are taken as calls, since {none[0]} is no session's")


def _session(log: Trace, name: str) -> str | None:
    from sessiontap.trace import TraceError

    try:
        return log.query_session_id(name)
    except TraceError:
        return None


def _call(log: Trace, name: str) -> RecordedCall | None:
    from sessiontap.trace import TraceError

    try:
        return log.call(name)
    except TraceError:
        return None


def _diff_sessions(log: Trace, before: str, after: str, rules: Path | None, *, full: bool, json: bool) -> None:
    from sessiontap.analysis.compare_recorded import compare_recorded_sessions
    from sessiontap.cli import session_differences
    from sessiontap.cli.call_costs import Costs

    prices = Costs.by(rules).prices
    with progress("comparing") as log.progress:
        found = compare_recorded_sessions(log, before, after, prices)
    if json:
        write_json(asdict(found))
    else:
        session_differences.show(found, full=full)


def _diff_calls(before: RecordedCall, after: RecordedCall, *, full: bool, json: bool) -> None:
    from sessiontap.analysis import compare_recorded
    from sessiontap.analysis.compare_sessions import NotComparedError
    from sessiontap.cli import call_differences
    from sessiontap.trace import BodyError

    try:
        found = compare_recorded.differences(compare_recorded.asked(before), compare_recorded.asked(after))
    except NotComparedError as error:
        raise Failure(str(error), error.hint) from None
    except BodyError as error:
        raise Failure(f"the request of call {before.id} or {after.id} cannot be read: {error}") from None
    if json:
        write_json(compare_recorded.as_json(found))
        return
    for text, style in call_differences.lines(found, full=full):
        write_line(text, style)


def _parent(log: Trace, call: RecordedCall) -> RecordedCall:
    """The call that `call` continues. Raises Failure."""
    from sessiontap.trace import TraceError

    hint = "name the one to compare it with: sessiontap diff CALL CALL"
    parent = call.record.get("parent")
    if not parent:
        raise Failure(f"call {call.id} goes on from no other call", hint)
    try:
        return log.call(parent)
    except TraceError as error:
        raise Failure(f"{failure_of(error).message}: the parent of call {call.id} is not there", hint) from None
