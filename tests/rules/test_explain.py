from __future__ import annotations

from dataclasses import replace

import pytest
from tests.rules.build import NOTHING_KNOWN, SESSION, call, facts, load, outcome

from sessiontap.rules import Check, Facts, RuleVerdict, explain

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
    return next(each for each in explain(RULES, facts(), SESSION).rules if each.rule == label)


def test_the_explanation_is_of_the_same_decision() -> None:
    explanation = explain(RULES, facts(), SESSION)
    assert (explanation.decision, explanation.filled) == outcome(RULES, facts())


def test_a_rule_that_did_not_match_says_which_key_failed() -> None:
    other = verdict("other")
    assert other.outcome == "not matched"
    assert other.effects == ()
    assert other.checks == (
        Check("host", "*.openai.com", ("api.openai.com",), True),
        Check("process.name", "node", ("python3", "bot.py"), False),
    )


def test_an_unknown_fact_is_shown_as_unknown() -> None:
    checks = explain(RULES, NOTHING_KNOWN, SESSION).rules[0].checks
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
    assert [(each.outcome, each.ends) for each in explain(rules, facts(), SESSION).rules] == [
        ("matched", "ignore"),
        ("not reached", None),
    ]


def test_nested_conditions_are_shown_in_words() -> None:
    rules = load("rules: [{match: {not: {process: node, model: gpt-*}, body: {metadata.team: red}}}]")
    checks = {check.key: check for check in explain(rules, facts(), SESSION).rules[0].checks}
    assert checks["body.metadata.team"].actual == ("blue",)
    assert checks["not"].expected == "not (model: gpt-*, process.name: node)"
    assert checks["not"].holds


def test_secrets_of_the_proxy_are_not_shown() -> None:
    rules = load("rules: [{match: {host: api.openai.com}, headers: {set: {X: '${proxy_env.KEY}'}}}]")
    explanation = explain(rules, facts(), SESSION)
    effects = explanation.rules[0].effects
    assert [(effect.outcome, effect.value) for effect in effects] == [("set", "${proxy_env.KEY}")]
    assert explanation.filled.headers_set == {"X": "${proxy_env.KEY}"}
    assert explanation.proxy_variables == ("KEY",)


THROUGH = """
gateways:
  mine: {kind: litellm, url: 'http://127.0.0.1:4000', key: '${proxy_env.KEY}', headers: {X-Session: '${session.id}'}}
rules: [{gateway: mine}]
"""


def test_the_way_through_a_gateway_is_shown() -> None:
    way = explain(load(THROUGH), facts(), SESSION).way
    assert way is not None
    assert (way.gateway, way.url, way.direct) == ("mine", "http://127.0.0.1:4000/v1/chat/completions", None)
    assert way.headers == {"X-Session": SESSION.id, "x-litellm-api-key": "Bearer ${proxy_env.KEY}"}
    assert explain(load(THROUGH), facts(), SESSION).proxy_variables == ("KEY",)


def test_a_gateway_that_cannot_carry_the_call_says_why() -> None:
    rules = load("rules: [{gateway: helicone}]")
    found = facts()
    assert found.request is not None
    local = replace(found, host="127.0.0.1")
    way = explain(rules, local, SESSION).way
    assert way is not None
    assert (way.url, way.headers) == (None, {})
    assert (way.direct or "").startswith("Helicone cannot reach 127.0.0.1")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("session: {id: ['${env.NO}', native, run-1]}", ["native", "run-1"], id="id sources"),
        pytest.param("state: {retries: 0}", 0, id="state: a number"),
        pytest.param("state: {cart: null}", None, id="state: null"),
        pytest.param("state: {cart: ['${model}']}", ["openai/gpt-4o"], id="state: a list"),
        pytest.param("session: {idle: 30m}", 1800, id="idle"),
        pytest.param("send: none", (), id="send"),
    ],
)
def test_values_are_plain_json(setting: str, value: object) -> None:
    (effect,) = explain(load(f"rules: [{{{setting}}}]"), facts(), SESSION).rules[0].effects
    assert (effect.outcome, effect.value) == ("set", value)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        pytest.param("${env.NO}", "${env.NO} has no value", id="one"),
        pytest.param("${env.NO} ${env.NONE}", "${env.NO}, ${env.NONE} have no value", id="two"),
        pytest.param("${env.NO:-${env.NONE}}", "${env.NONE} has no value", id="a default's"),
        pytest.param("${model:-${env.NONE}} ${env.NO}", "${env.NO} has no value", id="not that of a default not used"),
    ],
)
def test_a_missing_value_is_named(template: str, reason: str) -> None:
    (effect,) = explain(load(f"rules: [{{user: '{template}'}}]"), facts(), SESSION).rules[0].effects
    assert (effect.outcome, effect.reason) == ("missing", reason)


@pytest.mark.parametrize(
    ("match", "given", "actual"),
    [
        pytest.param("{header: {X-No: x}}", facts(), (), id="a header that was not sent"),
        pytest.param("{process: x}", facts(caller=None), None, id="a process that is not known"),
        pytest.param("{process: x}", facts(caller=None, is_remote=True), (), id="a client without a process"),
        pytest.param("{model: x}", facts(call=call(model=None)), (), id="a body without a model"),
        pytest.param("{not: {model: x}}", facts(call=None), None, id="not: a body that was not read"),
    ],
)
def test_absent_is_not_unknown(match: str, given: Facts, actual: tuple[str, ...] | None) -> None:
    (check,) = explain(load(f"rules: [{{match: {match}, user: x}}]"), given, SESSION).rules[0].checks
    assert check.actual == actual


def test_without_a_session_its_variables_are_missing() -> None:
    effects = explain(RULES, facts(), None).rules[1].effects
    assert ("session.path", "missing") in [(effect.field, effect.outcome) for effect in effects]
