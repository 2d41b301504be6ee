"""A session as a person reads it: of each call only what is new, by who said it; sub-agents under the call that began
them, retries and calls beside the conversation marked. Pure functions over the turns of a session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sessiontap.analysis.new_parts import new_places
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
class ShownPart:
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
    new_parts: tuple[ShownPart, ...]
    reply: tuple[ShownPart, ...]
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


class ConversationOrder:
    """The calls of a session by conversation, and the calls that began sub-agents.

    `links` are rows of the session's calls, oldest first, with the keys of `Trace.query_links`. Agents' errands are
    left out.
    """

    def __init__(self, links: Iterable[Mapping[str, Any]]) -> None:
        self.calls: dict[str, Mapping[str, Any]] = {row["id"]: row for row in links if not row["errand"]}
        self.groups: dict[str, list[str]] = {}
        """Ids of calls by their conversation; a call without one is a group of its own."""
        for id in self.calls:
            self.groups.setdefault(self.group_of(id), []).append(id)
        self._place = {id: at for at, id in enumerate(self.calls)}
        self.begun: dict[str, list[str]] = {}
        """The groups of sub-agents by the call whose reply began them."""
        for group in self.groups:
            if (parent := self.begun_by(group)) is not None:
                self.begun.setdefault(parent, []).append(group)

    def group_of(self, call: str) -> str:
        """The group of a call."""
        return str(self.calls[call]["conversation"] or call)

    def begun_by(self, group: str) -> str | None:
        """The id of the call whose reply began this sub-agent's conversation; None if it is a main agent's."""
        rows = [self.calls[id] for id in self.groups[group]]
        parent = next((row["parent"] for row in rows if row["kind"] == "subagent"), None)
        # Only an earlier call begins another: so nothing is its own sub-agent's.
        if parent not in self._place or self._place[parent] >= self._place[rows[0]["id"]]:
            return None
        return str(parent)

    def agent(self, group: str) -> str | None:
        """The sub-agent's type or name; None for a main agent."""
        return next((row["subagent"] for id in self.groups[group] if (row := self.calls[id])["subagent"]), None)

    def main_groups(self) -> list[str]:
        """The groups that no call of the session began, by their first calls."""
        return [group for group in self.groups if self.begun_by(group) is None]


def conversations(turns: Sequence[Turn]) -> list[AgentConversation]:
    """Return the conversations of a session by their first calls, each with its sub-agents in place.

    `turns` are those of the session, oldest first. Agents' errands are left out.
    """
    order = ConversationOrder(turn.call for turn in turns)
    reader = CallReader(order, turns)

    def conversation(group: str, begun_by: str | None) -> AgentConversation:
        calls = []
        for id in order.groups[group]:
            agents = (conversation(one, reader.tool_call(id, one)) for one in order.begun.get(id, ()))
            calls.append(replace(reader.call(id), agents=tuple(agents)))
        name = order.calls[order.groups[group][0]]["conversation"]
        return AgentConversation(order.agent(group), name, begun_by, tuple(calls))

    return [conversation(group, None) for group in order.main_groups()]


class CallReader:
    """Reads calls of a session as a person does. `turns`: those that are read, and those that they go on from."""

    def __init__(self, order: ConversationOrder, turns: Iterable[Turn]) -> None:
        self._order = order
        self._turns = {turn.call["id"]: turn for turn in turns}

    def call(self, id: str) -> ReadCall:
        """A call with what is new in it; its sub-agents are left out."""
        turn = self._turns[id]
        row = turn.call
        mark = row["kind"] if row["kind"] in MARKED else None
        repeated = self._repeated(turn) if mark == "retry" else None
        return ReadCall(
            id=row["id"],
            step=row["step"],
            time=row["time"],
            duration=row["duration"],
            model=row["response_model"] or row["request_model"],
            mark=mark,
            repeats=repeated,
            failed=row["outcome"] in ERRORS or bool(row["error"]),
            outcome=row["outcome"],
            error=row["error"],
            finish_reason=row["finish_reason"],
            new_parts=() if repeated is not None else tuple(map(_shown, self._new(turn))),
            reply=tuple(map(_shown, turn.reply)),
            agents=(),
        )

    def needs(self, id: str) -> set[str]:
        """The ids of the calls that are read together with this one: those that it goes on from, repeats or began."""
        row, group = self._order.calls[id], self._order.groups[self._order.group_of(id)]
        needed = {id, *(self._order.groups[one][0] for one in self._order.begun.get(id, ()))}
        if row["parent"] in self._order.calls:
            needed.add(row["parent"])
        if row["kind"] == "retry":
            needed.update(one for one in group if self._order.calls[one]["parent"] == row["parent"])
        return needed

    def _repeated(self, turn: Turn) -> str | None:
        """The id of the latest call before with the same request."""
        group = self._order.groups[self._order.group_of(turn.call["id"])]
        earlier = (self._turns.get(id) for id in reversed(group[: group.index(turn.call["id"])]))
        return next((one.call["id"] for one in earlier if one is not None and one.request == turn.request), None)

    def _new(self, turn: Turn) -> Iterator[Part]:
        """The parts of a request that did not stand in the one that it goes on from, nor in its reply."""
        base = self._turns.get(turn.based_on or "")
        if base is None or base.call["conversation"] != turn.call["conversation"] or turn.call["kind"] == "auxiliary":
            yield from turn.request
            return
        for place in new_places(turn, base):
            yield turn.request[place]

    def tool_call(self, call: str, group: str) -> str | None:
        """The tool call of a reply that the first words of a sub-agent's group stand in: its id, or else its tool."""
        turn, first = self._turns[call], self._turns[self._order.groups[group][0]]
        opening = next((part.text for part in _opening(first)), None)
        called = [part for part in turn.reply if part.kind == "tool_call"]
        found = next((part for part in called if opening is not None and _hands_over(part, opening)), None)
        found = found or (called[0] if len(called) == 1 else None)
        return (found.id or found.name) if found is not None else None


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


def _shown(part: Part) -> ShownPart:
    own = user_words(part.text or "") if part.kind == "text" and part.role == "user" else None
    return ShownPart(part.kind, part.role, part.text, part.name, part.id, part.error, part.bytes, own)
