"""Events while a page is open, as server-sent events: calls that ended, calls that began, how far bodies are read.

An event's id is a position in the log, so that a browser that comes back goes on from it, also with a page that was
started anew. Nothing is asked of the proxies but which calls are in flight, and that only while a page shows them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sessiontap.trace import Trace, TraceError
from sessiontap.trace.errands import is_errand
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.news import News

LOOK_EVERY = 0.5
"""Seconds between two looks at the end of the log."""
ASK_EVERY = 2.0
"""Seconds between two questions to the proxies, at least."""
READ_FOR = 0.5
"""Seconds for which bodies are read at a time."""
MOST = 20
"""Pages that are told at once."""
Row = Mapping[str, Any]


def event(name: str, position: str, data: Mapping[str, Any]) -> str:
    """An event as it is sent."""
    return f"event: {name}\nid: {position}\ndata: {json.dumps(data)}\n\n"


@dataclass(slots=True)
class Live:
    """The events for one page. `session`: of this one alone."""

    trace: Trace
    """Open for this page alone."""
    position: str | None = None
    session: str | None = None
    _news: News | None = None
    _has_read: bool = False
    """All bodies of the session have been read."""
    _running: set[str] | None = None
    """The calls in flight that were told last; at first none have begun meanwhile."""

    def start(self) -> str:
        """The event that says where the page stands."""
        self._news = self.trace.news(position=self.position)
        return event("position", self._news.position, {})

    def ended(self) -> str | None:
        """The event of the calls that were written since it was last asked for; None if there are none."""
        assert self._news is not None
        calls = [call for call in self._news() if not is_errand(call.record)]
        number = Counter(call.session_id for call in calls if self._is_wanted(call.session_id))
        if not number:
            return None
        return event("ended", self._news.position, {"sessions": dict(number)})

    def read(self) -> str | None:
        """Read bodies of the session for a moment. Return the event of how far that is; None if there are no more."""
        assert self._news is not None
        assert self.session is not None
        if self._has_read:
            return None
        self.trace.read_for(READ_FOR)
        try:
            bodies = self.trace.read_session(self.session)
        except TraceError:  # no such session
            return None
        self._has_read = bodies.is_complete
        return event("read", self._news.position, bodies._asdict())

    def in_flight(self, rows: list[Row]) -> str | None:
        """The event of the calls in flight, `rows` of `query_in_flight`; None if they are the same as before."""
        wanted = [row for row in rows if self._is_wanted(row["session_id"])]
        running, before = {row["id"] for row in wanted}, self._running
        if running == before or not (running or before):
            return None
        self._running = running
        began = Counter(row["session_id"] for row in wanted if before is not None and row["id"] not in before)
        sessions: dict[str, dict[str, Any]] = {}
        for row in wanted:
            sessions.setdefault(row["session_id"], {"calls": 0, "since": row["time"]})["calls"] += 1
        assert self._news is not None
        return event("running", self._news.position, {"began": dict(began), "sessions": sessions})

    def _is_wanted(self, session: str | None) -> bool:
        return session is not None and (self.session is None or session == self.session)


def calls_in_flight(trace: Trace) -> list[Row]:
    """The calls in flight that count as calls, oldest first."""
    return list(trace.query_in_flight(Filters(without_errands=True)))
