"""A checked `match` -> conditions: each key is a leaf, lists are alternatives, the cheapest come first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sessiontap.rules.conditions import AllOf, AnyOf, Leaf, MatchCondition, Not, RegexLeaf
from sessiontap.rules.match_keys import BY_NAME, MatchKey
from sessiontap.rules.match_patterns import Pattern, text_pattern


def conditions_of(maps: Iterable[Mapping[str, Any]]) -> tuple[MatchCondition, ...]:
    """The conditions of a `match` as the reader gave it, cheapest first; all must hold."""
    alternatives = [_of_map(keys) for keys in maps]
    if len(alternatives) == 1:
        return alternatives[0]
    return (AnyOf(tuple(AllOf(items) for items in alternatives)),)


def _of_map(keys: Mapping[str, Any]) -> tuple[MatchCondition, ...]:
    found: list[MatchCondition] = []
    for key, value in keys.items():
        if key == "not":
            inner = conditions_of(value)
            found.append(Not(inner[0] if len(inner) == 1 else AllOf(inner)))
        elif key == "process":
            found += _of_process(value)
        else:
            found += _of_key(key, value)
    return cheapest_first(found)


def cheapest_first(conditions: Iterable[MatchCondition]) -> tuple[MatchCondition, ...]:
    return tuple(sorted(conditions, key=lambda condition: condition.cost))


def _of_process(items: tuple[Pattern | Mapping[str, Any], ...]) -> list[MatchCondition]:
    """Names and maps: the names together are one condition."""
    names = tuple(item for item in items if isinstance(item, Pattern))
    alternatives: list[tuple[MatchCondition, ...]] = [tuple(_of_key("process.name", names))] if names else []
    for item in items:
        if isinstance(item, Mapping):
            inner = [condition for key, value in item.items() for condition in _of_key(f"process.{key}", value)]
            alternatives.append(cheapest_first(inner))
    if len(alternatives) == 1:
        return list(alternatives[0])
    return [AnyOf(tuple(one[0] if len(one) == 1 else AllOf(one) for one in alternatives), "process")]


def _of_key(key: str, value: Any) -> list[MatchCondition]:
    entry = BY_NAME[key]
    if entry.is_map:
        return [_of_field(entry, patterns, name) for name, patterns in value.items()]
    if isinstance(value, bool):
        value = (text_pattern(str(value).lower()),)
    return [_leaf(entry, value)]


def _of_field(entry: MatchKey, patterns: tuple[Pattern, ...], name: str) -> MatchCondition:
    """The condition on one name of a map: any of the texts, or any of the comparisons."""
    compared = tuple(pattern for pattern in patterns if pattern.comparison is not None)
    texts = tuple(pattern for pattern in patterns if pattern.comparison is None)
    leaves = [_leaf(entry, some, name) for some in (texts, compared) if some] or [_leaf(entry, (), name)]
    return leaves[0] if len(leaves) == 1 else AnyOf(tuple(leaves), leaves[0].key)


def _leaf(entry: MatchKey, patterns: tuple[Pattern, ...], name: str | None = None) -> Leaf:
    get = entry.get
    if entry.number is not None and patterns and patterns[0].comparison is not None:
        get = entry.number
    kind = RegexLeaf if any(pattern.is_regex for pattern in patterns) else Leaf
    return kind(
        key=entry.name if name is None else f"{entry.name}.{name}",
        patterns=patterns,
        get=get if name is None else lambda known: get(known, name),
        source=entry.source,
        cost=entry.cost,
        literals=_literals(patterns),
        unsure=entry.unsure,
        entry=entry,
        variable=entry.name if entry.is_variable else None,
    )


def _literals(patterns: tuple[Pattern, ...]) -> frozenset[str] | None:
    literals = [pattern.literal for pattern in patterns if pattern.literal is not None]
    return frozenset(literals) if len(literals) == len(patterns) else None
