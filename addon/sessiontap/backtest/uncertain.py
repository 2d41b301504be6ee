"""Rules whose answer for a recorded call is uncertain: they look at a fact that the proxy had and the log has not.

Bodies and header values of calls that were recorded as metadata are not there; credentials are redacted in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sessiontap.backtest.outcome import NOT_CAPTURED, REDACTED
from sessiontap.backtest.redecide import Redecided
from sessiontap.rules import Rule
from sessiontap.rules.conditions import AllOf, AnyOf, Leaf, MatchCondition, Not, all_of, any_of, every_leaf
from sessiontap.rules.facts import KnownFacts

_OF_BODY = ("top", "body")
_OF_PROCESS = ("process.argv", "process.cwd", "process.env")
"""Keys of what is left out of a process all of whose calls are metadata."""


class Uncertainty:
    """Finds such rules. Of a file whose rules look at no such fact it asks nothing."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [(rule, tuple(every_leaf(rule.conditions))) for rule in rules]

    def of_call(self, found: Redecided) -> Iterator[tuple[Rule, str]]:
        """Yield the rules of which it is not known if they match, each with the key whose fact is missing."""
        known = found.known
        if known is None:
            return
        for rule, leaves in self._rules:
            if rule in found.matched:
                continue
            missing = next((leaf.key for leaf in leaves if _is_missing(leaf, known, found)), None)
            if missing is not None and _all(rule.conditions, known, found) is None:
                yield rule, missing


def _is_missing(leaf: Leaf, known: KnownFacts, found: Redecided) -> bool:
    """True if a leaf does not hold by what is recorded, and may have held."""
    texts = leaf.get(known)
    if texts is not None and any(REDACTED in text or text == NOT_CAPTURED for text in texts):
        return leaf.holds(known) is None
    if texts:
        return False
    if leaf.source in _OF_BODY:
        return "body" in found.unrecorded
    return leaf.key.startswith(_OF_PROCESS) and found.call.caller is not None and not found.call.caller.get("argv")


def _all(conditions: Iterable[MatchCondition], known: KnownFacts, found: Redecided) -> bool | None:
    return all_of([_holds(condition, known, found) for condition in conditions])


def _holds(condition: MatchCondition, known: KnownFacts, found: Redecided) -> bool | None:
    """True, False, or None: it is not known."""
    match condition:
        case Leaf():
            return None if _is_missing(condition, known, found) else condition.holds(known) is not None
        case AllOf(items):
            return _all(items, known, found)
        case AnyOf(items):
            return any_of([_holds(item, known, found) for item in items])
        case Not(item):
            answer = _holds(item, known, found)
            return None if answer is None else not answer
    return condition.holds(known) is not None
