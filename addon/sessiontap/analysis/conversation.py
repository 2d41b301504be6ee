"""A session as a person reads it: of each call only what is new, by who said it; sub-agents under the call that began
them, retries and calls beside the conversation marked. Pure functions over the turns of a session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sessiontap.llm.pick import parse
from sessiontap.llm.wrappers import user_words
from sessiontap.part import Part
from sessiontap.trace.index.turns import Turn
from sessiontap.trace.outcomes import ERRORS

MARKED = ("retry", "auxiliary", "compaction", "branch", "parallel")
"""Kinds of calls that a reader is told of."""
_SHORTEST_PROMPT = 20
"""Characters of an argument by which a sub-agent is matched with the tool call that began it."""


@dataclass(frozen=True, slots=True)
class Said:
    """A part of a request or a reply, as a reader is shown it."""

    kind: str
    role: str | None
    text: str | None
    name: str | None
    id: str | None
    error: bool | None
    bytes: int
    words: str | None = None
    """Of a text of the user: the user's own words in it, empty if its agent alone speaks; None of all other parts."""


@dataclass(frozen=True, slots=True)
class ReadCall:
    """A call: what its request brings that is new, and the reply."""

    id: str
    step: int | None
    time: str | None
    duration: float | None
    model: str | None
    mark: str | None
    """One of `MARKED`; None for a call that begins or goes on."""
    repeats: str | None
    """Of a retry: the id of the call with the same request."""
    failed: bool
    outcome: str | None
    error: dict[str, Any] | None
    finish_reason: str | None
    heard: tuple[Said, ...]
    said: tuple[Said, ...]
    agents: tuple[AgentConversation, ...]
    """The sub-agents that the reply began."""


@dataclass(frozen=True, slots=True)
class AgentConversation:
    """The calls of one agent, oldest first."""

    agent: str | None
    """The sub-agent's type or name; None for a main agent."""
    conversation: str | None
    begun_by: str | None
    """Of a sub-agent: the id of the tool call, or its tool if that has none; None if it is not known which."""
    calls: tuple[ReadCall, ...]


def conversations(turns: Sequence[Turn]) -> list[AgentConversation]:
    """Return the conversations of a session by their first calls, each with its sub-agents in place.

    `turns` are those of the session, oldest first. Agents' errands are left out.
    """
    reader = _Reader([turn for turn in turns if not turn.call["errand"]])
    return [reader.conversation(group, None) for group in reader.groups if reader.begun_by(group) is None]


class _Reader:
    """The turns of a session by conversation, and the calls that began sub-agents."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = {turn.call["id"]: turn for turn in turns}
        self._order = {turn.call["id"]: at for at, turn in enumerate(turns)}
        self.groups: dict[str, list[Turn]] = {}
        for turn in turns:
            self.groups.setdefault(turn.call["conversation"] or turn.call["id"], []).append(turn)
        self._children: dict[str, list[str]] = {}
        for group in self.groups:
            if (parent := self.begun_by(group)) is not None:
                self._children.setdefault(parent, []).append(group)

    def begun_by(self, group: str) -> str | None:
        """The id of the call whose reply began this sub-agent's conversation; None if it is a main agent's."""
        turns = self.groups[group]
        first = next((turn for turn in turns if turn.call["kind"] == "subagent"), None)
        parent = first.call["parent"] if first is not None else None
        # Only an earlier call begins another: so nothing is its own sub-agent's.
        if parent not in self._order or self._order[parent] >= self._order[turns[0].call["id"]]:
            return None
        return str(parent)

    def conversation(self, group: str, begun_by: str | None) -> AgentConversation:
        turns = self.groups[group]
        known = (turn.call["subagent"] for turn in turns if turn.call["subagent"])
        return AgentConversation(
            agent=next(known, None),
            conversation=turns[0].call["conversation"],
            begun_by=begun_by,
            calls=tuple(self._call(turn, turns[:at]) for at, turn in enumerate(turns)),
        )

    def _call(self, turn: Turn, earlier: Sequence[Turn]) -> ReadCall:
        row = turn.call
        mark = row["kind"] if row["kind"] in MARKED else None
        repeated = _repeated(turn, earlier) if mark == "retry" else None
        agents = (self.conversation(one, self._tool_call(turn, one)) for one in self._children.get(row["id"], ()))
        return ReadCall(
            id=row["id"],
            step=row["step"],
            time=row["time"],
            duration=row["duration"],
            model=row["response_model"] or row["request_model"],
            mark=mark,
            repeats=repeated.call["id"] if repeated is not None else None,
            failed=row["outcome"] in ERRORS or bool(row["error"]),
            outcome=row["outcome"],
            error=row["error"],
            finish_reason=row["finish_reason"],
            heard=() if repeated is not None else tuple(map(_said, self._new(turn))),
            said=tuple(map(_said, turn.reply)),
            agents=tuple(agents),
        )

    def _new(self, turn: Turn) -> Iterator[Part]:
        """The parts of a request that did not stand in the one that it goes on from, nor in its reply."""
        base = self._turns.get(turn.based_on or "")
        if base is None or base.call["conversation"] != turn.call["conversation"] or turn.call["kind"] == "auxiliary":
            yield from turn.request
            return
        # Behind a change of a tool or a system prompt parts are known by what they say, not by their place.
        known = Counter(map(_key, (*base.request[turn.first_new :], *base.reply)))
        for part in turn.new:
            key = _key(part)
            if known[key]:
                known[key] -= 1
            elif part.kind != "reasoning" or part.role != "assistant":  # clients send it back in another form
                yield part

    def _tool_call(self, turn: Turn, group: str) -> str | None:
        """The tool call of a reply that a sub-agent's first words stand in."""
        opening = next((part.text for part in _opening(self.groups[group][0])), None)
        called = [part for part in turn.reply if part.kind == "tool_call"]
        found = next((part for part in called if opening is not None and _hands_over(part, opening)), None)
        found = found or (called[0] if len(called) == 1 else None)
        return (found.id or found.name) if found is not None else None


def _repeated(turn: Turn, earlier: Sequence[Turn]) -> Turn | None:
    """The latest call before with the same request."""
    return next((one for one in reversed(earlier) if one.request == turn.request), None)


def _opening(turn: Turn) -> Iterator[Part]:
    """The texts of the user in a request that hold words of the user."""
    texts = (part for part in turn.request if part.kind == "text" and part.role == "user")
    return (part for part in texts if user_words(part.text or ""))


def _hands_over(call: Part, opening: str) -> bool:
    """Return True if an argument of a tool call is the text that a sub-agent opens with, or a part of it."""
    given, _ = parse(call.text) if call.text else (None, None)
    values = given.values() if isinstance(given, dict) else ()
    texts = (one.strip() for one in values if isinstance(one, str))
    return any(len(one) >= _SHORTEST_PROMPT and one in opening for one in texts)


def _key(part: Part) -> tuple[Any, ...]:
    """A part by what it says. The ids of tool calls are left out, since clients make their own for replies without."""
    said = part.text or ""
    if part.role == "assistant":
        return part.kind, part.name, "".join(said.split())
    return part.kind, part.role, part.name, part.id, part.bytes, said


def _said(part: Part) -> Said:
    own = user_words(part.text or "") if part.kind == "text" and part.role == "user" else None
    return Said(part.kind, part.role, part.text, part.name, part.id, part.error, part.bytes, own)
