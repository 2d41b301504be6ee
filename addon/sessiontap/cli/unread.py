"""Searches answer at once, from what is read within a moment, and say what is not read yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessiontap.cli.output import note
from sessiontap.cli.units import day_and_clock, plural

if TYPE_CHECKING:
    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.search import Unsearched

SECONDS = 0.5
"""Seconds for which calls that nobody has read yet are read, before the answer."""


def limit(log: Trace, wanted: Filters) -> None:
    """Answer from what is read within a moment if `wanted` searches a text."""
    if wanted.search is not None:
        log.read_for(SECONDS)


def tell(log: Trace, wanted: Filters, sums: str = "") -> None:
    """Print what a list that searches a text has not seen; `sums`: what else that is true of."""
    if wanted.search is not None and (unsearched := log.query_unread()):
        more = sums if unsearched.behind else ""
        note(f"{sentence(unsearched)}{more}; ask again to go on, or `sessiontap search TEXT --whole` reads all")


def sentence(unsearched: Unsearched) -> str:
    """`not searched yet: 150,000 calls up to 2026-09-23 17:36:17 and what is older in the log`."""
    told = []
    if unsearched.calls and unsearched.newest is not None:
        told.append(f"{plural(unsearched.calls, 'call')} up to {day_and_clock(unsearched.newest)}")
    if unsearched.behind:
        told.append("more of the log")
    return f"not searched yet: {' and '.join(told)}"
