"""The parts of a request that did not stand in the one that it goes on from, nor in that one's reply."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sessiontap.part import Part
from sessiontap.trace.index.turns import Turn


def new_places(turn: Turn, base: Turn | None) -> list[int]:
    """The positions of the parts that a request brings anew; `base` is the turn that it goes on from.

    Behind a change of a tool or a system prompt parts are known by what they say, not by their place.
    """
    if base is None:
        return list(range(len(turn.request)))
    known = Counter(map(_key, (*base.request[turn.first_new :], *base.reply)))
    found = []
    for place in range(turn.first_new, len(turn.request)):
        part = turn.request[place]
        key = _key(part)
        if known[key]:
            known[key] -= 1
        elif part.kind != "reasoning" or part.role != "assistant":  # clients send it back in another form
            found.append(place)
    return found


def _key(part: Part) -> tuple[Any, ...]:
    """A part by what it says. The ids of tool calls are left out, since clients make their own for replies without."""
    text = part.text or ""
    if part.role == "assistant":
        return part.kind, part.name, "".join(text.split())
    return part.kind, part.role, part.name, part.id, part.bytes, text
