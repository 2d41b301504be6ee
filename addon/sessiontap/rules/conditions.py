"""A rule's `match`, compiled: a tree of conditions over a `Scope`.

`holds` has two answers: a condition holds, giving its captures, or does not. What looks at an unknown fact does not, so
`not` around it does. This is what labels go by.

`may` asks what could be: whether a condition may hold (`may(scope, True)`), or may fail (`may(scope, False)`), whatever
the unknown facts are. A condition on an unknown fact may do both, and so may `not` around it. This is what rules that
protect go by. Before the request is read the answer may depend on what it will say: then it is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sessiontap.rules.match_keys import BY_NAME, MatchKey
from sessiontap.rules.patterns import NOTHING, REGEX_LIMIT, Captures, Pattern, text_pattern
from sessiontap.rules.scope import FactSource, Scope, Texts


class Condition(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def expected(self) -> str: ...
    @property
    def cost(self) -> int: ...
    def holds(self, scope: Scope) -> Captures | None: ...
    def may(self, scope: Scope, hold: bool) -> bool | None: ...
    def actual(self, scope: Scope) -> Texts | None: ...
    def leaves(self) -> Iterable[Leaf]: ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """One match key: any of its patterns matches any of the fact's texts."""

    key: str
    patterns: tuple[Pattern, ...]
    get: Callable[[Scope], Texts | None]
    source: FactSource
    cost: int
    literals: frozenset[str] | None
    """Set if every pattern is plain text: then one of these must be among the fact's texts."""
    unsure: Callable[[Scope], bool]
    """The fact may have texts that `get` does not give."""
    entry: MatchKey
    """Its line in the table of match keys."""
    variable: str | None = None
    """The template variable that says which text matched."""

    @property
    def expected(self) -> str:
        return " or ".join(pattern.text for pattern in self.patterns)

    def holds(self, scope: Scope) -> Captures | None:
        texts = self.get(scope)
        if texts is None:
            return None
        if self.literals is not None and self.variable is None:
            return None if self.literals.isdisjoint(texts) else NOTHING
        for text in texts:
            for pattern in self.patterns:
                found = pattern.find(text)
                if found is not None:
                    return {self.variable: text, **found} if self.variable is not None else found
        return None

    def may(self, scope: Scope, hold: bool) -> bool | None:
        """True if it may hold (or, without `hold`, fail); None: that depends on the request, which is not read yet."""
        if self.holds(scope) is not None:
            return hold
        if self.source in ("head", "top", "body") and not scope.request_known and self.get(scope) is None:
            return None
        return True if self.is_unsure(scope) else not hold

    def is_unsure(self, scope: Scope) -> bool:
        """True if it could still hold, though in what is known there is nothing that matches."""
        if self.unsure(scope):
            return True
        if any(pattern.is_regex for pattern in self.patterns):  # which are searched for in the first part of a text
            return any(len(text) > REGEX_LIMIT for text in self.get(scope) or ())
        return False

    def actual(self, scope: Scope) -> Texts | None:
        return self.get(scope)

    def leaves(self) -> Iterable[Leaf]:
        yield self


