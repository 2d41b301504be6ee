"""A session's conversation: of each call what is new, a stretch of calls at a time, sub-agents as lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sessiontap.analysis.context import window_share
from sessiontap.analysis.conversation import ConversationOrder
from sessiontap.analysis.conversation_page import VIEWS, ReadingPlace, lanes, needed, page
from sessiontap.trace.index.filters import Filters
from sessiontap.ui.errors import NotFound
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading

LIMIT, MOST = 20, 200
"""Calls of a stretch: if no limit is given, and at most."""
MOST_PARTS = 100
"""Parts of a stretch, some ten elements each; it ends with the call that goes beyond."""
MOST_LANES = 60
"""Sub-agents that are listed."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The stretch that the parameters name."""
    log, view = reading.trace, parameters["view"]
    session = log.query_session_id(parameters["session"])
    order = ConversationOrder(log.query_links(session))
    agents, places = lanes(order)
    backwards = parameters["before"] is not None
    chosen = _chosen(places, parameters, min(parameters["limit"], MOST))
    turns = log.query_turns(session, reading.prices, needed(order, [place.id for place in chosen]))
    calls = _bounded(page(order, chosen, turns, view), backwards)
    windows = reading.windows(session, [call["id"] for call in calls])
    for call in calls:
        call["window_tokens"] = windows.get(call["id"])
        call["window_share"] = window_share(call["usage"], call["window_tokens"])
    first = next((at for at, place in enumerate(places) if calls and place.id == calls[0]["id"]), 0)
    last = first + len(calls)
    (row,) = log.query_sessions(Filters(session=session, without_errands=False), limit=1, prices=reading.prices)
    shown = {lane.number for lane in agents[:MOST_LANES]} | {call["lane"] for call in calls}
    return {
        "session": row,
        "view": view,
        "lanes": [asdict(lane) for lane in agents if lane.number in shown],
        "lanes_in_all": len(agents),
        "calls": calls,
        "first": first,
        "calls_in_all": len(places),
        "previous": places[first].id if calls and first else None,
        "next": places[last - 1].id if calls and last < len(places) else None,
    }


def _chosen(places: Sequence[ReadingPlace], parameters: Mapping[str, Any], limit: int) -> list[ReadingPlace]:
    """The calls of the stretch. Raises NotFound."""
    if (before := parameters["before"]) is not None:
        end = _position(places, before)
        return list(places[max(0, end - limit) : end])
    start = 0
    if (after := parameters["after"]) is not None:
        start = _position(places, after) + 1
    elif (at := parameters["at"]) is not None:
        start = _position(places, at)
    return list(places[start : start + limit])


def _position(places: Sequence[ReadingPlace], name: str) -> int:
    """The position of a call by its id, the beginning of it, or its step. Raises NotFound."""
    known = {place.id: at for at, place in enumerate(places)}
    if name in known:
        return known[name]
    steps = [at for at, place in enumerate(places) if str(place.step) == name.removeprefix("#")]
    begun = [at for id, at in known.items() if len(name) > 3 and id.startswith(name)]
    if found := steps or begun:
        return found[0]
    last = max((place.step for place in places if place.step is not None), default=None)
    hint = f"Steps go up to {last}." if last is not None else "It has no calls that are shown here."
    raise NotFound(f"the session has no call {name}", hint)


def _bounded(calls: list[dict[str, Any]], backwards: bool) -> list[dict[str, Any]]:
    """As many of the calls, from the first or from the last, as the bound of parts lets through; one at least."""
    kept: list[dict[str, Any]] = []
    parts = 0
    for call in reversed(calls) if backwards else calls:
        parts += len(call["new_parts"]) + len(call["reply"])
        if kept and parts > MOST_PARTS:
            break
        kept.append(call)
    return kept[::-1] if backwards else kept


_PART = {
    "type": "object",
    "description": "A part of a request or a reply. `text` is cut if `is_cut`; `bytes` and `lines` are of all of it.",
}
PAGE = Page(
    path="/sessions/{session}/conversation",
    title="Conversation",
    description="What was said in a session: of each call what is new, sub-agents behind the call that began them.",
    template="conversation.html",
    data=data,
    live=True,
    parameters=(
        Parameter("view", "The parts that are shown.", "choice", tuple(VIEWS), default="tools"),
        Parameter("at", "Begin at this call: its id, or its step."),
        Parameter("after", "Begin behind this call."),
        Parameter("before", "End before this call."),
        Parameter("limit", f"Calls at most, up to {MOST}.", "integer", default=LIMIT, minimum=1),
    ),
    schema={
        "type": "object",
        "properties": {
            "session": {"type": "object", "description": "A row of `sessiontap ls --json`."},
            "view": {"enum": list(VIEWS)},
            "lanes": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Agents: `number`, `agent`, `depth`, `begun_by`, `first` and number of `calls`.",
            },
            "lanes_in_all": {"type": "integer"},
            "calls": {
                "type": "array",
                "description": "Calls as `sessiontap show --conversation --json` gives them, a lane each.",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string"},
                        "lane": {"type": "integer"},
                        "new_parts": {"type": "array", "items": _PART},
                        "reply": {"type": "array", "items": _PART},
                        "window_tokens": {"type": ["integer", "null"], "description": "The model's context window."},
                        "window_share": {"type": ["number", "null"], "description": "The input by it."},
                    },
                    "required": ["id", "lane", "new_parts", "reply"],
                },
            },
            "first": {"type": "integer", "description": "The position of the first call in the reading order, from 0."},
            "calls_in_all": {"type": "integer"},
            "previous": {"type": ["string", "null"], "description": "`before` of the stretch before this one."},
            "next": {"type": ["string", "null"], "description": "`after` of the stretch behind this one."},
        },
        "required": ["session", "view", "lanes", "calls", "first", "calls_in_all", "previous", "next"],
    },
)
