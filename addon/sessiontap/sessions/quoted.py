"""Texts of earlier calls that a request may open with or quote: what ties it to them where its history cannot.

A text that a reply handed to a tool opens the sub-agent's history; a summary opens the history that it replaced; the
first message of a conversation is quoted by the prompt that asks for its title. Bounded; the newest count.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sessiontap.bounded import BoundedDict
from sessiontap.llm.history import Ending, Handed, History, lines_of, text_digest
from sessiontap.sessions.match_scope import MatchScope

HANDED_FOR = 3600 * 1_000_000_000
"""Nanoseconds that a tool may take to begin."""
_MOST_HANDED = 4_096
_MOST_UNDER_ONE_ID = 64
_MOST_OPENINGS = 64
_MOST_SUMMARIES = 64
_SHORTEST_OPENING, _LONGEST_OPENING = 12, 400
"""Characters: shorter ones anybody may say, and a prompt may cut longer ones."""

_Key = tuple[str, str, bytes]


class Pending(NamedTuple):
    """A text that a tool was handed."""

    call: str
    """The id of the call whose reply handed it."""
    handed: Handed
    at: int
    answered: bool = False
    """The tool's result has come back."""


class Quoted:
    """For one thread; times are Unix nanoseconds. Call ids may be of calls that are known no more."""

    def __init__(self) -> None:
        self._handed: BoundedDict[_Key, Pending] = BoundedDict(_MOST_HANDED)
        self._by_tool_call: BoundedDict[str, tuple[_Key, ...]] = BoundedDict(_MOST_HANDED)
        self._openings: deque[tuple[tuple[bytes, ...], str, str]] = deque(maxlen=_MOST_OPENINGS)
        self._summaries: deque[tuple[tuple[bytes, ...], frozenset[bytes], str]] = deque(maxlen=_MOST_SUMMARIES)

    def opens(self, scope: MatchScope, history: History, call_id: str) -> None:
        """A conversation begins."""
        if history.opening is not None and len(history.opening) >= _SHORTEST_OPENING:
            self._openings.append((scope.key_prefixes, history.opening[:_LONGEST_OPENING], call_id))

    def replied(self, scope: MatchScope, ending: Ending, call_id: str, now: int) -> None:
        """A reply has come: what it hands to tools, and its lines, if it is a summary."""
        if ending.lines:
            self._summaries.append((scope.key_prefixes, ending.lines, call_id))
        for handed in ending.handed:
            keys = tuple((*place, handed.digest) for place in scope.origins)
            for key in keys:
                self._handed.put(key, Pending(call_id, handed, now))
            if handed.id:
                # A server that counts its ids anew in each reply gives one id to many texts: the newest are enough.
                both = dict.fromkeys((*(self._by_tool_call.peek(handed.id) or ()), *keys))
                self._by_tool_call.put(handed.id, tuple(both)[-_MOST_UNDER_ONE_ID:])

    def answered(self, tool_call_id: str) -> None:
        """A tool gave its result: what it was handed opens nothing any more, but for a sub-agent that says that it is
        one. Tools may begin a sub-agent and answer at once."""
        for key in self._by_tool_call.pop(tool_call_id, ()):
            if (pending := self._handed.peek(key)) is not None and pending.handed.id == tool_call_id:
                self._handed.put(key, pending._replace(answered=True))

    def handed(self, scope: MatchScope, history: History, now: int, *, declared: bool) -> Pending | None:
        """What a tool was handed, where the request opens with just that, as all of its first message or as a part, and
        nothing has been replied yet. `declared`: the request says that it is a sub-agent's."""
        if history.opening is None or not self._handed or any(step.role == "assistant" for step in history.steps):
            return None
        for digest in [text_digest(said) for said in (history.opening, *history.parts)]:
            for place in scope.origins:
                pending = self._handed.peek((*place, digest))
                if pending is not None and now - pending.at <= HANDED_FOR and (declared or not pending.answered):
                    return pending
        return None

    def summary(self, scope: MatchScope, history: History) -> str | None:
        """The call whose summary the request opens with: more than half of its lines stand in the first message."""
        if history.opening is None or not self._summaries:
            return None
        held: frozenset[bytes] | None = None
        for seeds, lines, call_id in reversed(self._summaries):
            if not set(scope.key_prefixes).isdisjoint(seeds):
                held = frozenset(lines_of(history.opening)) if held is None else held
                if 2 * len(held & lines) > len(lines):
                    return call_id
        return None

    def titled(self, scope: MatchScope, history: History) -> str | None:
        """The first call of the newest conversation whose first message the request quotes."""
        for seeds, said, call_id in reversed(self._openings):
            if not set(scope.key_prefixes).isdisjoint(seeds) and history.quotes(said):
                return call_id
        return None
