"""Which session a call belongs to, which step of it, which conversation, and which earlier call it goes on from.

`ladder` finds the evidence of a session and is pure; `registry` remembers sessions. `scope` says what calls must share
to be compared, `threads` what a call declares, `parents` finds the call that it goes on from among those `known`,
`quoted` ties what histories cannot, `conversations` puts it together, with `declared` for those that are; `results`
names the tools whose results come alone, `agent_path` the agent. All memory is bounded, and restored from the log
(`kept`). May import `callers`, `llm` and `rules`.
"""

from sessiontap.sessions.agent_path import agent_path
from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.ids import call_id, derived_id, is_verbatim
from sessiontap.sessions.kept import heads
from sessiontap.sessions.ladder import Peer, replaces
from sessiontap.sessions.match_scope import MatchScope, match_scope_of
from sessiontap.sessions.registry import Registry
from sessiontap.sessions.session import Link, Session

__all__ = [
    "Conversations",
    "Link",
    "MatchScope",
    "Peer",
    "Registry",
    "Session",
    "agent_path",
    "call_id",
    "derived_id",
    "heads",
    "is_verbatim",
    "match_scope_of",
    "replaces",
]
