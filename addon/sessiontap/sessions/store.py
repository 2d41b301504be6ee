"""The seam between sessions and where they are remembered: in this process (`Registry`), or in a store that several
proxies share (`stores/`).

A session's id follows from the call; its step, its end and its first name need memory, and so do the calls that later
ones continue. The planner says which session a call wants, and by which keys calls are found that it may continue. A
shared store answers both at once: with the session, and with the calls that other proxies told of. What the planner
then decides follows from the answer alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from sessiontap.limits.shared import CountAhead
from sessiontap.rules.decision import Decision
from sessiontap.sessions.id_sources import SessionEvidence, replaces
from sessiontap.sessions.session import Session, derived_id, is_verbatim
from sessiontap.sessions.shared_calls import EvidenceKey, SharedCall
from sessiontap.value_classes import dataclass


@dataclass(frozen=True, slots=True)
class WantedSession:
    """The session that a call belongs to by its evidence. Its id may be another one: `idle` or `max_calls` ended it."""

    id: str
    """The id that somebody chose, else that of the first session of the same evidence and name: the key."""
    name: str
    now: int
    """When the call begins, Unix nanoseconds."""
    evidence: SessionEvidence
    idle: float | None = None
    """Seconds of silence that end it."""
    max_calls: int | None = None
    increments_step: bool = True
    """The next call gets the next step."""
    reserved: Session | None = None
    """Assigned before the call's messages were known. The call takes its step if it is the same session; else the step
    is released."""
    call: str = ""
    """The call's id."""

    def following(self, started: int) -> str:
        """Return the id of the session that begins at `started` because the one before it ended."""
        return derived_id(self.evidence.source, self.evidence.value, self.name, started)

    def session(self, id: str, name: str, step: int, *, is_local: bool = False) -> Session:
        """Return the session that the call gets; `name` is the session's first one."""
        renamed_to = self.name if self.name != name else None
        key = self.id if id != self.id else None
        return Session(id, name, step, self.evidence.source, renamed_to, key, self.evidence.rank, is_local)


def wanted_session(
    decision: Decision,
    evidence: SessionEvidence,
    *,
    app_name: str | None = None,
    now: int,
    increments_step: bool = True,
    reserved_session: Session | None = None,
    call: str = "",
) -> WantedSession:
    """Return the session that a call wants which begins `now` (Unix nanoseconds).

    `evidence` is what `session_evidence` returns for the call, `app_name` comes from the app's own session headers.
    """
    name = app_name if app_name and not replaces(decision, "session.name") else decision.name
    if evidence.given:
        value = evidence.value
        id = value if is_verbatim(value) else derived_id(evidence.source, value, name)
        return WantedSession(id, name, now, evidence, None, None, increments_step, reserved_session, call)
    id = evidence.key or derived_id(evidence.source, evidence.value, name)
    idle = decision.idle if decision.idle is not None else evidence.idle
    limit = decision.max_calls
    return WantedSession(id, name, now, evidence, idle, limit, increments_step, reserved_session, call)


class Begun(NamedTuple):
    """A store's answer for a call that begins."""

    session: Session
    key: str
    """Of that session: `WantedSession.id`, or that of the call that it follows."""
    calls: Sequence[SharedCall] = ()
    """Those found by the call's keys, as other proxies told of them."""


AskAhead = Callable[[Session], CountAhead | None]
"""Given the session that a call is likely to get. None: nothing is to be counted."""


class SessionStore(Protocol):
    """Remembers sessions and calls. For the proxy's loop alone; nothing here raises."""

    @property
    def is_shared(self) -> bool:
        """A call waits for `begin`. False: `assign` knows all that is to be known."""

    def assign(self, wanted: WantedSession) -> Session:
        """Return the session of a call, with its step, at once: by what this process knows."""

    async def begin(
        self, wanted: WantedSession, keys: Sequence[EvidenceKey], *, follows: bool, ahead: AskAhead | None = None
    ) -> Begun:
        """Return the session of a call, with its step, and the calls that are found by its keys.

        `follows`: its session is that of its conversation, so it is the session of the first call that is found.
        `ahead`: what is to be counted in the same request, in the session that the store finds.
        """

    def instead(self, wanted: WantedSession, taken: Session, *, is_own: bool) -> Session:
        """Return the session of a call, with its step, that turned out to belong to another one than that in which
        `begin` has `taken` a step, which is given back. `is_own`: nobody else can know the session."""

    def look(self, keys: Sequence[EvidenceKey]) -> Awaitable[Sequence[SharedCall]]:
        """Return the calls that are found by a call's keys, for one that does not wait for them."""

    def answered(self, call: str) -> None:
        """Note that a call's client has its reply, which is yet to be read."""

    def release(self, session: Session, call: str = "") -> None:
        """Give back the step of a session that `begin` took for a call, and that no call will have."""

    def remember(self, call: SharedCall) -> None:
        """Take in a call that begins, or again with its reply, so that other proxies find it."""

    def ended(self, session_id: str, now: int, call: SharedCall | None = None) -> None:
        """Note that a call of the session ended: `idle` counts from here. `call`: the same, with its reply, as
        `remember` takes it in."""
