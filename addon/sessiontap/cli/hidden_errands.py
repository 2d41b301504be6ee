"""Agents' errands are left out of lists and sums: the sentence on stderr that says how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessiontap.cli.output import note
from sessiontap.cli.units import plural

if TYPE_CHECKING:
    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters


def tell_calls(trace: Trace, wanted: Filters) -> None:
    """Say how many errands a list or sum of calls left out."""
    if wanted.without_errands and (number := trace.query_errands(wanted)["calls"]):
        _tell(plural(number, "errand of an agent", "errands of agents"), number)


def tell_sessions(trace: Trace, wanted: Filters) -> None:
    """Say how many sessions a list left out because they hold nothing but errands."""
    if wanted.without_errands and (number := trace.query_errands(wanted)["sessions"]):
        _tell(f"{plural(number, 'session')} of nothing but agents' errands", number)


def _tell(what: str, number: int) -> None:
    note(f"{what} (settings, telemetry, ...) {'is' if number == 1 else 'are'} left out: --all shows them")
