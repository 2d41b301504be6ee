"""The known sessions: their first name, their next step, the time of their last call.

A session's id follows from the call alone (see `session`), with one exception: after `idle` or `max_calls` ends a
session of generated id, the next one of the same evidence and name needs another id. The first session keeps the plain
id, which is the **key**; later ones add the time of their first call. So proxies that share nothing agree until a limit
is reached, and `id`, `name`, `step`, `key` and end time of a recorded call restore all that is remembered.

Memory is bounded: the least recently used session is forgotten first. If it comes back, its steps begin again at 0; if
it has a limit, a new session begins, because the old one may have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sessiontap.bounded_dict import BoundedDict
from sessiontap.sessions.session import Session
from sessiontap.sessions.shared_calls import EvidenceKey, SharedCall
from sessiontap.sessions.store import AskAhead, Begun, WantedSession

MAX_SESSIONS = 50_000
"""At about 300 bytes each."""
_SECOND = 1_000_000_000


@dataclass(slots=True)
class SessionState:
    """A session, as the registry remembers it."""

    name: str
    steps: int
    last: int
    """Unix nanoseconds of its last call's end, as far as that is known."""
    key: str | None
    local: int = 0
    """Calls that got a local step."""
    numbered: int = 0
    """Those of them that the store has given a step since, which is one of `steps`."""


class Registry:
    """The sessions that this process knows, and the store of a proxy that shares none. For one thread; all times are
    Unix nanoseconds."""

    is_shared = False

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._states: BoundedDict[str, SessionState] = BoundedDict(max_sessions, self._forget)
        self._current: dict[str, str] = {}
        """Key -> id of the latest session, if that is not the key itself."""
        self.gaps = False
        """Sessions have been forgotten, or (set from outside) the log was not read back to its beginning."""

    def __len__(self) -> int:
        return len(self._states)

    async def begin(
        self, wanted: WantedSession, keys: Sequence[EvidenceKey], *, follows: bool, ahead: AskAhead | None = None
    ) -> Begun:
        """As `assign`: there are no others to ask."""
        return Begun(self.assign(wanted), wanted.id)

    def instead(self, wanted: WantedSession, taken: Session, *, is_own: bool) -> Session:
        """As `assign`, and release what was taken."""
        if wanted.increments_step:
            self.release(taken)
        return self.assign(replace(wanted, reserved=None))

    async def look(self, keys: Sequence[EvidenceKey]) -> Sequence[SharedCall]:
        """Return none: there are no others."""
        return ()

    def answered(self, call: str) -> None:
        """Do nothing, as `remember`."""

    def remember(self, call: SharedCall) -> None:
        """Do nothing: `Conversations` remembers the calls of this process."""

    def assign(self, wanted: WantedSession, *, local_from: int | None = None) -> Session:
        """Return the session of a call, with its step.

        `local_from`: the store that counts the steps is away. The call gets a local step, which begins there.
        """
        id, key = (wanted.id, None) if wanted.evidence.given else self._open(wanted)
        state = self._states.get(id)
        if state is None:
            self._states.put(id, state := SessionState(wanted.name, 0, wanted.now, key))
        step, reserved = state.steps, wanted.reserved
        is_local = False
        if reserved is not None and reserved.id == id:
            step, is_local = reserved.step, reserved.is_local
        elif wanted.increments_step and local_from is not None:
            step, is_local = self.local_step(id, local_from), True
        elif wanted.increments_step:
            state.steps += 1
            if reserved is not None:
                self.release(reserved)
        state.last = max(state.last, wanted.now)
        return wanted.session(id, state.name, step, is_local=is_local)

    def release(self, session: Session, call: str = "") -> None:
        """Release a step that no call will have, unless another call has the next one already."""
        state = self._states.peek(session.id)
        if state is not None and state.steps == session.step + 1:
            state.steps -= 1

    def ended(self, session_id: str, now: int, call: SharedCall | None = None) -> None:
        """Note that a call of the session ended: `idle` counts from here."""
        if state := self._states.peek(session_id):
            state.last = max(state.last, now)

    def restore(self, id: str, name: str, step: int, last: int, key: str | None = None) -> None:
        """Take in a recorded call; `last` is when it ended. Any order works; the oldest first is best. A `step` of -1
        is one that does not count: it is local."""
        state = self._states.peek(id)
        if state is None:
            self._states.put(id, state := SessionState(name, 0, last, key))
        state.steps = max(state.steps, step + 1)
        state.last = max(state.last, last)
        if key is not None and id in self._states:
            latest = self._states.peek(self._current.get(key, ""))
            if latest is None or latest.last <= state.last:
                self._current[key] = id

    def local_step(self, id: str, local_from: int) -> int:
        """Return the next local step of a known session; they begin at `local_from`."""
        state = self._states.peek(id)
        if state is None:
            return local_from
        state.local += 1
        return local_from + state.local - 1

    def numbered(self, id: str, step: int) -> None:
        """Take in the step that the store gave a call of a session which had a local one."""
        if state := self._states.peek(id):
            state.numbered += 1
            state.steps = max(state.steps, step + 1)

    def expected(self, wanted: WantedSession) -> Session:
        """Return the session that a call is likely to get, with its step, and change nothing."""
        id = wanted.id if wanted.evidence.given else self._current.get(wanted.id, wanted.id)
        state = self._states.peek(id)
        return wanted.session(id, state.name if state else wanted.name, state.steps if state else 0)

    def newest(self, count: int) -> list[tuple[str, SessionState]]:
        """Return up to `count` sessions with their ids, the most recently used first."""
        return self._states.newest(count)

    def _open(self, wanted: WantedSession) -> tuple[str, str | None]:
        """Return id and key (None if it is the id) of the session that is open, or of a new one."""
        key = wanted.id
        id = self._current.get(key, key)
        state = self._states.peek(id)
        idle, limit = wanted.idle, wanted.max_calls
        if state is None:
            ended = self.gaps and (idle is not None or limit is not None)
        else:
            silent = idle is not None and wanted.now - state.last > idle * _SECOND
            is_reserved = wanted.reserved is not None and wanted.reserved.id == id
            counted = state.steps + state.local - state.numbered - is_reserved
            ended = silent or (limit is not None and counted >= limit)
        if ended:
            started = wanted.now
            while id in self._states or id == key:  # two may begin at one tick of the clock
                id = wanted.following(started)
                started += 1
            self._current[key] = id
        return id, key if id != key else None

    def _forget(self, id: str, state: SessionState) -> None:
        self.gaps = True
        if state.key is not None and self._current.get(state.key) == id:
            del self._current[state.key]
