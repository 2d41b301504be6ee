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
across grounds (see `ground`), where several conversations fit equally none is taken, and an id that servers count anew
in every reply (`call_0`) counts only where its request stands just before.

What a call is to its conversation is its **kind**: `new`; `continue`; `retry` of one that failed, or that the client
says it repeats; `branch`, where another call has gone on from the same parent; `parallel`, where that one is still in
flight; `compaction`, where a history was summed up or its beginning left out; `subagent`, its first call;
`auxiliary`: a title, a summary, a token count, a probe, a warm-up. That one joins, but nothing goes on from it.

Memory is bounded (see `known`) and comes back from the log: `heads` is what a call's record keeps for `restore`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sessiontap.llm.agents import UNTYPED
from sessiontap.llm.call import Call
from sessiontap.llm.history import START, Ending, Handed, History
from sessiontap.sessions.ground import Ground
from sessiontap.sessions.known import MOST, Known, KnownCalls
from sessiontap.sessions.parents import Found, parent_of, reply_keys, request_keys, twin_of, whole_key
from sessiontap.sessions.quoted import Pending, Quoted
from sessiontap.sessions.session import Evidence, Kind, Link
from sessiontap.sessions.threads import Thread, conversation_id, thread_of

_MOST_THREADS = 10_000
_CONVERSES = frozenset(("chat", "text_completion", "count_tokens", "realtime"))
_CERTAIN = ("exact", "strong")


@dataclass(slots=True)
class _Declared:
    """A declared conversation that has been seen."""

    root: str
    lineage: tuple[str, ...]
    last: str | None = None
    """Its latest call that has its reply."""


