"""score as a user and a program see it, and docs/scores.md."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.command import Run
from tests.cli.recorded import COURSE, REPORT, call_id

from sessiontap.trace.annotations import annotations_in
from sessiontap.trace.files import segments

PAGE = (Path(__file__).parents[2] / "docs" / "scores.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recorded.write(tmp_path / "trace", recorded.calls())


def written(folder: Path) -> list[dict[str, Any]]:
    return [record for path in segments(folder) for record in annotations_in(path)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["helpful=0.8"], [("helpful", 0.8, None)]),
        (["tries=3", "right=true", "wrong=no", "grade=good"],
         [("tries", 3, None), ("right", True, None), ("wrong", False, None), ("grade", "good", None)]),
        (["helpful=0.8", "--note", "why"], [("helpful", 0.8, "why")]),
        (["--note", "alone"], [(None, None, "alone")]),
        (["--note", ""], [(None, None, None)]),
        (["--star"], [("star", True, None)]),
        (["--no-star"], [("star", None, None)]),
        (["--star", "--note", "look"], [("star", True, "look")]),
        (["--remove", "helpful"], [("helpful", None, None)]),
        (["text=nan"], [("text", "nan", None)]),
        ([], []),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else "",
)  # fmt: skip
def test_what_is_written(run: Run, folder: Path, given: list[str], expected: list[Any]) -> None:
    assert run("score", "@1", *given).status == 0

    found = written(folder)
    assert [(one["name"], one["value"], one["note"]) for one in found] == expected
    assert {(one["session"], one["source"]) for one in found} <= {(REPORT, "cli")}


@pytest.mark.parametrize(
    ("named", "meant"),
    [("@2", COURSE), ("@1/1", call_id(5)), (call_id(2), call_id(2)), (COURSE[:6], COURSE), ("@2/-1", call_id(3))],
)
def test_a_session_or_a_call_is_named(run: Run, folder: Path, named: str, meant: str) -> None:
    assert run("score", named, "good=1").status == 0

    (found,) = written(folder)
    assert found.get("session", found.get("call")) == meant


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["@1", "good"], "'good' is no score"),
        (["@1", "=1"], "'=1' is no score"),
        (["@1", "a<b=1"], "a score cannot be called 'a<b'"),
        (["nobody", "good=1"], "'nobody' names neither a session nor a call"),
        (["@9", "good=1"], "'@9' names neither"),
        ([], "nothing is named that could be scored"),
        (["@1", "--from", "x"], "--from cannot be combined"),
        (["--from", "no file"], "no file cannot be read"),
    ],
)
def test_what_is_refused(run: Run, folder: Path, words: list[str], said: str) -> None:
    result = run("score", *words)

    assert result.status in (1, 2)
    assert said in result.err
    assert written(folder) == []


def test_scores_are_in_lists_and_columns_only_if_there_are_any(run: Run) -> None:
    for command in (["ls"], ["calls"], ["show", "@1"], ["stats"]):
        assert "SCORES" not in run(*command).out
    run("score", "@1", "helpful=0.8", "right=yes", "--star")
    run("score", "@1/0", "good=0.5", "--star")

    assert "★, helpful 0.8, right yes, mean good 0.5 of 1" in run("ls").out
    assert "★, good 0.5" in run("calls").out
    assert "★, good 0.5" in run("show", "@1").out
    assert "scores     ★, helpful 0.8, right yes, mean good 0.5 of 1" in run("show", "@1").out
    assert "★, good 0.5" in run("show", "@1", "--flat").out
    assert "SCORES" not in run("show", "@2").out
    assert "SCORES" in run("calls", "-n", "0").out
    assert "mean helpful 0.8 of 1" in run("stats").out


def test_a_call_shows_its_scores_and_what_they_were_given_for(run: Run) -> None:
    run("score", "@1/0", "good=0.5", "--note", "half of it")

    assert "scores     good 0.5 (half of it)\n" in run("cat", "@1/0").out
    (row,) = run("cat", "@1/0", "--json").rows
    assert (row["scores"], row["starred"], row["note"]) == ({"good": 0.5}, False, None)
    (detail,) = row["score_details"]
    assert (detail["name"], detail["note"], detail["source"]) == ("good", "half of it", "cli")


@pytest.mark.parametrize(
    ("filters", "sessions"),
    [
        (["--starred"], [REPORT]),
        (["--score", "good>0.4"], [REPORT, COURSE]),
        (["--score", "good>0.4", "--score", "good<0.6"], [COURSE]),
        (["--sort", "score:good"], [REPORT, COURSE]),
        (["--sort", "score:bad"], [COURSE, REPORT]),
    ],
    ids=" ".join,
)
def test_filters_and_orders(run: Run, filters: list[str], sessions: list[str]) -> None:
    run("score", "@1", "good=0.9", "bad=0.1", "--star")
    run("score", "@2/1", "good=0.5", "bad=0.3")

    assert [row["id"] for row in run("ls", *filters, "--json").rows] == sessions


def test_a_filter_that_fits_nothing_says_what_there_is(run: Run) -> None:
    assert "nothing is starred" in run("calls", "--starred").err
    run("score", "@1", "helpful=1")

    assert "no score 'helpfull>0'; there is: helpful" in run("calls", "--score", "helpfull>0").err
    assert "--score '>1' is no score" in run("calls", "--score", ">1").err


@pytest.mark.parametrize("place", ["file", "stdin"])
def test_the_scores_of_other_programs_are_written_at_once(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    lines = re.findall(r"^\{.*\}$", PAGE, re.MULTILINE)
    file = tmp_path / "evaluations.jsonl"
    file.write_text("\n".join(lines) + "\n\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))

    result = run("score", "--from", str(file) if place == "file" else "-")

    assert result.out == f"{len(lines)} scores written\n"
    keys = ("session", "call", "name", "value", "note")
    expected = [json.loads(line) for line in lines]
    assert [{key: one[key] for key in keys if one.get(key) is not None} for one in written(folder)] == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: it is no JSON"),
        ("[]", "it is no JSON object"),
        ('{"session": "x", "call": "y", "name": "n", "value": 1}', "it names no session and no call, or both"),
        ('{"name": "n", "value": 1}', "it names no session and no call, or both"),
        ('{"session": "x", "value": 1}', "it has no 'name'"),
        ('{"session": "x", "name": 3, "value": 1}', "'name' is no text"),
        ('{"session": "x", "name": "a>b", "value": 1}', "a score cannot be called 'a>b'"),
        ('{"session": "x", "name": "", "value": 1}', "a score cannot be called ''"),
        ('{"session": "x", "name": "n", "value": [1]}', "'value' is no number"),
        ('{"session": "x", "name": "n", "value": NaN}', "'value' is no number"),
        ('{"session": "x", "name": "n", "score": 1}', "nobody knows the key 'score'"),
        ('{"session": "x", "name": "n", "value": 1}', "line 2: there is no session x in"),
        ('{"call": "x", "name": "n", "value": 1}', "line 2: there is no call x in"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_written(
    run: Run, folder: Path, tmp_path: Path, line: str, said: str
) -> None:
    good = json.dumps({"session": REPORT, "name": "n", "value": 1})
    (tmp_path / "lines").write_text(f"{good}\n{line}\n")

    result = run("score", "--from", str(tmp_path / "lines"))

    assert result.status == 1
    assert said in result.err
    assert "nothing was written" in result.err
    assert written(folder) == []


def examples(page: str) -> list[list[str]]:
    """The commands of a page's shell blocks, without those of other programs behind a pipe."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line]
    return [shlex.split(line.split(" | ")[0], comments=True)[1:] for line in lines]


def test_the_examples_of_the_page_run(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evaluations.jsonl").write_text("\n".join(re.findall(r"^\{.*\}$", PAGE, re.MULTILINE)))

    for words in examples(PAGE):
        result = run(*words)
        assert (result.status, words) == (0, words), result.err

    assert {one["name"] for one in written(folder)} == {"helpful", "correct", "grade", "star", None}


def test_the_python_of_the_page_runs(folder: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(program.replace('"~/.sessiontap/trace"', repr(str(folder))), {})

    assert [one["name"] for one in written(folder)] == ["short"] * 5
