"""Which conversation a call belongs to, and which earlier call it goes on from, where the app does not say.

Most chat APIs keep nothing: each request holds the whole history. So an earlier call is recognised by what it left in
this one, newest first, and what is found is only as good as its **evidence**:

    declared  an id of the conversation: an agent's session and thread, the server's own conversation
    exact     an id that a recorded reply issued: the reply's own, or a tool call's that stands in the history; or the
              client says that it tries again, and there is one call that it can mean
    strong    a recorded reply stands in the history at its place; or a sub-agent opens with the text that a reply
              handed to its tool; or a compacted history opens with the lines of a recorded summary
    weak      the history begins as a recorded request did, and nothing of what followed contradicts it
    new       none of it

A parent within a declared conversation keeps its own evidence where that is exact or strong; else the link is
`declared`. A false link is worse than none: two calls that merely begin alike are never joined (what is shared must be
the whole of an earlier request, and its reply, where it is known, what the history goes on with), nothing is compared
across scopes (see `scope`), where several conversations fit equally none is taken, and an id that servers count anew
in every reply (`call_0`) counts only where its request stands just before.

What a client's own sub-agents are told apart by may be less than what the conversation tells: a run of an agent that is
another run's tool (`Agent.of_run`) joins that one's tree and session.

What a call is to its conversation is its **kind**: `new`; `continue`; `retry` of one that failed, or that the client
says it repeats; `branch`, where another call has gone on from the same parent; `parallel`, where that one is still in
flight; `compaction`, where a history was summed up or its beginning left out; `subagent`, its first call;
`auxiliary`: a title, a summary, a token count, a probe, a warm-up, a request to no model. That one joins, but nothing
goes on from it: what names a warm-up as its parent hangs where that hung.

Memory is bounded (see `known`) and comes back from the log (see `kept`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sessiontap.llm.agents import KINDLESS
from sessiontap.llm.call import Asked, Call
from sessiontap.llm.history import START, Ending, History
from sessiontap.sessions.declared import DeclaredConversations
from sessiontap.sessions.kept import taken_over
from sessiontap.sessions.known import MOST, Known, KnownCalls
from sessiontap.sessions.match_scope import MatchScope, keyed_digest
from sessiontap.sessions.parents import Found, parent_of, reply_keys, request_keys, twin_of, whole_key
from sessiontap.sessions.quoted import Pending, Quoted
from sessiontap.sessions.results import named
from sessiontap.sessions.session import Evidence, Kind, Link
from sessiontap.sessions.threads import Thread, conversation_id, thread_of

_CONVERSES = frozenset(("chat", "text_completion", "count_tokens", "realtime"))
_CERTAIN = ("exact", "strong")


@dataclass(frozen=True, slots=True)
class Asking:
    """A call that begins, and what was found of it; nothing is remembered of it yet."""

    scope: MatchScope
    call: Call
    history: History
    id: str
    now: int
    link: Link = field(default_factory=Link)
    """Empty where nothing declares a conversation and it is none (embeddings and the like) or cannot be told (a body
    that is not at hand)."""
    thread: Thread | None = None
    twin: Known | None = None
    """The call that it repeats."""
    told: bool = False
    """Its messages were there to be looked at."""


class Conversations:
    """Links calls. For one thread; times are Unix nanoseconds."""

    def __init__(self, most: int = MOST, key: bytes = b"") -> None:
        """`key`: the user's, for the digests that are compared and kept (`MatchScope.pseudonymized`)."""
        self.key = key
        self._known = KnownCalls(most)
        self._quoted = Quoted()
        self._declared = DeclaredConversations()

    def __len__(self) -> int:
        return len(self._known)

    def ask(self, scope: MatchScope, call: Call, history: History, call_id: str, now: int) -> Link:
        """The link of a call that begins `now`; remembers the call."""
        asking = self.find(scope, call, history, call_id, now)
        self.take(asking)
        return asking.link

    def find(
        self,
        scope: MatchScope,
        call: Call,
        history: History,
        call_id: str,
        now: int,
        *,
        begins: str | None = None,
        upgrade: bool = False,
    ) -> Asking:
        """Looks for the link of a call that begins `now`, and changes nothing. `begins` is what a conversation that
        begins with it is named by, else it is the call itself; an `upgrade` opens a WebSocket, and asks nothing."""
        self._known.forget(now)
        scope = scope.pseudonymized(self.key)
        thread = thread_of(call, history)
        converses = call.endpoint.operation in _CONVERSES and not upgrade
        told = converses and bool(history.steps or call.asked.previous or history.purpose == "warmup")
        asking = Asking(scope, call, history, call_id, now, thread=thread, told=told)
        if thread is None and not told:
            return asking
        own = conversation_id(begins or f"call {call_id}")
        if not converses:
            assert thread is not None
            return replace(asking, link=self._within(thread, history, None, None, beside=True))
        beside = history.purpose is not None
        if not beside and (twin := twin_of(self._known, scope, history, call.retry, thread is not None, now)):
            asking = replace(asking, link=self._again(twin, call), twin=twin)
        else:
            asking = replace(asking, link=self._link(asking, own, beside))
        session = asking.link.session
        if session is None:
            return asking
        return replace(asking, scope=replace(scope, session=keyed_digest(session, self.key), given_session=session))

    def take(self, asking: Asking) -> None:
        """Remember a call that was looked at."""
        if asking.link.conversation is None:
            return
        for id in asking.call.asked.answered:
            self._quoted.answered(id)
        if asking.twin is not None:
            asking.twin.child = asking.twin.id
        if asking.history.purpose != "count":
            self._remember(asking)

    def knows_parent(self, scope: MatchScope, call: Call, history: History) -> bool:
        """Whether the call that a request goes on from is there, and for certain."""
        declared = thread_of(call, history) is not None
        found = parent_of(self._known, scope.pseudonymized(self.key), call.asked, history, declared)
        return found is not None and found.evidence != "weak"

    def named(self, scope: MatchScope, asked: Asked) -> Asked:
        """What is asked, with the names of the tools whose results it holds without them (see `results`)."""
        return named(self._known, scope.pseudonymized(self.key), asked)

    def reply(self, call_id: str, ending: Ending | None, now: int, trace_id: str | None = None) -> None:
        """The reply to a call has been read; None where that could not be done. `trace_id` is its server's own name for
        the call."""
        known = self._known.get(call_id)
        if known is None:
            return
        self._known.use(known, now)
        if ending is not None and ending.failed:
            known.state, known.again = "failed", ending.again
            return
        known.state, known.trace = "done", trace_id
        if ending is not None and ending.cut:
            known.cut, known.again = True, ending.again
        else:
            self._known.unindex(known, whole_key(known.scope, known.whole))
        if known.declared is not None and known.advances:
            self._declared.note(known)
        if ending is not None:
            known.reply, known.gist, known.said, known.tools = ending.key, ending.gist, ending.said, ending.tools
            self._known.index(known, reply_keys(known.scope, ending, advances=known.advances))
            self._quoted.replied(known.scope, ending, call_id, now)

    # -- the link ------------------------------------------------------------------------------------------------------

    def _link(self, asking: Asking, own: str, beside: bool) -> Link:
        scope, history, thread = asking.scope, asking.history, asking.thread
        found = parent_of(self._known, scope, asking.call.asked, history, thread is not None)
        warm: Known | None = None
        if found is not None and found.call.warm_up:
            warm, found = found.call, self._behind(found.call, asking)
        pending: Pending | None = None
        if found is None and not beside:
            declared = thread is not None and thread.parent is not None
            pending = self._quoted.handed(scope, history, asking.now, declared=declared)
        if found is None and pending is None:
            found = self._by_quote(scope, history)
        if thread is not None:
            return self._within(thread, history, found, pending, beside=beside)
        asker = self._known.get(pending.call) if pending else None
        if pending is not None and asker is not None:
            lineage = (*asker.lineage, pending.handed.tool)
            return Link(own, asker.id, "strong", _trace(asker), "subagent", asker.root, lineage)
        if found is None:
            own = warm.conversation if warm else own
            return Link(own, None, "new", None, "auxiliary" if beside else "new", own)
        parent, evidence, _ = found
        trace = _trace(parent) if evidence in _CERTAIN else None
        kind = "auxiliary" if beside else self._kind(found)
        return Link(parent.conversation, parent.id, evidence, trace, kind, parent.root, parent.lineage)

    def _behind(self, warm_up: Known, asking: Asking) -> Found | None:
        """What a turn goes on from that names a warm-up: as its history tells, else what the warm-up itself did."""
        asked = replace(asking.call.asked, previous=())
        found = parent_of(self._known, asking.scope, asked, asking.history, asking.thread is not None)
        parent = self._known.get(warm_up.parent)
        return found or (Found(parent, warm_up.evidence) if parent and warm_up.evidence else None)

    def _within(
        self, thread: Thread, history: History, found: Found | None, pending: Pending | None, *, beside: bool
    ) -> Link:
        """The link within a declared conversation; the parent by the messages, where they tell."""
        seen = self._declared.get(thread.conversation)
        above = self._declared.get(conversation_id(thread.parent)) if thread.parent else None
        conversation = seen.conversation if seen else thread.conversation
        root = seen.root if seen else above.root if above else thread.root
        lineage = seen.lineage if seen else above.lineage if above else ()
        session = seen.session if seen else None
        if seen is None and thread.subagent is not None:
            lineage = (*lineage, thread.subagent)
        begun = seen is not None and seen.begun
        kind: Kind = "continue" if begun else "subagent" if lineage else "new"
        parent: Known | None = None
        evidence: Evidence = "declared"
        asker = self._known.get(pending.call) if pending else None
        if found is not None and (found.evidence in _CERTAIN or found.call.root == root):
            parent, evidence = found.call, found.evidence if found.evidence in _CERTAIN else "declared"
            if thread.of_run and seen is None:
                conversation, root, lineage = parent.conversation, parent.root, parent.lineage
            elif not thread.fine and parent.root == root:
                # The session does not tell its sub-agents apart; the parent does.
                conversation, lineage = parent.conversation, parent.lineage
            if parent.conversation == conversation:
                kind = self._kind(found)
            elif begun or not lineage:
                kind = "branch"
        elif pending is not None and asker is not None and not (begun and thread.fine):
            parent, evidence, kind = asker, "strong", "subagent"
            if not thread.fine or thread.of_run or thread.subagent in (None, *KINDLESS):
                lineage = (*asker.lineage, pending.handed.tool)
            if thread.of_run:
                root, session = asker.root, asker.scope.given_session
            elif not thread.fine:
                conversation = conversation_id(f"{thread.key} {asker.id} {pending.handed.digest.hex()}")
        elif history.goes_on and seen:
            kind = "compaction"
        elif thread.serial and seen:
            parent = self._known.get(seen.last)
        kind = "auxiliary" if beside else kind
        certain = parent is not None and (evidence in _CERTAIN or thread.serial)
        trace = _trace(parent) if parent is not None and certain else None
        return Link(conversation, parent.id if parent else None, evidence, trace, kind, root, lineage, session)

    def _again(self, twin: Known, call: Call) -> Link:
        """A retry takes the place of the call that it repeats."""
        before = self._known.get(twin.parent)
        evidence: Evidence = "exact" if call.retry else "weak"
        if before is not None or twin.declared is not None:
            evidence = twin.evidence or evidence
        trace = _trace(before) if before and evidence in _CERTAIN else None
        session = twin.scope.given_session if twin.of_run else None
        return Link(twin.conversation, twin.parent, evidence, trace, "retry", twin.root, twin.lineage, session)

    def _by_quote(self, scope: MatchScope, history: History) -> Found | None:
        """The call whose text a request quotes: a title's conversation, or the summary that a history begins with."""
        if history.purpose is not None:
            titled = self._known.get(self._quoted.titled(scope, history))
            return Found(titled, "weak") if titled else None
        summary = self._known.get(self._quoted.summary(scope, history))
        return Found(summary, "strong", windowed=True) if summary else None

    def _kind(self, found: Found) -> Kind:
        if found.windowed:
            return "compaction"
        sibling = self._known.get(found.call.child)
        if sibling is None or sibling.state == "failed":
            return "continue"
        return "parallel" if sibling.state == "open" else "branch"

    # -- memory --------------------------------------------------------------------------------------------------------

    def _remember(self, asking: Asking) -> None:
        history, thread, link = asking.history, asking.thread, asking.link
        known = Known(
            id=asking.id,
            scope=asking.scope,
            at=asking.now,
            conversation=link.conversation or "",
            root=link.root or "",
            lineage=link.lineage,
            end=history.end,
            system=history.system,
            settings=history.settings,
            declared=thread.conversation if thread else None,
            of_run=thread is not None and thread.of_run,
            parent=link.parent,
            advances=link.kind != "auxiliary",
            evidence=link.evidence,
            warm_up=history.purpose == "warmup",
        )
        self._add(known, link)
        if link.kind in ("new", "subagent"):
            self._quoted.opens(asking.scope, history, asking.id)

    def _add(self, known: Known, link: Link) -> None:
        self._known.add(known)
        if known.declared is not None:
            self._declared.note(known)
        parent = self._known.get(link.parent)
        if parent is not None:
            self._known.use(parent, known.at)
        if not known.advances:
            return
        if parent is not None and link.kind not in ("subagent", "retry"):
            parent.child = known.id
        if known.end != START:
            self._known.index(known, [*request_keys(known.scope, known.end), whole_key(known.scope, known.whole)])

    def restore(
        self,
        call_id: str,
        at: int,
        link: Link,
        kept: Mapping[str, Any],
        response_id: str | None = None,
        tools: Iterable[tuple[str, str | None]] = (),
        *,
        warm_up: bool = False,
        session: str | None = None,
    ) -> None:
        """Take over a recorded call, the oldest first: `kept` is what `heads` gave, `at` when it ended, `tools` the ids
        and names of its reply's tool calls, `session` the id that its app or agent gave. What is not as it should be is
        left out. Summaries and titles are not restored: they tie calls together that are close."""
        found = taken_over(call_id, at, link, kept, response_id, tools, warm_up)
        if found is not None:
            known, ending = found
            scope = known.scope if known.scope.is_pseudonymized else known.scope.pseudonymized(self.key)
            known.scope = replace(scope, given_session=session) if scope.session is not None else scope
            self._add(known, link)
            self.reply(call_id, ending, at)


def _trace(call: Known) -> str:
    return call.trace or call.id
