"""Which earlier call a call hangs on, where that is certain: the request names an id that a recorded reply issued.

Two kinds of ids say so: a reply that the request names outright (`previous_response_id`, a previous message id), and
the newest tool call whose result the request carries. Never merely the last call of the session.

A link holds only within a **scope**: the same session, or the same process. An id that several replies of a scope
issued says nothing, and some local servers count `call_0`, `call_1` in every reply: such ids are not kept, since the
first reply to issue one would look unique. An older tool result is never asked when the newest is not known: in
families whose requests hold no assistant messages between rounds it belongs to an earlier reply.

Links by what a conversation says (strong and weak evidence) will stand beside this: `Links` keeps what replies issued,
`link` decides, and both take the conversation of a reply along.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from sessiontap.callers.caller import Caller
from sessiontap.llm.call import Asked
from sessiontap.sessions.session import Link, Session

MAX_IDS = 100_000
"""At about 500 bytes each."""
_MOST_ISSUERS = 8
"""An id that more replies than this issued is nobody's."""

_COUNTED = re.compile(r"(?:.*[^A-Za-z0-9]|[A-Za-z]*)\d{1,4}\Z", re.DOTALL)
"""`call_0`, `7`, `tool12`, `functions.search:3`: counted anew in every reply, by the server."""

Scope = tuple[str, ...]


def scope_of(session: Session, caller: Caller | None) -> Scope:
    """Where ids that this call's reply issues mean something."""
    return (f"session {session.id}",) + ((f"process {caller.id}",) if caller else ())


@dataclass(frozen=True, slots=True)
class _Issuer:
    scope: Scope
    call: str
    trace: str
    conversation: str | None


class Links:
    """What recorded replies issued, newest last; the oldest ids are forgotten first. For one thread."""

    def __init__(self, max_ids: int = MAX_IDS) -> None:
        self._max = max_ids
        self._issuers: OrderedDict[str, tuple[_Issuer, ...] | None] = OrderedDict()
        """None: issued by too many."""

    def __len__(self) -> int:
        return len(self._issuers)

    def note_reply(
        self,
        scope: Scope,
        call_id: str,
        trace_id: str | None = None,
        response_id: str | None = None,
        tool_call_ids: Iterable[str] = (),
        conversation: str | None = None,
    ) -> None:
        """Remember the ids that the reply to `call_id` issued. `trace_id` is the server's own name for the call."""
        issuer = _Issuer(scope, call_id, trace_id or call_id, conversation)
        if response_id and not _COUNTED.match(response_id):
            self._note(f"reply {response_id}", issuer)
        for id in tool_call_ids:
            if id and not _COUNTED.match(id):
                self._note(f"tool {id}", issuer)

    def link(self, scope: Scope, asked: Asked) -> Link:
        """The call that `asked` hangs on; an empty link where none is certain."""
        named = [f"reply {id}" for id in asked.previous] + [f"tool {id}" for id in asked.answered[:1]]
        for key in named:
            issuers = [issuer for issuer in self._issuers.get(key) or () if not set(issuer.scope).isdisjoint(scope)]
            if len(issuers) == 1:
                issuer = issuers[0]
                return Link(issuer.conversation, issuer.call, "exact", issuer.trace)
        return Link()

    def _note(self, key: str, issuer: _Issuer) -> None:
        known = self._issuers.get(key, ())
        if known is not None and all(other.call != issuer.call for other in known):
            self._issuers[key] = (*known, issuer) if len(known) < _MOST_ISSUERS else None
        self._issuers.move_to_end(key)
        while len(self._issuers) > self._max:
            self._issuers.popitem(last=False)
