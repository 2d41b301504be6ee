"""`alert:` of a rule: what it may say, what becomes of it, and what is wrong with it, with its place."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rules.build import facts

from sessiontap.limits import Threshold
from sessiontap.rules import RulesError, decide, explain, lint, load_text


def thresholds(text: str) -> tuple[Threshold, ...]:
    decision, _ = decide(load_text(text), facts(), {})
    found: tuple[Threshold, ...] = decision.more.get("alert", ())
    return found


@pytest.mark.parametrize(
    ("item", "measure", "most"),
    [
        ("calls: 200", "calls", 200),
        ("tokens: 500k", "tokens", 500_000),
        ("tokens: 1.5M", "tokens", 1_500_000),
        ("tokens: 1000", "tokens", 1_000),
        ("cost_usd: 1", "cost_usd", 1.0),
        ("cost_usd: .25", "cost_usd", 0.25),
        ("cost_usd: 1.0e-3", "cost_usd", 0.001),
        ("duration: 1h30m", "duration", 5_400.0),
        ("error_rate: 0.3", "error_rate", 0.3),
        ("error_rate: 30%", "error_rate", 0.3),
        ("error_rate: 1", "error_rate", 1.0),
        ("repeats: 5", "repeats", 5),
    ],
)
def test_each_measure_is_a_threshold(item: str, measure: Any, most: float) -> None:
    assert thresholds(f"rules: [{{rule: agent, alert: {{{item}}}}}]") == (
        Threshold("alert", "agent", measure, most, "session"),
    )


def test_a_map_has_a_threshold_for_each_measure_and_a_list_more() -> None:
    found = thresholds("""
rules:
  - rule: agent
    alert: {calls: 10, tokens: 5k, per: branch, name: much}
  - alert:
      - {cost_usd: 20, per: day}
      - {cost_usd: 0.5, within: 10m}
      - {cost_usd: 0.5, within: 10m}
""")
    assert [(one.rule, one.label, one.text) for one in found] == [
        ("agent", "much", "calls: 10 per branch"),
        ("agent", "much", "tokens: 5,000 per branch"),
        ("#2", "#2", "cost_usd: $20.00 per day"),
        ("#2", "#2", "cost_usd: $0.5000 per session within 10m00s"),
    ]


def test_rules_that_do_not_match_have_no_alerts() -> None:
    alert = "alert: {calls: 1}"
    assert thresholds(f"rules: [{{match: {{process: nobody}}, {alert}}}, {{final: true}}, {{{alert}}}]") == ()


@pytest.mark.parametrize(
    ("alert", "problem"),
    [
        ("{}", "1:17: rules[0].alert: this counts nothing; expected one of calls, tokens, cost_usd, duration"),
        ("{per: day}", "rules[0].alert: this counts nothing"),
        ("[{calls: 1}, {per: day}]", "1:30: rules[0].alert[1]: this counts nothing"),
        ("[]", "rules[0].alert: the list is empty"),
        ("5", "rules[0].alert: the value '5' stands here; expected a map with calls"),
        ("{calls: 0}", "rules[0].alert.calls: '0' cannot stand here; expected a whole number from 1"),
        ("{repeats: 1}", "rules[0].alert.repeats: '1' cannot stand here; expected a whole number from 2"),
        ("{tokens: 1.5}", "rules[0].alert.tokens: '1.5' is no number of tokens"),
        ("{tokens: 0k}", "rules[0].alert.tokens: '0k' is no number of tokens"),
        ("{cost_usd: 0}", "rules[0].alert.cost_usd: '0' is no amount"),
        ("{cost_usd: -1}", "rules[0].alert.cost_usd: '-1' is no amount"),
        ("{cost_usd: 1 dollar}", "rules[0].alert.cost_usd: '1 dollar' is no amount"),
        ("{error_rate: 30}", "rules[0].alert.error_rate: '30' is no share of calls"),
        ("{error_rate: 0}", "rules[0].alert.error_rate: '0' is no share of calls"),
        ("{duration: 60}", "rules[0].alert.duration: '60' is no duration; expected a duration such as 90s"),
        ("{calls: 1, per: month}", "rules[0].alert.per: 'month' is unknown; expected one of session, user, process"),
        ("{duration: 1h, within: 5m}", "rules[0].alert.within: duration is not counted within a time"),
        ("{repeats: 5, within: 5m}", "rules[0].alert.within: repeats is not counted within a time"),
        ("{calls: 5, within: 2d, per: day}", "rules[0].alert.within: this is longer than a day; expected at most 1d"),
        ("{cost: 5}", "rules[0].alert.cost: unknown key 'cost'; expected one of calls"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(alert: str, problem: str) -> None:
    with pytest.raises(RulesError) as refused:
        load_text(f"rules: [{{alert: {alert}}}]")
    assert problem in str(refused.value)


def test_explain_shows_what_each_rule_counts() -> None:
    rules = load_text("rules: [{alert: {calls: 5, cost_usd: 2}}, {alert: {calls: 5}}]")
    effects = [(one.rule, one.field, one.outcome, one.value) for rule in explain(rules, facts(), None).rules
               for one in rule.effects]  # fmt: skip
    assert effects == [
        (1, "alert", "set", "calls: 5 per session"), (1, "alert", "set", "cost_usd: $2.00 per session"),
        (2, "alert", "set", "calls: 5 per session"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "warnings"),
    [
        ("[{alert: {calls: 5}}]", []),
        ("[{alert: {calls: 5, per: user}}, {user: ann}]", []),
        (
            "[{alert: {calls: 5, per: user}}]",
            ["rules.yaml:1:9: rule #1 counts per user, and no rule sets user, so it counts nothing"],
        ),
    ],
    ids=["none", "a rule sets the user", "no rule does"],
)
def test_an_alert_that_cannot_count_is_warned_of(rules: str, warnings: list[str]) -> None:
    text = f"rules: {rules}"
    assert lint(load_text(text)) == warnings
