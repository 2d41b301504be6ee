"""tools, context, cache and waste as a user and a program see them; docs/reading.md shows their tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.analysis import coding_session
from tests.cli import recorded
from tests.cli.command import Run, runner


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coding_session.write(tmp_path_factory.mktemp("coding") / "trace")


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(capsys, monkeypatch, trace=folder)


def answer(run: Run, *arguments: str) -> dict[str, Any]:
    status, out, _ = run(*arguments, "--json")
    assert status == 0
    return json.loads(out)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("tools", "@1"), ["time_is", "tools"]),
        (("tools", "@1", "--name", "*"), ["time_is", "calls"]),
        (("context", "@1"), ["turns", "detail", "blocks"]),
        (("cache", "@1"), ["turns", "sum"]),
        (("waste", "@1"), ["judged_by", "tools_never_called", "results_not_referred_to", "repeated"]),
    ],
    ids=lambda value: value[0],
)
def test_json_has_the_whole_answer(run: Run, command: tuple[str, ...], keys: list[str]) -> None:
    assert list(answer(run, *command)) == ["session_id", "session_name", *keys]


def test_the_total_is_the_providers(run: Run) -> None:
    turns = answer(run, "context", "@1")["turns"]
    usage = {row["id"]: row["usage"]["input"] for row in answer(run, "show", "@1")["calls"]}
    assert {row["call"]: row["input_tokens"] for row in turns} == usage
    assert all(abs(sum(row["split_estimated"].values()) - row["input_tokens"]) < 5 for row in turns)


def test_the_cost_of_all_input_is_that_of_the_calls_without_their_replies(run: Run) -> None:
    calls = {row["id"]: row for row in answer(run, "show", "@1")["calls"]}
    output = 15 / 1_000_000
    for row in answer(run, "context", "@1")["turns"]:
        call = calls[row["call"]]
        assert row["input_cost_usd"] == pytest.approx(call["cost_usd"] - call["usage"]["output"] * output)


def test_a_step_is_taken_apart(run: Run) -> None:
    assert answer(run, "context", "@1", "--turn", "2")["detail"]["step"] == 2
    assert "\nStep 2: 5,799 tokens, 3,482 of them read from the cache\n" in run("context", "@1", "--turn", "2")[1]


def test_a_step_that_is_not_there(run: Run) -> None:
    status, out, err = run("context", "@1", "--turn", "99")
    assert (status, out) == (1, "")
    assert "has no step 99" in err


def test_a_tool_that_was_not_called(run: Run) -> None:
    status, out, err = run("tools", "@1", "--name", "WebFetch")
    assert (status, out) == (1, "")
    assert "calls no tool WebFetch" in err
    assert "it calls Read, " in err


def test_a_limit_leaves_out_the_first_turns_and_says_so(run: Run) -> None:
    status, out, err = run("cache", "@1", "-n", "2")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["6", "7"]
    assert "6 earlier turns: --limit 0 shows all" in err


def test_sessions_without_tools_or_a_cache(run: Run, tmp_path: Path) -> None:
    folder = recorded.write(tmp_path / "trace", recorded.calls())
    report = recorded.REPORT
    assert "calls no tool" in run("tools", report, trace=folder)[2]
    assert run("context", report, trace=folder)[0] == 0
    status, out, _ = run("cache", report, trace=folder)
    assert status == 0
    assert "2 unknown: the provider states no cached tokens" in out
    waste = run("waste", report, trace=folder)[1]
    assert waste.count(": none\n") == 3


@pytest.mark.parametrize("command", ["tools", "context", "cache", "waste"])
def test_a_session_without_bodies(run: Run, tmp_path: Path, command: str) -> None:
    (seen, *_) = recorded.calls()
    bare = replace(seen, request=replace(seen.request, body=None), response=None)
    folder = recorded.write(tmp_path / "trace", [bare])
    status, out, err = run(command, "@1", trace=folder)
    assert (status, out) == (1, "")
    assert "has no request that can be read" in err
    assert "capture: metadata" in err
