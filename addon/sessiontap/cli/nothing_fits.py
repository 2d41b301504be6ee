"""Sentences on stderr for a filter that nothing fits: which one it is, and the values that there are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sessiontap.cli.output import line, note, progress
from sessiontap.cli.units import count, moment

if TYPE_CHECKING:
    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.unmatched import Unmatched

_NOUNS = {
    "name": "session name",
    "tags": "tag",
    "properties": "property",
    "status": "HTTP status",
    "tool": "tool called",
}
"""Filter -> its word, if it is not its name."""


def tell(log: Trace, wanted: Filters, what: str = "call") -> None:
    """Print that no call, session or `what` else was found, and why."""
    from sessiontap.trace.index.filters import given

    wanted = replace(wanted, without_errands=False)  # `hidden_errands` says how many these are
    if not given(wanted):
        note(f"no {what} in {log.folder}; `sessiontap exec -- PROGRAM` records the calls of a program")
        return
    so_far = " so far" if wanted.search is not None and log.query_unread() else ""
    note(f"no {what} in {log.folder} fits the filter{so_far}")
    with progress("reading the trace") as log.progress:
        found = log.query_unmatched(wanted)
    for one in found:
        note(line(sentence(one) + so_far))
    if not found and len(given(wanted)) > 1:
        note("each of the filters fits calls, but no call fits all of them")


def sentence(one: Unmatched) -> str:
    """Why a filter fits nothing: `no tag 'nightli'; there are: nightly, weekly`."""
    noun = _NOUNS.get(one.filter, one.filter)
    match one.filter:
        case "error":
            return "no call failed"
        case "search":
            return f"no call has the text {one.asked!r}"
        case "since" | "until" if one.known:
            last, which = ("last", "since then") if one.filter == "since" else ("first", "before")
            return f"no call {which}: the {last} began at {moment(one.known[0])}"
    if not one.known:
        return f"no {noun} {one.asked!r}: no call has one"
    more = f", and {count(one.more)} more" if one.more else ""
    are = "there is" if len(one.known) == 1 and not more else "there are"
    return f"no {noun} {one.asked!r}; {are}: {', '.join(one.known)}{more}"
