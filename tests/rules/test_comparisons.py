"""Comparisons of numbers under `body` and `result`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rules.build import call, facts, matches, outcome

from sessiontap.rules import Facts, RulesError, lint, load_text

UNREAD = replace(facts(), call=None)


def of(value: Any) -> Facts:
    """A call whose body has this field `x`."""
    return facts(call=replace(call(), json={"x": value}))


@pytest.mark.parametrize(
    ("value", "test", "holds"),
    [
        pytest.param(6, ">5", True, id="more"),
        pytest.param(5, ">5", False, id="not more"),
        pytest.param(5, ">=5", True, id="as much"),
        pytest.param(4.5, "<5", True, id="less"),
        pytest.param(5, "<=5", True, id="at most"),
        pytest.param(-1, "< -0.5", True, id="below nothing, with a blank"),
        pytest.param(1e3, ">=1e3", True, id="with an exponent"),
        pytest.param(10**20, ">99999999999999999999", True, id="a large whole number, exactly"),
        pytest.param("7", ">5", True, id="a number written as text"),
        pytest.param("seven", ">5", False, id="a text"),
        pytest.param("", "<5", False, id="an empty text"),
        pytest.param("9" * 1_000, ">5", False, id="a text of too many digits"),
        pytest.param(True, ">0", False, id="true is no number"),
        pytest.param(None, "<5", False, id="null"),
        pytest.param({"a": 1}, ">0", False, id="a map"),
        pytest.param(["a", "b", "c"], ">2", True, id="the length of a list"),
        pytest.param([9, 9], ">5", False, id="not the items of a list"),
        pytest.param([], "<1", True, id="an empty list"),
        pytest.param(6, ["<3", ">5"], True, id="any of a list"),
        pytest.param("many", [">5", "many"], True, id="or a text"),
        pytest.param(6, [">5", "many"], True, id="or a number"),
        pytest.param(">5", "re:^>5$", True, id="the text itself"),
        pytest.param("<b>", "<b>", True, id="a glob that begins so"),
        pytest.param(">>x", ">>*", True, id="another"),
    ],
)
def test_a_comparison(value: Any, test: Any, holds: bool) -> None:
    assert matches({"body": {"x": test}}, of(value)) is holds
    assert matches({"not": {"body": {"x": test}}}, of(value)) is not holds


@pytest.mark.parametrize(
    ("found", "protected"), [(of(6), True), (of(5), False), (UNREAD, True)], ids=["holds", "does not", "unknown"]
)
def test_what_is_unknown_protects(found: Facts, protected: bool) -> None:
    rules = load_text("rules: [{match: {body: {x: '>5'}}, capture: metadata}]")
    assert (outcome(rules, found)[0].capture == "metadata") is protected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("rules: [{match: {body: {x: '>5s'}}, user: u}]",
                     "1:28: rules[0].match.body.x: '>5s' compares with what is no number; expected a number, such as "
                     ">5 or >0.5; re: and an expression for the text itself", id="no number"),
        pytest.param("rules:\n- match:\n    body:\n      x: >5\n  user: u",
                     "4:10: rules[0].match.body.x: a block of text without text; a value that starts with > or | needs "
                     "quotes", id="without quotes"),
        pytest.param("rules: [{match: {body: {x: >5}}, user: u}]", "needs quotes", id="without quotes, in braces"),
    ],
)  # fmt: skip
def test_slips_are_told(text: str, problem: str) -> None:
    with pytest.raises(RulesError) as refused:
        load_text(text, "r.yaml")
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("match", "step", "key"),
    [
        pytest.param("{body: {x: '>5'}}", "body: {x: '<3'}", "body.x", id="more and less"),
        pytest.param("{body: {x: '>5'}}", "body: {x: '<=5'}", "body.x", id="at the bound"),
        pytest.param("{body: {x: ['<3', '>5']}}", "body: {x: ['4', '>=3']}", None, id="one of several may hold"),
        pytest.param("{body: {x: '>5'}}", "body: {x: '<6'}", None, id="between"),
        pytest.param("{body: {x: '>5'}}", "body: {y: '<3'}", None, id="another field"),
        pytest.param("{body: {x: '>5'}}", "body: {x: many}", None, id="a text: a list may have both"),
        pytest.param("{body: {x: '>5'}}", "not: {body: {x: '>3'}}", "body.x", id="not what it is"),
        pytest.param("{body: {x: '>3'}}", "not: {body: {x: '>5'}}", None, id="not more"),
        pytest.param("{not: {body: {x: '>3'}}}", "not: {body: {x: '<=3'}}", None, id="none of both: no number"),
        pytest.param("{model: gpt-4o}", "model: claude", "model", id="two models"),
        pytest.param("{model: gpt-*}", "model: claude", "model", id="a model and a glob"),
        pytest.param("{model: gpt-*}", "model: '*-mini'", None, id="two globs"),
        pytest.param("{model: [gpt-4o, claude]}", "model: [claude, x]", None, id="one model in both"),
        pytest.param("{process: node}", "process: bot.py", None, id="two names of a process"),
        pytest.param("{offers: a}", "offers: b", None, id="two tools"),
        pytest.param("{model: gpt-4o}", "not: {model: gpt-*}", "model", id="not its model"),
        pytest.param("{model: gpt-*}", "not: {model: gpt-4o}", None, id="not one of its models"),
    ],
)
def test_a_step_that_never_matches_is_told(match: str, step: str, key: str | None) -> None:
    warnings = lint(load_text(f"rules: [{{rule: r, match: {match}, tags: [t], steps: [{{{step}, user: u}}]}}]"))
    expected = [f"step 'r/#1' never matches: no call has the {key} that its keys ask for together"] if key else []
    assert [warning.split(": ", 1)[1] for warning in warnings] == expected


def test_a_rule_that_never_matches_is_told_once() -> None:
    rules = "{rule: r, match: {model: a, not: {model: a}}, tags: [t], steps: [{offers: x, user: u}]}"
    assert [warning.split(": ", 1)[1] for warning in lint(load_text(f"rules: [{rules}]"))] == [
        "rule 'r' never matches: no call has the model that its keys ask for together"
    ]


TESTS = st.builds("{}{}".format, st.sampled_from([">", ">=", "<", "<="]), st.integers(0, 4))
FIELDS = TESTS | st.lists(TESTS | st.sampled_from(["2", "3*"]), min_size=1, max_size=2)
VALUES = [*range(-1, 6), *(number + 0.5 for number in range(-1, 5)), "2", "x", None, [], ["2"], ["3", "3", "3"]]


@given(FIELDS, FIELDS, st.booleans())
@settings(max_examples=80)
def test_what_is_said_of_comparisons_is_true(first: Any, second: Any, denied: bool) -> None:
    """What never matches does not match any of these, and what can never win does not win."""
    match = {"not": {"body": {"x": second}}} if denied else {"body": {"x": second}}
    within = {"match": {"body": {"x": first}}, "tags": ["t"], "steps": [{**match, "user": "u"}]}
    behind = [{"match": {"body": {"x": first}}, "user": "a"}, {"match": match, "user": "b"}]
    nested = load_text(json.dumps({"rules": [within]}))
    if any("never matches" in warning for warning in lint(nested)):
        assert all(outcome(nested, of(value))[1].user is None for value in VALUES)
    plain = load_text(json.dumps({"rules": behind}))
    if any("can never win" in warning for warning in lint(plain)):
        assert all(outcome(plain, of(value))[1].user != "b" for value in VALUES)
