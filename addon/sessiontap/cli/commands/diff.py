"""`sessiontap diff`: from one request to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sessiontap.cli.errors import Failure, failure_of
from sessiontap.cli.options import JsonOption, TraceOption, open_trace
from sessiontap.cli.output import progress, write_json, write_line

if TYPE_CHECKING:
    from sessiontap.trace import RecordedCall, Trace

EXAMPLES = (
    "sessiontap diff @1",
    "sessiontap diff @2 @1",
    "sessiontap diff 019a7c31-5e0b 019a7c31-6f1c --json | jq .parameters",
)


def diff(
    ctx: typer.Context,
    call: Annotated[str, typer.Argument(metavar="CALL", help="Its id, a unique prefix of it, or @1, @2, ...")],
    other: Annotated[
        str | None, typer.Argument(metavar="[CALL]", help="The later one; without it CALL is, after its parent.")
    ] = None,
    json: JsonOption = False,
    trace: TraceOption = None,
) -> None:
    """Show what changed from one request to the next: messages, system prompt, tools, parameters, headers."""
    from sessiontap.cli import differences
    from sessiontap.trace import BodyError

    log = open_trace(ctx, trace)
    with progress("reading the trace") as log.progress:
        first = log.call(call)
        before, after = (_parent(log, first), first) if other is None else (first, log.call(other))
    try:
        found = differences.differences(differences.asked(before), differences.asked(after))
    except BodyError as error:
        raise Failure(f"the request of call {before.id} or {after.id} cannot be read: {error}") from None
    if json:
        write_json(differences.as_json(found))
        return
    for text, style in differences.lines(found):
        write_line(text, style)


def _parent(log: Trace, call: RecordedCall) -> RecordedCall:
    """The call that it goes on from. Raises Failure."""
    from sessiontap.trace import TraceError

    hint = "name the one to compare it with: sessiontap diff CALL CALL"
    parent = call.record.get("parent")
    if not parent:
        raise Failure(f"call {call.id} goes on from no other call", hint)
    try:
        return log.call(parent)
    except TraceError as error:
        raise Failure(f"{failure_of(error).message}: the parent of call {call.id} is not there", hint) from None
