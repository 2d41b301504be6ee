"""Decide which user turn a call belongs to, and when one is complete. Pure: no clock, no file.

A user turn (in this package: a turn) is a user's message and all that follows until the reply that calls no tool. The
log says of each call which call it goes on from (docs/conversations.md), and calls come here when they have ended:

- A call that brings results of tools, or goes on from a reply that asked for some, belongs to the turn of the call that
  it goes on from; so does one that goes on from a failed call. Any other call of a main agent begins a turn; so does
  one without a conversation.
- A retry belongs to the turn of the call that it repeats. Sub-agents, titles and summaries belong to the turn of the
  call that they go on from. So does `sessions/conversations.py` have it, for the ids that headers carry.
- A turn is complete when the last reply in each of its conversations asks for no tool. One that waits for something is
  complete, too, when the next turn of its conversation begins, when its program has ended, and after a while: a tool's
  result may never come, a failed call may not be tried again.

A complete turn is forgotten. A call that belongs to it all the same is of that turn, which is not told again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sessiontap.bounded_dict import BoundedDict
from sessiontap.trace.outcomes import AUXILIARY, came_to_an_end, end, is_error, part

GRACE = 1
"""Seconds after the last reply of a turn: a call that ended at the same time may be written a little later."""
RETRIED_WITHIN = 60
"""Seconds after a call that failed or was broken off. Later ones are no retries (docs/conversations.md)."""
TOOL_WITHIN = 1800
"""Seconds after a reply that asks for a tool, or for its user's consent."""
MOST_OPEN = 10_000
"""Turns that are open at a time: of more the oldest are complete."""
MOST_CALLS = 2_000
"""Calls of a turn that are told with it: of more those in the middle are left out."""
_MOST_KNOWN = 50_000
_LONGEST_CHAIN = 10_000
_SECOND = 1_000_000_000

Waits = Literal["tool", "more", "retry"]
"""The thing that a call leaves open: a tool's result, more of the reply (the provider paused), another try."""
Process = tuple[str, int, str]
"""The machine that saw it, its pid there and its id."""


@dataclass(frozen=True, slots=True)
class CallLink:
    """The facts of a call that its turn is known by."""

    id: str
    begin: int
    """Unix nanoseconds, as is `end`."""
    end: int
    session: str | None
    step: int | None
    conversation: str | None
    parent: str | None
    kind: str | None
    root: str | None
    """The conversation of the main agent."""
    is_subagent: bool
    is_auxiliary: bool
    """It stands beside its conversation: a title, a summary, a count."""
    brings_results: bool
    """Its request holds results of tools that the latest reply called."""
    waits: Waits | None
    """Somebody is expected to go on from it."""
    process: Process | None = None
    origin: Any = None
    """Where it is read again."""


def link_of(record: Mapping[str, Any], process: Process | None = None, origin: Any = None) -> CallLink:
    """Return the facts of a recorded call."""
    link, llm, session = part(record, "link"), part(record, "llm"), part(record, "session")
    outcome = record.get("outcome")
    broken = is_error(record) or outcome != "ok"
    asks = not broken and came_to_an_end(outcome, llm) is None
    return CallLink(
        id=str(record["id"]),
        begin=int(record.get("time") or 0),
        end=end(record),
        session=session.get("id"),
        step=session.get("step"),
        conversation=record.get("conversation"),
        parent=record.get("parent"),
        kind=link.get("kind"),
        root=link.get("root"),
        is_subagent=bool(link.get("lineage")),
        is_auxiliary=link.get("kind") == AUXILIARY,
        brings_results=bool(llm.get("tool_results")),
        waits="retry" if broken else None if not asks else "tool" if llm.get("tool_calls") else "more",
        process=process,
        origin=origin,
    )


class TurnPlace(NamedTuple):
    """The place of a call among turns."""

    turn: str
    """The id of the call that its turn begins with."""
    number: int | None
    """The turn's place in its session; None if it is not known."""


class TurnCall(NamedTuple):
    """A call of a turn."""

    begin: int
    id: str
    waits: Waits | None
    origin: Any


