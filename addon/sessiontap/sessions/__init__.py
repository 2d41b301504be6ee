"""The session of each call, its step there, its conversation, and the earlier call that it continues.

    session.py        the values: `Session`, `Link`; how ids of sessions and calls are made
    id_sources.py     the evidence for a call's session, from the sources that the rules list
    joined.py         the conversations whose calls were joined to a session by a value
    store.py          the seam: where sessions are remembered, in the process or for several proxies
    registry.py       the sessions that the process knows, and their steps

    match_scope.py    what two calls must share to be compared
    declared.py       conversations that an agent or the server declares
    known_calls.py    the calls that later ones may continue
    parents.py        the call that a request continues, by ids and by its history
    quoted_texts.py   the call whose text a request opens with or quotes
    links.py          puts these together: the link of a call
    shared_calls.py   calls as other proxies are told of them, and the keys that find them
    conversations.py  remembers calls and their replies, and restores them from the log

All memory is bounded, and restored from the log. May import `callers`, `llm` and `rules`.
"""

from sessiontap.sessions.conversations import Conversations, to_state
from sessiontap.sessions.id_sources import ClientConnection, replaces, session_evidence
from sessiontap.sessions.match_scope import MatchScope, match_scope_of
from sessiontap.sessions.registry import Registry
from sessiontap.sessions.session import Link, Session, agent_path, call_id, derived_id, is_verbatim

__all__ = [
    "ClientConnection",
    "Conversations",
    "Link",
    "MatchScope",
    "Registry",
    "Session",
    "agent_path",
    "call_id",
    "derived_id",
    "is_verbatim",
    "match_scope_of",
    "replaces",
    "session_evidence",
    "to_state",
]