class Conversations:
    """Links calls. For one thread; times are Unix nanoseconds."""

    def __init__(self, most: int = MOST) -> None:
        self._known = KnownCalls(most)
        self._quoted = Quoted()
        self._declared: OrderedDict[str, _Declared] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def ask(self, ground: Ground, call: Call, history: History, call_id: str, now: int) -> Link:
        """The link of a call that begins `now`; remembers the call. An empty link where nothing declares a conversation
        and it is none (embeddings and the like) or cannot be told (a body that is not at hand)."""
        self._known.forget(now)
        thread = thread_of(call, history)
        told = bool(history.steps or call.asked.previous) and call.endpoint.operation in _CONVERSES
        if thread is None and not told:
            return Link()
        link = self._link(ground, call, history, thread, call_id, now)
        for id in call.asked.answered:
            self._quoted.answered(id)
        if history.purpose != "count":
            self._remember(ground, history, thread, link, call_id, now)
        return link

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
        self._known.unindex(known, whole_key(known.ground, known.whole))
        known.state, known.trace = "done", trace_id
        if known.declared is not None and known.advances:
            self._declare(known)
        if ending is not None:
            known.reply, known.gist, known.issued = ending.key, ending.gist, bool(ending.ids)
            self._known.index(known, reply_keys(known.ground, ending, advances=known.advances))
            self._quoted.replied(known.ground, ending, call_id, now)

    # -- the link ------------------------------------------------------------------------------------------------------

    def _link(
        self, ground: Ground, call: Call, history: History, thread: Thread | None, call_id: str, now: int
    ) -> Link:
        beside = history.purpose is not None
        if not beside and (twin := twin_of(self._known, ground, history, call.retry, thread is not None, now)):
            return self._again(twin, call)
        found = parent_of(self._known, ground, call.asked, history, thread is not None)
        pending: Pending | None = None
        if found is None and not beside:
            pending = self._quoted.handed(ground, history, now)
        if found is None and pending is None:
            found = self._by_quote(ground, history)
        if thread is not None:
            return self._within(thread, history, found, pending)
        asker = self._known.get(pending.call) if pending else None
        own = conversation_id(f"call {call_id}")
        if pending is not None and asker is not None:
            lineage = (*asker.lineage, pending.handed.tool)
            return Link(own, asker.id, "strong", _trace(asker), "subagent", asker.root, lineage)
        if found is None:
            return Link(own, None, "new", None, "auxiliary" if beside else "new", own)
        parent, evidence, _ = found
        trace = _trace(parent) if evidence in _CERTAIN else None
        return Link(
            parent.conversation, parent.id, evidence, trace, self._kind(history, found), parent.root, parent.lineage
        )

    def _within(self, thread: Thread, history: History, found: Found | None, pending: Pending | None) -> Link:
        """The link within a declared conversation; the parent by the messages, where they tell."""
        conversation = thread.conversation
        seen = self._declared.get(conversation)
        above = self._declared.get(conversation_id(thread.parent)) if thread.parent else None
        root = seen.root if seen else above.root if above else thread.root
        lineage = seen.lineage if seen else above.lineage if above else ()
        if seen is None and thread.subagent is not None:
            lineage = (*lineage, thread.subagent)
        kind: Kind = "continue" if seen else "subagent" if lineage else "new"
        parent: Known | None = None
        evidence: Evidence = "declared"
        if found is not None and (found.evidence in _CERTAIN or found.call.root == root):
            parent, evidence = found.call, found.evidence if found.evidence in _CERTAIN else "declared"
            if not thread.fine and parent.root == root:
                # The session does not tell its sub-agents apart; the parent does.
                conversation, lineage = parent.conversation, parent.lineage
            kind = self._kind(history, found) if parent.conversation == conversation else "branch"
        elif pending is not None and (asker := self._known.get(pending.call)) and not (seen and thread.fine):
            parent, evidence, kind = asker, "strong", "subagent"
            if not thread.fine or thread.subagent in (None, UNTYPED):
                lineage = (*asker.lineage, pending.handed.tool)
            if not thread.fine:
                conversation = conversation_id(f"{thread.key} {asker.id} {pending.handed.digest.hex()}")
        elif history.goes_on and seen:
            kind = "compaction"
        elif thread.serial and seen:
            parent = self._known.get(seen.last)
        if history.purpose is not None:
            kind = "auxiliary"
        certain = parent is not None and (evidence in _CERTAIN or thread.serial)
        trace = _trace(parent) if parent is not None and certain else None
        return Link(conversation, parent.id if parent else None, evidence, trace, kind, root, lineage)

    def _again(self, twin: Known, call: Call) -> Link:
        """A retry takes the place of the call that it repeats."""
        before = self._known.get(twin.parent)
        evidence: Evidence = "exact" if call.retry else "strong" if before else "weak"
        trace = _trace(before) if before else None
        twin.child = twin.id
        return Link(twin.conversation, twin.parent, evidence, trace, "retry", twin.root, twin.lineage)

    def _by_quote(self, ground: Ground, history: History) -> Found | None:
        """The call whose text a request quotes: a title's conversation, or the summary that a history begins with."""
        if history.purpose is not None:
            titled = self._known.get(self._quoted.titled(ground, history))
            return Found(titled, "weak") if titled else None
        summary = self._known.get(self._quoted.summary(ground, history))
        return Found(summary, "strong", windowed=True) if summary else None

    def _kind(self, history: History, found: Found) -> Kind:
        if history.purpose is not None:
            return "auxiliary"
        if found.windowed:
            return "compaction"
        sibling = self._known.get(found.call.child)
        if sibling is None or sibling.state == "failed":
            return "continue"
        return "parallel" if sibling.state == "open" else "branch"

    # -- memory --------------------------------------------------------------------------------------------------------

    def _remember(
        self, ground: Ground, history: History, thread: Thread | None, link: Link, call_id: str, now: int
    ) -> None:
        known = Known(
            id=call_id,
            ground=ground,
            at=now,
            conversation=link.conversation or "",
            root=link.root or "",
            lineage=link.lineage,
            end=history.end,
            system=history.system,
            settings=history.settings,
            declared=thread.conversation if thread else None,
            parent=link.parent,
            advances=link.kind != "auxiliary",
        )
        self._add(known, link)
        if link.kind in ("new", "subagent"):
            self._quoted.opens(ground, history, call_id)

    def _add(self, known: Known, link: Link) -> None:
        self._known.add(known)
        if known.declared is not None:
            self._declare(known)
        parent = self._known.get(link.parent)
        if parent is not None:
            self._known.use(parent, known.at)
        if not known.advances:
            return
        if parent is not None and link.kind not in ("subagent", "retry"):
            parent.child = known.id
        if known.end != START:
            self._known.index(known, [*request_keys(known.ground, known.end), whole_key(known.ground, known.whole)])

    def _declare(self, known: Known) -> None:
        """Remember a declared conversation; its root and lineage are its first call's."""
        assert known.declared is not None
        seen = self._declared.get(known.declared)
        if seen is None:
            # A sub-agent within a session that does not tell it apart is not what the session declares.
            own = known.conversation == known.declared
            seen = self._declared[known.declared] = _Declared(known.root, known.lineage if own else ())
        if known.state == "done":
            seen.last = known.id
        self._declared.move_to_end(known.declared)
        while len(self._declared) > _MOST_THREADS:
            self._declared.popitem(last=False)

    def restore(
        self,
        call_id: str,
        at: int,
        link: Link,
        kept: Mapping[str, Any],
        response_id: str | None = None,
        tool_call_ids: Iterable[str] = (),
    ) -> None:
        """Take over a recorded call, the oldest first: `kept` is what `heads` gave, `at` when it ended. What is not as
        it should be is left out. Summaries and titles are not restored: they tie calls together that are close."""
        ground = _ground(kept.get("ground"))
        end = _bytes(kept.get("end"))
        if link.conversation is None or ground is None or end is None:
            return
        declared = kept.get("declared")
        known = Known(
            id=call_id,
            ground=ground,
            at=at,
            conversation=link.conversation,
            root=link.root or link.conversation,
            lineage=tuple(link.lineage),
            end=end,
            system=_bytes(kept.get("system")),
            settings=_bytes(kept.get("settings")),
            declared=declared if isinstance(declared, str) else None,
            parent=link.parent,
            advances=link.kind != "auxiliary",
        )
        self._add(known, link)
        ending = Ending(
            key=_bytes(kept.get("reply")),
            gist=_bytes(kept.get("gist")),
            pair=_bytes(kept.get("pair")),
            response_id=response_id,
            ids=tuple(tool_call_ids),
            handed=tuple(_handed(kept.get("handed"))),
            failed=kept.get("failed") is True,
            again=kept.get("again") is True,
        )
        self.reply(call_id, ending, at)


