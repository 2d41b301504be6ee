"""Which conversation a call belongs to, and which earlier call it goes on from, where the app does not say.

Most chat APIs keep nothing: each request holds the whole history. So an earlier call is recognised by what it left in
this one, newest first, and what is found is only as good as its **evidence**:

    declared  an id of the conversation: an agent's session and thread, the server's own conversation
    exact     an id that a recorded reply issued: the reply's own, or a tool call's that stands in the history
    strong    a recorded reply stands in the history at its place; or a sub-agent opens with the text that a reply
              handed to its tool; or a compacted history opens with the lines of a recorded summary
    weak      the history begins as a recorded request did, and nothing of what followed contradicts it
    new       none of it

A parent under a declared conversation keeps its own evidence where that is exact or strong; else the link is
`declared`. A false link is worse than none: two calls that merely begin alike are never joined (a strict prefix must be
the whole of an earlier request, and its reply, where it is known, must be what the history goes on with), nothing is
compared across grounds (see `ground`), an id that several replies issued counts only where their request stands before
it, and so does one of those that servers count anew in every reply (`call_0`).

What a call is to its conversation is its **kind**: `new`; `continue`; `retry` of one that failed, or that the client
says it repeats; `branch`, where another call has gone on from the same parent; `parallel`, where that one is still in
flight; `compaction`, where a history was summed up or its beginning left out; `subagent`; `auxiliary`: a title, a
summary, a token count, a probe, a warm-up. That one joins, but nothing goes on from it.

Memory is bounded (see `known`) and comes back from the log: `heads` is what a call's record keeps for `restore`.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sessiontap.llm.call import Call
from sessiontap.llm.canonical import digest
from sessiontap.llm.history import START, Ending, Handed, History, lines_of, text_digest
from sessiontap.sessions.ground import Ground
from sessiontap.sessions.known import MOST, Known, KnownCalls
from sessiontap.sessions.session import Evidence, Kind, Link
from sessiontap.sessions.threads import Thread, conversation_id, thread_of

RETRY_WITHIN = 600 * 1_000_000_000
"""Nanoseconds after which the same request again is no retry."""
_MOST_THREADS = 10_000
_MOST_HANDED = 4_096
_HANDED_FOR = 3600 * 1_000_000_000
"""Nanoseconds that a tool may take to begin."""
_MOST_OPENINGS = 64
_MOST_SUMMARIES = 64
_LONGEST_OPENING = 400
_SHORTEST_OPENING = 12

_COUNTED = re.compile(r"(?:.*[^A-Za-z0-9]|[A-Za-z]*)\d{1,4}\Z", re.DOTALL)
"""`call_0`, `7`, `tool12`, `functions.search:3`: counted anew in every reply, by the server."""
_CONVERSES = frozenset(("chat", "text_completion", "count_tokens", "realtime"))


class _Found(NamedTuple):
    call: Known
    evidence: Evidence
    windowed: bool = False
    """The beginning of its history is missing."""


@dataclass(slots=True)
class _Thread:
    """A declared conversation that has been seen."""

    root: str
    lineage: tuple[str, ...]
    last: str | None = None
    """Its latest call that has its reply."""


class _Pending(NamedTuple):
    """A text that a tool was handed and that has not come back yet."""

    call: str
    handed: Handed
    at: int


class Conversations:
    """Links calls. For one thread; times are Unix nanoseconds."""

    def __init__(self, most: int = MOST) -> None:
        self._known = KnownCalls(most)
        self._threads: OrderedDict[str, _Thread] = OrderedDict()
        """By conversation."""
        self._handed: OrderedDict[tuple[tuple[str, str], bytes], _Pending] = OrderedDict()
        self._handed_by_id: dict[str, list[tuple[tuple[str, str], bytes]]] = {}
        self._openings: deque[tuple[tuple[str, str, str], str, str]] = deque(maxlen=_MOST_OPENINGS)
        self._summaries: deque[tuple[tuple[str, str, str], frozenset[bytes], str]] = deque(maxlen=_MOST_SUMMARIES)

    def __len__(self) -> int:
        return len(self._known)

    # -- a request -----------------------------------------------------------------------------------------------------

    def ask(self, ground: Ground, call: Call, history: History, call_id: str, now: int) -> Link:
        """The link of a call that begins `now`; remembers the call. An empty link where it is no conversation's."""
        self._known.forget(now)
        thread = thread_of(call, history)
        if thread is None and call.endpoint.operation not in _CONVERSES:
            return Link()
        auxiliary = history.purpose is not None
        twin = None if auxiliary else self._twin(ground, call, history, thread, now)
        link: Link
        if twin is not None:
            link = self._again(twin, call)
        else:
            found = self._parent(ground, call, history, thread)
            link = self._joined(ground, history, call_id, now, thread, found, auxiliary)
        self._answered(call.asked.answered)
        self._remember(ground, history, call_id, now, thread, link)
        return link

    def _joined(
        self,
        ground: Ground,
        history: History,
        call_id: str,
        now: int,
        thread: Thread | None,
        found: _Found | None,
        auxiliary: bool,
    ) -> Link:
        """The link by what was found, or by what else the request tells of itself."""
        pending = None if found or auxiliary else self._pending(ground, history, now)
        if found is None and pending is None:
            found = self._title_of(ground, history) if auxiliary else self._summed_up(ground, history)
        if thread is not None:
            return self._declared(history, thread, found, pending, auxiliary)
        if pending is not None and (asker := self._known.get(pending.call)) is not None:
            lineage = (*asker.lineage, pending.handed.tool)
            own = conversation_id(f"call {call_id}")
            return Link(own, asker.id, "strong", asker.trace or asker.id, "subagent", asker.root, lineage)
        if found is None:
            own = conversation_id(f"call {call_id}")
            return Link(own, None, "new", None, "auxiliary" if auxiliary else "new", own)
        parent, evidence, _ = found
        return Link(
            parent.conversation,
            parent.id,
            evidence,
            (parent.trace or parent.id) if evidence in ("exact", "strong") else None,
            self._kind(history, found, auxiliary),
            parent.root,
            parent.lineage,
        )

    def _declared(
        self, history: History, thread: Thread, found: _Found | None, pending: _Pending | None, auxiliary: bool
    ) -> Link:
        """The link within a declared conversation; the parent by the messages, where they tell."""
        seen = self._threads.get(thread.conversation)
        asker = self._known.get(pending.call) if pending and (seen is None or not thread.fine) else None
        above = self._threads.get(conversation_id(thread.parent)) if thread.parent else None
        conversation, root = thread.conversation, seen.root if seen else above.root if above else thread.root
        if seen is not None:
            lineage = seen.lineage
        else:
            lineage = above.lineage if above else ()
            if thread.subagent is not None:
                lineage = (*lineage, thread.subagent)
        kind: Kind = "auxiliary" if auxiliary else "continue" if seen else "subagent" if lineage else "new"
        if history.goes_on and seen and not auxiliary:
            kind = "compaction"
        parent, evidence = None, None
        if found is not None and (found.evidence != "weak" or found.call.root == root):
            parent, evidence = found.call, found.evidence
            if not thread.fine and parent.root == root:  # a sub-agent's own, within a session that has no threads
                conversation, lineage = parent.conversation, parent.lineage
            kind = self._kind(history, found, auxiliary) if parent.conversation == conversation else "branch"
            kind = "auxiliary" if auxiliary else kind
        elif asker is not None:
            parent, evidence, kind = asker, "strong", "subagent"
            if not thread.fine:
                conversation = conversation_id(f"{thread.key} {asker.id} {pending.handed.tool}" if pending else "")
                lineage = (*asker.lineage, pending.handed.tool) if pending else lineage
        elif thread.serial and seen is not None:
            parent = self._known.get(seen.last)
        certain = parent is not None and evidence in ("exact", "strong")
        return Link(
            conversation,
            parent.id if parent else None,
            evidence if evidence in ("exact", "strong") else "declared",
            (parent.trace or parent.id) if parent and (certain or thread.serial) else None,
            kind,
            root,
            lineage,
        )

    def _kind(self, history: History, found: _Found, auxiliary: bool) -> Kind:
        if auxiliary:
            return "auxiliary"
        if found.windowed or (history.goes_on and found.call.reply not in history.chain):
            return "compaction"
        sibling = self._known.get(found.call.child)
        if sibling is None or sibling.state == "failed":
            return "continue"
        return "parallel" if sibling.state == "open" else "branch"

    # -- what may be the parent ----------------------------------------------------------------------------------------

    def _parent(self, ground: Ground, call: Call, history: History, thread: Thread | None) -> _Found | None:
        for id in call.asked.previous:
            if found := self._issuer(ground, f"reply {id}", id, START, START):
                return _Found(found, "exact")
        certain, depth = self._by_reply(ground, history)
        weak = self._by_request(ground, history, depth, certain.call if certain else None, thread)
        return weak or certain or self._by_pair(ground, history)

    def _by_reply(self, ground: Ground, history: History) -> tuple[_Found | None, int]:
        """The newest recorded reply that stands in the history, by its tool calls' ids or as a whole, and how many
        steps lead up to its end."""
        steps, chain = history.steps, history.chain
        answered: list[str] = []
        for at in range(len(steps), 0, -1):
            step = steps[at - 1]
            if step.role != "assistant":
                answered += reversed(step.answered)
                continue
            for id in (*answered, *reversed(step.issued)):
                if found := self._issuer(ground, f"tool {id}", id, chain[at - 1], chain[at]):
                    return _Found(found, "exact"), at
            answered = []
            candidates = self._known.under((ground.key, "reply", chain[at]))
            if candidates:
                best, certain = self._best(candidates, history)
                return _Found(best, "strong" if certain else "weak"), at
        for id in answered[:1]:  # a request that holds results alone
            if found := self._issuer(ground, f"tool {id}", id, START, START):
                return _Found(found, "exact"), len(steps)
        return None, 0

    def _issuer(self, ground: Ground, key: str, id: str, before: bytes, after: bytes) -> Known | None:
        """The call whose reply issued an id. Where that alone does not say it, its request must stand before."""
        issuers = [one for one in self._known.under(key) if ground.akin(one.ground)]
        at_place = [one for one in issuers if one.end == before or (one.reply == after and after != START)]
        if at_place:
            return at_place[-1]
        return issuers[0] if len(issuers) == 1 and not _COUNTED.match(id) else None

    def _by_request(
        self, ground: Ground, history: History, depth: int, certain: Known | None, thread: Thread | None
    ) -> _Found | None:
        """The deepest recorded request that the history begins with, below what a reply has made certain."""
        for at in range(len(history.steps) - 1, max(depth, 1) - 1, -1):
            step = history.steps[at]
            candidates = [
                one
                for one in self._known.under((ground.key, "end", history.chain[at]))
                if one.state != "open"
                and (certain is None or one.conversation == certain.conversation)
                and (certain is not None or (one.declared is None) == (thread is None))
                and (step.role != "assistant" or (one.state == "done" and (one.gist is None or one.gist == step.gist)))
            ]
            if candidates:
                return _Found(self._best(candidates, history)[0], "weak")
        return None

    def _by_pair(self, ground: Ground, history: History) -> _Found | None:
        """A history of which the beginning was left out: the newest reply with the message before it."""
        for at in range(len(history.steps) - 1, 0, -1):
            step = history.steps[at]
            if step.role == "assistant":
                pair = digest(history.steps[at - 1].digest, step.digest)
                candidates = self._known.under((ground.key, "pair", pair))
                return _Found(candidates[0], "weak", True) if len(candidates) == 1 else None
        return None

    def _best(self, candidates: list[Known], history: History) -> tuple[Known, bool]:
        """Of several that fit: the same system prompt, no call that has gone on from it yet, the newest. And whether
        the conversation is certain."""
        same = [one for one in candidates if one.system == history.system] or candidates
        certain = len({one.conversation for one in same}) == 1
        free = [one for one in same if one.child is None] or same
        return free[-1], certain

    # -- other ways to belong ------------------------------------------------------------------------------------------

    def _twin(self, ground: Ground, call: Call, history: History, thread: Thread | None, now: int) -> Known | None:
        """The call that this one repeats: the same request, which failed, or of which the client says so."""
        if not history.steps:
            return None
        for one in reversed(self._known.under((ground.key, "whole", history.whole))):
            if now - one.at > RETRY_WITHIN or (one.declared is None) != (thread is None):
                continue
            if (one.state == "failed" or call.retry) and one.child is None:
                return one
        return None

    def _again(self, twin: Known, call: Call) -> Link:
        before = self._known.get(twin.parent)
        evidence: Evidence = "exact" if call.retry else "strong" if before is not None else "weak"
        trace = (before.trace or before.id) if before is not None else None
        twin.child = twin.child or twin.id  # one retry takes its place
        return Link(twin.conversation, twin.parent, evidence, trace, "retry", twin.root, twin.lineage)

    def _pending(self, ground: Ground, history: History, now: int) -> _Pending | None:
        """What a tool was handed, if the request opens with it and has nothing else yet."""
        if history.opening is None or not self._handed or any(step.role == "assistant" for step in history.steps):
            return None
        pending = self._handed.get((ground.place, text_digest(history.opening)))
        return pending if pending is not None and now - pending.at <= _HANDED_FOR else None

    def _summed_up(self, ground: Ground, history: History) -> _Found | None:
        """A recorded summary whose lines the first message holds."""
        if not self._summaries or history.opening is None:
            return None
        held: frozenset[bytes] | None = None
        for key, lines, id in reversed(self._summaries):
            if key != ground.key or (summary := self._known.get(id)) is None:
                continue
            held = frozenset(lines_of(history.opening)) if held is None else held
            if len(held & lines) * 2 > len(lines):
                return _Found(summary, "strong", True)
        return None

    def _title_of(self, ground: Ground, history: History) -> _Found | None:
        """The newest conversation whose first message a title's prompt quotes."""
        for key, said, id in reversed(self._openings):
            if key == ground.key and history.quotes(said) and (call := self._known.get(id)) is not None:
                return _Found(call, "weak")
        return None

    # -- what is remembered --------------------------------------------------------------------------------------------

    def _remember(
        self, ground: Ground, history: History, call_id: str, now: int, thread: Thread | None, link: Link
    ) -> None:
        assert link.conversation is not None
        if history.purpose == "count":
            return
        advances = link.kind != "auxiliary"
        known = Known(
            call_id,
            ground,
            now,
            link.conversation,
            link.root or link.conversation,
            link.lineage,
            history.end,
            history.system,
            thread.conversation if thread else None,
            link.parent,
            advances,
        )
        self._known.add(known)
        if known.declared is not None:
            self._declare(known)
        if (parent := self._known.get(link.parent)) is not None:
            self._known.use(parent, now)
            if advances and link.kind not in ("subagent", "retry"):
                parent.child = call_id
        if not advances or not history.steps:
            return
        self._known.index(known, _request_keys(ground, history.end, history.whole))
        if link.kind in ("new", "subagent") and history.opening and len(history.opening) >= _SHORTEST_OPENING:
            self._openings.append((ground.key, history.opening[:_LONGEST_OPENING], call_id))

    def _declare(self, known: Known) -> None:
        """Remember a declared conversation; its own lineage is its first call's."""
        assert known.declared is not None
        thread = self._threads.setdefault(known.declared, _Thread(known.root, known.lineage))
        if known.state == "done":
            thread.last = known.id
        self._threads.move_to_end(known.declared)
        while len(self._threads) > _MOST_THREADS:
            self._threads.popitem(last=False)

    def reply(self, call_id: str, ending: Ending | None, now: int, trace_id: str | None = None) -> None:
        """The reply to a call has been read; None where it ended without one. `trace_id` is its server's own name."""
        known = self._known.get(call_id)
        if known is None:
            return
        self._known.use(known, now)
        if ending is None or ending.failed:
            known.state = "failed"
            return
        known.state, known.reply, known.gist, known.trace = "done", ending.key, ending.gist, trace_id
        if known.declared is not None and known.advances:
            self._declare(known)
        keys = [f"tool {id}" for id in ending.ids]
        if ending.response_id:
            keys.append(f"reply {ending.response_id}")
        self._known.index(known, keys)
        if ending.lines:
            self._summaries.append((known.ground.key, ending.lines, call_id))
        if not known.advances:
            return
        if ending.key is not None:
            self._known.index(known, [(known.ground.key, "reply", ending.key)])
        if ending.pair is not None:
            self._known.index(known, [(known.ground.key, "pair", ending.pair)])
        for handed in ending.handed:
            self._hand(known, handed, now)

    def _hand(self, known: Known, handed: Handed, now: int) -> None:
        key = (known.ground.place, handed.digest)
        self._handed[key] = _Pending(known.id, handed, now)
        self._handed.move_to_end(key)
        if handed.id:
            self._handed_by_id.setdefault(handed.id, []).append(key)
        while len(self._handed) > _MOST_HANDED:
            _, old = self._handed.popitem(last=False)
            if old.handed.id:
                self._handed_by_id.pop(old.handed.id, None)

    def _answered(self, ids: Iterable[str]) -> None:
        """Tools that gave their result hand nothing on any more."""
        for id in ids:
            for key in self._handed_by_id.pop(id, ()):
                self._handed.pop(key, None)

    # -- after a restart -----------------------------------------------------------------------------------------------

    def restore(
        self,
        call_id: str,
        at: int,
        link: Link,
        kept: Mapping[str, Any],
        response_id: str | None = None,
        tool_call_ids: Iterable[str] = (),
    ) -> None:
        """Take over a recorded call, the oldest first: `kept` is what `heads` gave, `at` when it ended.

        What is not as it should be is left out.
        """
        if link.conversation is None or not isinstance(kept.get("end"), bytes):
            return
        process, family, name, session = (*_texts(kept.get("ground")), None, None, None, None)[:4]
        if process is None or family is None:
            return
        ground = Ground(process, family, name or "", session)
        known = Known(
            call_id,
            ground,
            at,
            link.conversation,
            link.root or link.conversation,
            link.lineage,
            kept["end"],
            _bytes(kept.get("system")),
            kept.get("declared"),
            link.parent,
            link.kind != "auxiliary",
        )
        self._known.add(known)
        if known.declared is not None:
            self._declare(known)
        if known.advances:
            if kept["end"] != START:
                self._known.index(known, _request_keys(ground, kept["end"], _bytes(kept.get("whole")) or START))
            parent = self._known.get(link.parent)
            if parent is not None and link.kind not in ("subagent", "retry"):
                parent.child = call_id
        handed = tuple(
            Handed(*row) for row in kept.get("handed") or () if isinstance(row, list | tuple) and len(row) == 3
        )
        ending = Ending(
            _bytes(kept.get("reply")),
            _bytes(kept.get("gist")),
            _bytes(kept.get("pair")),
            response_id,
            tuple(tool_call_ids),
            handed,
            failed=bool(kept.get("failed")),
        )
        self.reply(call_id, ending, at)


def heads(ground: Ground, history: History, ending: Ending, declared: str | None = None) -> dict[str, Any]:
    """What a call's record keeps so that its conversation goes on after a restart: plain values, about 200 bytes.

    With `conversation`, `parent`, `evidence`, `kind`, `root`, `lineage`, the reply's id and its tool calls' it is all.
    """
    kept: dict[str, Any] = {
        "ground": [ground.process, ground.family, ground.name, ground.session],
        "end": history.end,
        "whole": history.whole,
        "system": history.system,
        "declared": declared,
        "reply": ending.key,
        "gist": ending.gist,
        "pair": ending.pair,
        "handed": [[one.digest, one.tool, one.id] for one in ending.handed],
        "failed": ending.failed,
    }
    return {key: value for key, value in kept.items() if value not in (None, [], False)}


def _request_keys(ground: Ground, end: bytes, whole: bytes) -> list[tuple[object, ...]]:
    return [(ground.key, "end", end), (ground.key, "whole", whole)]


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _texts(value: object) -> list[str | None]:
    return [one if isinstance(one, str) else None for one in value] if isinstance(value, list | tuple) else []
