"""Commands that read the log: errors, damage, terminals and pipes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cli import recorded
from tests.cli.command import Run
from tests.cli.recorded import COURSE, call_id

from sessiontap.cli.filter_options import FILTER_OPTIONS
from sessiontap.cli.main import app


def test_what_was_recorded_cannot_drive_the_terminal(run: Run) -> None:
    assert "Week one:\n\\x1b[31mflour." in run("cat", call_id(3), "--text").out
    assert "\x1b" not in run("cat", call_id(3)).out


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["show", "nosuch"], 1, "sessiontap: no session's id begins with 'nosuch'"),
        (["cat", "@9"], 1, "sessiontap: there is no call @9"),
        (["cat", "019aa4c8"], 1, "sessiontap: more than one call's id begins with '019aa4c8'"),
        (["cat", "@1", "--request", "--text"], 2, "sessiontap: --request and --text cannot be combined"),
        (["show", "@1", "--full"], 2, "sessiontap: --full unfolds a conversation"),
        (["show", "@1", "--conversation", "--flat"], 2, "sessiontap: --conversation cannot be combined with"),
        (["ls", "--since", "soon"], 2, "sessiontap: 'soon' is no point in time"),
        (["ls", "--property", "=x"], 2, "sessiontap: --property '=x' names no property"),
        (["ls", "--sort", "size"], 2, "sessiontap: invalid value for '--sort': 'size' is not one of"),
        (["ls", "--limit", "-1"], 2, "sessiontap: invalid value for '--limit' / '-n': '-1' is no whole number from 0"),
        (["ls", "--limit", "x"], 2, "sessiontap: invalid value for '--limit' / '-n': 'x' is no whole number from 0"),
        (["ls", "--since", ""], 2, "sessiontap: '' is no point in time"),
        (["ls", "--until", ""], 2, "sessiontap: '' is no point in time"),
        (["ls", "--search", ""], 2, "sessiontap: the text of --search is empty"),
        (["trace", "prune", "--search", "", "--yes"], 2, "sessiontap: the text of --search is empty"),
        (["push", "otlp", "--since", ""], 2, "sessiontap: '' is no point in time"),
        (["push", "otlp", "--endpoint", ""], 2, "sessiontap: the endpoint is empty"),
        (["ls", "--trace", ""], 2, "sessiontap: invalid value for '--trace': the path is empty"),
        (["ls", "--rules", ""], 2, "sessiontap: invalid value for '--rules': the path is empty"),
        (["export", "-f", "jsonl", "-o", ""], 2, "sessiontap: invalid value for '--output' / '-o': the path is empty"),
        (["export", "-f", "jsonl", "--redact", ""], 2, "sessiontap: the pattern of --redact is empty"),
        (["show", "@1/0"], 1, "sessiontap: '@1/0' names a call, not a session"),
        (["show", "@x"], 1, "sessiontap: there is no session @x in "),
        (["score", "@9"], 1, "sessiontap: '@9' names neither a session nor a call in "),
        (["score", "019aa4c8"], 1, "sessiontap: more than one call's id begins with '019aa4c8'"),
        (["score", "@1", "a=1", "--remove", "a"], 2, "sessiontap: the score 'a' is given twice"),
        (["score", "--from", "."], 1, "sessiontap: . cannot be read: Is a directory"),
        (["relabel", "@1", "--tag", ""], 2, "sessiontap: a tag is empty"),
        (["replay", "@1", "--report", ".", "--", "true"], 1, "sessiontap: the report . cannot be written: it is a"),
        (["replay", "@1", "--report", "no/x", "--", "true"], 1, "sessiontap: the report no/x cannot be written: "),
        (["doctor", "--force"], 2, "sessiontap: --force is for a program to run"),
        (["doctor", "--json", "--", "true"], 2, "sessiontap: --json cannot be combined with a program to run"),
        (["ui", "--port", "1", "--unix", "x"], 2, "sessiontap: --port and --unix cannot be combined"),
        (["ui", "--port", "70000"], 2, "sessiontap: invalid value for '--port': '70000' is no whole number from 0"),
        (["ui", "--unix", "."], 1, "sessiontap: . cannot be used as a socket: it is there, and is no socket"),
        (["ui", "--unix", "no/x"], 1, "sessiontap: no/x cannot be used as a socket: No such file or directory"),
        (["export", "-f", "jsonl", "-o", "~nobody-of-here/x"], 2, "sessiontap: what ~ stands for in ~nobody-of-here/x"),
        (["nosuch"], 2, "sessiontap: no such command 'nosuch'"),
        (["show"], 2, "sessiontap: missing argument 'SESSION'"),
        (["ls", "--trace", "/nowhere/at/all"], 1, "sessiontap: there is no trace folder /nowhere/at/all"),
    ],
)
def test_an_error_is_a_sentence_and_a_hint(run: Run, arguments: list[str], status: int, says: str) -> None:
    said = run(*arguments)
    assert said.status == status
    assert said.out == ""
    sentence, hint = said.err.splitlines()
    assert sentence.startswith(says)
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("arguments", [["ls"], ["calls"], ["tail"]])
def test_an_empty_trace_is_no_error(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    said = run(*arguments, trace=recorded.write(tmp_path / "empty", []))
    assert (said.status, said.out) == (0, "")


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
def test_the_trace_folder_may_stand_before_or_behind_the_command(
    run: Run, folder: Path, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SESSIONTAP_TRACE")
    option = ["--trace", str(folder)]
    arguments = [*option, "ls", "--json"] if before else ["ls", "--json", *option]
    assert len(run(*arguments, trace=None).rows) == 2


def test_the_default_folder_is_in_the_home(run: Run, own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SESSIONTAP_TRACE")
    recorded.write(own_place / ".sessiontap" / "trace", recorded.calls()[:1])
    assert len(run("ls", "--json", trace=None).rows) == 1


def test_losses_are_told(run: Run, tmp_path: Path) -> None:
    notes: list[tuple[str, str, dict[str, Any]]] = [
        ("dropped", "3 records were lost (queue 3)", {"dropped": {"queue": 3}}),
        ("not_captured", "no trust", {"host": "api.openai.com", "process": "node"}),
    ]
    trace = recorded.write(tmp_path / "trace", recorded.calls()[:1], notes)
    segment = next(trace.glob("*.mpk"))
    segment.write_bytes(segment.read_bytes()[:-3])  # the last note is torn
    said = run("ls", "--json", trace=trace)
    assert len(said.rows) == 1
    lost, torn = said.err.splitlines()
    assert lost.startswith("sessiontap: 3 records were lost at ")
    assert lost.endswith("(the queue was full: 3)")
    assert torn.startswith(f"sessiontap: {segment} at ")


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    many = [recorded.chat(number, session=(COURSE, "x", "/x", number), caller=None) for number in range(400)]
    trace = recorded.write(tmp_path / "trace", many)
    command = [sys.executable, "-m", "sessiontap.cli", "calls", "-n", "0", "--json", "--trace", str(trace)]
    read, write = os.pipe()
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        os.close(read)  # nobody reads, as after `| head -0`
        _, complaint = process.communicate()
    assert (process.returncode, complaint) == (0, b"")


def test_it_is_plain_where_it_is_piped(run: Run) -> None:
    assert "\x1b" not in run("ls").out + run("show", "@1").out + run("tail").out


def on_a_terminal(folder: Path, *arguments: str, columns: int = 80, **environ: str) -> str:
    """What the command writes to a terminal of that width."""
    code = "import pty, sys; sys.exit(pty.spawn([sys.executable, '-m', 'sessiontap.cli', *sys.argv[1:]]) >> 8)"
    settings = {"TERM": "xterm-256color", "COLUMNS": str(columns), "SESSIONTAP_TRACE": str(folder), **environ}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=os.environ | settings)
    assert done.returncode == 0
    return done.stdout.decode().replace("\r\n", "\n")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
def test_a_terminal_gets_colour_and_lines_that_fit(folder: Path) -> None:
    assert "\x1b[31m" in on_a_terminal(folder, "ls")  # the failed session in red
    plain = on_a_terminal(folder, "ls", columns=81, NO_COLOR="1")
    assert "\x1b[3" not in plain
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in plain.splitlines()]
    assert lines == [
        "ID        NAME            TITLE                 STARTED     TOOK  CALLS      COST",
        "nightly-  Nightly report  hello                 2025-11-21  1.5s      2   $0.0004",
        "7d3c1a52  Course outline  Plan a course on Br…  2025-11-21  3.2s      3  $0.0004+",
    ]


@pytest.mark.parametrize("command", [["ls"], ["calls"], ["show", "@1"]], ids=lambda command: command[0])
def test_damage_is_stepped_over_and_said(run: Run, tmp_path: Path, command: list[str]) -> None:
    trace = recorded.write(tmp_path / "trace", recorded.calls())
    (segment,) = trace.glob("*.mpk")
    segment.write_bytes(segment.read_bytes()[:-3])
    said = run(*command, trace=trace)
    assert said.status == 0
    assert said.out
    assert f"{segment} at " in said.err


def test_a_folder_that_cannot_be_written_is_read_all_the_same(run: Run, tmp_path: Path) -> None:
    trace = recorded.write(tmp_path / "trace", recorded.calls())
    (trace / "index.sqlite").mkdir()  # root may write where it may not, but not this
    assert run("ls", "--json", trace=trace).rows == run("ls", "--json").rows


def test_ids_are_cut_so_that_they_can_be_typed_back(run: Run, tmp_path: Path) -> None:
    """Also where the list shows only some of the sessions."""
    sessions = ["7d3c1a52-0001", "7d3c1a52-0002", "nightly-report"]
    calls = [recorded.chat(n, session=(one, one, "/", 0), caller=None) for n, one in enumerate(sessions)]
    trace = recorded.write(tmp_path / "trace", calls)
    for options, expected in ((["--name", "*0002"], sessions[1:2]), ([], sessions[::-1])):
        shown = [line.split()[0] for line in run("ls", *options, trace=trace).out.splitlines()[1:]]
        assert [json.loads(run("show", one, "--json", trace=trace).out)["session"]["id"] for one in shown] == expected


def test_the_page_of_filters_names_each_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "filters.md").read_text("utf-8")
    documented = re.findall(r"^\| `(--[a-z]+)[ `]", page, re.MULTILINE)
    command = app.get_command(click.Context(app), "calls")
    assert command is not None
    offered = [option.opts[0] for option in command.params if option.name in FILTER_OPTIONS]
    assert documented == offered
