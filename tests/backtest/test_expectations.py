"""Expectations: what a file may say, what is wrong with one, and what fails in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.backtest.made_log import BOT, Ask, backtest, made_log

from sessiontap import trace
from sessiontap.backtest.expectations import Expectations, load_expectations
from sessiontap.rules import RulesError

RULES = """
version: 1
rules:
  - rule: course
    match: {process: agent.py}
    session: {name: Course, path: "/course/${model}"}
    user: ada
    properties: {mode: nightly}
    tags: [evening]
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> trace.Trace:
    return made_log(tmp_path_factory.mktemp("log"), RULES, [Ask(0), Ask(1), Ask(2, BOT)])


def checked(log: trace.Trace, folder: Path, text: str, rules: str = RULES) -> Expectations:
    found = load_expectations(written(folder, text))
    backtest(log, rules, listeners=[found.add])
    found.finish()
    return found


def written(folder: Path, text: str) -> Path:
    file = folder / "expectations.yaml"
    file.write_text(f"version: 1\nexpectations:\n{text}\n")
    return file


HOLDING = {
    "a name and a path": "  - match: {process: agent.py}\n    expect: {session: {name: Course, path: /course/*}}",
    "the id's source": "  - match: {process: agent.py}\n    expect: {session: {source: process}}",
    "numbers": "  - match: {process: agent.py}\n    expect: {calls: 2, sessions: 1}",
    "all calls": "  - expect: {calls: 3, sessions: 2, capture: full}",
    "labels": (
        "  - match: {process: agent.py}\n    expect: {user: a*, properties: {mode: [daily, nightly]}, tags: evening}"
    ),
    "one call": "  - call: 019aa4c8-9480\n    expect: {session: {name: Course}, calls: 1}",
    "no call": "  - match: {process: nobody.py}\n    expect: {calls: 0}",
}


@pytest.mark.parametrize("what", HOLDING)
def test_an_expectation_holds(log: trace.Trace, tmp_path: Path, what: str) -> None:
    found = checked(log, tmp_path, HOLDING[what])
    assert (found.failed, [str(one) for one in found.failures]) == (0, [])


FAILING = {
    "another name": (
        "  - match: {process: bot.py}\n    expect: {session: {name: Course}}",
        ["call 019aa4c8-9c50-7000-8000-000000000002: session.name: expected Course, got bot.py"],
    ),
    "another path, by its rule": (
        "  - call: 019aa4c8-9480\n    expect: {session: {path: /course}}",
        [
            "call 019aa4c8-9480-7000-8000-000000000000: session.path: expected /course, got /course/gpt-4o-mini "
            "(by course)"
        ],
    ),
    "no such property": (
        "  - call: 019aa4c8-9480\n    expect: {properties: {arm: left}}",
        ["call 019aa4c8-9480-7000-8000-000000000000: properties.arm: expected left, got none"],
    ),
    "another user": (
        "  - match: {process: bot.py}\n    expect: {user: ada}",
        ["call 019aa4c8-9c50-7000-8000-000000000002: user: expected ada, got none"],
    ),
    "a tag": (
        "  - call: 019aa4c8-9480\n    expect: {tags: [evening, late]}",
        ["call 019aa4c8-9480-7000-8000-000000000000: tags: expected late, got evening (by course)"],
    ),
    "another source": (
        "  - match: {process: bot.py}\n    expect: {session: {source: native}}",
        ["call 019aa4c8-9c50-7000-8000-000000000002: session.source: expected native, got process"],
    ),
    "numbers": ("  - expect: {calls: 4, sessions: 1}", ["calls: expected 4, got 3", "sessions: expected 1, got 2"]),
    "no call is meant": (
        "  - match: {process: nobody.py}\n    expect: {user: ada}",
        ["calls: expected some, got none that is meant"],
    ),
}


@pytest.mark.parametrize("what", FAILING)
def test_an_expectation_fails_in_plain_words(log: trace.Trace, tmp_path: Path, what: str) -> None:
    text, expected = FAILING[what]
    found = checked(log, tmp_path, text)
    assert [str(one) for one in found.failures] == expected
    assert (found.failed, found.failures[0].line) == (len(expected), 3)


def test_calls_that_would_not_be_recorded(log: trace.Trace, tmp_path: Path) -> None:
    ignoring = RULES.replace('session: {name: Course, path: "/course/${model}"}', "capture: none")
    text = "  - {match: {process: agent.py}, expect: {capture: none, calls: 2, sessions: 0}}"
    assert checked(log, tmp_path, text, ignoring).failed == 0


WRONG = {
    "an unknown key": (
        "  - {match: {procss: a}, expect: {calls: 1}}",
        "expectations.yaml:3:14: expectations[0].match.procss: unknown key 'procss'",
        "did you mean 'process'?",
    ),
    "nothing expected": (
        "  - match: {process: a}",
        "expectations.yaml:3:5: expectations[0]: the key 'expect' is missing",
        "",
    ),
    "an empty expectation": (
        "  - {expect: {}}",
        "expectations.yaml:3:14: expectations[0].expect: nothing is expected",
        "",
    ),
    "no number": (
        "  - {expect: {calls: many}}",
        "expectations.yaml:3:22: expectations[0].expect.calls: 'many' cannot stand here",
        "expected a whole number from 0",
    ),
    "a key beside its map": (
        "  - {expect: {path: /a}}",
        "expectations.yaml:3:15: expectations[0].expect.path: unknown key 'path'",
        "did you mean 'session.path'?",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_problem_is_told_with_its_place(tmp_path: Path, what: str) -> None:
    text, expected, hint = WRONG[what]
    with pytest.raises(RulesError) as error:
        load_expectations(written(tmp_path, text))
    said = str(error.value).removeprefix(f"{tmp_path}/")
    assert said.startswith(expected)
    assert said.endswith(hint)
