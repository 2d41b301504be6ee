"""The queries of calls in flight, and of a log with them among its calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sessiontap.trace.indexed import IndexedTrace

if TYPE_CHECKING:
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.in_flight import CallsInFlight

Row = dict[str, Any]
InFlight = Callable[[], list[Row]]
"""Returns the calls of a log that have not ended, in maps of `record_shapes.CallInFlightShape`."""
_ASKED_AGAIN = 1.0
"""Seconds for which an answer about calls in flight holds."""


class InFlightQueries(IndexedTrace):
    """Asks for the calls in flight, at most once a second, and tells which of them the log lacks."""

    in_flight: InFlight | None = None
    """Tells the calls in flight; without it lists show those of the log alone."""
    _told_in_flight: tuple[float, CallsInFlight | None] = (0.0, None)
    """When they were asked for, and the answer; None if there was none."""

    def query_in_flight(self, filters: Filters | None = None) -> list[Row]:
        """The calls in flight that fit `filters`, oldest first, as `calls --json` gives them."""
        running = self._calls_in_flight()
        return running.calls(self._addressed(filters))[::-1] if running is not None else []

    def _calls_in_flight(self) -> CallsInFlight | None:
        """The calls in flight that are not in the log; None if there are none."""
        if self.in_flight is None:
            return None
        asked, known = self._told_in_flight
        if not asked or time.monotonic() - asked > _ASKED_AGAIN:
            calls, known = self.in_flight(), None
            if calls:  # asked before the log is: a call that ends meanwhile is in both
                from sessiontap.trace.index.in_flight import CallsInFlight, recorded
                from sessiontap.trace.index.scores import of_sessions

                ended = self._ask(lambda database: recorded(database, (one["id"] for one in calls)))
                labels = self._annotations.labels()
                left = [labels.labelled(one) for one in calls if one["id"] not in ended]
                sessions = {one["session"]["id"] for one in left if one.get("session")}
                scored = self._ask(lambda database: of_sessions(database, sessions)) if sessions else []
                known = CallsInFlight(left, time.time_ns(), scored) if left else None
            self._told_in_flight = time.monotonic(), known
        return known

    def _address(self, asked: str) -> str:
        """`@N` and `@N/STEP` with the session's id in place of `@N`, if calls are in flight: as a list shows them."""
        running = self._calls_in_flight()
        if running is None or not asked.startswith("@"):
            return asked
        place, slash, step = asked.partition("/")
        from sessiontap.trace.index import addresses

        id = self._ask(lambda database: addresses.listed(database, place, running.session_ids))
        return asked if id is None else f"{id}{slash}{step}"

    def _has_session(self, asked: str) -> bool:
        from sessiontap.trace.index import addresses

        return bool(self._ask(lambda database: addresses.sessions_named(database, asked)))

    def _addressed(self, filters: Filters | None) -> Filters:
        """The filters, with a session of `@N` as `_address` gives it."""
        from sessiontap.trace.index.filters import Filters

        wanted = filters or Filters()
        return replace(wanted, session=self._address(wanted.session)) if wanted.session is not None else wanted
