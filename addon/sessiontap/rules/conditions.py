"""A rule's `match`, compiled: a tree of conditions on `KnownFacts`.

`holds` has two answers: a condition holds and gives its captures, or it does not hold. A condition on an unknown fact
does not hold, so `not` around it does. Settings go by `holds`.

`may` asks if a condition may hold (`may(known, True)`) or may fail (`may(known, False)`), whatever the unknown facts
are. A condition on an unknown fact may do both, and so may `not` around it. Rules that protect go by `may`. Before the
request is read, the answer is None if it depends on the request.

A call is compared only with rules that one of its own words leads to. `RuleIndex` maps plain words (`process: node`)
and the starts and ends of globs (`gpt-4*`, `*.corp.example`) to a bit mask of rules. Rules without any such word are
always compared; for protection also those whose word is for a fact that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sessiontap.rules.facts import FactSource, KnownFacts, Texts
from sessiontap.rules.match_keys import MatchKey
from sessiontap.rules.match_patterns import NOTHING, REGEX_LIMIT, Captures, Pattern

MOST_SEARCHED = 1 << 20
"""Characters of many texts together that are searched for an expression: 5 ms."""


class MatchCondition(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def expected(self) -> str: ...
    @property
    def cost(self) -> int: ...
    def holds(self, known: KnownFacts) -> Captures | None: ...
    def may(self, known: KnownFacts, hold: bool) -> bool | None: ...
    def actual(self, known: KnownFacts) -> Texts | None: ...
    def leaves(self) -> Iterable[Leaf]: ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """One match key: any of its patterns matches any of the fact's texts."""

    key: str
    patterns: tuple[Pattern, ...]
    get: Callable[[KnownFacts], Texts | None]
    source: FactSource
    cost: int
    literals: frozenset[str] | None
    """Set if every pattern is plain text: then one of these must be among the fact's texts."""
    unsure: Callable[[KnownFacts], bool]
    """Returns True if the fact may have texts that `get` does not give."""
    entry: MatchKey
    """Its row in the table of match keys."""
    variable: str | None = None
    """The template variable that says which text matched."""

    @property
    def expected(self) -> str:
        return " or ".join(pattern.text for pattern in self.patterns)

    def holds(self, known: KnownFacts) -> Captures | None:
        return self._found(self.get(known))

    def _found(self, texts: Texts | None) -> Captures | None:
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

    def may(self, known: KnownFacts, hold: bool) -> bool | None:
        """Return True if it may hold (or fail, without `hold`); None if that depends on the request, not read yet."""
        if self.holds(known) is not None:
            return hold or any(self._found((text,)) is None for text in self.entry.alternatives(known))
        if self.source in ("head", "top", "body") and not known.request_known and self.get(known) is None:
            return None
        return not hold or self.is_unsure(known)

    def is_unsure(self, known: KnownFacts) -> bool:
        """Return True if it may hold although none of the known texts matches."""
        if self.unsure(known):
            return True
        others = self.entry.alternatives(known)
        if any(pattern.is_regex for pattern in self.patterns):  # only the start of a text is searched
            if any(len(text) > REGEX_LIMIT for text in (*(self.get(known) or ()), *others)):
                return True
            if sum(map(len, others)) > MOST_SEARCHED:
                return True
        return self._found(others) is not None

    def actual(self, known: KnownFacts) -> Texts | None:
        return self.get(known)

    def leaves(self) -> Iterable[Leaf]:
        yield self


class RegexLeaf(Leaf):
    """A leaf with a regular expression. A call is searched once, though several steps of a rule may ask."""

    __slots__ = ()

    def holds(self, known: KnownFacts) -> Captures | None:
        if id(self) not in known.answers:
            known.answers[id(self)] = super().holds(known)
        return known.answers[id(self)]


@dataclass(frozen=True, slots=True)
class _Several:
    """Several conditions in one."""

    items: tuple[MatchCondition, ...]
    key: str = "match"
    cost: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cost", sum(item.cost for item in self.items))

    def actual(self, known: KnownFacts) -> Texts | None:
        return _actual(self.items, known)

    def leaves(self) -> Iterable[Leaf]:
        for item in self.items:
            yield from item.leaves()


@dataclass(frozen=True, slots=True)
class AllOf(_Several):
    """A map: every condition holds."""

    @property
    def expected(self) -> str:
        return ", ".join(f"{item.key}: {item.expected}" for item in self.items) or "anything"

    def holds(self, known: KnownFacts) -> Captures | None:
        captures = NOTHING
        for item in self.items:
            found = item.holds(known)
            if found is None:
                return None
            if found:
                captures = {**captures, **found}
        return captures

    def may(self, known: KnownFacts, hold: bool) -> bool | None:
        answers = [item.may(known, hold) for item in self.items]
        return all_of(answers) if hold else any_of(answers)


