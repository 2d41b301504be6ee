"""The memory of conversations: the calls that later ones may continue, restored from the log after a restart.

`links` finds the link of each call in it. A call's record holds the state by which its conversation goes on: `to_state`
makes it, `Conversations.restore` takes it in. It stands in the record's `link` and holds digests of messages, never a
text, and keyed digests of the scope. A field that an older version did not write is missing, and a damaged one counts
as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sessiontap.llm.call import Asked, Call
from sessiontap.llm.history import START, DelegatedPrompt, History, ReplyFingerprint
from sessiontap.sessions.declared import DeclaredConversations, declaration_of
from sessiontap.sessions.known_calls import MAX_CALLS, KnownCall, KnownCalls
from sessiontap.sessions.links import LinkedCall, LinkFinder
from sessiontap.sessions.match_scope import MatchScope, keyed_digest
from sessiontap.sessions.parents import parent_of, reply_keys, request_keys, whole_key, with_tool_names
from sessiontap.sessions.quoted_texts import QuotedTexts
from sessiontap.sessions.session import Link
from sessiontap.sessions.shared_calls import OF_REPLY, SharedCall, known_call, shared_call


class Conversations:
    """Links calls and remembers them. For one thread; times are Unix nanoseconds. Memory is bounded (`known_calls`)."""

    def __init__(self, max_calls: int = MAX_CALLS, key: bytes = b"") -> None:
        """`key` is the user's, for the digests of scopes (`MatchScope.pseudonymized`)."""
        self.key = key
        self._known = KnownCalls(max_calls)
        self._quoted = QuotedTexts()
        self._declared = DeclaredConversations()
        self._links = LinkFinder(self._known, self._quoted, self._declared)

    def __len__(self) -> int:
        return len(self._known)

    def link(self, scope: MatchScope, call: Call, history: History, call_id: str, now: int) -> Link:
        """Return the link of a call that begins `now`, and remember the call."""
        linked = self.find_link(scope, call, history, call_id, now)
        self.remember(linked)
        return linked.link

    def find_link(
        self,
        scope: MatchScope,
        call: Call,
        history: History,
        call_id: str,
        now: int,
        *,
        conversation_key: str | None = None,
        upgrade: bool = False,
    ) -> LinkedCall:
        """Return a call that begins `now` with its link; the call is not remembered.

        `conversation_key` names the conversation, if the call begins one; without it the call's id does. An `upgrade`
        opens a WebSocket and has no messages.
        """
        self._known.forget_old(now)
        linked = self._links.find(
            scope.pseudonymized(self.key),
            call,
            history,
            call_id,
            now,
            conversation_key=conversation_key,
            upgrade=upgrade,
        )
        session = linked.link.session
        if session is None:
            return linked
        keyed = keyed_digest(session, self.key)
        return replace(linked, scope=replace(linked.scope, session=keyed, given_session=session))

    def find_again(self, linked: LinkedCall, conversation_key: str | None = None) -> LinkedCall:
        """Return a call with the link that it would have now."""
        one = linked
        return self._links.find(one.scope, one.call, one.history, one.id, one.now, conversation_key=conversation_key)

    def remember(self, linked: LinkedCall) -> None:
        """Remember a call that `find_link` returned, so that later calls may continue it."""
        if linked.link.conversation is None:
            return
        for id in linked.call.asked.answered:
            self._quoted.note_result(id)
        if linked.repeats is not None:
            linked.repeats.child = linked.repeats.id
        if linked.history.purpose != "count":
            self._add_new(linked)

    def knows_parent(self, scope: MatchScope, call: Call, history: History) -> bool:
        """Return True if the call that a request continues is known, by more than weak evidence."""
        declared = declaration_of(call, history) is not None
        found = parent_of(self._known, scope.pseudonymized(self.key), call.asked, history, declared)
        return found is not None and found.evidence != "weak"

    def with_tool_names(self, scope: MatchScope, asked: Asked) -> Asked:
        """Return what is asked, with the names of the tools whose results it holds without their calls."""
        return with_tool_names(self._known, scope.pseudonymized(self.key), asked)

    def turn_of(self, call_id: str) -> str:
        """Return the id of the call with which a call's turn began, as far as is known; else its own.

        A turn is a user's message and all that follows until the reply that calls no tool, sub-agents included.
        """
        known = self._known.get(call_id)
        return known.turn if known is not None else call_id

    def note_end(self, call_id: str) -> None:
        """Note that a call was answered, and that its reply is yet to be read."""
        known = self._known.get(call_id)
        if known is not None and known.state == "open":
            known.state = "unread"

    def note_reply(self, call_id: str, reply: ReplyFingerprint | None, now: int, trace_id: str | None = None) -> None:
        """Take in the reply to a call, None if it could not be read. `trace_id` is the server's own id of the call."""
        known = self._known.get(call_id)
        if known is None:
            return
        self._known.use(known, now)
        if reply is not None and reply.failed:
            known.state, known.retryable = "failed", reply.retryable
            return
        known.state, known.trace_id = "done", trace_id
        if reply is not None and reply.incomplete:
            known.incomplete, known.retryable = True, reply.retryable
        else:
            self._known.unindex(known, whole_key(known.scope, known.whole_request))
        if known.declared is not None and known.advances:
            self._declared.note(known)
        if reply is not None:
            known.reply_chain, known.reply_outline = reply.key, reply.outline
            known.reply_digest, known.tools = reply.digest, reply.tools
            self._known.index(known, reply_keys(known.scope, reply, advances=known.advances))
            self._quoted.note_reply(known.scope, reply, call_id, now)

    def shared(self, call_id: str, reply: ReplyFingerprint | None = None) -> SharedCall | None:
        """Return a call as other proxies are told of it, None if it is not known."""
        known = self._known.get(call_id)
        if known is None:
            return None
        return shared_call(known, self._known.get(known.parent), reply.delegated if reply is not None else ())

    def newest_shared(self, count: int) -> Iterator[SharedCall]:
        """Yield up to `count` calls as other proxies are told of them, the oldest first."""
        return (shared_call(one, self._known.get(one.parent)) for one in reversed(self._known.newest(count)))

    def take_in(self, call: SharedCall) -> None:
        """Take in a call that another proxy told of, or more of one that is known."""
        known = self._known.get(call.id)
        if known is None:
            self._known.add(known := known_call(call))
        elif known.state == "open" and call.state == "unread":
            known.state = "unread"
        elif known.state in ("open", "unread") and call.state in ("done", "failed"):
            for key in known.keys:
                self._known.unindex(known, key)
            for field in OF_REPLY:
                setattr(known, field, getattr(call, field))
        if call.child is not None and call.child > (known.child or ""):
            known.child = call.child
        self._known.index(known, (*call.keys, *call.ids))
        self._declared.note(known)
        if call.delegated:
            self._quoted.note_reply(known.scope, ReplyFingerprint(delegated=call.delegated), call.id, call.at)

    def _add_new(self, linked: LinkedCall) -> None:
        history, declaration, link = linked.history, linked.declaration, linked.link
        known = KnownCall(
            id=linked.id,
            scope=linked.scope,
            at=linked.now,
            conversation=link.conversation or "",
            root=link.root or "",
            lineage=link.lineage,
            request_chain=history.end,
            system=history.system,
            settings=history.settings,
            declared=declaration.conversation if declaration else None,
            of_run=declaration is not None and declaration.of_run,
            parent=link.parent,
            advances=link.kind != "auxiliary",
            evidence=link.evidence,
            warm_up=history.purpose == "warmup",
        )
        asked = linked.call.asked
        self._add(known, link, goes_on=bool(asked.answered or asked.tool_results))
        if linked.repeats is not None:
            known.turn = linked.repeats.turn
        if link.kind in ("new", "subagent"):
            self._quoted.note_opening(linked.scope, history, linked.id)

    def _add(self, known: KnownCall, link: Link, *, goes_on: bool = False) -> None:
        """Remember a call. `goes_on`: it holds results of tools that its parent's reply called."""
        self._known.add(known)
        if known.declared is not None:
            self._declared.note(known)
        self._place(known, link, goes_on=goes_on)
        if not known.advances:
            return
        if known.request_chain != START:
            keys = request_keys(known.scope, known.request_chain)
            self._known.index(known, [*keys, whole_key(known.scope, known.whole_request)])

    def _place(self, known: KnownCall, link: Link, *, goes_on: bool) -> None:
        """Set the turn of a call, and what its parent knows of it."""
        parent = self._known.get(link.parent)
        known.turn = known.id
        if parent is None:
            return
        self._known.use(parent, known.at)
        if goes_on or parent.tools or link.lineage or link.kind == "auxiliary":
            known.turn = parent.turn
        if known.advances and link.kind not in ("subagent", "retry"):
            parent.child = known.id

    def relink(self, linked: LinkedCall) -> None:
        """Remember a call that is known in another place, now that more is known of the calls before it."""
        known, link = self._known.get(linked.id), linked.link
        if known is None:
            return
        before = self._known.get(known.parent)
        if before is not None and before.child == known.id and link.parent != before.id:
            before.child = None
        known.conversation, known.root, known.lineage = link.conversation or "", link.root or "", link.lineage
        known.parent, known.evidence = link.parent, link.evidence
        asked = linked.call.asked
        self._place(known, link, goes_on=bool(asked.answered or asked.tool_results))

    def restore(
        self,
        call_id: str,
        at: int,
        link: Link,
        state: Mapping[str, Any],
        response_id: str | None = None,
        tools: Iterable[tuple[str, str | None]] = (),
        *,
        warm_up: bool = False,
        session: str | None = None,
    ) -> None:
        """Take in a recorded call; call it for the oldest first. Its parameters are fields of a record, whose form
        this package does not know: so they are eight.

        `at` is when the call ended, `state` what `to_state` returned, `tools` the ids and names of its reply's tool
        calls, `session` the id that its app or agent gave. A damaged field counts as missing. Summaries and titles are
        not restored, since they link only calls that are close together in time.
        """
        found = _from_state(call_id, at, link, state, response_id, tools, warm_up)
        if found is not None:
            known, reply = found
            scope = known.scope if known.scope.is_pseudonymized else known.scope.pseudonymized(self.key)
            known.scope = replace(scope, given_session=session) if scope.session is not None else scope
            self._add(known, link)
            self.note_reply(call_id, reply, at)


