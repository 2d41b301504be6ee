"""The declared conversations that have been seen: which tree each belongs to, and how far it is. Bounded."""

from __future__ import annotations

from dataclasses import dataclass

from sessiontap.bounded import BoundedDict
from sessiontap.sessions.known import Known

MOST = 10_000


@dataclass(slots=True)
class Declared:
    """A declared conversation that has been seen."""

    conversation: str
    """The one that it is: its own, but for a run that goes on from another's."""
    root: str
    lineage: tuple[str, ...]
    session: str | None = None
    """What `Link.session` says of it."""
    begun: bool = False
    """A call of the conversation itself has been seen, not only what goes beside it."""
    last: str | None = None
    """Its latest call that has its reply."""


class DeclaredConversations:
    """By the id that follows from what is declared. The ones not heard of for longest are forgotten."""

    def __init__(self) -> None:
        self._seen: BoundedDict[str, Declared] = BoundedDict(MOST)

    def get(self, id: str) -> Declared | None:
        """What is known of one."""
        return self._seen.peek(id)

    def note(self, call: Known) -> None:
        """A call of one, or its reply, has been seen; root and lineage are those of the first."""
        if call.declared is None:
            return
        seen = self._seen.peek(call.declared)
        if seen is None:
            # A sub-agent within a session that does not tell it apart is not what the session declares.
            own = call.of_run or call.conversation == call.declared
            seen = Declared(call.conversation if own else call.declared, call.root, call.lineage if own else ())
            seen.session = call.scope.given_session if call.of_run else None
        seen.begun = seen.begun or call.advances
        if call.state == "done":
            seen.last = call.id
        self._seen.put(call.declared, seen)
