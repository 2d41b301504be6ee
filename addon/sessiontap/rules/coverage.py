"""Compare the conditions of rules: one rule covers another, or the conditions of a rule contradict each other.

A rule *covers* another if it matches every call that the other matches. The answers are yes only if that can be told
from the patterns. `lint.py` asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise

from sessiontap.rules.conditions import AllOf, AnyOf, Leaf, MatchCondition, Not, every_leaf
from sessiontap.rules.match_patterns import Pattern
from sessiontap.rules.rule import Rule


class Coverage:
    """Finds the rules that cover another, without comparing each with each."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_word: dict[tuple[str, str], list[Rule]] = {}
        self._without_word: list[Rule] = []
        """Rules without a condition on plain words."""
        literal = [[leaf for leaf in rule.conditions if isinstance(leaf, Leaf) and leaf.literals] for rule in rules]
        counts = Counter(word for leaves in literal for leaf in leaves for word in _words(leaf))
        for rule, leaves in zip(rules, literal, strict=True):
            rarest = min(leaves, key=lambda leaf: sum(counts[word] for word in _words(leaf)), default=None)
            if rarest is None:
                self._without_word.append(rule)
            for word in _words(rarest) if rarest is not None else ():
                self._by_word.setdefault(word, []).append(rule)

    def of(self, rule: Rule) -> list[Rule]:
        """Return the other rules that cover it, in order."""
        words = dict.fromkeys(word for leaf in every_leaf(rule.conditions) for word in _words(leaf))
        candidates = [*self._without_word, *(other for word in words for other in self._by_word.get(word, ()))]
        found = {other.order: other for other in candidates if other is not rule and _covers(other, rule)}
        return [found[order] for order in sorted(found)]


def _words(leaf: Leaf) -> list[tuple[str, str]]:
    """Return the key and text of each of its patterns."""
    return [(leaf.key, pattern.text if pattern.literal is None else pattern.literal) for pattern in leaf.patterns]


def _covers(rule: Rule, other: Rule) -> bool:
    """Return True if `rule` certainly matches every call that `other` matches."""
    return all(_implied(condition, other.conditions) for condition in rule.conditions)


def _implied(condition: MatchCondition, given: Sequence[MatchCondition]) -> bool:
    """Return True if `condition` certainly holds when all of `given` do."""
    if isinstance(condition, AllOf):
        return all(_implied(item, given) for item in condition.items)
    if isinstance(condition, AnyOf) and any(_implied(item, given) for item in condition.items):
        return True
    return any(_implied_by(condition, one) for one in given)


def _implied_by(condition: MatchCondition, given: MatchCondition) -> bool:
    match given:
        case AllOf(items):
            return _implied(condition, items)
        case AnyOf(items):
            return all(_implied(condition, (item,)) for item in items)
        case Not(item):
            return isinstance(condition, Not) and _implied(item, (condition.item,))
        case Leaf():
            return (
                isinstance(condition, Leaf)
                and condition.key == given.key
                and all(any(_is_wider(one, pattern) for one in condition.patterns) for pattern in given.patterns)
            )
    return False


def _is_wider(pattern: Pattern, than: Pattern) -> bool:
    """Return True if `pattern` certainly matches every text that `than` does.

    A glob whose only wildcard is `*` is wider than another glob if it matches that one as a text: its stars then stand
    for the other's wildcards, and for their texts too.
    """
    if pattern.text == than.text:
        return True
    if pattern.comparison is not None or than.comparison is not None:  # a text and a number are not the same fact
        return pattern.comparison is not None and than.comparison is not None and _excludes((than,), but=((pattern,),))
    if than.literal is not None:
        return pattern.find(than.literal) is not None
    if than.is_regex or pattern.is_regex or any(mark in pattern.text for mark in "?{") or "**" in than.text:
        return False
    return pattern.find(than.text) is not None


def contradiction(conditions: Sequence[MatchCondition]) -> str | None:
    """Return the key of conditions that certainly never hold together; None if there is none such."""
    leaves: dict[str, list[Leaf]] = {}
    for condition in conditions:
        if isinstance(condition, Leaf):
            leaves.setdefault(condition.key, []).append(condition)
    for key, same in leaves.items():
        compared = [leaf.patterns for leaf in same if leaf.patterns[0].comparison is not None]
        denied = [
            one.item.patterns
            for one in conditions
            if isinstance(one, Not) and isinstance(one.item, Leaf) and one.item.key == key
            and one.item.patterns[0].comparison is not None
        ]  # fmt: skip
        if compared and _excludes(*compared, but=denied):
            return key
        if same[0].entry.is_single and any(_apart(one, other) for one, other in combinations(same, 2)):
            return key
    for at, condition in enumerate(conditions):
        if isinstance(condition, Not) and _implied(condition.item, [*conditions[:at], *conditions[at + 1 :]]):
            return condition.item.key
    return None


def _excludes(*all_of: Sequence[Pattern], but: Sequence[Sequence[Pattern]] = ()) -> bool:
    """Return True if no number passes one comparison of each of `all_of`, and none of any of `but`."""
    given = [[one.comparison for one in patterns if one.comparison is not None] for patterns in (*all_of, *but)]
    bounds = sorted({one.bound for comparisons in given for one in comparisons})
    between = [(low + high) / 2 for low, high in pairwise(bounds)]
    numbers = [bounds[0] - 1, *bounds, *between, bounds[-1] + 1]
    return not any(
        all(any(one.holds(number) for one in comparisons) for comparisons in given[: len(all_of)])
        and not any(one.holds(number) for comparisons in given[len(all_of) :] for one in comparisons)
        for number in numbers
    )


def _apart(leaf: Leaf, other: Leaf) -> bool:
    """Return True if no text matches both."""
    pairs = [(one, two) for one in leaf.patterns for two in other.patterns]
    return all(
        (one.literal is not None and two.find(one.literal) is None)
        or (two.literal is not None and one.find(two.literal) is None)
        for one, two in pairs
    )
