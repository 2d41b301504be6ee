"""The order in which the proxy took the recorded calls up and heard their ends.

Calls are planned in the order in which they began, and a reply is known once its call has ended. Calls of one session
that run at the same time may have been planned in another order: their steps tell it. A call whose step is too high
waits for the calls before it, until its own end at most: a step may be missing in the log.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sessiontap.bounded_dict import BoundedDict
from sessiontap.trace import RecordedCall

MOST_SESSIONS = 50_000
"""Sessions whose next step is remembered."""


class CallEvent(NamedTuple):
    """A call begins, or has ended."""

    kind: Literal["begins", "ended"]
    call: RecordedCall


def in_order(calls: Iterable[RecordedCall]) -> Iterator[CallEvent]:
    """Yield both events of each call; `calls` come by their start."""
    order = _Order()
    for number, call in enumerate(calls):
        yield from order.ended_by(call.recorded["time"])
        yield from order.add(number, call)
    yield from order.ended_by(None)


def ended_at(call: RecordedCall) -> int:
    """Return when a call ended, Unix nanoseconds."""
    return int(call.recorded["time"] + (call.recorded.get("duration") or 0))


@dataclass(slots=True)
class _Order:
    running: list[tuple[int, int, RecordedCall]] = field(default_factory=list)
    """A heap of (end, number, call)."""
    waiting: dict[str, list[tuple[int, int, RecordedCall]]] = field(default_factory=dict)
    """Session -> a heap of (step, number, call): those that wait for calls of a lower step."""
    next_step: BoundedDict[str, int] = field(default_factory=lambda: BoundedDict(MOST_SESSIONS))

    def add(self, number: int, call: RecordedCall) -> Iterator[CallEvent]:
        heapq.heappush(self.running, (ended_at(call), number, call))
        session, step = _step_of(call)
        if session is None or step is None:
            yield CallEvent("begins", call)
        elif step > (self.next_step.get(session) or 0) and ended_at(call) > call.recorded["time"]:
            heapq.heappush(self.waiting.setdefault(session, []), (step, number, call))
        else:
            yield from self._begin(session, step, call)

    def ended_by(self, time: int | None) -> Iterator[CallEvent]:
        """The calls that had ended by then; None: all."""
        while self.running and (time is None or self.running[0][0] <= time):
            _, number, call = heapq.heappop(self.running)
            session, _ = _step_of(call)
            held = self.waiting.get(session or "", [])
            while session is not None and any(one[1] == number for one in held):
                step, _, first = heapq.heappop(held)  # those of lower steps began before it
                yield from self._begin(session, step, first)
            yield CallEvent("ended", call)

    def _begin(self, session: str, step: int, call: RecordedCall) -> Iterator[CallEvent]:
        yield CallEvent("begins", call)
        self.next_step.put(session, max(self.next_step.peek(session) or 0, step + 1))
        held = self.waiting.get(session, [])
        while held and held[0][0] <= (self.next_step.peek(session) or 0):
            step, _, following = heapq.heappop(held)
            yield CallEvent("begins", following)
            self.next_step.put(session, max(self.next_step.peek(session) or 0, step + 1))
        if not held:
            self.waiting.pop(session, None)


def _step_of(call: RecordedCall) -> tuple[str | None, int | None]:
    session = call.recorded.get("session") or {}
    return session.get("id"), session.get("step")
