"""Find the conversation that a call belongs to, and the earlier call that it continues, if the app does not say.

Most chat APIs keep nothing: each request holds the whole history. So an earlier call is recognised by its traces in
the later request, the newest first. A link is only as good as its **evidence**:

    declared  an id of the conversation: an agent's session and declaration, the server's own conversation
    exact     an id that a recorded reply issued: the reply's own, or a tool call's that the history holds; or the
              client says that it retries, and only one call can be meant
    strong    the history holds a recorded reply at its place; or a sub-agent's first message is a text that a reply
              delegated to a tool; or a compacted history opens with the lines of a recorded summary
    weak      the history begins as a recorded request did, and nothing after it contradicts that
    new       none of these

In a declared conversation the parent keeps its evidence if that is exact or strong; else the link is `declared`.

A false link is worse than none. So calls that merely begin alike are never joined: they must share the whole of the
earlier request, and its reply, if that is known. Calls are compared only within one scope (see `match_scope`). If
several conversations fit equally, none is taken. An id that a server counts anew in every reply (`call_0`) counts only
if its request stands just before it.

A conversation may tell more than its agent declares: a run of an agent that another run uses as a tool
(`Agent.of_run`) joins the tree and the session of that one.

A link's **kind** is the call's part in its conversation: `new`; `continue`; `retry` of a failed call, or of one that
the client says it repeats; `branch`, if another call continues the same parent; `parallel`, if that call is still in
flight; `compaction`, if a history was summed up or lost its beginning; `subagent` for a sub-agent's first call;
`auxiliary` for a title, a summary, a token count, a probe, a warm-up, a request to no model. An auxiliary call joins
its conversation, but nothing continues it: a call that names a warm-up as its parent gets the warm-up's parent.
"""

from __future__ import annotations

from dataclasses import field, replace

from sessiontap.llm.agents import UNTYPED_WORDS
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.sessions.declared import Declaration, DeclaredConversations, conversation_id, declaration_of
from sessiontap.sessions.known_calls import KnownCall, KnownCalls
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.parents import ParentMatch, parent_of, repeated_call
from sessiontap.sessions.quoted_texts import OpenDelegation, QuotedTexts
from sessiontap.sessions.session import Evidence, Kind, Link
from sessiontap.value_classes import dataclass

_CONVERSES = frozenset(("chat", "text_completion", "count_tokens", "realtime"))
_CERTAIN = ("exact", "strong")


@dataclass(frozen=True, slots=True)
class LinkedCall:
    """A call that begins, with its link; it is not remembered yet."""

    scope: MatchScope
    call: Call
    history: History
    id: str
    now: int
    link: Link = field(default_factory=Link)
    """Empty if no conversation is declared and the call has no messages: embeddings, or a body that is not at hand."""
    declaration: Declaration | None = None
    repeats: KnownCall | None = None
    """The call that it repeats."""


