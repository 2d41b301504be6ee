"""The command on logs of several machines: `--trace A --trace B`, a list in the environment, a folder of folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cli.command import Run, runner
from tests.support.machine_logs import call, log_writer

A, B = call(0), call(1)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session of which machine a recorded the first call and machine b the second."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write = log_writer(tmp_path / "logs")
    write("a", A)
    write("b", B)
    return tmp_path / "logs"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("SESSIONTAP_TRACE", raising=False)
    return runner(capsys, monkeypatch)


NAMED = {
    "options": lambda logs: (["--trace", str(logs / "a"), "--trace", str(logs / "b")], None),
    "a folder of folders": lambda logs: (["--trace", str(logs)], None),
    "the environment": lambda logs: ([], f"{logs / 'a'}{os.pathsep}{logs / 'b'}"),
    "a folder of folders in the environment": lambda logs: ([], str(logs)),
}


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("before", [True, False], ids=["before the command", "behind it"])
def test_logs_are_named_in_any_way(logs: Path, run: Run, monkeypatch: pytest.MonkeyPatch, named, before: bool) -> None:
    options, environment = named(logs)
    if environment is not None:
        monkeypatch.setenv("SESSIONTAP_TRACE", environment)

    printed = run(*options, "ls", "--json") if before else run("ls", "--json", *options)

    assert [(row["id"], row["calls"], row["machines"]) for row in printed.rows] == [("shared", 2, ["a", "b"])]


READING = {
    "ls": ["ls"],
    "show": ["show", "@1"],
    "show --flat": ["show", "@1", "--flat"],
    "show --timeline": ["show", "@1", "--timeline"],
    "calls": ["calls"],
    "cat": ["cat", "@1/1"],
    "tail": ["tail"],
    "stats": ["stats", "--by", "machine"],
    "diff": ["diff", "@1/0", "@1/1"],
    "export": ["export", "--format", "jsonl"],
    "rules explain": ["rules", "explain", "@1/1"],
    "push status": ["push", "status"],
    "trace info": ["trace", "info"],
    "trace verify": ["trace", "verify"],
    "trace reindex": ["trace", "reindex"],
}


@pytest.mark.parametrize("command", READING.values(), ids=READING)
def test_every_command_reads_them(logs: Path, run: Run, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "rules.yaml").write_text("version: 1\nrules: []\n")
    rules = ["--rules", str(tmp_path / "rules.yaml")] if command[0] == "rules" else []

    printed = run(*command, *rules, "--trace", str(logs))

    assert printed.status == 0, printed.err
    assert printed.out


def test_lists_have_a_column_if_there_are_several_machines(logs: Path, run: Run) -> None:
    assert run("ls", "--trace", str(logs)).out.splitlines()[0].endswith("MACHINES")
    assert run("calls", "--trace", str(logs)).out.splitlines()[1].endswith("  b")
    assert run("show", "@1", "--flat", "--trace", str(logs)).out.splitlines()[-1].endswith("  b")
    assert "MACHINE" not in run("ls", "--trace", str(logs / "a")).out


def test_a_machine_is_a_filter(logs: Path, run: Run) -> None:
    assert [row["id"] for row in run("calls", "--machine", "b", "--trace", str(logs), "--json").rows] == [B["id"]]
    assert "no machine 'c'; there are: a, b" in run("calls", "--machine", "c", "--trace", str(logs)).err


def test_folders_are_named_as_they_were_given(logs: Path, run: Run) -> None:
    named = ["--trace", str(logs / "a"), "--trace", str(logs / "b")]

    assert f"there is no session @9 in {logs / 'a'}, {logs / 'b'}" in run("show", "@9", *named).err
    assert f"there is no trace folder {logs / 'c'}" in run("ls", *named, "--trace", str(logs / "c")).err


def test_a_score_goes_to_the_folder_of_its_call(logs: Path, run: Run) -> None:
    assert run("score", "@1/0", "helpful=1", "--trace", str(logs)).status == 0
    assert len(list((logs / "a").glob("*-annotations.mpk"))) == 1
    assert not list((logs / "b").glob("*-annotations.mpk"))


def test_a_relabelling_is_listed_and_undone(logs: Path, run: Run) -> None:
    assert run("relabel", "@1", "--name", "Named", "--trace", str(logs)).status == 0
    assert run("ls", "--json", "--trace", str(logs)).rows[0]["calls"] == 2
    assert "Named" in run("ls", "--name", "Named", "--trace", str(logs)).out
    assert run("relabel", "--undo", "last", "--trace", str(logs)).status == 0
    assert "Named" not in run("ls", "--trace", str(logs)).out


def test_pruning_takes_one_log(logs: Path, run: Run) -> None:
    printed = run("trace", "prune", "--max-size", "1KB", "--yes", "--trace", str(logs))

    assert printed.status == 1
    assert f"one log is pruned at a time, and these are read together: {logs}" in printed.err


@pytest.mark.parametrize("command", [["run"], ["exec", "--", "true"]], ids=lambda command: command[0])
def test_a_proxy_writes_to_one_log(logs: Path, run: Run, command: list[str]) -> None:
    printed = run(command[0], "--trace", str(logs / "a"), "--trace", str(logs / "b"), *command[1:])

    assert printed.status == 2
    assert "a proxy writes to one trace, and 2 are named\nhint: name one with --trace DIR" in printed.err


def test_clocks_that_differ_are_told(logs: Path, run: Run) -> None:
    log_writer(logs)("b", call(2, at=-4.2, parent=A["id"], evidence="exact"))
    said = "clocks differ: that of b is at least 4.2s behind that of a"

    assert said in run("ls", "--trace", str(logs)).err
    assert said in run("show", "@1", "--trace", str(logs)).err
    assert said in run("doctor", "--trace", str(logs)).out
    assert "clocks" not in run("ls", "--trace", str(logs / "b")).err
