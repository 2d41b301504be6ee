"""Other rules give the differences that one expects, in calls and in sessions, and by which rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.backtest.made_log import BOT, HELPER, Ask, backtest, made_log

from sessiontap import trace
from sessiontap.backtest import recorded_facts
from sessiontap.backtest.report import BacktestReport

BEFORE = """
version: 1
rules:
  - rule: course
    match: {process: agent.py}
    session: {name: Course, path: /course}
    user: ada
    properties: {mode: nightly}
    tags: [evening]
    state: {phase: plan}
  - rule: bot
    match: {process: bot.py}
    session: {name: Bot, path: /ask}
"""
ASKS = [Ask(0), Ask(1), Ask(2, model="gpt-4o"), Ask(3, BOT), Ask(4, HELPER)]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> trace.Trace:
    return made_log(tmp_path_factory.mktemp("log"), BEFORE, ASKS)


def changes(report: BacktestReport) -> dict[tuple[str, str | None, str | None, str | None], int]:
    """(field, before, after, rule) -> calls; the headers are left out, which most changes carry along."""
    return {
        (one.field, one.before, one.after, one.rule): group.calls
        for one, group in report.changes.items()
        if one.field != "headers"
    }


def kinds(report: BacktestReport) -> list[tuple[str, list[int], list[int]]]:
    """Kind, and how many calls each session has on both sides."""
    return [
        (one.kind, [side.calls for side in one.before], [side.calls for side in one.after])
        for one in report.sessions.changes()
    ]


CHANGED = {
    # what: (replaced, by), changes of calls, changes of sessions
    "a name": (
        ("name: Course", "name: Lesson"),
        {("session.name", "Course", "Lesson", "course"): 3},
        [("renamed", [3], [3])],
    ),
    "a path": (
        ("path: /course", 'path: "/${model}"'),
        {
            ("session.path", "/course", "/gpt-4o-mini", "course"): 2,
            ("session.path", "/course", "/gpt-4o", "course"): 1,
        },
        [],
    ),
    "a user": (("user: ada", "user: bob"), {("user", "ada", "bob", "course"): 3}, []),
    "no user": (("    user: ada\n", ""), {("user", "ada", None, None): 3}, []),
    "a property": (
        ("{mode: nightly}", "{mode: daily, arm: left}"),
        {
            ("properties.mode", "nightly", "daily", "course"): 3,
            ("properties.arm", None, "left", "course"): 3,
        },
        [],
    ),
    "tags": (("[evening]", "[evening, late]"), {("tags", "evening", "evening, late", "course"): 3}, []),
    "state": (("{phase: plan}", "{phase: 2}"), {("state.phase", "plan", "2", "course"): 3}, []),
    "less recorded": (
        ("name: Bot, path: /ask}", "name: Bot, path: /ask}\n    capture: metadata"),
        {("capture", "full", "metadata", "bot"): 1},
        [],
    ),
    "not recorded": (
        ("session: {name: Bot, path: /ask}", "capture: none"),
        {("capture", "full", "not recorded", "bot"): 1},
        [("gone", [1], [])],
    ),
    "left alone": (
        ("session: {name: Bot, path: /ask}", "ignore: true"),
        {("capture", "full", "not recorded", "bot"): 1},
        [("gone", [1], [])],
    ),
    "a session split": (
        ("name: Course, path", "name: Course, max_calls: 2, path"),
        {},
        [("split", [3], [2, 1])],
    ),
    "sessions merged": (
        ("rules:\n", "rules:\n  - {session: {name: All, id: all-of-it-together}}\n"),
        {
            ("session.name", "Course", "All", "#1"): 3,
            ("session.name", "Bot", "All", "#1"): 1,
            ("session.name", "helper.py", "All", "#1"): 1,
        },
        [("merged", [3, 1, 1], [5])],
    ),
    "another id alone": (
        ("name: Bot, path", "name: Bot, id: the-bot-of-today, path"),
        {},
        [("other id", [1], [1])],
    ),
    "a gateway": (
        ("{name: Bot, path: /ask}", "{name: Bot, path: /ask}\n    gateway: helicone"),
        {("gateway", None, "helicone", "bot"): 1},
        [],
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_another_rule_changes_what_it_says(log: trace.Trace, what: str) -> None:
    (old, new), of_calls, of_sessions = CHANGED[what]
    assert old in BEFORE
    report = backtest(log, BEFORE.replace(old, new, 1))
    assert changes(report) == of_calls
    assert kinds(report) == of_sessions
    assert not report.is_unchanged
    assert (report.calls, report.sessions.before) == (5, 3)


def test_headers_are_told_by_name(log: trace.Trace) -> None:
    report = backtest(log, BEFORE.replace("    session: {name: Bot, path: /ask}\n", "    user: ada\n"))
    assert [(one.before, one.after) for one in report.changes if one.field == "headers"] == [
        ("helicone-session-id, helicone-session-path, helicone-session-name", None)
    ]


def test_a_host_that_the_rules_do_not_name_is_not_recorded(tmp_path: Path) -> None:
    named = "version: 1\nhosts: [{host: llm.corp.example, provider: vllm}]\nrules: []\n"
    log = made_log(tmp_path, named, [Ask(0, host="llm.corp.example"), Ask(1)])
    assert backtest(log, named).is_unchanged
    report = backtest(log, "version: 1\nrules: []\n")
    assert changes(report) == {("capture", "full", "not recorded", None): 1}


def test_only_the_calls_that_are_asked_for_are_told(tmp_path: Path) -> None:
    rules = "version: 1\nrules: [{session: {name: Bot, max_calls: 2}}]\n"
    log = made_log(tmp_path, rules, [Ask(float(at)) for at in range(4)])
    last = list(log.calls(newest_first=False))[-1]
    report = backtest(log, rules, wanted={last.id})
    assert (report.calls, report.is_unchanged) == (1, True)


def test_what_each_rule_did(log: trace.Trace) -> None:
    report = backtest(
        log,
        """
