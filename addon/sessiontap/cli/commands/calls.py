"""`sessiontap calls`, `tail` and `cat`: calls, and one call."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.filter_options import filter_options
from sessiontap.cli.options import (
    CALL_HELP,
    command,
    completes,
    json_option,
    limit_option,
    open_trace,
    rules_option,
    trace_option,
)
from sessiontap.cli.output import (
    console,
    flush,
    on_terminal,
    print_notice,
    progress,
    write,
    write_bytes,
    write_json,
    write_json_batches,
    write_line,
    write_safe,
)

if TYPE_CHECKING:
    from sessiontap.trace import RecordedCall
    from sessiontap.trace.index import answers
    from sessiontap.trace.index.filters import Filters

CALL_ORDERS = ("time", "duration", "first_token", "tokens", "cost")
"""Orders of `calls`."""


@command(
    "sessiontap calls --since 1h --error",
    "sessiontap calls --model 'gpt-4o*' --process node",
    "sessiontap calls --tool Bash --status 4xx --sort duration",
    "sessiontap calls --search 'course outline' -n 0 --json",
)
@filter_options
@click.option(
    "--sort",
    metavar="KEY",
    type=click.Choice(CALL_ORDERS),
    help=f"Sort by {', '.join(CALL_ORDERS)}, the most first [default: newest first].",
)
@limit_option(50)
@rules_option
@json_option
@trace_option
def calls(wanted: Filters, sort: str | None, limit: int, rules: Path | None, json: bool, trace: Path | None) -> None:
    """List calls, newest first."""
    from sessiontap.cli import gaps, left_out, listing, scores_text
    from sessiontap.cli.call_costs import Costs

    prices = Costs.by(rules).prices
    log = open_trace(trace)
    left_out.limit_reading(log, wanted)
    order = cast("answers.CallSort | None", sort)
    with progress("reading the trace") as log.progress:
        rest = iter(()) if limit else log.each_call(wanted, prices, order)
        rows = log.query_calls(wanted, limit, prices, order) if limit else next(rest, [])
    batches = chain([rows], rest) if rows else iter(())
    if json:
        write_json_batches(batches)
    elif rows:
        listing.call_batches(
            batches,
            lambda ids: log.query_short_ids("calls", ids, listing.CALL_ID_LENGTH),
            scored=scores_text.any_of(rows) if limit else log.query_has_scores(),
            machines=len(log.query_machines()) > 1,
        )
    if not rows:
        left_out.tell_nothing_fits(log, wanted, "call")
    left_out.tell_errands(log, wanted)
    left_out.tell_unread(log, wanted)
    gaps.tell(log, wanted.since)


@command("sessiontap tail -f", "sessiontap tail -f --process node --json", "sessiontap tail -n 5")
@filter_options
@click.option("--follow", "-f", is_flag=True, help="Go on with calls as they begin and end.")
@limit_option(10)
@rules_option
@json_option
@trace_option
def tail(wanted: Filters, follow: bool, limit: int, rules: Path | None, json: bool, trace: Path | None) -> None:
    """List the last calls, and with -f those that follow.

    The newest is at the end. On a terminal a last line says what is in flight, and for how long.
    """
    from sessiontap.cli import following, left_out
    from sessiontap.cli.call_costs import Costs
    from sessiontap.cli.listing import call_line

    prices = Costs.by(rules).prices
    log = open_trace(trace)
    # `news` begin here, so that no call is missed: one that ends meanwhile is in both.
    news = log.news() if follow else None
    with progress("reading the trace") as log.progress:
        latest = log.query_calls(wanted, limit, prices)[::-1]
    if not latest and not follow:
        left_out.tell_nothing_fits(log, wanted)
    with following.LiveLine(lambda: log.query_in_flight(wanted), wanted=on_terminal() and not json) as live:
        later = following.follow(log, wanted, prices, latest, news, live.pause) if news is not None else ()
        for row in chain(latest, later):
            live.clear()
            if json:
                write_json(row)
            else:
                write_line(*call_line(row, console().width if on_terminal() else None))
            flush()


@command(
    "sessiontap cat @1",
    "sessiontap cat 019a7c31-5e0b --request | jq .messages",
    "sessiontap cat @1 --text",
    "sessiontap cat @1 --curl",
)
@click.argument("call", metavar="CALL", help=CALL_HELP, shell_complete=completes("call"))
@click.option("--request", is_flag=True, help="Write the request's stored body, byte for byte.")
@click.option("--response", is_flag=True, help="Write the response's stored body, byte for byte.")
@click.option("--text", is_flag=True, help="Show all that was said as text: prompts, messages, tool results, reply.")
@click.option("--headers", is_flag=True, help="Show request line, status line and headers.")
@click.option("--changes", is_flag=True, help="Show what was changed on the way, and by which rule.")
@click.option("--curl", is_flag=True, help="Write a curl command that sends the app's own request again.")
@rules_option
@json_option
@trace_option
def cat(call: str, rules: Path | None, trace: Path | None, **parts: bool) -> None:
    """Show a call: what was asked, what came back, what was changed."""
    from sessiontap.trace import BodyError

    chosen = [part for part, given in parts.items() if given]
    if len(chosen) > 1:
        raise Misuse(f"{' and '.join(f'--{part}' for part in chosen)} cannot be combined", "ask for one of them")
    try:
        match chosen:
            case ["request" | "response" as side] if rules is None:
                # Nothing is loaded that reads a body: a script may write out one after another.
                write_bytes(_body(open_trace(trace).call(call), side))
            case _:
                _show(call, chosen, rules, trace)
    except BodyError as error:
        raise Failure(f"call {call}: {error}", "sessiontap cat --headers and --changes show the rest") from None


def _show(call: str, chosen: list[str], rules: Path | None, trace: Path | None) -> None:
    """Write what is chosen of a call. Raises BodyError."""
    from sessiontap.cli import call_text
    from sessiontap.cli.call_costs import Costs

    costs = Costs.by(rules)
    log = open_trace(trace)
    found = log.call(call)
    match chosen:
        case ["request" | "response" as side]:
            write_bytes(_body(found, side))
        case ["curl"]:
            _write_curl(found)
        case ["json"]:
            write_json(call_text.as_json(found, costs.of(found.record), log.query_scores("call", found.id)))
        case ["text"]:
            write(call_text.dialogue(found))
        case ["headers"]:
            write(call_text.headers(found))
        case ["changes"]:
            call_text.show_changes(found)
        case _:
            write(call_text.whole(found, costs.of(found.record), log.query_scores("call", found.id)))


def _body(call: RecordedCall, side: str) -> bytes:
    """The stored bytes; empty if there was no body. Raises Failure if there was one that was not recorded."""
    message = call.record.get(side)
    if not message:
        raise Failure(f"call {call.id} has no {side}: {call.record.get('outcome')}")
    body = call.request_body() if side == "request" else call.response_body()
    if body is None and message.get("body"):
        raise Failure(f"the {side} body of call {call.id} was not recorded", "a rule says `capture: metadata`")
    return body or b""


def _write_curl(call: RecordedCall) -> None:
    from sessiontap.analysis.recorded_call import asked_request
    from sessiontap.export import curl

    if "websocket" in (call.record.get("flags") or ()):
        message = f"call {call.id} was a turn of a WebSocket, which curl does not send"
        raise Failure(message, "--request writes the message that asked")
    request = asked_request(call)
    command = curl.command(request, call.id)
    if sys.stdout.isatty():
        write_safe(command, "write the command to a file to run it")
    else:
        write(command)
    if number := curl.redactions(request):
        print_notice(f"{number} of its headers {'is' if number == 1 else 'are'} redacted: put your own key in")
