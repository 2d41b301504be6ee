"""The conversations whose calls were joined to a session by a value (`join` in the rules).

A later call of such a conversation that gives no value, or only one by a later template than the call before it, goes
on in that session. So an agent's turns stay together if only its first request names the job. Bounded.
"""

from __future__ import annotations

from typing import NamedTuple

from sessiontap.bounded_dict import BoundedDict
from sessiontap.sessions.session import Link, Session

MAX_CONVERSATIONS = 50_000
"""At about 300 bytes each."""


class JoinedSession(NamedTuple):
    """The session of a conversation's newest joined call."""

    key: str
    """The id of the first session of that value: `Session.key`, else `Session.id`."""
    rank: int
    """The place of the template that gave the value, from 0."""
    at: int
    """Unix nanoseconds of the call."""


class JoinedConversations:
    """Remembers to which session a value joined each conversation. For one thread."""

    def __init__(self) -> None:
        self._sessions: BoundedDict[str, JoinedSession] = BoundedDict(MAX_CONVERSATIONS)

    def session_of(self, link: Link) -> JoinedSession | None:
        """Return the session that a call's conversation was joined to, else that of its tree of agents."""
        found = self._sessions.get(link.conversation) if link.conversation else None
        return found or (self._sessions.get(link.root) if link.root else None)

    def note(self, link: Link, session: Session, at: int) -> None:
        """Remember the session of a call that begins `at`, if a value joined it."""
        if session.source == "join" and session.rank is not None:
            self.restore(link, JoinedSession(session.key or session.id, session.rank, at))

    def restore(self, link: Link, joined: JoinedSession) -> None:
        """Take in the session of a joined call. Any order works."""
        if link.conversation and self._is_newer(link.conversation, joined):
            self._sessions.put(link.conversation, joined)
        if link.root and link.root != link.conversation and link.root not in self._sessions:
            self._sessions.put(link.root, joined)

    def _is_newer(self, conversation: str, joined: JoinedSession) -> bool:
        known = self._sessions.peek(conversation)
        return known is None or known.at <= joined.at
