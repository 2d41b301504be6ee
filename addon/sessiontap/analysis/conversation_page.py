"""A stretch of a session's conversation: some calls in the order in which a person reads them, sub-agents as lanes.

A long session is read stretch by stretch: `lanes` says where each call stands, by the links of calls alone, and
`page` tells the calls of one stretch by their turns. Texts are cut where they are long; a call's own page has the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.call_facts import readable
from sessiontap.analysis.conversation import CallReader, ConversationOrder, ReadCall, ShownPart

if TYPE_CHECKING:
    from sessiontap.trace.index.turns import Turn

VIEWS = {
    "chat": frozenset(("text",)),
    "tools": frozenset(("text", "tool_call", "tool_result", "reasoning", "media")),
    "everything": None,
}
"""A view -> the kinds of parts in it; None: all of them."""
LONGEST = 12_000
"""Characters of a part's text that are told."""
MOST_TEXT = 300_000
"""Characters of a stretch's texts; behind it each is told by its beginning."""
BEGINNING = 200


@dataclass(frozen=True, slots=True)
class Lane:
    """The calls of one agent."""

    number: int
    agent: str | None
    """The sub-agent's type or name; None for a main agent."""
    conversation: str | None
    depth: int
    """0 for a main agent, 1 for its sub-agents, ..."""
    begun_by: str | None
    """The id of the call whose reply began it."""
    first: str
    """The id of its first call."""
    calls: int


@dataclass(frozen=True, slots=True)
class ReadingPlace:
    """A call's place in the reading order."""

    id: str
    step: int | None
    lane: int


def lanes(order: ConversationOrder) -> tuple[list[Lane], list[ReadingPlace]]:
    """Return the agents of a session, and all of its calls as they are read: a sub-agent's behind the call that began
    it. However deep sub-agents are nested, nothing is called again from within."""
    found: list[Lane] = []
    places: list[ReadingPlace] = []
    left = [(group, 0) for group in reversed(order.main_groups())]
    begun: list[tuple[list[str], int]] = []  # the calls of open lanes that are left, the last one first
    while left or begun:
        if not begun or (left and left[-1][1] > found[begun[-1][1]].depth):
            group, depth = left.pop()
            calls = order.groups[group]
            name = order.calls[calls[0]]["conversation"]
            lane = Lane(len(found), order.agent(group), name, depth, order.begun_by(group), calls[0], len(calls))
            found.append(lane)
            begun.append((calls[::-1], lane.number))
            continue
        calls, number = begun[-1]
        if not calls:
            begun.pop()
            continue
        id = calls.pop()
        places.append(ReadingPlace(id, order.calls[id]["step"], number))
        left += [(group, found[number].depth + 1) for group in reversed(order.begun.get(id, ()))]
    return found, places


def needed(order: ConversationOrder, calls: Iterable[str]) -> set[str]:
    """The ids of the calls whose turns `page` takes to tell these: themselves, those that they go on from, and those
    that go on from them."""
    reader, wanted = CallReader(order, ()), set(calls)
    behind = {id for id, row in order.calls.items() if row["parent"] in wanted}
    return {one for id in wanted | behind for one in reader.needs(id)}


def page(
    order: ConversationOrder,
    places: Sequence[ReadingPlace],
    turns: Sequence[Turn],
    view: str,
    longest: int = LONGEST,
    most_text: int = MOST_TEXT,
) -> list[dict[str, Any]]:
    """The calls at these places with what is new in each, as plain values: the keys are those of `ReadCall`.

    A part has its `anchor`, and the `links` of a tool's call, result, definition and sub-agent to each other.
    """
    known = {turn.call["id"]: turn for turn in turns}
    reader = CallReader(order, turns)
    calls = {id: reader.call(id) for id in known}
    links = _Links(calls, known)
    room = _Room(longest, most_text)
    return [_call(calls[place.id], known[place.id], place, order, reader, links, view, room) for place in places
            if place.id in calls]  # fmt: skip


def anchor(call: str, side: str, at: int) -> str:
    """The anchor of a part: `side` is `new_parts` or `reply`."""
    return f"{call}-{side[0]}{at}"


