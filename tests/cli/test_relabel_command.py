"""relabel as a user and a program see it, and docs/relabel.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.command import Run
from tests.cli.recorded import COURSE, REPORT, call_id
from tests.cli.test_score_command import examples, written
from tests.push.logs import call, log_of

from sessiontap.trace.annotations import annotate, label_record

PAGE = (Path(__file__).parents[2] / "docs" / "relabel.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recorded.write(tmp_path / "trace", recorded.calls())


def changes(folder: Path) -> list[dict[str, Any]]:
    """The labels without what differs each time."""
    ours = ("type", "id", "time", "by", "source")
    return [{key: value for key, value in one.items() if key not in ours and value} for one in written(folder)]


@pytest.mark.parametrize(
    ("words", "label"),
    [
        (["@1", "--name", "New"], {"sessions": [REPORT], "name": "New"}),
        (["@1", "@2", "--tag", "t", "--tag", "u"], {"sessions": [REPORT, COURSE], "tags": ["t", "u"]}),
        (["@1/0", "--path", "/x"], {"calls": [call_id(4)], "path": "/x"}),
        (["@2", "--property", "a=b", "--property", "c="], {"sessions": [COURSE], "properties": {"a": "b", "c": ""}}),
        (["@2", "--merge-into", "@1"], {"sessions": [COURSE], "session": REPORT, "name": "Nightly report"}),
        (["@2", "--merge-into", "@1", "--name", "Both"], {"sessions": [COURSE], "session": REPORT, "name": "Both"}),
        (["--error", "--tag", "failed"], {"calls": [call_id(5)], "tags": ["failed"]}),
        (["@2", "--tool", "web_search", "--tag", "t"], {"calls": [call_id(1)], "tags": ["t"]}),
        (["--with-name", "Night*", "--tag", "t"], {"calls": [call_id(5), call_id(4)], "tags": ["t"]}),
        (["--at-path", "/outline", "--tag", "t"], {"calls": [call_id(3), call_id(1)], "tags": ["t"]}),
        (["--with-property", "mode=b*", "--tag", "t"], {"calls": [call_id(4)], "tags": ["t"]}),
        (["--with-tag", "nightly", "--with-name", "C*", "--tag", "t"],
         {"calls": [call_id(3), call_id(2), call_id(1)], "tags": ["t"]}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_is_written(run: Run, folder: Path, words: list[str], label: dict[str, Any]) -> None:
    dry = run("relabel", *words, "--dry-run")
    assert (dry.status, dry.out[:13], written(folder)) == (0, "would relabel", [])

    assert run("relabel", *words).status == 0

    (found,) = changes(folder)
    assert {key: sorted(value) if key == "calls" else value for key, value in found.items()} == {
        key: sorted(value) if key == "calls" else value for key, value in label.items()
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["@1"], "nothing says what is to change"),
        (["--name", "N"], "nothing says what is to be relabelled"),
        (["nobody", "--name", "N"], "'nobody' names neither"),
        (["@1", "--split"], "--split moves calls"),
        (["@1/0", "--split", "--merge-into", "@2"], "--split moves calls"),
        (["@1", "--merge-into", "@1"], "cannot be merged into itself"),
        (["@1", "--merge-into", "nobody"], "no session's id begins with 'nobody'"),
        (["@1/0", "--error", "--tag", "t"], "a call is named, and filters choose others"),
        (["--model", "nobody", "--tag", "t"], "no model 'nobody'"),
        (["@1", "--property", "a"], "--property 'a' gives no value"),
        (["--list", "@1"], "--list cannot be combined"),
        (["--undo", "last", "--name", "x"], "--undo cannot be combined"),
        (["--undo", "last"], "there is no label that could be undone"),
        (["--undo", "0"], "no label's id begins with '0'"),
    ],
    ids=" ".join,
)
def test_what_is_refused(run: Run, folder: Path, words: list[str], said: str) -> None:
    result = run("relabel", *words)

    assert result.status in (1, 2)
    assert said in result.err
    assert written(folder) == []


def test_a_path_is_written_as_the_rules_write_one(run: Run, folder: Path) -> None:
    assert run("relabel", "@1", "--path", "outline//second try/").status == 0
    assert [label["path"] for label in changes(folder)] == ["/outline/second-try"]


def test_calls_get_a_name_if_one_of_them_has_a_session(run: Run, tmp_path: Path) -> None:
    folder = log_of(tmp_path / "log", call("lone", session=None), call("other", 1, session="s1"))
    alone = run("relabel", "lone", "--name", "N", "--trace", str(folder))
    assert "the calls have no session that could have a name or path" in alone.err
    assert run("relabel", "lone", "other", "--name", "N", "--trace", str(folder)).status == 0


def everything(run: Run) -> list[str]:
    commands = (["ls", "--json"], ["calls", "--json"], ["show", COURSE], ["show", COURSE, "--json"],
                ["stats", "--by", "path", "--json"], ["search", "Brot", "--json"], ["cat", call_id(1), "--json"],
                ["export", "--format", "jsonl"], ["export", "--format", "html"],
                ["show", COURSE, "--timeline"])  # fmt: skip
    return [run(*command).out for command in commands]


def test_all_commands_see_calls_as_labelled_until_that_is_undone(run: Run, folder: Path) -> None:
    before = everything(run)
    assert run("relabel", COURSE, "--name", "Renamed", "--path", "/new", "--tag", "late").status == 0

    seen = everything(run)
    assert [text.count("Renamed") > 0 or "late" in text or "/new" in text for text in seen] == [True] * len(seen)
    assert all("Course outline" not in text for text in seen[:6])

    assert run("relabel", "--undo", "last").status == 0
    assert everything(run) == before


def test_merged_sessions_are_one_and_their_sums_are_right(run: Run) -> None:
    before = run("ls", "--json").rows

    assert run("relabel", "@2", "--merge-into", "@1").status == 0

    (row,) = run("ls", "--json").rows
    assert (row["id"], row["name"], row["calls"], row["errors"]) == (REPORT, "Nightly report", 5, 1)
    for key in ("input_tokens", "output_tokens"):
        assert row[key] == sum(one[key] for one in before)
    assert row["cost_usd"] == pytest.approx(sum(one["cost_usd"] for one in before))
    assert f"no session's id begins with '{COURSE}'" in run("show", COURSE).err


def test_calls_are_split_off_to_a_session_of_their_own(run: Run, folder: Path) -> None:
    assert run("relabel", "@2/0", "@2/1", "--split", "--name", "Review").status == 0

    (review,) = [row for row in run("ls", "--json").rows if row["name"] == "Review"]
    assert (review["calls"], review["paths"]) == (2, ["/outline", "/outline/research"])
    assert review["id"] == changes(folder)[0]["session"]
    assert {row["name"]: row["calls"] for row in run("ls", "--json").rows} == {
        "Review": 2, "Course outline": 1, "Nightly report": 2,
    }  # fmt: skip


def test_a_call_shows_what_was_recorded(run: Run) -> None:
    run("relabel", COURSE, "--merge-into", REPORT, "--path", "/new", "--property", "mode=new")

    row = run("cat", call_id(1), "--json").rows[0]
    assert (row["session_id"], row["path"], row["properties"]) == (REPORT, "/new", {"mode": "new"})
    assert row["recorded_session"] == {"id": COURSE, "name": "Course outline", "path": "/outline", "step": 0}
    assert (row["recorded_properties"], row["recorded_tags"]) == ({"mode": "context mode"}, None)
    assert f"recorded   in Course outline ({COURSE}) at /outline\n" in run("cat", call_id(1)).out


def test_a_steps_label_of_a_store_is_no_relabelling_and_shows_in_every_reader(run: Run, folder: Path) -> None:
    annotate(folder, [label_record(calls=[call_id(3)], steps={call_id(3): 7}, source="store")])

    assert {row["id"]: row["step"] for row in run("calls", "--json").rows}[call_id(3)] == 7
    assert "7 chat" in run("show", COURSE).out
    exported = json.loads(run("export", COURSE, "--format", "har").out)["log"]["entries"]
    assert exported[-1]["_sessiontap"]["step"] == 7
    row = run("cat", call_id(3), "--json").rows[0]
    assert (row["step"], row["recorded_session"]["step"]) == (7, 2)
    assert f"at {row['path']} as step 2\n" in run("cat", call_id(3)).out
    assert "shared steps in place of local ones" in run("relabel", "--list").out
    assert "there is no label that could be undone" in run("relabel", "--undo", "last").err


def test_labels_are_listed_and_an_undoing_is_undone(run: Run, folder: Path) -> None:
    run("relabel", "@1", "--name", "New")
    label = run("relabel", "--list", "--json").rows[0]
    assert (label["sessions"], label["name"], label["counts"], label["undoes"]) == ([REPORT], "New", True, None)

    (undoing,) = run("relabel", "--undo", label["id"][:30], "--json").rows
    assert undoing["undoes"] == label["id"]
    assert "undone" in run("relabel", "--list").out
    assert "is undone already" in run("relabel", "--undo", label["id"]).err

    assert run("relabel", "--undo", undoing["id"]).status == 0
    assert [row["counts"] for row in run("relabel", "--list", "--json").rows] == [True, False, True]
    assert run("ls", "--json").rows[0]["name"] == "New"


def test_labels_of_one_batch_are_undone_together(run: Run, folder: Path) -> None:
    from sessiontap.trace.annotations import annotate, label_record

    first = label_record(sessions=[REPORT], name="One", source="rules")
    second = label_record(sessions=[COURSE], name="Two", source="rules", batch=first["id"])
    annotate(folder, [first, second])
    assert [row["name"] for row in run("ls", "--json").rows] == ["One", "Two"]

    run("relabel", "--undo", "last")

    assert [row["name"] for row in run("ls", "--json").rows] == ["Nightly report", "Course outline"]


def test_the_examples_of_the_page_run(run: Run, folder: Path, own_place: Path) -> None:
    (own_place / "new.yaml").write_text("version: 1\nrules: [{session: {name: New}}]\n")
    for words in examples(PAGE):
        if "--undo" in words:
            run("relabel", "@1", "--name", "New")
        result = run(*words)
        assert (result.status, words) == (0, words), result.err
        if run("relabel", "--list", "--json").rows[-1:] and "--undo" not in words:
            run("relabel", "--undo", "last")

    assert len([one for one in changes(folder) if "undoes" not in one]) == 5
