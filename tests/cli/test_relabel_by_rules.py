"""`relabel --rules`: the log seen as other rules would have decided it, and as it was again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.backtest.made_log import BOT, HELPER, Ask, made_log
from tests.cli.command import Run, runner

from sessiontap import trace

RECORDED = """\
version: 1
rules:
  - match: {process: [agent.py, helper.py]}
    session: {name: Research, id: process-tree, path: /research}
    user: ada
    properties: {mode: nightly, arm: left}
    tags: [evening]
  - match: {process: bot.py}
    session: {name: Bot, path: /bot}
"""
NEW = """\
version: 1
rules:
  - match: {process: agent.py}
    session: {name: Study, path: /research}
    user: bob
    properties: {mode: daily}
    tags: [late]
  - match: {process: helper.py}
    session: {name: Helper, path: /help}
    user: ada
    properties: {mode: nightly, arm: left}
    tags: [evening]
  - match: {process: bot.py}
    session: {name: Robot, path: /bot}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made_log(tmp_path / "trace", RECORDED, [Ask(0), Ask(1), Ask(2, HELPER), Ask(3, BOT)]).close()
    return tmp_path / "trace"


@pytest.fixture
def run(folder: Path, own_place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    (own_place / "rules.yaml").write_text(RECORDED)
    (own_place / "new.yaml").write_text(NEW)
    return runner(capsys, monkeypatch, trace=folder)


def seen(folder: Path) -> list[tuple[Any, ...]]:
    """Each call as it is seen: session (a number for each id), name, path, properties, tags."""
    ids: dict[str | None, int] = {}
    return [
        (
            ids.setdefault(call.session_id, len(ids)),
            call.record["session"]["name"],
            call.record["session"]["path"],
            call.record["properties"],
            call.record["tags"],
        )
        for call in trace.open(folder).calls(newest_first=False)
    ]


NIGHTLY = {"mode": "nightly", "arm": "left"}
AS_RECORDED = [
    (0, "Research", "/research", NIGHTLY, ["evening"]),
    (0, "Research", "/research", NIGHTLY, ["evening"]),
    (0, "Research", "/research", NIGHTLY, ["evening"]),
    (1, "Bot", "/bot", {}, []),
]
BY_NEW_RULES = [
    (0, "Study", "/research", {"mode": "daily", "arm": "left"}, ["evening", "late"]),
    (0, "Study", "/research", {"mode": "daily", "arm": "left"}, ["evening", "late"]),
    (1, "Helper", "/help", NIGHTLY, ["evening"]),
    (2, "Robot", "/bot", {}, []),
]


def test_calls_are_seen_as_the_rules_would_have_decided_them_and_as_they_were_again(run: Run, folder: Path) -> None:
    recorded = [call.recorded for call in trace.open(folder).calls()]
    assert run("relabel", "--rules", "new.yaml").status == 0
    assert seen(folder) == BY_NEW_RULES
    assert [call.recorded for call in trace.open(folder).calls()] == recorded
    assert run("relabel", "--undo", "last").status == 0
    assert seen(folder) == AS_RECORDED


def test_what_labels_do_not_change_is_told(run: Run, folder: Path) -> None:
    status, printed, _ = run("relabel", "--rules", "new.yaml", "--dry-run")
    lines = printed.splitlines()
    assert status == 0
    assert lines[0].startswith("would relabel 2 calls: name 'Study', into session ")
    assert lines[0].endswith("mode=daily, tag late")
    assert lines[-1] == (
        "left as recorded, since labels do not change it: "
        "user (2 calls), properties (2 calls), tags (2 calls), headers (2 calls)"
    )
    assert seen(folder) == AS_RECORDED


def test_a_session_that_is_only_renamed_keeps_its_id(run: Run, folder: Path) -> None:
    before = next(iter(trace.open(folder).calls())).session_id
    run("relabel", "--rules", "new.yaml", "--process", "bot.py")
    bot = next(iter(trace.open(folder).calls()))
    assert (bot.session_id, bot.record["session"]["name"]) == (before, "Robot")
    assert seen(folder)[:3] == AS_RECORDED[:3]


def test_what_was_relabelled_by_rules_is_not_relabelled_again(run: Run, folder: Path) -> None:
    run("relabel", "--rules", "new.yaml")
    printed = run("relabel", "--rules", "new.yaml").out
    assert printed.startswith("nothing is to be relabelled\n")
    assert seen(folder) == BY_NEW_RULES


def test_the_rules_of_the_recording_relabel_nothing(run: Run) -> None:
    assert run("relabel", "--rules", "rules.yaml").out == "nothing is to be relabelled\n"
    assert run("relabel", "--list", "--json").rows == []


@pytest.mark.parametrize("words", [["@1"], ["--name", "Other"], ["--split"]], ids=" ".join)
def test_rules_and_words_of_ones_own_do_not_go_together(run: Run, words: list[str]) -> None:
    status, _, error = run("relabel", "--rules", "new.yaml", *words)
    assert status == 2
    assert "--rules says what is to change" in error
