"""Breakers: a gateway that fails is left alone for a while, so that calls do not wait for it one by one.

A breaker is closed while its gateway works. It opens after `FAILURES` within `WINDOW` seconds, if that is at least half
of what was heard of the gateway in that time. While it is open no call goes there, but for one probe at a time: the
first after `FIRST_PAUSE` seconds, each later one after twice the pause before, up to `LONGEST_PAUSE`. A probe's answer
closes it; a call that was on its way when it opened does not. If a probe is never heard of again, another takes its
place after the same pause.

Pure: times are handed in, seconds of a clock that nobody sets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sessiontap.bounded_dict import BoundedDict

FAILURES = 5
WINDOW = 30.0
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 300.0
MOST = 256
"""Gateways that are remembered: a kind of gateway may have an address for each provider."""


class Breaker:
    """The breaker of one gateway: the memory of its failures."""

    __slots__ = ("_answers", "_failures", "_opened", "_pause", "_probe_at", "_since", "skipped")

    def __init__(self) -> None:
        self._since = float("-inf")
        """The beginning of the window."""
        self._failures = self._answers = 0
        """In the window."""
        self._opened: float | None = None
        self._pause = FIRST_PAUSE
        self._probe_at = 0.0
        self.skipped = 0
        """Calls that did not go to the gateway since it opened."""

    @property
    def opened(self) -> float | None:
        """The time at which it opened; None if it is closed."""
        return self._opened

    def admits(self, now: float) -> bool:
        """Return True if a call may go to the gateway: the breaker is closed, or the call is its probe."""
        if self._opened is None:
            return True
        if now < self._probe_at:
            self.skipped += 1
            return False
        self._probe_at = now + self._pause
        return True

    def failed(self, begun: float, now: float) -> bool:
        """Take in a failure of a call that began at `begun`. Return True if the breaker has opened by it."""
        if self._opened is not None:
            if begun >= self._opened:
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                self._probe_at = now + self._pause
            return False
        self._roll(now)
        self._failures += 1
        if self._failures < FAILURES or self._failures < self._answers:
            return False
        self._opened, self._pause, self._probe_at, self.skipped = now, FIRST_PAUSE, now + FIRST_PAUSE, 0
        return True

    def answered(self, begun: float, now: float) -> bool:
        """Take in the answer to such a call. Return True if the breaker has closed by it."""
        self._roll(now)
        self._answers += 1
        if self._opened is None or begun < self._opened:
            return False
        self._opened, self._failures = None, 0
        return True

    def _roll(self, now: float) -> None:
        if now - self._since > WINDOW:
            self._since, self._failures, self._answers = now, 0, 0


class GatewayAddress(NamedTuple):
    """A gateway by the name in the rules and its origin. A breaker is for one of these."""

    name: str
    origin: str

    def __str__(self) -> str:
        return f"{self.name} at {self.origin}"


class OpenBreaker(NamedTuple):
    """A breaker that is open."""

    gateway: GatewayAddress
    seconds: float
    """For which it has been open."""
    skipped: int
    """Calls that did not go to the gateway in that time."""


class Breakers:
    """The breakers of all gateways."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._known: BoundedDict[GatewayAddress, Breaker] = BoundedDict(MOST)

    def of(self, gateway: GatewayAddress) -> Breaker:
        """Return the gateway's, a new one if it has none yet."""
        found = self._known.get(gateway)
        if found is None:
            found = Breaker()
            self._known.put(gateway, found)
        return found

    def admits(self, gateway: GatewayAddress) -> bool:
        """See `Breaker.admits`."""
        return self.of(gateway).admits(self.clock())

    def open_ones(self) -> list[OpenBreaker]:
        """Return those that are open, the longest first."""
        now = self.clock()
        found = [
            OpenBreaker(gateway, now - one.opened, one.skipped)
            for gateway, one in self._known.items()
            if one.opened is not None
        ]
        return sorted(found, key=lambda one: -one.seconds)
