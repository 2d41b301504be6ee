"""The known sessions: their first name, their next step, the time of their last call.

A session's id follows from the call alone (see `session`), with one exception: after `idle` or `max_calls` ends a
session of generated id, the next one of the same evidence and name needs another id. The first session keeps the plain
id, which is the **key**; later ones add the time of their first call. So proxies that share nothing agree until a limit
is reached, and `id`, `name`, `step`, `key` and end time of a recorded call restore all that is remembered.

Memory is bounded: the least recently used session is forgotten first. If it comes back, its steps begin again at 0; if
it has a limit, a new session begins, because the old one may have ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from sessiontap.bounded_dict import BoundedDict
from sessiontap.rules.decision import Decision
from sessiontap.sessions.id_sources import SessionEvidence, replaces
from sessiontap.sessions.session import Session, derived_id, is_verbatim

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
    """Assigns each call its session. For one thread; all times are Unix nanoseconds."""

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._states: BoundedDict[str, _State] = BoundedDict(max_sessions, self._forget)
        self._current: dict[str, str] = {}
        """Key -> id of the latest session, if that is not the key itself."""
        self.gaps = False
        """Sessions have been forgotten, or (set from outside) the log was not read back to its beginning."""

    def __len__(self) -> int:
        return len(self._states)

    def assign(
        self,
        decision: Decision,
        evidence: SessionEvidence,
        *,
        app_name: str | None = None,
        now: int,
        increments_step: bool = True,
        reserved_session: Session | None = None,
    ) -> Session:
        """Return the session of a call that begins `now` (Unix nanoseconds), with the call's step in it.

        `evidence` is what `session_evidence` returns for the call, `app_name` comes from the app's own session headers.
        The next call gets the next step, unless `increments_step` is False. `reserved_session` was assigned to a
        WebSocket's upgrade, before the call's messages were known: the call takes its step if it belongs to the same
        session; else the step is released.
        """
        name = app_name if app_name and not replaces(decision, "session.name") else decision.name
        key = None
        if evidence.given:
            verbatim = is_verbatim(evidence.value)
            id = evidence.value if verbatim else derived_id(evidence.source, evidence.value, name)
        else:
            id, key = self._generated(decision, evidence, name, now, reserved_session)

        state = self._states.get(id)
        if state is None:
            self._states.put(id, state := _State(name, 0, now, key))
        step = state.steps
        if reserved_session is not None and reserved_session.id == id:
            step = reserved_session.step
        elif increments_step:
            state.steps += 1
            self._release(reserved_session)
        state.last = max(state.last, now)
        renamed_to = name if name != state.name else None
        return Session(id, state.name, step, evidence.source, renamed_to, key)

    def _release(self, reserved: Session | None) -> None:
        """Release a step that no call will have, unless another call has the next one already."""
        state = self._states.peek(reserved.id) if reserved is not None else None
        if reserved is not None and state is not None and state.steps == reserved.step + 1:
            state.steps -= 1

    def ended(self, session_id: str, now: int) -> None:
        """Note that a call of the session ended: `idle` counts from here."""
        if state := self._states.peek(session_id):
            state.last = max(state.last, now)

    def restore(self, id: str, name: str, step: int, last: int, key: str | None = None) -> None:
        """Take in a recorded call; `last` is when it ended. Any order works; the oldest first is best."""
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
        self, decision: Decision, evidence: SessionEvidence, name: str, now: int, reserved_session: Session | None
    ) -> tuple[str, str | None]:
        """Return id and key (None if it is the id) of the session that is open, or of a new one."""
        key = derived_id(evidence.source, evidence.value, name)
        id = self._current.get(key, key)
        state = self._states.peek(id)
        idle = decision.idle if decision.idle is not None else evidence.idle
        limit = decision.max_calls
        if state is None:
            ended = self.gaps and (idle is not None or limit is not None)
        else:
            silent = idle is not None and now - state.last > idle * _SECOND
            counted = state.steps - (reserved_session is not None and reserved_session.id == id)
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
