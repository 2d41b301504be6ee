"""Which session a call belongs to, which step of it, and which earlier call it hangs on.

`ladder` finds the evidence and is pure; `registry` and `links` remember, bounded, and are restored from the log.
May import `callers`, `llm` and `rules`.
"""

from sessiontap.sessions.ids import call_id, derived_id, is_verbatim
from sessiontap.sessions.ladder import Peer, replaces
from sessiontap.sessions.links import Links, Scope, scope_of
from sessiontap.sessions.registry import Registry
from sessiontap.sessions.session import Link, Session

__all__ = [
    "Link",
    "Links",
    "Peer",
    "Registry",
    "Scope",
    "Session",
    "call_id",
    "derived_id",
    "is_verbatim",
    "replaces",
    "scope_of",
]