def to_state(scope: MatchScope, call: Call, history: History, reply: ReplyFingerprint) -> dict[str, Any]:
    """Return the state of a call that ended: plain values, about 200 bytes.

    `Conversations.restore` also needs the record's link, and the ids of the reply and its tool calls.
    """
    declaration = declaration_of(call, history)
    state: dict[str, Any] = {
        "match_scope": [scope.process, scope.family, scope.name, scope.session],
        "request_chain": history.end,
        "system": history.system,
        "settings": history.settings,
        "declared": declaration.conversation if declaration else None,
        "of_run": declaration is not None and declaration.of_run,
        "reply_chain": reply.key,
        "reply_outline": reply.outline,
        "reply_digest": reply.digest,
        "pair_digest": reply.pair,
        "delegated": [[one.digest, one.tool, one.id] for one in reply.delegated],
        "failed": reply.failed,
        "retryable": reply.retryable,
        "incomplete": reply.incomplete,
    }
    return {key: value for key, value in state.items() if value not in (None, [], False)}


def _from_state(
    call_id: str,
    at: int,
    link: Link,
    state: Mapping[str, Any],
    response_id: str | None,
    tools: Iterable[tuple[str, str | None]],
    warm_up: bool,
) -> tuple[KnownCall, ReplyFingerprint] | None:
    """Return a recorded call and its reply, None if the record does not say enough."""
    scope = _scope(state.get("match_scope"))
    request_chain = _bytes(state.get("request_chain"))
    if link.conversation is None or scope is None or request_chain is None:
        return None
    declared = state.get("declared")
    known = KnownCall(
        id=call_id,
        scope=scope,
        at=at,
        conversation=link.conversation,
        root=link.root or link.conversation,
        lineage=tuple(link.lineage),
        request_chain=request_chain,
        system=_bytes(state.get("system")),
        settings=_bytes(state.get("settings")),
        declared=declared if isinstance(declared, str) else None,
        of_run=state.get("of_run") is True,
        parent=link.parent,
        advances=link.kind != "auxiliary",
        evidence=link.evidence,
        warm_up=warm_up,
    )
    reply = ReplyFingerprint(
        key=_bytes(state.get("reply_chain")),
        outline=_bytes(state.get("reply_outline")),
        digest=_bytes(state.get("reply_digest")),
        pair=_bytes(state.get("pair_digest")),
        response_id=response_id,
        tools=tuple(tools),
        delegated=tuple(_delegated(state.get("delegated"))),
        failed=state.get("failed") is True,
        retryable=state.get("retryable") is True,
        incomplete=state.get("incomplete") is True,
    )
    return known, reply


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _scope(value: object) -> MatchScope | None:
    match value:
        case [str(process), str(family), str(name), session]:
            return MatchScope(process, family, name, session if isinstance(session, str) else None)
    return None


def _delegated(rows: object) -> Iterable[DelegatedPrompt]:
    for row in rows if isinstance(rows, list | tuple) else ():
        match row:
            case [bytes(found), str(tool), str() | None as id]:
                yield DelegatedPrompt(found, tool, id)
