"""Sentences on stderr beside a list or a sum: what it leaves out, or why it is empty.

- Agents' errands are left out of lists and sums, unless they are asked for.
- A search answers at once, from what is read within a moment, and says what is not read yet.
- If nothing fits the filters, the one that nothing fits is named, and the values that there are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sessiontap.cli.output import line, print_notice, progress
from sessiontap.units import count, day_and_clock, moment, plural

if TYPE_CHECKING:
    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.search import Unsearched
    from sessiontap.trace.index.unmatched import Unmatched

SEARCH_SECONDS = 0.5
"""Seconds for which calls that nobody has read yet are read, before the answer."""
_NOUNS = {
    "name": "session name",
    "tags": "tag",
    "properties": "property",
    "scores": "score",
    "status": "HTTP status",
    "tool": "tool called",
}
"""Filter -> its word, if it is not its name."""


def tell_errands(trace: Trace, wanted: Filters) -> None:
    """Print how many errands a list or sum of calls left out."""
    if wanted.without_errands and (number := trace.query_errands(wanted)["calls"]):
        _tell_hidden(plural(number, "errand of an agent", "errands of agents"), number)


def tell_sessions_of_errands(trace: Trace, wanted: Filters) -> None:
    """Print how many sessions a list left out because they hold nothing but errands."""
    if wanted.without_errands and (number := trace.query_errands(wanted)["sessions"]):
        _tell_hidden(f"{plural(number, 'session')} with nothing but agents' errands", number)


def _tell_hidden(what: str, number: int) -> None:
    print_notice(f"{what} (settings, telemetry, ...) {'is' if number == 1 else 'are'} left out: --all shows them")


def limit_reading(log: Trace, wanted: Filters) -> None:
    """Answer from what is read within a moment if `wanted` searches a text."""
    if wanted.search is not None:
        log.read_for(SEARCH_SECONDS)


def tell_unread(log: Trace, wanted: Filters, sums: str = "") -> None:
    """Print which calls a list that searches a text has not seen; `sums` is added if more of the log is unread."""
    if wanted.search is not None and (unsearched := log.query_unread()):
        more = sums if unsearched.behind else ""
        print_notice(f"{unread(unsearched)}{more}; ask again to go on, or `sessiontap search TEXT --whole` reads all")


def unread(unsearched: Unsearched) -> str:
    """Return `not searched yet: 150,000 calls up to 2026-09-23 17:36:17 and more of the log`."""
    phrases = []
    if unsearched.calls and unsearched.newest is not None:
        phrases.append(f"{plural(unsearched.calls, 'call')} up to {day_and_clock(unsearched.newest)}")
    if unsearched.behind:
        phrases.append("more of the log")
    return f"not searched yet: {' and '.join(phrases)}"


def tell_nothing_fits(log: Trace, wanted: Filters, what: str = "call") -> None:
    """Print that no call, session or `what` else was found, and why."""
    from sessiontap.trace.index.filters import given

    wanted = replace(wanted, without_errands=False)  # `tell_errands` says how many these are
    if not given(wanted):
        print_notice(f"no {what} in {log.shown_folder}; `sessiontap exec -- PROGRAM` records the calls of a program")
        return
    so_far = " so far" if wanted.search is not None and log.query_unread() else ""
    print_notice(f"no {what} in {log.shown_folder} fits the filter{so_far}")
    with progress("reading the trace") as log.progress:
        found = log.query_unmatched(wanted)
    for one in found:
        print_notice(line(why_not(one) + so_far))
    if not found and len(given(wanted)) > 1:
        print_notice("each of the filters fits calls, but no call fits all of them")


def why_not(one: Unmatched) -> str:
    """Return why nothing fits a filter: `no tag 'nightli'; there are: nightly, weekly`."""
    noun = _NOUNS.get(one.filter, one.filter)
    match one.filter:
        case "error":
            return "no call failed"
        case "starred":
            return "nothing is starred: `sessiontap score @1 --star` does so"
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