@dataclass(frozen=True, slots=True)
class AnyOf(_Several):
    """A list: the first that holds. As it may be long, a call asks it once, though several steps of a rule may ask."""

    @property
    def expected(self) -> str:
        return " or ".join(item.expected for item in self.items)

    def holds(self, known: KnownFacts) -> Captures | None:
        if id(self) not in known.answers:
            answers = (item.holds(known) for item in self.items)
            known.answers[id(self)] = next((found for found in answers if found is not None), None)
        return known.answers[id(self)]

    def may(self, known: KnownFacts, hold: bool) -> bool | None:
        if (id(self), hold) not in known.may_hold:
            answers = [item.may(known, hold) for item in self.items]
            known.may_hold[id(self), hold] = any_of(answers) if hold else all_of(answers)
        return known.may_hold[id(self), hold]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds if its condition does not. It captures nothing."""

    item: MatchCondition
    key: str = "not"

    @property
    def expected(self) -> str:
        return f"not ({self.item.expected})"

    @property
    def cost(self) -> int:
        return self.item.cost

    def holds(self, known: KnownFacts) -> Captures | None:
        return NOTHING if self.item.holds(known) is None else None

    def may(self, known: KnownFacts, hold: bool) -> bool | None:
        return self.item.may(known, not hold)

    def actual(self, known: KnownFacts) -> Texts | None:
        return self.item.actual(known)

    def leaves(self) -> Iterable[Leaf]:
        return ()


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """Return the `and` of true, false and "that depends" (None)."""
    known = set(answers)
    return False if False in known else None if None in known else True


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """Return the `or` of true, false and "that depends" (None)."""
    known = set(answers)
    return True if True in known else None if None in known else False


def every_leaf(conditions: Iterable[MatchCondition]) -> Iterator[Leaf]:
    """Yield all leaves, also those within `not`, which `MatchCondition.leaves` leaves out."""
    for condition in conditions:
        match condition:
            case Leaf():
                yield condition
            case AllOf(items) | AnyOf(items):
                yield from every_leaf(items)
            case Not(item):
                yield from every_leaf((item,))


def _actual(items: Iterable[MatchCondition], known: KnownFacts) -> Texts | None:
    texts = tuple(text for item in items for text in item.actual(known) or ())
    return texts or None


def requires(conditions: Iterable[MatchCondition], key: str, accept: Callable[[Leaf], bool]) -> bool:
    """Return True if the conditions hold only if a leaf of `key` that `accept` takes holds."""
    for condition in conditions:
        match condition:
            case Leaf() if condition.key == key and accept(condition):
                return True
            case AllOf(items) if requires(items, key, accept):
                return True
            case AnyOf(items) if all(requires((item,), key, accept) for item in items):
                return True
    return False


class FactIndex(NamedTuple):
    """The index of one fact: whole texts, and starts and ends by their length, each to a mask of rules."""

    get: Callable[[KnownFacts], Texts | None]
    unsure: Callable[[KnownFacts], bool]
    whole: dict[str, int]
    starts: dict[int, dict[str, int]]
    ends: dict[int, dict[str, int]]
    rules: int
    """A mask of them all."""


@dataclass(frozen=True, slots=True)
class RuleIndex:
    """`rest` is the mask of the rules that have no word in it."""

    facts: tuple[FactIndex, ...] = ()
    rest: int = 0

    def candidates(self, known: KnownFacts, *, unknown: bool = False) -> int:
        """Return a mask of the rules that may match; with `unknown` also of those on facts that are not known."""
        mask = self.rest
        for get, unsure, whole, starts, ends, rules in self.facts:
            if unknown and unsure(known):
                mask |= rules
                continue
            for text in get(known) or ():
                mask |= whole.get(text, 0)
                for length, table in starts.items():
                    mask |= table.get(text[:length], 0)
                for length, table in ends.items():
                    mask |= table.get(text[-length:], 0)
        return mask


def index_of(rules: Iterable[tuple[MatchCondition, ...]]) -> RuleIndex:
    """Return the index of rules, given as the conditions of each."""
    facts: dict[str, FactIndex] = {}
    rest = 0
    for position, conditions in enumerate(rules):
        leaf = _most_selective(conditions)
        if leaf is None:
            rest |= 1 << position
            continue
        get = leaf.entry.index_get or leaf.get
        before = facts.get(leaf.key) or FactIndex(get, leaf.unsure, {}, {}, {}, 0)
        facts[leaf.key] = words = before._replace(rules=before.rules | 1 << position)
        for pattern in leaf.patterns:
            if pattern.literal is not None:
                table, word = words.whole, pattern.literal
            elif len(pattern.prefix) >= len(pattern.suffix):
                table, word = words.starts.setdefault(len(pattern.prefix), {}), pattern.prefix
            else:
                table, word = words.ends.setdefault(len(pattern.suffix), {}), pattern.suffix
            table[word] = table.get(word, 0) | 1 << position
    return RuleIndex(tuple(facts.values()), rest)


def _most_selective(conditions: tuple[MatchCondition, ...]) -> Leaf | None:
    """Return the most selective condition that can be indexed, or None."""
    leaves = [
        condition
        for condition in conditions
        if isinstance(condition, Leaf)
        and condition.entry.selectivity
        and all(pattern.literal is not None or pattern.prefix or pattern.suffix for pattern in condition.patterns)
    ]
    return max(leaves, key=lambda leaf: leaf.entry.selectivity, default=None)
