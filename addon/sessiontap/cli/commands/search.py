"""`sessiontap search`: where a text stands in prompts, replies, tool results and names."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.errors import Misuse
from sessiontap.cli.filter_options import filter_options
from sessiontap.cli.options import command, json_option, limit_option, open_trace, trace_option
from sessiontap.cli.output import console, flush, line, on_terminal, print_notice, progress, write, write_json_lines
from sessiontap.units import UNKNOWN, count, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.search import Hit


@command(
    "sessiontap search 'FAILED tests'",
    "sessiontap search --session @1 'permission denied'",
    "sessiontap search --tool Bash --since 2h timeout -n 0 --json",
)
@click.argument("text", help="The text, in any case.")
@partial(filter_options, without=["search"])
@click.option("--whole", is_flag=True, help="Go on until all calls are read, however long it takes.")
@limit_option(20)
@json_option
@trace_option
def search(text: str, wanted: Filters, whole: bool, limit: int, json: bool, trace: Path | None) -> None:
    """Find a text in prompts, replies, tool results and names.

    Reasoning, arguments of tools, errors, paths and properties are searched, too. Each place is shown once, at the call
    that first had it, the latest first. Calls are read soon after they were recorded, or else by the first search: it
    shows the newest ones at once, and the next search goes on from there. With --whole it goes on by itself, and places
    are shown as they are found.
    """
    from sessiontap.cli import left_out
    from sessiontap.cli.listing import CALL_ID_LENGTH

    if not text.strip():
        raise Misuse("the text is empty", "write sessiontap search 'FAILED tests'")
    log = open_trace(trace)
    shown = 0
    for found in _searched(log, text, wanted, limit, whole):
        if json:
            write_json_lines(hit.row() for hit in found)
        else:
            short = log.query_short_ids("calls", [hit.call["id"] for hit in found], CALL_ID_LENGTH)
            for hit in found:
                _show(hit, short[hit.call["id"]])
        flush()
        shown += len(found)
    unsearched = log.query_unread()
    if not shown:
        if unsearched or log.query_calls(wanted, limit=1):
            print_notice(line(f"no call has the text {text!r}" + (" so far" if unsearched else "")))
        else:
            left_out.tell_nothing_fits(log, wanted)
    if unsearched:
        print_notice(f"{left_out.unread(unsearched)}; search again to go on, or add --whole to search all")


def _searched(log: Trace, text: str, wanted: Filters, limit: int, whole: bool) -> Iterator[list[Hit]]:
    """The places as they are found: in what is read within a moment, or in all of the log."""
    from sessiontap.cli.left_out import SEARCH_SECONDS

    if not whole:
        log.read_for(SEARCH_SECONDS)
        with progress("reading the trace") as log.progress:
            found, _ = log.query_hits(text, wanted, limit)
        yield found
        return
    batches = log.each_hit(text, wanted, limit, SEARCH_SECONDS)
    more = True
    while more:
        with progress("reading the trace") as log.progress:  # the bar is gone when places are shown
            batch = next(batches, None)
        more = batch is not None
        yield batch or []


def where(hit: Hit) -> str:
    """The place in words, and the calls that brought it."""
    return hit.where + (f", in {count(hit.calls)} calls" if hit.calls > 1 else "")


def _show(hit: Hit, call_id: str) -> None:
    """Two lines: whose call and where in it; the text, marked on a terminal."""
    call = hit.call
    step = "" if call["step"] is None else f" #{call['step']}"
    whose = f"{call['session_name'] or UNKNOWN} {call['path'] or ''}{step}".strip()
    head = (call_id, moment(call["time"]), line(whose), line(where(hit)))
    start, end = hit.match
    pieces = [line(piece) for piece in (hit.snippet[:start], hit.snippet[start:end], hit.snippet[end:])]
    if not on_terminal():
        write("  ".join(head) + "\n    " + "".join(pieces) + "\n")
        return
    from rich.text import Text

    shown = Text("  ").join([Text(head[0], "cyan"), Text(head[1]), Text(head[2], "bold"), Text(head[3])])
    shown.append("\n    ")
    for piece, style in zip(pieces, ("", "bold reverse", ""), strict=True):
        shown.append(piece, style)
    console().print(shown, soft_wrap=True)
