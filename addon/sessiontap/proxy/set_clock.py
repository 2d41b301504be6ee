"""How far the time of day was set since the proxy started: by hand, by a time server.

Silence is measured between times of day, since those are what the log has. Were a clock set back by hours, nothing
would end for as long; were it set forwards, everything would at once.
"""

from __future__ import annotations

import time

_SECOND = 1_000_000_000


class SetClock:
    """`by()` is 0 until somebody sets the clock."""

    def __init__(self) -> None:
        self._first = time.time_ns() - _running()

    def by(self) -> int:
        """Nanoseconds; 0 for what is under a second: clocks drift and are corrected."""
        by = time.time_ns() - _running() - self._first
        return by if abs(by) >= _SECOND else 0


def _running() -> int:
    """A clock that nobody sets and that goes on while the machine sleeps, if there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()