@dataclass(frozen=True, slots=True)
class AllOf:
    """A map: every condition holds."""

    items: tuple[Condition, ...]
    key: str = "match"

    @property
    def expected(self) -> str:
        return ", ".join(f"{item.key}: {item.expected}" for item in self.items) or "anything"

    @property
    def cost(self) -> int:
        return sum(item.cost for item in self.items)

    def holds(self, scope: Scope) -> Captures | None:
        captures = NOTHING
        for item in self.items:
            found = item.holds(scope)
            if found is None:
                return None
            if found:
                captures = {**captures, **found}
        return captures

    def may(self, scope: Scope, hold: bool) -> bool | None:
        answers = [item.may(scope, hold) for item in self.items]
        return all_of(answers) if hold else any_of(answers)

    def actual(self, scope: Scope) -> Texts | None:
        return _actual(self.items, scope)

    def leaves(self) -> Iterable[Leaf]:
        for item in self.items:
            yield from item.leaves()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A list: the first that holds."""

    items: tuple[Condition, ...]
    key: str = "match"

    @property
    def expected(self) -> str:
        return " or ".join(item.expected for item in self.items)

    @property
    def cost(self) -> int:
        return sum(item.cost for item in self.items)

    def holds(self, scope: Scope) -> Captures | None:
        return next((found for item in self.items if (found := item.holds(scope)) is not None), None)

    def may(self, scope: Scope, hold: bool) -> bool | None:
        answers = [item.may(scope, hold) for item in self.items]
        return any_of(answers) if hold else all_of(answers)

    def actual(self, scope: Scope) -> Texts | None:
        return _actual(self.items, scope)

    def leaves(self) -> Iterable[Leaf]:
        for item in self.items:
            yield from item.leaves()


@dataclass(frozen=True, slots=True)
class Not:
    """Holds if its condition does not. It captures nothing."""

    item: Condition
    key: str = "not"

    @property
    def expected(self) -> str:
        return f"not ({self.item.expected})"

    @property
    def cost(self) -> int:
        return self.item.cost

    def holds(self, scope: Scope) -> Captures | None:
        return NOTHING if self.item.holds(scope) is None else None

    def may(self, scope: Scope, hold: bool) -> bool | None:
        return self.item.may(scope, not hold)

    def actual(self, scope: Scope) -> Texts | None:
        return self.item.actual(scope)

    def leaves(self) -> Iterable[Leaf]:
        return ()


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """`and` of true, false and "that depends"."""
    known = set(answers)
    return False if False in known else None if None in known else True


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """`or` of true, false and "that depends"."""
    known = set(answers)
    return True if True in known else None if None in known else False


def every_leaf(conditions: Iterable[Condition]) -> Iterator[Leaf]:
    """All leaves, also those within `not`, which `leaves` leaves out."""
    for condition in conditions:
        match condition:
            case Leaf():
                yield condition
            case AllOf(items) | AnyOf(items):
                yield from every_leaf(items)
            case Not(item):
                yield from every_leaf((item,))


def _actual(items: Iterable[Condition], scope: Scope) -> Texts | None:
    texts = tuple(text for item in items for text in item.actual(scope) or ())
    return texts or None


def conditions_of(maps: Iterable[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """The conditions of a `match` as the reader gave it, cheapest first; all must hold."""
    alternatives = [_of_map(keys) for keys in maps]
    if len(alternatives) == 1:
        return alternatives[0]
    return (AnyOf(tuple(AllOf(items) for items in alternatives)),)


def _of_map(keys: Mapping[str, Any]) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for key, value in keys.items():
        if key == "not":
            inner = conditions_of(value)
            found.append(Not(inner[0] if len(inner) == 1 else AllOf(inner)))
        elif key == "process":
            found += _of_process(value)
        else:
            found += _of_key(key, value)
    return tuple(sorted(found, key=lambda condition: condition.cost))


def _of_process(items: tuple[Pattern | Mapping[str, Any], ...]) -> list[Condition]:
    """Names and maps: the names together are one condition."""
    names = tuple(item for item in items if isinstance(item, Pattern))
    alternatives: list[tuple[Condition, ...]] = [tuple(_of_key("process.name", names))] if names else []
    for item in items:
        if isinstance(item, Mapping):
            inner = [condition for key, value in item.items() for condition in _of_key(f"process.{key}", value)]
            alternatives.append(tuple(sorted(inner, key=lambda condition: condition.cost)))
    if len(alternatives) == 1:
        return list(alternatives[0])
    return [AnyOf(tuple(one[0] if len(one) == 1 else AllOf(one) for one in alternatives), "process")]


def _of_key(key: str, value: Any) -> list[Condition]:
    entry = BY_NAME[key]
    if entry.is_map:
        return [_leaf(entry, patterns, name) for name, patterns in value.items()]
    if isinstance(value, bool):
        value = (text_pattern(str(value).lower()),)
    return [_leaf(entry, value)]


def _leaf(entry: MatchKey, patterns: tuple[Pattern, ...], name: str | None = None) -> Leaf:
    get = entry.get
    return Leaf(
        key=entry.name if name is None else f"{entry.name}.{name}",
        patterns=patterns,
        get=get if name is None else lambda scope: get(scope, name),
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


def requires(conditions: Iterable[Condition], key: str, accept: Callable[[Leaf], bool]) -> bool:
    """True if all cannot hold unless a leaf of `key` that `accept` takes does."""
    for condition in conditions:
        match condition:
            case Leaf() if condition.key == key and accept(condition):
                return True
            case AllOf(items) if requires(items, key, accept):
                return True
            case AnyOf(items) if all(requires((item,), key, accept) for item in items):
                return True
    return False