class _Links:
    """The places of tools' calls, results and definitions, by the ids of the calls of tools."""

    def __init__(self, calls: Mapping[str, ReadCall], known: Mapping[str, Turn]) -> None:
        self._known = known
        self._results: dict[tuple[str, str], tuple[str, str]] = {}
        self._calls: dict[tuple[str, str], tuple[str, str]] = {}
        for id, call in calls.items():
            base = known[id].based_on or ""
            for at, part in enumerate(call.new_parts):
                if part.kind == "tool_result" and part.id:
                    self._results.setdefault((base, part.id), (id, anchor(id, "new_parts", at)))
            for at, part in enumerate(call.reply):
                if part.kind == "tool_call" and part.id:
                    self._calls[id, part.id] = (id, anchor(id, "reply", at))

    def of(self, call: str, part: ShownPart, at: int) -> dict[str, Any]:
        """`result`, `call`: id of the call and anchor; `definition`: its position in the request of this call."""
        links: dict[str, Any] = {}
        turn = self._known[call]
        if part.kind == "tool_call":
            links["result"] = self._results.get((call, part.id or ""))
            links["definition"] = next(
                (n for n, one in enumerate(turn.request) if one.kind == "tool_definition" and one.name == part.name),
                None,
            )
        elif part.kind == "tool_result":
            links["call"] = self._calls.get((turn.based_on or "", part.id or ""))
        return {name: value for name, value in links.items() if value is not None}


class _Room:
    """The room that a stretch has for texts."""

    def __init__(self, longest: int, size: int) -> None:
        self._longest, self._left = longest, size

    def cut(self, text: str | None) -> str | None:
        """As much of a text as is told."""
        if text is None:
            return None
        kept = text[: min(self._longest, max(self._left, BEGINNING))]
        self._left -= len(kept)
        return kept


def _call(
    call: ReadCall,
    turn: Turn,
    place: ReadingPlace,
    order: ConversationOrder,
    reader: CallReader,
    links: _Links,
    view: str,
    room: _Room,
) -> dict[str, Any]:
    """Return what the page tells of a call. Its parameters are what the page has worked out of all calls together."""
    row = turn.call
    facts = {name: value for name in ReadCall.__slots__ if name not in ("new_parts", "reply", "agents")
             for value in [getattr(call, name)]}  # fmt: skip
    agents = [
        {"conversation": order.calls[order.groups[group][0]]["conversation"], "agent": order.agent(group),
         "begun_by": reader.tool_call(call.id, group), "first": order.groups[group][0]}
        for group in order.begun.get(call.id, ())
    ]  # fmt: skip
    reply = _parts(call, "reply", links, view, room)
    for part in reply:
        if part["kind"] == "tool_call":
            begun = [one["first"] for one in agents if one["begun_by"] == (part["id"] or part["name"])]
            part["links"] |= {"agent": (begun[0], begun[0])} if begun else {}
    return facts | {
        "lane": place.lane,
        "continues": row["parent"] if row["parent"] in order.calls else None,
        "usage": row["usage"],
        "cost_usd": row["cost_usd"],
        "time_to_first_token": row["time_to_first_token"],
        "new_parts": _parts(call, "new_parts", links, view, room),
        "reply": reply,
        "agents": agents,
        "prompt": {"parts": len(turn.request), "bytes": sum(part.bytes for part in turn.request)},
    }


def _parts(call: ReadCall, side: str, links: _Links, view: str, room: _Room) -> list[dict[str, Any]]:
    """The parts of a side that the view shows. Definitions of tools that stand together are one, by their names."""
    kinds = VIEWS[view]
    parts: Sequence[ShownPart] = getattr(call, side)
    found: list[dict[str, Any]] = []
    for at, part in enumerate(parts):
        surroundings = part.words == "" and part.kind == "text"
        if kinds is not None and (part.kind not in kinds or surroundings):
            continue
        if part.kind == "tool_definition":
            if not (found and found[-1]["kind"] == "tool_definition"):
                found.append({"kind": "tool_definition", "anchor": anchor(call.id, side, at), "names": [], "bytes": 0})
            found[-1]["names"].append(part.name)
            found[-1]["bytes"] += part.bytes
            continue
        text, words, shown = room.cut(part.text), None, readable(part.kind, part.text)
        if part.words is not None and part.words != part.text:
            words = part.words[: len(text or "")]
        found.append(
            asdict(part)
            | {
                "text": text,
                "words": words,
                "shown": None if shown is None else room.cut(shown),
                "is_cut": len(text or "") < len(part.text or ""),
                "lines": (part.text or "").count("\n") + 1 if part.text else 0,
                "anchor": anchor(call.id, side, at),
                "links": links.of(call.id, part, at),
            }
        )
    return found
