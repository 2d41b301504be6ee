"""Explain the decision for a call: each rule, each key of its match, and the outcome of each of its settings.

The proxy's environment is not known to whoever asks, and its values are secrets. So each `${proxy_env.NAME}` stands as
it is written, as if the variable were set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from sessiontap.gateways import Direct, plan
from sessiontap.gateways.urls import origin
from sessiontap.rules.conditions import MatchCondition, every_leaf
from sessiontap.rules.decide import Matched, decide, finish
from sessiontap.rules.decision import Decision, FilledSettings, SessionFacts
from sessiontap.rules.facts import Facts, KnownFacts
from sessiontap.rules.filling import SettingOutcome
from sessiontap.rules.gateway_items import gateway_call, gateway_kind
from sessiontap.rules.rule import Rule
from sessiontap.rules.rule_set import Rules
from sessiontap.trust import Upstream

SHOWN = 200
"""Characters of a fact's text."""


@dataclass(frozen=True, slots=True)
class Check:
    """One key of a rule's `match`."""

    key: str
    expected: str
    actual: tuple[str, ...] | None
    """The texts that it looked at; empty if there are none, None if they are not known."""
    holds: bool
    unknown: bool = False
    """It does not hold, and may all the same: the texts are not known, or not all of them."""


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule, or a step of one. `outcome` is `not reached` if reading ended before the rule.

    It is `may match` if the rule protects and unknown facts decide; for such a rule that counts as a match.
    """

    rule: str
    number: int
    line: int
    outcome: Literal["matched", "may match", "not matched", "not reached"]
    checks: tuple[Check, ...] = ()
    """Of a step its own, and those of its rule that do not hold."""
    effects: tuple[SettingOutcome, ...] = ()
    ends: Literal["final", "ignore"] | None = None
    """The reason why no later rule is read."""
    step: int = 0
    """From 1; 0: no step."""


@dataclass(frozen=True, slots=True)
class GatewayWay:
    """The way of a call through the gateway that the rules set; of keys it shows which they are."""

    gateway: str
    url: str | None = None
    """As the call is asked for there; None: it goes to its own host."""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Those that are set, and (None) taken out."""
    direct: str | None = None
    """Why it goes to its own host."""


@dataclass(frozen=True, slots=True)
class Explanation:
    rules: tuple[RuleVerdict, ...]
    decision: Decision
    filled: FilledSettings
    proxy_variables: tuple[str, ...]
    """The variables of the proxy's environment that matching rules use. They are taken to be set."""
    way: GatewayWay | None = None
    """None if the rules set no gateway."""


class AsWritten(Mapping[str, str]):
    """An environment in which each variable's value is its own `${proxy_env.NAME}`."""

    def __getitem__(self, name: str) -> str:
        return f"${{proxy_env.{name}}}"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def explain(rules: Rules, facts: Facts, session: SessionFacts | None) -> Explanation:
    """Return the decision and the settings that `decide` and `finish` give, with their reasons."""
    trail: list[SettingOutcome] = []
    proxy_env = AsWritten()
    decision, matched = decide(rules, facts, proxy_env, trail)
    filled = finish(matched, facts, session, proxy_env, trail)
    known = KnownFacts(facts)
    verdicts: list[RuleVerdict] = []
    ended = False
    for rule in rules.rules:
        if ended:
            verdicts.append(RuleVerdict(rule.label, rule.number, rule.line, "not reached", step=rule.step))
            continue
        inherited = tuple(_check(condition, known) for condition in rule.inherited)
        own = tuple(_check(condition, known) for condition in rule.own)
        outcome = _outcome(rule, known, (*inherited, *own))
        checks = (*(check for check in inherited if not check.holds), *own)
        ends = _ends(rule) if outcome == "matched" or (outcome == "may match" and rule.ignore) else None
        ended = ends is not None
        effects = tuple(effect for effect in trail if (effect.rule, effect.step) == (rule.number, rule.step))
        verdicts.append(RuleVerdict(rule.label, rule.number, rule.line, outcome, checks, effects, ends, rule.step))
    used = {name for rule, _ in matched.rules for setting in rule.settings for name in setting.names("proxy_env")}
    way = None
    if decision.gateway is not None:
        way = _way(rules, decision.gateway, matched, session, proxy_env)
        item = rules.gateways.get(decision.gateway)
        used.update(name for template in (item.templates if item else ()) for name in template.names("proxy_env"))
    return Explanation(tuple(verdicts), decision, filled, tuple(sorted(used)), way)


def _way(
    rules: Rules, gateway: str, matched: Matched, session: SessionFacts | None, proxy_env: Mapping[str, str]
) -> GatewayWay:
    """Return the way of a call that its client and its certificates keep from nothing."""
    call = gateway_call(rules.gateways, gateway, matched.known, session, proxy_env)
    verified = Upstream(call.scheme, call.host, call.port, call.host, verifies=True)
    found = plan(gateway_kind(rules.gateways, gateway), replace(call, upstream=verified, why_not_client=None))
    if isinstance(found, Direct):
        return GatewayWay(gateway, direct=found.reason)
    path = (found.target if found.target is not None else call.target).partition("?")[0]
    edits = {edit.header: edit.new for edit in found.edits}
    return GatewayWay(gateway, origin(found.scheme, found.host, found.port) + path, edits)


def _outcome(
    rule: Rule, known: KnownFacts, checks: tuple[Check, ...]
) -> Literal["matched", "may match", "not matched"]:
    if all(check.holds for check in checks):
        return "matched"
    return "may match" if rule.protects and rule.may(known, True) is not False else "not matched"


def _ends(rule: Rule) -> Literal["final", "ignore"] | None:
    return "ignore" if rule.ignore else "final" if rule.final else None


def _check(condition: MatchCondition, known: KnownFacts) -> Check:
    try:
        holds = condition.holds(known) is not None
        actual = condition.actual(known)
        if actual is None and not any(leaf.is_unsure(known) for leaf in every_leaf((condition,))):
            actual = ()
        unknown = not holds and condition.may(known, True) is not False
    except Exception as error:
        return Check(condition.key, condition.expected, (f"{type(error).__name__}: {error}",), False, True)
    shown = None if actual is None else tuple(text if len(text) <= SHOWN else text[:SHOWN] + "..." for text in actual)
    return Check(condition.key, condition.expected, shown, holds, unknown)
