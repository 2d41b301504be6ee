from __future__ import annotations

import pytest
from tests.rules.build import NOTHING_KNOWN, SESSION, facts, load, outcome

from sessiontap.rules import Check, RuleVerdict, explain

RULES = load("""
    rules:
      - rule: other
        match: {process: node, host: "*.openai.com"}
        user: other
      - rule: mine
        match: {process: bot.py, message: "*ticket*"}
        session: {name: Mine, path: "/${session.step}"}
        user: "${env.NO}"
        headers: {set: {X-Key: "${env.RUN_ID}"}}
      - rule: last
        match: {process: "*"}
        user: last
        session: {name: Last}
        final: true
      - rule: beyond
        user: beyond
""")


def verdict(label: str) -> RuleVerdict:
    return next(each for each in explain(RULES, facts(), SESSION, {}).rules if each.rule == label)


def test_the_explanation_is_of_the_same_decision() -> None:
    explanation = explain(RULES, facts(), SESSION, {})
    assert (explanation.decision, explanation.labels) == outcome(RULES, facts())


def test_a_rule_that_did_not_match_says_which_key_failed() -> None:
    other = verdict("other")
    assert other.outcome == "passed"
    assert other.effects == ()
    assert other.checks == (
        Check("host", "*.openai.com", ("api.openai.com",), True),
        Check("process.name", "node", ("python3", "bot.py"), False),
    )


def test_an_unknown_fact_is_shown_as_unknown() -> None:
    checks = explain(RULES, NOTHING_KNOWN, SESSION, {}).rules[0].checks
    assert [(check.actual, check.holds) for check in checks] == [(None, False), (None, False)]


@pytest.mark.parametrize(
    ("label", "field", "what", "value", "reason"),
    [
        ("mine", "session.name", "set", "Mine", None),
        ("mine", "session.path", "set", "/3", None),
        ("mine", "user", "missing", None, "${env.NO} has no value"),
        ("mine", "headers.set.X-Key", "set", "run-2025-01", None),
        ("last", "user", "set", "last", None),
        ("last", "session.name", "taken", None, "set by mine"),
    ],
)
def test_what_became_of_each_setting(label: str, field: str, what: str, value: object, reason: str | None) -> None:
    (effect,) = [effect for effect in verdict(label).effects if effect.field == field]
    assert (effect.outcome, effect.value, effect.reason) == (what, value, reason)


def test_where_the_reading_ended() -> None:
    assert verdict("last").ends == "final"
    assert verdict("beyond").outcome == "not reached"


def test_ignore_ends_it_too() -> None:
    rules = load("rules: [{rule: a, ignore: true}, {rule: b}]")
    assert [(each.outcome, each.ends) for each in explain(rules, facts(), SESSION, {}).rules] == [
        ("matched", "ignore"),
        ("not reached", None),
    ]


def test_nested_conditions_are_shown_in_words() -> None:
    rules = load("rules: [{match: {not: {process: node, model: gpt-*}, body: {metadata.team: red}}}]")
    checks = {check.key: check for check in explain(rules, facts(), SESSION, {}).rules[0].checks}
    assert checks["body.metadata.team"].actual == ("blue",)
    assert checks["not"].expected == "not (model: gpt-*, process.name: node)"
    assert checks["not"].holds


def test_secrets_of_the_proxy_are_not_shown() -> None:
    rules = load("rules: [{match: {host: api.openai.com}, headers: {set: {X: '${proxy_env.KEY}'}}}]")
    effects = explain(rules, facts(), SESSION, {"KEY": "sk-secret"}).rules[0].effects
    assert [(effect.outcome, effect.value) for effect in effects] == [("set", "${proxy_env.KEY}")]


def test_without_a_session_its_variables_are_missing() -> None:
    effects = explain(RULES, facts(), None, {}).rules[1].effects
    assert ("session.path", "missing") in [(effect.field, effect.outcome) for effect in effects]
