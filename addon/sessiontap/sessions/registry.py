"""The sessions that are known: their first name, their next step, when they were last heard of.

A session's id follows from the call alone (see `ids`), but for one thing: where `idle` or `max_calls` ends a session of
generated id, the next one of the same evidence and name needs another id. The first keeps the plain id, which is the
**key**; later ones add the time of their first call. So proxies that share nothing agree until a limit is reached, and
a call's record restores all that is remembered with `id`, `name`, `step`, `key` and the time of its end.

Memory is bounded: the session that was silent for longest is forgotten first. If it comes back, its steps begin again
at 0; if it has a limit, it begins a new session, because the old one may well have ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from sessiontap.bounded import BoundedDict
from sessiontap.callers.caller import Caller
from sessiontap.llm.call import Call
from sessiontap.rules.decision import Decision
from sessiontap.sessions.ids import derived_id, is_verbatim
from sessiontap.sessions.ladder import Evidence, Peer, climb, replaces
from sessiontap.sessions.session import Session

MAX_SESSIONS = 50_000
"""At about 300 bytes each."""
_SECOND = 1_000_000_000


@dataclass(slots=True)
class _State:
    name: str
    steps: int
    last: int
    key: str | None


class Registry:
    """Gives each call its session. For one thread; all times are Unix nanoseconds."""

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._states: BoundedDict[str, _State] = BoundedDict(max_sessions, self._forget)
        self._current: dict[str, str] = {}
        """Key -> id of the latest session, where that is not the key itself."""
        self.gaps = False
        """Sessions have been forgotten, or (set from outside) the log was not read back to its beginning."""

    def __len__(self) -> int:
        return len(self._states)

    def assign(
        self,
        decision: Decision,
        *,
        app_id: str | None = None,
        app_name: str | None = None,
        call: Call | None,
        caller: Caller | None,
        peer: Peer,
        now: int,
        conversation: str | None = None,
        listens: bool | None = None,
        counts: bool = True,
        taken: Session | None = None,
    ) -> Session:
        """The session of a call that begins `now`, and its step there; counts the call, unless `counts` is False.

        `app_id` and `app_name` are what the app itself sent in session headers; for `conversation` and `listens` see
        `ladder.climb`. `taken` is what was assigned before the call could say more of itself: its step is the call's
        where the session is the same, and is given back where it is not.
        """
        evidence = climb(
            decision,
            app_id=app_id,
            agent=call.agent if call else None,
            caller=caller,
            peer=peer,
            conversation=conversation,
            listens=listens,
        )
        name = app_name if app_name and not replaces(decision, "session.name") else decision.name
        key = None
        if evidence.given:
            verbatim = is_verbatim(evidence.value)
            id = evidence.value if verbatim else derived_id(evidence.source, evidence.value, name)
        else:
            id, key = self._generated(decision, evidence, name, now, taken)

        state = self._states.get(id)
        if state is None:
            self._states.put(id, state := _State(name, 0, now, key))
        step = state.steps
        if taken is not None and taken.id == id:
            step = taken.step
        elif counts:
            state.steps += 1
            self._give_back(taken)
        state.last = max(state.last, now)
        renamed_to = name if name != state.name else None
        return Session(id, state.name, step, evidence.source, renamed_to, key)

    def _give_back(self, taken: Session | None) -> None:
        """A step that no call will have, unless another call has the next one already."""
        state = self._states.peek(taken.id) if taken is not None else None
        if taken is not None and state is not None and state.steps == taken.step + 1:
            state.steps -= 1

    def ended(self, session_id: str, now: int) -> None:
        """A call of the session ended: `idle` counts from here."""
        if state := self._states.peek(session_id):
            state.last = max(state.last, now)

    def restore(self, id: str, name: str, step: int, last: int, key: str | None = None) -> None:
        """Take over a recorded call; `last` is when it ended. Any order does; the oldest first is best."""
        state = self._states.peek(id)
        if state is None:
            self._states.put(id, state := _State(name, 0, last, key))
        state.steps = max(state.steps, step + 1)
        state.last = max(state.last, last)
        if key is not None and id in self._states:
            latest = self._states.peek(self._current.get(key, ""))
            if latest is None or latest.last <= state.last:
                self._current[key] = id

    def _generated(
        self, decision: Decision, evidence: Evidence, name: str, now: int, taken: Session | None
    ) -> tuple[str, str | None]:
        """Id and key (None where it is the id) of the session that is open, or of a new one."""
        key = derived_id(evidence.source, evidence.value, name)
        id = self._current.get(key, key)
        state = self._states.peek(id)
        idle = decision.idle if decision.idle is not None else evidence.idle
        limit = decision.max_calls
        if state is None:
            ended = self.gaps and (idle is not None or limit is not None)
        else:
            silent = idle is not None and now - state.last > idle * _SECOND
            counted = state.steps - (taken is not None and taken.id == id)
            ended = silent or (limit is not None and counted >= limit)
        if ended:
            started = now
            while id in self._states or id == key:  # two may begin at one tick of the clock
                id = derived_id(evidence.source, evidence.value, name, started)
                started += 1
            self._current[key] = id
        return id, key if id != key else None

    def _forget(self, id: str, state: _State) -> None:
        self.gaps = True
        if state.key is not None and self._current.get(state.key) == id:
            del self._current[state.key]