@dataclass(slots=True)
class OpenTurn:
    """A turn that is not complete."""

    id: str
    session: str | None
    conversation: str | None
    number: int | None
    ended: int
    """When its last call did."""
    process: Process | None
    calls: list[TurnCall] = field(default_factory=list)
    conversations: dict[str, Waits | None] = field(default_factory=dict)
    """Its conversations, and what the latest call of each leaves open."""
    closed: bool = False
    """The next turn of its conversation has begun."""

    @property
    def due(self) -> int:
        """When it is complete, if nothing else comes."""
        waits = set() if self.closed else set(self.conversations.values()) - {None}
        seconds = GRACE if not waits else RETRIED_WITHIN if waits == {"retry"} else TOOL_WITHIN
        return self.ended + seconds * _SECOND

    @property
    def is_at_rest(self) -> bool:
        return self.closed or not any(self.conversations.values())


class _Known(NamedTuple):
    place: TurnPlace
    waits: Waits | None


class UserTurns:
    """The open turns, and the turns of the latest calls."""

    def __init__(self, find: Callable[[str], CallLink | None], state: Mapping[str, Any] | None = None) -> None:
        """`find` looks a call up in the log: one that ended before this process began. `state`: of `to_state`."""
        self._find = find
        self._open: dict[str, OpenTurn] = {}
        self._current: dict[str, str] = {}
        """Conversation -> the open turn that is under way in it."""
        self._due: list[tuple[int, str]] = []
        self._known: BoundedDict[str, _Known] = BoundedDict(_MOST_KNOWN)
        self._numbers: BoundedDict[str, int] = BoundedDict(MOST_OPEN)
        """Session -> the number of its next turn."""
        for session, number in (state or {}).get("numbers", ()):
            self._numbers.put(session, number)
        for one in (state or {}).get("open", ()):
            self._restore(one)

    def __len__(self) -> int:
        """The number of open turns."""
        return len(self._open)

    def add(self, call: CallLink) -> TurnPlace:
        """Take in a call that has ended."""
        turn = self._turn_of(call)
        if turn is None:
            place = self._begin(call)
        else:
            place = turn
            if (one := self._open.get(turn.turn)) is not None:
                self._go_on(one, call)
        self._known.put(call.id, _Known(place, call.waits))
        return place

    def place_of(self, id: str) -> TurnPlace | None:
        """The place of a call that was taken in lately."""
        known = self._known.peek(id)
        return known.place if known is not None else None

    def is_open(self, turn: str) -> bool:
        """Return True if the turn of this id is not complete."""
        return turn in self._open

    def complete(self, now: int | None) -> list[OpenTurn]:
        """Remove and return the turns that are complete at the time `now` (Unix nanoseconds).

        None: all that wait for nothing, since nothing else is in the log.
        """
        if now is None:
            found = {one.id: one for one in self._open.values() if one.is_at_rest}
        else:
            found = {}
            while self._due and self._due[0][0] <= now:
                due, id = heapq.heappop(self._due)
                one = self._open.get(id)
                if one is not None and one.due == due:  # else it has gone on since
                    found[id] = one
        surplus = len(self._open) - len(found) - MOST_OPEN
        if surplus > 0:
            left = (one for one in self._open.values() if one.id not in found)
            found |= {one.id: one for one, _ in zip(left, range(surplus), strict=False)}
        for one in found.values():
            self._forget(one)
        return list(found.values())

    def complete_of_ended(self, has_ended: Callable[[Process], bool]) -> list[OpenTurn]:
        """Remove and return the turns whose program has ended."""
        ended: dict[Process, bool] = {}
        found = []
        for one in self._open.values():
            if one.process is not None:
                if one.process not in ended:
                    ended[one.process] = has_ended(one.process)
                if ended[one.process]:
                    found.append(one)
        for one in found:
            self._forget(one)
        return found

    def to_state(self) -> dict[str, Any]:
        """Return what `state` takes, in values that JSON takes."""
        return {"numbers": self._numbers.items(), "open": [_state_of(one) for one in self._open.values()]}

    def _turn_of(self, call: CallLink) -> TurnPlace | None:
        """Return the turn that a call belongs to; None if it begins one."""
        if call.conversation is None:
            return None
        current = self._current_of(call.conversation)
        if call.kind == "retry" and current is not None:
            return _place(current)
        if call.is_subagent:
            return self._parents(call) or self._under_way(call)
        if call.is_auxiliary:
            return self._parents(call) or (_place(current) if current is not None else None)
        if call.kind == "compaction" or call.parent is None:
            if current is None or call.kind == "new" or not current.conversations.get(call.conversation):
                return None
            return _place(current)
        return self._parents(call) if self._goes_on(call) else None

    def _under_way(self, call: CallLink) -> TurnPlace | None:
        """The turn of the main agent, if it is open."""
        current = self._current_of(call.root)
        return _place(current) if current is not None else None

    def _current_of(self, conversation: str | None) -> OpenTurn | None:
        turn = self._current.get(conversation) if conversation is not None else None
        return self._open.get(turn) if turn is not None else None

    def _waits(self, id: str) -> Waits | None:
        known = self._known.peek(id)
        if known is not None:
            return known.waits
        found = self._find(id)
        return found.waits if found is not None else None

    def _parents(self, call: CallLink) -> TurnPlace | None:
        """The turn of the call that this one goes on from, by the log if it was before this process."""
        passed: list[CallLink] = []
        at: str | None = call.parent
        place: TurnPlace | None = None
        while at is not None and len(passed) < _LONGEST_CHAIN:
            known = self._known.peek(at)
            if known is not None:
                place = known.place
                break
            if at in self._open:
                place = _place(self._open[at])
                break
            found = self._find(at)
            if found is None:
                break
            passed.append(found)
            place = TurnPlace(found.id, None)
            if not self._belongs_to_parent(found):
                break
            at = found.parent
        if place is not None:
            for one in passed:
                self._known.put(one.id, _Known(place, one.waits))
        return place

    def _belongs_to_parent(self, call: CallLink) -> bool:
        if call.parent is None:
            return False
        return call.is_subagent or call.is_auxiliary or self._goes_on(call)

    def _goes_on(self, call: CallLink) -> bool:
        """Return True if the call that it goes on from left something open: it is no new message of the user."""
        return call.parent is not None and (call.brings_results or self._waits(call.parent) is not None)

    def _begin(self, call: CallLink) -> TurnPlace:
        before = self._current_of(call.conversation)
        if before is not None and not call.is_auxiliary:
            before.closed = True
            self._schedule(before)
        number = self._number(call)
        turn = OpenTurn(call.id, call.session, call.conversation, number, call.end, call.process)
        self._open[call.id] = turn
        self._go_on(turn, call)
        return _place(turn)

    def _number(self, call: CallLink) -> int | None:
        if call.session is None or call.is_auxiliary:
            return None
        number = self._numbers.get(call.session)
        if number is None and call.step == 0:
            number = 0
        if number is not None:
            self._numbers.put(call.session, number + 1)
        return number

    def _go_on(self, turn: OpenTurn, call: CallLink) -> None:
        turn.calls.append(TurnCall(call.begin, call.id, call.waits, call.origin))
        if len(turn.calls) > MOST_CALLS:
            del turn.calls[MOST_CALLS // 2]
        turn.ended = max(turn.ended, call.end)
        turn.process = turn.process or call.process
        if call.conversation is not None and not call.is_auxiliary:
            self._current[call.conversation] = turn.id
            turn.conversations[call.conversation] = call.waits
        self._schedule(turn)

    def _schedule(self, turn: OpenTurn) -> None:
        heapq.heappush(self._due, (turn.due, turn.id))
        if len(self._due) > 10 * MOST_OPEN + len(self._open):
            self._due = [(one.due, one.id) for one in self._open.values()]
            heapq.heapify(self._due)

    def _forget(self, turn: OpenTurn) -> None:
        del self._open[turn.id]
        for conversation in turn.conversations:
            if self._current.get(conversation) == turn.id:
                del self._current[conversation]

    def _restore(self, state: Mapping[str, Any]) -> None:
        turn = _of_state(state)
        self._open[turn.id] = turn
        self._current.update(dict.fromkeys(turn.conversations, turn.id))
        for call in turn.calls:
            self._known.put(call.id, _Known(_place(turn), call.waits))
        self._schedule(turn)


def _place(turn: OpenTurn) -> TurnPlace:
    return TurnPlace(turn.id, turn.number)


def _state_of(turn: OpenTurn) -> dict[str, Any]:
    state = {name: getattr(turn, name) for name in OpenTurn.__slots__}
    return state | {"calls": list(turn.calls), "conversations": dict(turn.conversations)}


def _of_state(state: Mapping[str, Any]) -> OpenTurn:
    turn = OpenTurn(**state)
    turn.process = tuple(turn.process) if turn.process is not None else None  # type: ignore[assignment]
    turn.calls = [TurnCall(*call) for call in turn.calls]
    return turn
