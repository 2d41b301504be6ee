"""Texts of earlier calls that a request may open with or quote. They link a request whose history does not.

- A text that a reply delegates to a tool is the first message of the sub-agent.
- A summary is the first message of the history that it replaces.
- The prompt that asks for a conversation's title quotes the conversation's first message.

Memory is bounded; the newest texts stay.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sessiontap.bounded_dict import BoundedDict
from sessiontap.llm.history import DelegatedPrompt, History, ReplyFingerprint, lines_of, text_digest
from sessiontap.sessions.match_scope import MatchScope

MAX_DELAY = 3600 * 1_000_000_000
"""Nanoseconds that a tool may take to begin."""
_MAX_DELEGATED = 4_096
_MAX_PER_TOOL_CALL = 64
_MAX_OPENINGS = 64
_MAX_SUMMARIES = 64
_MIN_OPENING, _MAX_OPENING = 12, 400
"""Characters: a shorter text anybody may write, and a prompt may cut a longer one."""

_Key = tuple[str, str, bytes]


class OpenDelegation(NamedTuple):
    """A text that a reply delegated to a tool."""

    call: str
    """The id of the call whose reply delegated it."""
    prompt: DelegatedPrompt
    at: int
    answered: bool = False
    """The tool's result has come back."""


class QuotedTexts:
    """For one thread; times are Unix nanoseconds. A call whose id is returned may have been forgotten."""

    def __init__(self) -> None:
        self._delegated: BoundedDict[_Key, OpenDelegation] = BoundedDict(_MAX_DELEGATED)
        self._by_tool_call: BoundedDict[str, tuple[_Key, ...]] = BoundedDict(_MAX_DELEGATED)
        self._openings: deque[tuple[tuple[bytes, ...], str, str]] = deque(maxlen=_MAX_OPENINGS)
        self._summaries: deque[tuple[tuple[bytes, ...], frozenset[bytes], str]] = deque(maxlen=_MAX_SUMMARIES)

    def note_opening(self, scope: MatchScope, history: History, call_id: str) -> None:
        """Remember the first message of a conversation that begins."""
        if history.opening is not None and len(history.opening) >= _MIN_OPENING:
            self._openings.append((scope.key_prefixes, history.opening[:_MAX_OPENING], call_id))

    def note_reply(self, scope: MatchScope, reply: ReplyFingerprint, call_id: str, now: int) -> None:
        """Remember the texts that a reply delegates to tools, and its lines, if it is a summary."""
        if reply.lines:
            self._summaries.append((scope.key_prefixes, reply.lines, call_id))
        for prompt in reply.delegated:
            keys = tuple((*origin, prompt.digest) for origin in scope.origins)
            for key in keys:
                self._delegated.put(key, OpenDelegation(call_id, prompt, now))
            if prompt.id:
                # A server that counts its ids anew in each reply gives one id to many texts: the newest are enough.
                both = dict.fromkeys((*(self._by_tool_call.peek(prompt.id) or ()), *keys))
                self._by_tool_call.put(prompt.id, tuple(both)[-_MAX_PER_TOOL_CALL:])

    def note_result(self, tool_call_id: str) -> None:
        """A tool gave its result: its text opens no other history any more, unless the client says that it is a
        sub-agent's, since a tool may begin one and answer at once."""
        for key in self._by_tool_call.pop(tool_call_id, ()):
            if (pending := self._delegated.peek(key)) is not None and pending.prompt.id == tool_call_id:
                self._delegated.put(key, pending._replace(answered=True))

    def delegation(self, scope: MatchScope, history: History, now: int, *, declared: bool) -> OpenDelegation | None:
        """Return the delegated text that is the request's whole first message, or a part of it; None if there is none,
        or if the history holds a reply already. `declared`: the request says that it is a sub-agent's."""
        if history.opening is None or not self._delegated or any(one.role == "assistant" for one in history.entries):
            return None
        for digest in [text_digest(text) for text in (history.opening, *history.parts)]:
            for origin in scope.origins:
                pending = self._delegated.peek((*origin, digest))
                if pending is not None and now - pending.at <= MAX_DELAY and (declared or not pending.answered):
                    return pending
        return None

    def summary(self, scope: MatchScope, history: History) -> str | None:
        """Return the call whose summary opens the request: more than half of its lines are in the first message."""
        if history.opening is None or not self._summaries:
            return None
        held: frozenset[bytes] | None = None
        for prefixes, lines, call_id in reversed(self._summaries):
            if not set(scope.key_prefixes).isdisjoint(prefixes):
                held = frozenset(lines_of(history.opening)) if held is None else held
                if 2 * len(held & lines) > len(lines):
                    return call_id
        return None

    def titled(self, scope: MatchScope, history: History) -> str | None:
        """Return the first call of the newest conversation whose first message the request quotes."""
        for prefixes, text, call_id in reversed(self._openings):
            if not set(scope.key_prefixes).isdisjoint(prefixes) and history.quotes(text):
                return call_id
        return None
