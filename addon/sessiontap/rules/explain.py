"""Why a call got what it got: every rule, what held and what did not, and what became of each of its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sessiontap.rules.conditions import Condition
from sessiontap.rules.decide import SettingOutcome, decide_with_trail, finish_with_trail
from sessiontap.rules.decision import Decision, Labels, SessionFacts
from sessiontap.rules.rule_set import Rule, Rules
from sessiontap.rules.scope import Facts, Scope

SHOWN = 200
"""Characters of a fact's text."""


@dataclass(frozen=True, slots=True)
class Check:
    """One key of a rule's `match`."""

    key: str
    expected: str
    actual: tuple[str, ...] | None
    """The texts that it looked at; None: not known."""
    holds: bool
    unknown: bool = False
    """It does not hold for certain and may all the same: what it looks at is not known, or not all of it."""


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule. `outcome`: it `matched`, it was `passed` over, or reading ended before it (`not reached`).

    A rule that protects and of which it is not known whether it matches `may match`, which for it counts as a match.
    """

    rule: str
    number: int
    line: int
    outcome: Literal["matched", "may match", "passed", "not reached"]
    checks: tuple[Check, ...] = ()
    effects: tuple[SettingOutcome, ...] = ()
    ends: Literal["final", "ignore"] | None = None
    """Why no later rule is read."""


@dataclass(frozen=True, slots=True)
class Explanation:
    rules: tuple[RuleVerdict, ...]
    decision: Decision
    labels: Labels


def explain(rules: Rules, facts: Facts, session: SessionFacts | None, proxy_env: Mapping[str, str]) -> Explanation:
    """The same decision as `decide` and `finish` make, with its reasons. Values of `proxy_env` are not shown."""
    trail: list[SettingOutcome] = []
    decision, matched = decide_with_trail(rules, facts, proxy_env, trail)
    labels = finish_with_trail(matched, facts, session, proxy_env, trail)
    scope = Scope(facts)
    verdicts: list[RuleVerdict] = []
    ended = False
    for rule in rules.rules:
        if ended:
            verdicts.append(RuleVerdict(rule.label, rule.number, rule.line, "not reached"))
            continue
        checks = tuple(_check(condition, scope) for condition in rule.conditions)
        outcome = _outcome(rule, scope, checks)
        ends = _ends(rule) if outcome == "matched" or (outcome == "may match" and rule.ignore) else None
        ended = ends is not None
        effects = tuple(effect for effect in trail if effect.rule == rule.number)
        verdicts.append(RuleVerdict(rule.label, rule.number, rule.line, outcome, checks, effects, ends))
    return Explanation(tuple(verdicts), decision, labels)


def _outcome(rule: Rule, scope: Scope, checks: tuple[Check, ...]) -> Literal["matched", "may match", "passed"]:
    if all(check.holds for check in checks):
        return "matched"
    return "may match" if rule.protects and rule.may(scope, True) is not False else "passed"


def _ends(rule: Rule) -> Literal["final", "ignore"] | None:
    return "ignore" if rule.ignore else "final" if rule.final else None


def _check(condition: Condition, scope: Scope) -> Check:
    try:
        holds = condition.holds(scope) is not None
        actual = condition.actual(scope)
        unknown = not holds and condition.may(scope, True) is not False
    except Exception as error:
        return Check(condition.key, condition.expected, (f"{type(error).__name__}: {error}",), False, True)
    shown = None if actual is None else tuple(text if len(text) <= SHOWN else text[:SHOWN] + "..." for text in actual)
    return Check(condition.key, condition.expected, shown, holds, unknown)