def heads(ground: Ground, call: Call, history: History, ending: Ending) -> dict[str, Any]:
    """What a call's record keeps so that its conversation goes on after a restart: plain values, some 200 bytes.

    With the link (`conversation`, `parent`, `kind`, `root`, `lineage`), the reply's id and its tool calls' it is all.
    """
    thread = thread_of(call, history)
    kept: dict[str, Any] = {
        "ground": [ground.process, ground.family, ground.name, ground.session],
        "end": history.end,
        "system": history.system,
        "settings": history.settings,
        "declared": thread.conversation if thread else None,
        "reply": ending.key,
        "gist": ending.gist,
        "pair": ending.pair,
        "handed": [[one.digest, one.tool, one.id] for one in ending.handed],
        "failed": ending.failed,
        "again": ending.again,
    }
    return {key: value for key, value in kept.items() if value not in (None, [], False)}


def _trace(call: Known) -> str:
    return call.trace or call.id


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _ground(value: object) -> Ground | None:
    match value:
        case [str(process), str(family), str(name), session]:
            return Ground(process, family, name, session if isinstance(session, str) else None)
    return None


def _handed(rows: object) -> Iterable[Handed]:
    for row in rows if isinstance(rows, list | tuple) else ():
        match row:
            case [bytes(found), str(tool), str() | None as id]:
                yield Handed(found, tool, id)