class LinkFinder:
    """Finds the links of calls in what is remembered of earlier ones, and changes none of it."""

    def __init__(self, known: KnownCalls, quoted: QuotedTexts, declared: DeclaredConversations) -> None:
        self._known = known
        self._quoted = quoted
        self._declared = declared

    def find(
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
        """Return a call that begins `now` with its link. `scope` is pseudonymized.

        `conversation_key` names the conversation, if the call begins one; without it the call's id does. An `upgrade`
        opens a WebSocket and has no messages.
        """
        declaration = declaration_of(call, history)
        converses = call.endpoint.operation in _CONVERSES and not upgrade
        has_messages = converses and bool(history.entries or call.asked.previous or history.purpose == "warmup")
        linked = LinkedCall(scope, call, history, call_id, now, declaration=declaration)
        if declaration is None and not has_messages:
            return linked
        own = conversation_id(conversation_key or f"call {call_id}")
        if not converses:
            assert declaration is not None
            return replace(linked, link=self._within(declaration, history, None, None, auxiliary=True))
        auxiliary = history.purpose is not None
        declared = declaration is not None
        repeated = None if auxiliary else repeated_call(self._known, scope, history, call.retry, declared, now)
        link = self._retry(repeated, call) if repeated is not None else self._link(linked, own, auxiliary)
        return LinkedCall(scope, call, history, call_id, now, link, declaration, repeated)

    def _link(self, linked: LinkedCall, own: str, auxiliary: bool) -> Link:
        """Return the link of a call that repeats none; `own` is the id of the conversation that it may begin."""
        scope, history, declaration = linked.scope, linked.history, linked.declaration
        found = parent_of(self._known, scope, linked.call.asked, history, declaration is not None)
        warm: KnownCall | None = None
        if found is not None and found.call.warm_up:
            warm, found = found.call, self._behind_warm_up(found.call, linked)
        pending: OpenDelegation | None = None
        if found is None and not auxiliary:
            declared = declaration is not None and declaration.parent is not None
            pending = self._quoted.delegation(scope, history, linked.now, declared=declared)
        if found is None and pending is None:
            found = self._by_quote(scope, history)
        if declaration is not None:
            return self._within(declaration, history, found, pending, auxiliary=auxiliary)
        asker = self._known.get(pending.call) if pending else None
        if pending is not None and asker is not None:
            lineage = (*asker.lineage, pending.prompt.tool)
            return Link(own, asker.id, "strong", _trace(asker), "subagent", asker.root, lineage)
        if found is None:
            own = warm.conversation if warm else own
            return Link(own, None, "new", None, "auxiliary" if auxiliary else "new", own)
        parent, evidence, _ = found
        trace = _trace(parent) if evidence in _CERTAIN else None
        kind = "auxiliary" if auxiliary else self._kind(found)
        return Link(parent.conversation, parent.id, evidence, trace, kind, parent.root, parent.lineage)

    def _behind_warm_up(self, warm_up: KnownCall, linked: LinkedCall) -> ParentMatch | None:
        """Return the parent of a turn that names a warm-up: by its history, else the warm-up's own parent."""
        asked = replace(linked.call.asked, previous=())
        found = parent_of(self._known, linked.scope, asked, linked.history, linked.declaration is not None)
        parent = self._known.get(warm_up.parent)
        return found or (ParentMatch(parent, warm_up.evidence) if parent and warm_up.evidence else None)

    def _within(
        self,
        declaration: Declaration,
        history: History,
        found: ParentMatch | None,
        pending: OpenDelegation | None,
        *,
        auxiliary: bool,
    ) -> Link:
        """Return the link within a declared conversation; its parent is found by the messages, if they tell."""
        seen = self._declared.get(declaration.conversation)
        above = self._declared.get(conversation_id(declaration.parent)) if declaration.parent else None
        conversation = seen.conversation if seen else declaration.conversation
        root = seen.root if seen else above.root if above else declaration.root
        lineage = seen.lineage if seen else above.lineage if above else ()
        session = seen.session if seen else None
        if seen is None and declaration.subagent is not None:
            lineage = (*lineage, declaration.subagent)
        begun = seen is not None and seen.begun
        kind: Kind = "continue" if begun else "subagent" if lineage else "new"
        parent: KnownCall | None = None
        evidence: Evidence = "declared"
        asker = self._known.get(pending.call) if pending else None
        if found is not None and (found.evidence in _CERTAIN or found.call.root == root):
            parent, evidence = found.call, found.evidence if found.evidence in _CERTAIN else "declared"
            if declaration.of_run and seen is None:
                conversation, root, lineage = parent.conversation, parent.root, parent.lineage
            elif not declaration.distinct and parent.root == root:
                # The session does not tell its sub-agents apart; the parent does.
                conversation, lineage = parent.conversation, parent.lineage
            if parent.conversation == conversation:
                kind = self._kind(found)
            elif begun or not lineage:
                kind = "branch"
        elif pending is not None and asker is not None and not (begun and declaration.distinct):
            parent, evidence, kind = asker, "strong", "subagent"
            if not declaration.distinct or declaration.of_run or declaration.subagent in (None, *UNTYPED_WORDS):
                lineage = (*asker.lineage, pending.prompt.tool)
            if declaration.of_run:
                root, session = asker.root, asker.scope.given_session
            elif not declaration.distinct:
                conversation = conversation_id(f"{declaration.key} {asker.id} {pending.prompt.digest.hex()}")
        elif history.goes_on and seen:
            kind = "compaction"
        elif declaration.on_server and seen:
            parent = self._known.get(seen.last)
        kind = "auxiliary" if auxiliary else kind
        certain = parent is not None and (evidence in _CERTAIN or declaration.on_server)
        trace = _trace(parent) if parent is not None and certain else None
        return Link(conversation, parent.id if parent else None, evidence, trace, kind, root, lineage, session)

    def _retry(self, repeated: KnownCall, call: Call) -> Link:
        """Return the link of a retry, which takes the place of the call that it repeats."""
        before = self._known.get(repeated.parent)
        evidence: Evidence = "exact" if call.retry else "weak"
        if before is not None or repeated.declared is not None:
            evidence = repeated.evidence or evidence
        trace = _trace(before) if before and evidence in _CERTAIN else None
        session = repeated.scope.given_session if repeated.of_run else None
        root, lineage = repeated.root, repeated.lineage
        return Link(repeated.conversation, repeated.parent, evidence, trace, "retry", root, lineage, session)

    def _by_quote(self, scope: MatchScope, history: History) -> ParentMatch | None:
        """Return the call whose text a request quotes: a title's conversation, or the summary that opens a history."""
        if history.purpose is not None:
            titled = self._known.get(self._quoted.titled(scope, history))
            return ParentMatch(titled, "weak") if titled else None
        summary = self._known.get(self._quoted.summary(scope, history))
        return ParentMatch(summary, "strong", windowed=True) if summary else None

    def _kind(self, found: ParentMatch) -> Kind:
        """Return the kind of a call that continues `found`, by what other calls do."""
        if found.windowed:
            return "compaction"
        sibling = self._known.get(found.call.child)
        if sibling is None or sibling.state == "failed":
            return "continue"
        return "parallel" if sibling.state == "open" else "branch"


def _trace(call: KnownCall) -> str:
    return call.trace_id or call.id