version: 1
rules:
  - {rule: large, match: {process: agent.py, model: gpt-4o}, session: {path: /large}}
  - {rule: agent, match: {process: agent.py}, session: {name: Agent, path: /small}, final: true}
  - {rule: path, match: {process: [agent.py, bot.py]}, session: {path: /other}}
  - {rule: late, match: {process: agent.py}, user: nobody}
  - {rule: wrong, match: {process: agent.py, model: "claude-*"}, user: nobody}
  - {rule: same path, match: {process: bot.py}, session: {path: /ask}}
""",
    )
    assert [(one.rule.label, one.matched, one.set, one.shadowed, one.not_reached) for one in report.tally.rules] == [
        ("large", 1, 1, 0, 0),
        ("agent", 3, 3, 0, 0),
        ("path", 1, 1, 0, 3),
        ("late", 0, 0, 0, 3),
        ("wrong", 0, 0, 0, 3),
        ("same path", 1, 0, 1, 3),
    ]
    assert [one.rule.label for one in report.tally.rules if not one.matched] == ["late", "wrong"]


def test_a_rule_that_never_matched_says_which_key_failed_most(log: trace.Trace) -> None:
    report = backtest(
        log, 'version: 1\nrules: [{rule: claude, match: {process: agent.py, model: "claude-*"}, user: nobody}]\n'
    )
    (claude,) = [one for one in report.tally.rules if not one.matched]
    assert claude.never_because == ("model", 5)
    assert claude.nearest == (1, "model", "gpt-4o-mini")


def test_an_ignored_call_counts_for_its_rule(log: trace.Trace) -> None:
    report = backtest(log, "version: 1\nrules: [{rule: private, match: {process: bot.py}, ignore: true}]\n")
    (private,) = report.tally.rules
    assert (private.matched, private.set) == (1, 1)


def test_a_rule_that_looks_at_a_redacted_value_is_unknown(tmp_path: Path) -> None:
    rules = 'version: 1\nrules: [{rule: key, match: {header: {X-Api-Key: "sk-ant-api03-*"}}, session: {name: Key}}]\n'
    log = made_log(tmp_path, rules, [Ask(0, headers={"X-Api-Key": "sk-ant-api03-" + "Ab3" * 20}), Ask(1, BOT)])
    report = backtest(log, rules)
    (key,) = report.tally.rules
    assert (key.matched, key.uncertain, key.uncertain_key) == (0, 1, "header.X-Api-Key")
    assert {(one.what, one.rule): group.calls for one, group in report.unknown.items()} == {
        ("header.X-Api-Key", "key"): 1
    }
    assert (report.changed, report.uncertain, report.unchanged) == (0, 1, 1)


def test_a_rule_that_looks_at_a_body_that_was_not_recorded_is_unknown(tmp_path: Path) -> None:
    before = "version: 1\nrules: [{capture: metadata}]\n"
    log = made_log(tmp_path, before, [Ask(0)])
    rules = 'version: 1\nrules: [{rule: why, match: {message: "Why*"}, session: {name: Why}}, {capture: metadata}]\n'
    report = backtest(log, rules)
    assert [tally.uncertain for tally in report.tally.rules] == [1, 0]
    assert not report.changes
    assert backtest(log, before).is_unchanged


def test_a_variable_that_no_process_of_the_log_has_is_told(log: trace.Trace) -> None:
    report = backtest(log, 'version: 1\nrules: [{session: {id: ["${env.RUN_ID}", process]}}]\n')
    assert report.env_unseen == ["RUN_ID"]


def test_each_step_of_a_rule_counts_by_itself(log: trace.Trace) -> None:
    report = backtest(
        log,
        """
version: 1
rules:
  - rule: agent
    match: {process: agent.py}
    session: {name: Course, path: /course}
    steps:
      - {step: large, model: gpt-4o, path: +/large}
      - {step: claude, model: "claude-*", path: +/claude}
""",
    )
    assert [(one.rule.label, one.matched, one.set, one.shadowed) for one in report.tally.rules] == [
        ("agent/large", 1, 1, 0),
        ("agent/claude", 0, 0, 0),
        ("agent", 3, 3, 0),
    ]
    assert ("session.path", "/course", "/course/large", "agent/large") in changes(report)


def test_a_call_that_cannot_be_decided_again_leaves_the_others(
    log: trace.Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = recorded_facts.asked_request

    def fails(call: trace.RecordedCall) -> object:
        if call.recorded["llm"]["request_model"] == "gpt-4o":
            raise KeyError("made to fail")
        return asked(call)

    monkeypatch.setattr(recorded_facts, "asked_request", fails)
    report = backtest(log, BEFORE)
    assert (report.calls, report.failed, report.unchanged, report.is_unchanged) == (5, 1, 4, False)
