"""Checks that need more than one key of a rule."""

from __future__ import annotations

import pytest
from tests.rules.build import load

from sessiontap.rules import RulesError


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        pytest.param(
            "{ignore: true, session: {name: x}}",
            "rules[0].session: a rule with ignore: true leaves the call alone and cannot set anything",
            id="ignore with a setting",
        ),
        pytest.param(
            "{session: {name: '${session.id}'}}",
            "rules[0].session.name: 'session.id' is known only once the session is, too late for session.name",
            id="a name of the session's id",
        ),
        pytest.param(
            "{session: {id: [native, '${pick(a,b)}']}}",
            "rules[0].session.id[1]: 'pick(a,b)' is known only once the session is, too late for session.id",
            id="an id by pick",
        ),
        pytest.param(
            "{match: {message: 're:(?P<ticket>x)'}, user: '${tickt}'}",
            "did you mean 'ticket'?",
            id="a misspelt group",
        ),
        pytest.param(
            "{match: {not: {message: 're:(?P<ticket>x)'}}, user: '${ticket}'}",
            "unknown variable 'ticket'",
            id="a group of what does not match",
        ),
        pytest.param("{user: '${ticket}'}", "unknown variable 'ticket'", id="a group of another rule"),
    ],
)
def test_refused(rule: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        load(f"rules: [{rule}, {{match: {{message: 're:(?P<ticket>x)'}}}}]")
    (problem,) = caught.value.problems
    assert message in str(problem)


def test_a_faulty_match_brings_no_second_complaint() -> None:
    with pytest.raises(RulesError) as caught:
        load("rules: [{match: {host: 're:('}, headers: {set: {X: '${proxy_env.K}'}}, user: '${group}'}]")
    assert [problem.path for problem in caught.value.problems] == ["rules[0].match.host"]


def test_ignore_may_stand_beside_final() -> None:
    (rule,) = load("rules: [{ignore: true, final: true, rule: x}]").rules
    assert rule.ignore


def test_labels_and_lines() -> None:
    rules = load("rules:\n  - user: x\n  - rule: named\n    user: y\n").rules
    assert [(rule.label, rule.number, rule.line) for rule in rules] == [("#1", 1, 2), ("named", 2, 3)]
