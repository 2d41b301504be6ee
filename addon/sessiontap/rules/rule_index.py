"""The index of the rules: which of them a call has to look at.

A call looks only at rules that one of its own words leads to: an index from plain words (`process: node`), and from the
starts and ends of globs (`gpt-4*`, `*.corp.example`), to a bit mask of rules. Rules without any such word are always
looked at, and so, for protection, are those whose word stands for a fact that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sessiontap.rules.conditions import Condition, Leaf
from sessiontap.rules.scope import Scope, Texts


class FactIndex(NamedTuple):
    """The index of one fact: whole texts, and starts and ends by their length, each to a mask of rules."""

    get: Callable[[Scope], Texts | None]
    unsure: Callable[[Scope], bool]
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

    def candidates(self, scope: Scope, *, unknown: bool = False) -> int:
        """A mask of the rules that may match; with `unknown` also of those that may by facts that are not known."""
        mask = self.rest
        for get, unsure, whole, starts, ends, rules in self.facts:
            if unknown and unsure(scope):
                mask |= rules
                continue
            for text in get(scope) or ():
                mask |= whole.get(text, 0)
                for length, table in starts.items():
                    mask |= table.get(text[:length], 0)
                for length, table in ends.items():
                    mask |= table.get(text[-length:], 0)
        return mask


def index_of(rules: Iterable[tuple[Condition, ...]]) -> RuleIndex:
    """The index of rules, given as the conditions of each."""
    facts: dict[str, FactIndex] = {}
    rest = 0
    for position, conditions in enumerate(rules):
        leaf = _telling(conditions)
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


def _telling(conditions: tuple[Condition, ...]) -> Leaf | None:
    """The condition that is worth an index, of several the most telling one."""
    leaves = [
        condition
        for condition in conditions
        if isinstance(condition, Leaf)
        and condition.entry.telling
        and all(pattern.literal is not None or pattern.prefix or pattern.suffix for pattern in condition.patterns)
    ]
    return max(leaves, key=lambda leaf: leaf.entry.telling, default=None)
