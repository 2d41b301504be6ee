"""What calls of one kind have in common, written once per segment: provider, model, host, rules, keys of conversations.

An agent's call has some seventy facts, of which all but twenty are those of the call before. Once a kind of calls (one
host and route; later one conversation) has been seen a few times, what two of them share becomes a **template**, a
value of the segment's (`shared.py`), and calls hold its number as `like` in place of all that is the same: keys that a
call lacks are the template's, in the maps `NESTED` likewise. 4.4 KB of an agent's call, bodies apart, become 1.3 KB.

What readers look for first is always written out (`OWN`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]

OWN: Mapping[str | None, frozenset[str]] = {
    None: frozenset((
        "type", "id", "time", "session", "parent", "outcome", "flags",
        "duration", "time_to_first_byte", "time_to_first_token",
    )),
    "request": frozenset(("headers", "trailers", "body")),
    "response": frozenset(("status", "headers", "trailers", "chunks", "body")),
}  # fmt: skip
"""Keys that stand in every call, by the map that they stand in (None: the call itself)."""
NESTED = ("link", "llm", "request", "response")
"""Maps of which a call holds only the keys that are not the template's; `usage` of `llm`, too."""
_LOOSE = frozenset(("state", "cost_reported", "properties"))
"""Values where 1, 1.0 and True, which are equal, may come after each other: in no template unless nil or all text."""
_MISSING = object()
_ENOUGH, _ENOUGH_OF_CONVERSATION = 3, 6
"""Calls of a kind from which its template is made: the first ones write out what is only later numbered."""
MAX_KINDS = 256
"""Kinds that are remembered, the latest."""


@dataclass(slots=True)
class _Kind:
    """Calls with the same keys and some facts the same."""

    seen: int = 0
    last: Record = field(default_factory=dict)
    """The call before the one that makes the template, without its bodies."""
    number: int | None = None
    template: Record = field(default_factory=dict)


class Templates:
    """The templates of the segment being written. Not safe for several threads."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()
        self._shapes: dict[Hashable, int] = {}
        self._new: tuple[_Kind, int, Record] | None = None

    def clear(self) -> None:
        """A new segment begins."""
        self._kinds.clear()
        self._shapes.clear()
        self._new = None

    def written(self) -> None:
        """What the last `thin` gave is in the segment."""
        if self._new is not None:
            kind, number, template = self._new
            kind.number, kind.template, kind.last = number, template, {}
            self._new = None

    def thin(self, call: Record, number: int) -> tuple[Record | None, Record]:
        """The template that has to be written first as value `number`, if any, and the call without what it has."""
        self._new = None
        if len(self._shapes) >= MAX_KINDS:
            self._shapes.clear()
            self._kinds.clear()
        shape = self._shapes.setdefault(_shape(call), len(self._shapes))
        general = self._kind((call.get("host"), call.get("route"), shape))
        conversation = call.get("conversation")
        goes_on = isinstance(conversation, str) and call.get("parent") is not None
        own = self._kind((conversation, shape)) if goes_on else None
        for kind, enough in ((own, _ENOUGH_OF_CONVERSATION), (general, _ENOUGH)):
            if kind is None:
                continue
            if kind.number is None:
                if (template := self._learn(kind, enough, call)) is None:
                    continue
                self._new = kind, number, template
                return template, _without(call, template, number)
            return None, _without(call, kind.template, kind.number)
        return None, call

    def _kind(self, key: Hashable) -> _Kind:
        kind = self._kinds.get(key)
        if kind is not None:
            self._kinds.move_to_end(key)
            return kind
        kind = self._kinds[key] = _Kind()
        if len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)
        return kind

    def _learn(self, kind: _Kind, enough: int, call: Record) -> Record | None:
        kind.seen += 1
        if kind.seen >= enough and kind.last:
            return _common(kind.last, call)
        if kind.seen == enough - 1:
            kind.last = _common(call, call)
        return None


def full(call: Record, values: Mapping[int, Any]) -> Record:
    """The call with what its template has; less of it where that `is_lost`."""
    if "like" not in call:
        return call
    own = dict(call)
    template = values.get(own.pop("like"))
    if not isinstance(template, dict):
        return own
    sides = {side: own.pop(side) for side in ("request", "response") if side in own}
    merged = _with(template, own | sides)
    for side in sides:  # what is long stands last
        merged[side] = merged.pop(side)
    return merged


def is_lost(call: Record, values: Mapping[int, Any]) -> bool:
    """The call's template was in a record that is damaged."""
    return "like" in call and not isinstance(values.get(call["like"]), dict)


LOST = "holds a call that repeats values from a record that is damaged"


def _with(template: Record, call: Record) -> Record:
    merged = call | {key: value for key, value in template.items() if key not in call}
    for key in NESTED:
        given, common = call.get(key), template.get(key)
        if isinstance(given, dict) and isinstance(common, dict):
            part = merged[key] = common | given
            if key == "llm" and isinstance(given.get("usage"), dict) and isinstance(common.get("usage"), dict):
                part["usage"] = common["usage"] | given["usage"]
    return merged


def _shape(call: Record) -> Hashable:
    """The keys of a call and of its maps: only calls with the same ones have a template in common."""
    llm = call.get("llm")
    usage = llm.get("usage") if isinstance(llm, dict) else None
    maps = (*(call.get(name) for name in NESTED), usage)
    return tuple(call), *(tuple(one) if isinstance(one, dict) else None for one in maps)


def _common(one: Record, other: Record) -> Record:
    """What two calls of one shape share."""
    found: Record = {}
    own = OWN[None]
    for key, value in other.items():
        if key in own or key not in one:
            continue
        if key in NESTED and isinstance(value, dict):
            found[key] = _common_map(one[key], value, OWN.get(key, frozenset()))
        elif _same(key, one[key], value):
            found[key] = value
    return found


def _common_map(one: Record, other: Record, own: frozenset[str]) -> Record:
    found: Record = {}
    for key, value in other.items():
        if key in own or key not in one:
            continue
        if key == "usage" and isinstance(value, dict):
            found[key] = _common_map(one[key], value, frozenset())
        elif _same(key, one[key], value):
            found[key] = value
    return found


def _same(key: str, one: Any, other: Any) -> bool:
    if key in _LOOSE and other is not None:
        return isinstance(other, dict) and all(isinstance(text, str) for text in other.values()) and bool(one == other)
    return bool(one == other)


def _without(call: Record, template: Record, number: int) -> Record:
    """The call without what `template`, one of its shape, has."""
    known = template.get
    thin = {"type": call.get("type"), "like": number}
    thin |= {key: value for key, value in call.items() if known(key, _MISSING) != value}
    for key in NESTED:
        value, common = thin.get(key), known(key)
        if isinstance(value, dict) and isinstance(common, dict):
            thin[key] = rest = _rest(value, common)
            usage, shared = rest.get("usage"), common.get("usage")
            if isinstance(usage, dict) and isinstance(shared, dict):
                rest["usage"] = _rest(usage, shared)
    return thin


def _rest(value: Record, common: Record) -> Record:
    known = common.get
    return {key: part for key, part in value.items() if known(key, _MISSING) != part}
