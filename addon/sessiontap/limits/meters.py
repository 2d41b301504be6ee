"""The counts of one scope, each of bounded size: sums, sliding windows, the rate of errors, repeats, time.

Times are Unix nanoseconds and may go back: a clock can be set. `value` is None while nothing is known; `unknown` is the
number of calls whose amount is not known.
"""

from __future__ import annotations

from collections import deque

SLICES = 30
"""A window moves on by a thirtieth of its length, so that its sum is of 29 to 30 thirtieths."""
LAST_CALLS = 20
"""Calls of which the rate of errors is told."""
FEWEST_CALLS = 5
"""It is not known of fewer."""
PLACES = 9
"""Of a dollar: ten times $0.10 is $1.00."""
_NO_DIGEST = b""


class Sum:
    """An amount that only grows."""

    __slots__ = ("_amount", "unknown")

    def __init__(self) -> None:
        self._amount: float | None = None
        self.unknown = 0

    def add(self, amount: float | None, at: int) -> None:
        if amount is None:
            self.unknown += 1
        else:
            self._amount = (self._amount or 0) + amount

    def value(self, now: int) -> float | None:
        return None if self._amount is None else round(self._amount, PLACES)


class WindowSum:
    """The amount of the last `seconds`."""

    __slots__ = ("_slice", "_slices")

    def __init__(self, seconds: float) -> None:
        self._slice = max(1, int(seconds * 1e9 / SLICES))
        self._slices: deque[tuple[int, Sum]] = deque()
        """(number of the slice, its sum), oldest first."""

    def add(self, amount: float | None, at: int) -> None:
        number = at // self._slice
        slices = self._slices
        if not slices or slices[-1][0] < number:
            slices.append((number, Sum()))
        slices[-1][1].add(amount, at)  # also one that ended before another which is counted already
        self._forget(number)

    def value(self, now: int) -> float | None:
        self._forget(now // self._slice)
        known = [amount for _, one in self._slices if (amount := one.value(now)) is not None]
        return round(sum(known), PLACES) if known else None

    @property
    def unknown(self) -> int:
        """Those of the window as `value` left it."""
        return sum(one.unknown for _, one in self._slices)

    def _forget(self, number: int) -> None:
        slices = self._slices
        while slices and slices[0][0] <= number - SLICES:
            slices.popleft()


class ErrorRate:
    """The share of the last calls that failed, of those alone that ended in the last `seconds` if they are given."""

    __slots__ = ("_ended", "_within")
    unknown = 0

    def __init__(self, seconds: float | None = None) -> None:
        self._within = None if seconds is None else int(seconds * 1e9)
        self._ended: deque[tuple[int, bool]] = deque(maxlen=LAST_CALLS)

    def add(self, failed: bool, at: int) -> None:
        self._ended.append((at, failed))

    def value(self, now: int) -> float | None:
        if self._within is None:
            counted = [failed for _, failed in self._ended]
        else:
            since = now - self._within
            counted = [failed for at, failed in self._ended if at > since]
        return sum(counted) / len(counted) if len(counted) >= FEWEST_CALLS else None


class Elapsed:
    """Seconds since the scope's first call."""

    __slots__ = ("_first",)
    unknown = 0

    def __init__(self) -> None:
        self._first: int | None = None

    def add(self, at: int) -> None:
        if self._first is None or at < self._first:
            self._first = at

    def value(self, now: int) -> float | None:
        return None if self._first is None else max(0, now - self._first) / 1e9


class Repeats:
    """How often the same came in a row: as a request, or as the tools that replies call."""

    __slots__ = ("_asked", "_called")
    unknown = 0

    def __init__(self) -> None:
        self._asked = self._called = (_NO_DIGEST, 0)

    def ask(self, digest: bytes) -> None:
        """Count a request whose end has this digest: its last message and what the assistant did before it."""
        self._asked = _in_row(self._asked, digest)

    def call(self, digest: bytes | None) -> None:
        """Count a reply that calls the tools with this digest; None: it calls none."""
        self._called = _in_row(self._called, digest) if digest is not None else (_NO_DIGEST, 0)

    def value(self, now: int) -> float | None:
        return max(self._asked[1], self._called[1])

    def before(self, digest: bytes | None) -> int:
        """Return how often in a row there was what a request with this digest would repeat."""
        asked = self._asked[1] if digest == self._asked[0] else 0
        return max(asked, self._called[1])


def _in_row(before: tuple[bytes, int], digest: bytes) -> tuple[bytes, int]:
    return (digest, before[1] + 1) if before[0] == digest else (digest, 1)


Meter = Sum | WindowSum | ErrorRate | Elapsed | Repeats
