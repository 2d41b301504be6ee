"""`sessiontap rules test`: its report, its exit status, and the page docs/rules-test.md, whose examples it runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.backtest.made_log import HELPER, SECOND, START, Ask, made_log
from tests.backtest.test_unchanged import turns
from tests.cli.command import Run, runner
from tests.cli.test_widths import on_a_terminal

from sessiontap.backtest.report import compare_log
from sessiontap.cli.table import width
from sessiontap.rules import load_text
from sessiontap.trace.index.filters import Filters

PAGE = Path(__file__).parents[2] / "docs" / "rules-test.md"
RECORDED = """\
version: 1
rules:
  - rule: research
    match: {process: [agent.py, helper.py]}
    session: {name: Research, id: process-tree, path: /research}
    user: ada
    properties: {mode: nightly}
"""
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "trace"
    made_log(folder, RECORDED, [Ask(0), Ask(1), Ask(2), Ask(3, HELPER)]).close()
    return folder


@pytest.fixture
def run(folder: Path, own_place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on that log, in a folder with the files of the page."""
    new, expectations = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (own_place / "rules.yaml").write_text(RECORDED)
    (own_place / "new.yaml").write_text(new)
    (own_place / "expectations.yaml").write_text(expectations)
    return runner(capsys, monkeypatch, trace=folder)


EXAMPLES = re.findall(r"```\n\$ sessiontap ([^\n]*)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_the_page_shows_what_is_printed(run: Run, command: str, shown: str) -> None:
    _, printed, _ = run(*command.split())
    expected = shown.split("...\n")[-1]
    assert printed.endswith(expected) if "...\n" in shown else printed == expected


def test_the_rules_of_the_recording_change_nothing(run: Run) -> None:
    status, printed, _ = run("rules", "test")
    assert status == 0
    assert printed.splitlines()[-1] == "nothing would change"


@pytest.mark.parametrize(
    ("rules", "status", "last"),
    [
        ("rules.yaml", 0, "expectations.yaml: 2 of 2 expectations hold"),
        ("new.yaml", 1, "session.source: expected process-tree, got process"),
    ],
)
def test_the_exit_status_says_if_all_expectations_hold(run: Run, rules: str, status: int, last: str) -> None:
    found = run("rules", "test", rules, "--expect", "expectations.yaml")
    assert found.status == status
    assert found.out.splitlines()[-1].endswith(last)


def test_expectations_that_do_not_validate_are_told_with_their_places(run: Run, own_place: Path) -> None:
    (own_place / "wrong.yaml").write_text("version: 1\nexpectations:\n  - {call: ffff, expect: {cals: 1}}\n")
    status, printed, error = run("rules", "test", "--expect", "wrong.yaml")
    assert (status, printed) == (2, "")
    assert "wrong.yaml:3:12: expectations[0].call: " in error
    assert "wrong.yaml:3:27: expectations[0].expect.cals: unknown key 'cals'" in error


@pytest.mark.parametrize(
    ("filters", "calls"),
    [
        (["--process", "helper.py"], 1),
        (["--until", "2025-11-21T05:00:01.5"], 2),
        (["--since", "2025-11-21T05:00:03"], 1),
    ],
    ids=["process", "until", "since"],
)
def test_filters_choose_the_calls_that_are_told(run: Run, filters: list[str], calls: int) -> None:
    status, printed, _ = run("rules", "test", *filters, "--json")
    found = json.loads(printed)
    assert (status, found["calls"]["total"], found["unchanged"]) == (0, calls, True)


def test_json_has_all(run: Run) -> None:
    status, printed, _ = run("rules", "test", "new.yaml", "--expect", "expectations.yaml", "--json")
    found = json.loads(printed)
    assert status == 1
    assert [one["rule"] for one in found["rules"]] == ["research", "helper", "claude"]
    assert [one["kind"] for one in found["sessions"]["changes"]] == ["split"]
    assert found["moved"] == [{"place": "step", "calls": 1, "example": found["changed_calls"][-1]["id"]}]
    assert len(found["changed_calls"]) == 4
    assert (found["expectations"]["failed"], len(found["expectations"]["failures"])) == (5, 5)


def test_a_log_without_calls_is_no_failure(run: Run, own_place: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, printed, _ = run("rules", "test", "--trace", str(tmp_path / "empty"))
    assert status == 0
    assert "0 calls in 0 sessions" in printed


@pytest.mark.parametrize("columns", [80, 100])
def test_the_report_fits_a_terminal(run: Run, folder: Path, own_place: Path, columns: int) -> None:
    name = 'name: "A study of the ways that lead there, once again"'
    long = (own_place / "new.yaml").read_text().replace("name: Study", name)
    (own_place / "long.yaml").write_text(long)
    lines = on_a_terminal(folder, columns, "rules", "test", str(own_place / "long.yaml"))
    assert any(line.startswith("split ") for line in lines)
    assert [line for line in lines[1:] if width(line) > columns] == []


def test_a_filter_reads_the_calls_of_a_day_before_the_first_that_fits(tmp_path: Path, own_place: Path) -> None:
    day = 86_400.0
    asks = [Ask(0), Ask(day), Ask(2 * day), Ask(2 * day + 1)]
    log = made_log(tmp_path / "log", RECORDED, asks)
    filters = Filters(since=START + int(2 * day) * SECOND)
    found = compare_log(log, load_text(RECORDED), filters)
    assert (found.calls, found.is_unchanged) == (2, True)


def test_a_conversation_goes_on_from_calls_that_do_not_fit(tmp_path: Path, own_place: Path) -> None:
    rules = "version: 1\nrules: [{session: {name: Talk, id: conversation}}]\n"
    log = made_log(tmp_path / "log", rules, turns(0, 3))
    found = compare_log(log, load_text(rules), Filters(since=START + int(1.7 * SECOND)))
    assert (found.calls, found.is_unchanged) == (1, True)


def test_an_expectation_fails_also_if_others_failed_for_more_calls_than_are_listed(
    run: Run, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessiontap.backtest.expectations.MOST_FAILURES", 1)
    (own_place / "both.yaml").write_text(
        "version: 1\nexpectations:\n- {expect: {user: nobody}}\n- {expect: {user: somebody}}\n"
    )
    assert "both.yaml: 0 of 2 expectations hold" in run("rules", "test", "--expect", "both.yaml").out
