"""The seam between what is counted and where: in this process (`Tracker`), or where several processes count together.

Workers of one proxy count in the front (proxy/shared_counts.py), proxies with a store in the store (stores/counts.py).
What is counted crosses to there as these values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sessiontap.limits.threshold import CallScopes, Threshold
from sessiontap.limits.tracker import BeginResult, Counted, Crossing, EndedCall, Tracker


class CallBegins(NamedTuple):
    """The values of `Tracker.begin`."""

    call: str
    scopes: CallScopes
    thresholds: Sequence[Threshold]
    digest: bytes | None
    counts: bool
    may_refuse: bool

    def begin(self, tracker: Tracker) -> BeginResult:
        """Count it, or refuse it."""
        return tracker.begin(
            self.call, self.scopes, self.thresholds, self.digest, counts=self.counts, may_refuse=self.may_refuse
        )


class CountAnswer(NamedTuple):
    """A store's answer to a count."""

    session: str
    """The id of the session in which it was counted."""
    told: Sequence[Any]


class CountAhead(NamedTuple):
    """The count of a call, which is asked for together with its session."""

    arguments: Sequence[str | bytes | int]
    answer: asyncio.Future[CountAnswer | None]
    """Gets the store's answer, also if it comes late; None if the store counts nothing."""


class RestoredCall(NamedTuple):
    """An `EndedCall`, its thresholds given by their numbers."""

    scopes: CallScopes
    thresholds: Sequence[int]
    counted: Counted


class RestoredCounts(NamedTuple):
    """All that is counted of the log."""

    thresholds: Sequence[Threshold]
    calls: Sequence[RestoredCall]
    lifted: Mapping[str, int]
    now: int

    def restore(self, tracker: Tracker) -> None:
        """Have a tracker count all of it."""
        known = self.thresholds
        calls = (EndedCall(one.scopes, [known[at] for at in one.thresholds], one.counted) for one in self.calls)
        tracker.restore(calls, self.lifted, self.now)


class SharedCounts(Protocol):
    """Counts of several processes: the methods of a tracker, whose results come later. For the proxy's loop alone."""

    def ahead(self, begins: CallBegins) -> CountAhead | None:
        """Return what asks for a call together with its session, before `begin`; None if it is not asked for there."""

    def begin(self, begins: CallBegins) -> asyncio.Future[BeginResult]: ...
    def ended(self, call: str, counted: Counted) -> asyncio.Future[Sequence[Crossing]]: ...
    def forget(self, call: str) -> None: ...
    def restore(self, restored: RestoredCounts) -> None: ...
    def refusing(self) -> asyncio.Future[Sequence[Crossing]]: ...
    def lift(self, id: str) -> asyncio.Future[Crossing | None]: ...
