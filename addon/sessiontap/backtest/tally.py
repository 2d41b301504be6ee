"""Count what each rule did over all calls: matched, set something, was shadowed; and find why one never matched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from sessiontap.backtest.redecide import Redecided
from sessiontap.rules import Rule, Rules
from sessiontap.rules.facts import KnownFacts

SHOWN = 60
"""Characters of a value that a rule looked at."""


@dataclass(slots=True)
class RuleTally:
    """The calls of one rule. A matched call is shadowed if earlier rules had set all that the rule sets."""

    rule: Rule
    matched: int = 0
    set: int = 0
    shadowed: int = 0
    not_reached: int = 0
    """Calls for which an earlier rule ended the reading."""
    uncertain: int = 0
    """Calls of which it is not known if the rule matches: the log lacks a fact."""
    uncertain_key: str | None = None
    failed: Counter[str] = field(default_factory=Counter)
    """While it has matched no call: the key that failed -> calls."""
    nearest: tuple[int, str, str] | None = None
    """Of the call for which the fewest keys failed: their number, the first of them, and what was there."""

    @property
    def never_because(self) -> tuple[str, int] | None:
        """The key that failed most, and for how many calls; None if the rule matched or no call reached it."""
        return self.failed.most_common(1)[0] if not self.matched and self.failed else None


class Tally:
    """The tallies of all rules and steps, in the order in which they are read."""

    def __init__(self, rules: Rules) -> None:
        self.rules = [RuleTally(rule) for rule in rules.rules]

    def add(self, found: Redecided, uncertain: Iterable[tuple[Rule, str]] = ()) -> None:
        """Count a call."""
        plan, known = found.plan, found.known
        if plan is None or known is None:
            return
        ended_by = self._ended_by(found)
        outcomes: dict[tuple[int, int], set[str]] = {}
        for one in found.trail:
            outcomes.setdefault((one.rule, one.step), set()).add(one.outcome)
        for position, tally in enumerate(self.rules):
            rule = tally.rule
            if rule in found.matched or (position == ended_by and rule.ignore):
                tally.matched += 1
                seen = outcomes.get((rule.number, rule.step), set())
                tally.set += "set" in seen or rule.ignore
                tally.shadowed += seen == {"taken"}
            elif ended_by is not None and position > ended_by:
                tally.not_reached += 1
            elif not tally.matched:
                _note_failure(tally, known)
        for rule, key in uncertain:
            tally = next(one for one in self.rules if one.rule is rule)
            tally.uncertain += 1
            tally.uncertain_key = key

    def _ended_by(self, found: Redecided) -> int | None:
        """Return the position of the rule behind which none was read."""
        assert found.plan is not None
        decision = found.plan.decision
        for position, tally in enumerate(self.rules):
            rule = tally.rule
            if decision.ignore and rule.ignore and rule.label == decision.set_by.get("ignore"):
                return position
            if rule.final and not decision.ignore and rule in found.matched:
                return position
        return None


def _note_failure(tally: RuleTally, known: KnownFacts) -> None:
    failed = []
    for condition in tally.rule.conditions:
        try:
            if condition.holds(known) is None:
                failed.append(condition)
        except Exception:
            failed.append(condition)
    for condition in failed:
        tally.failed[condition.key] += 1
    if failed and (tally.nearest is None or len(failed) < tally.nearest[0]):
        actual = failed[0].actual(known)
        was = "unknown or absent" if actual is None else ", ".join(actual) or "nothing"
        tally.nearest = len(failed), failed[0].key, was if len(was) <= SHOWN else was[: SHOWN - 3] + "..."
