"""Times by the clock as it was when the proxy started, though somebody sets it meanwhile: a user, or a time server.

Silence between calls is measured between times of day, since those are what the log has. Were a clock set back by
hours, nothing would end for as long; were it set forwards, everything would at once.
"""

from __future__ import annotations

import time

from sessiontap.bounded_dict import BoundedDict

MOST_CALLS = 10_000
"""Calls in flight whose clock is remembered."""
_LEAST = 1_000_000_000
"""Nanoseconds. Clocks drift and are corrected: less is no setting."""


class SetClock:
    """Tells by how much the clock was set since the start, and gives times as if it had not been."""

    def __init__(self) -> None:
        self._first = time.time_ns() - _running()
        self._calls: BoundedDict[str, int] = BoundedDict(MOST_CALLS)
        """Calls that began after the clock was set -> by how much, until they have ended."""

    def by(self) -> int:
        """Nanoseconds; 0 if the clock was not set."""
        by = time.time_ns() - _running() - self._first
        return by if abs(by) >= _LEAST else 0

    def begun(self, call_id: str, at: int) -> int:
        """When a call began (`at` by the clock now), by the clock as it was."""
        by = self.by()
        if by:
            self._calls.put(call_id, by)
        return at - by

    def ended(self, call_id: str, at: int) -> int:
        """When it ended, by the same clock as its beginning."""
        return at - self._calls.pop(call_id, 0)


def _running() -> int:
    """A clock that nobody sets and that goes on while the machine sleeps, if there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()
