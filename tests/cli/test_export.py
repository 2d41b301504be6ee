"""`sessiontap export` as a user and a program see it, and as docs/exports.md describes it, without a gap."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.io import FlowReader
from tests.cli import recorded
from tests.cli.recorded import call_id
from tests.export.calls import call, turn
from tests.support.gate import PATIENCE

from sessiontap.cli.commands.export import export
from sessiontap.cli.main import main
from sessiontap.export import FORMATS, ExportFormat, jsonl
from sessiontap.trace import frame

Run = Callable[..., tuple[int, str, str]]
PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recorded.write(tmp_path / "trace", recorded.calls())


@pytest.fixture
def run(folder: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on that trace, in this process."""
    monkeypatch.setenv("SESSIONTAP_TRACE", str(folder))

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(("export", *arguments))
        said = capfdbinary.readouterr()
        return status, said.out.decode(), said.err.decode()

    return run


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def numbers(text: str) -> list[int]:
    return [int(line["id"][-12:]) for line in lines(text)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("@2",), [1, 2, 3]),
        (("@1", "7d3c"), [1, 2, 3, 4, 5]),
        (("--error",), [5]),
        (("--name", "course*"), [1, 2, 3]),
        (("--process", "report.py", "--property", "mode=batch"), [4]),
        (("--model", "gpt-4o", "--since", "2025-11-21T05:00:05Z"), [5]),
        (("--search", "sourdough"), [1]),
        (("nightly", "--search", "sourdough"), []),
    ],
    ids=["all", "session", "sessions", "error", "name", "process and property", "model and since", "search", "none"],
)
def test_calls_are_chosen_as_by_the_other_commands(run: Run, arguments: tuple[str, ...], expected: list[int]) -> None:
    status, out, _ = run("--format", "jsonl", *arguments)
    assert (status, numbers(out)) == (0, expected)


def test_bodies_and_costs_are_those_of_the_log(run: Run, folder: Path) -> None:
    from sessiontap import trace

    _, out, _ = run("-f", "jsonl")
    stored = list(trace.open(folder).calls(newest_first=False))
    assert [line["request"]["body"].encode() for line in lines(out)] == [call.request_body() for call in stored]
    assert lines(out)[0]["cost_usd"] == pytest.approx(0.000027)
    assert lines(out)[2]["cost_usd"] is None


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_every_format(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"calls.{name}"
    assert run("-f", name, "-o", str(path)) == (0, "", f"sessiontap: 5 calls in {path}\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_dash_is_stdout(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert numbers(run("-f", "jsonl", "-o", "-")[1]) == [1, 2, 3, 4, 5]
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("name", ["har", "flow"])
def test_mitmproxy_reads_it(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"calls.{name}"
    run("-f", name, "-o", str(path))
    with path.open("rb") as file:
        assert len(list(FlowReader(file).stream())) == 5


def test_flows_on_a_pipe(folder: Path) -> None:
    command = [sys.executable, "-m", "sessiontap.cli", "export", "--trace", str(folder), "-f", "flow"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)
    assert len(list(FlowReader(io.BytesIO(done.stdout)).stream())) == 5


def test_flows_are_not_written_to_a_terminal(folder: Path) -> None:
    command = [sys.executable, "-m", "sessiontap.cli", "export", "--trace", str(folder), "-f", "flow"]
    own, other = pty.openpty()
    try:
        done = subprocess.run(command, stdout=other, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    finally:
        os.close(other)
        os.close(own)
    assert (done.returncode, done.stderr) == (
        2,
        "sessiontap: flow cannot be shown on a terminal\nhint: write it to a file: -o calls.flow\n",
    )


def test_a_reader_that_has_had_enough_is_no_failure(folder: Path) -> None:
    own, other = os.pipe()
    os.close(own)
    command = [sys.executable, "-m", "sessiontap.cli", "export", "--trace", str(folder), "-f", "jsonl"]
    try:
        done = subprocess.run(command, stdout=other, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    finally:
        os.close(other)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "missing option '--format'"),
        (("-f", "cvs"), 2, "'cvs' is not one of 'jsonl', 'har', 'flow'"),
        (("-f", "jsonl", "nobody"), 1, "no session's id begins with 'nobody'"),
        (("-f", "jsonl", "--property", "=x"), 2, "names no property"),
        (("-f", "jsonl", "-o", "no/such/x"), 1, "no/such/x cannot be written: No such file or directory"),
    ],
    ids=["no format", "no such format", "no such session", "a bad filter", "no such folder"],
)
def test_mistakes_are_said(run: Run, arguments: tuple[str, ...], status: int, words: str) -> None:
    done, out, err = run(*arguments)
    assert (done, out) == (status, "")
    assert words in err


def test_an_export_without_calls_says_so(run: Run) -> None:
    status, out, err = run("-f", "har", "--model", "nothing")
    assert (status, json.loads(out)["log"]["entries"]) == (0, [])
    assert "fits the filter\nsessiontap: no model 'nothing'; there are: " in err
    assert err.endswith("\nsessiontap: the export is empty\n")


def damage(folder: Path, number: int) -> None:
    """Change what the body of a call is checked by, in a record that is whole itself."""
    (segment,) = folder.glob("*.mpk")
    kept = []
    with segment.open("rb") as file:
        for one in frame.scan(file):
            assert isinstance(one, frame.Frame)
            record = frame.decode(one.payload) or {}
            if record.get("id") == call_id(number):
                record["response"]["body"]["sha256"] = b"0" * 32
            kept.append(frame.encode(record))
    segment.write_bytes(b"".join(kept))


def test_what_cannot_be_read_is_left_out_and_said(run: Run, folder: Path) -> None:
    damage(folder, 4)
    status, out, err = run("-f", "jsonl")
    assert status == 1
    assert f"call {call_id(4)}, response: the body does not fit its sha256" in err
    assert "1 body could not be read" in err
    found = lines(out)
    assert [line["response"]["body_missing"] for line in found] == [
        *[None] * 3, "the body does not fit its sha256", None
    ]  # fmt: skip
    assert found[3]["request"]["body"]


def test_records_that_were_lost_are_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = recorded.write(tmp_path / "lossy", recorded.calls()[:1], [("dropped", "lost", {"dropped": {"queue": 2}})])
    monkeypatch.setenv("SESSIONTAP_TRACE", str(lossy))
    status, _, err = run("-f", "jsonl")
    assert status == 0
    assert "2 records were lost" in err


MADE_UP = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
"""The format that the documentation shows how to add."""


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file and one line in the list."""
    assert MADE_UP is not None
    (tmp_path / "made_up_format.py").write_text(MADE_UP[1])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FORMATS, "costs", ExportFormat("costs", "id, session and cost a line", "made_up_format"))
    monkeypatch.delitem(sys.modules, "made_up_format", raising=False)
    monkeypatch.delitem(sys.modules, "sessiontap.cli.commands.export", raising=False)  # it reads the list anew


@pytest.mark.usefixtures("made_up")
def test_one_file_and_one_line_add_a_format(run: Run) -> None:
    status, out, _ = run("--format", "costs", "@2")
    assert status == 0
    _, known, _ = run("--format", "jsonl", "@2")
    assert out.splitlines() == [
        f"{one['id']} {one['session_name']} {one['path']} {one['cost_usd']}" for one in lines(known)
    ]


@pytest.mark.usefixtures("made_up")
def test_the_help_and_the_errors_name_an_added_format(run: Run) -> None:
    assert "costs: id, session and cost a line" in " ".join(run("--help")[1].split())
    assert "'html', 'markdown', 'costs'" in run("--format", "cost")[2]


COMMANDS = re.findall(r"^sessiontap (export .*)$", PAGE, re.MULTILINE)
SHOWN = re.findall(r"^  sessiontap (export .*)$", export.epilog or "", re.MULTILINE)


@pytest.mark.parametrize("command", [*COMMANDS, *SHOWN])
def test_the_documented_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SESSIONTAP_TRACE", str(recorded.write(tmp_path / "trace", recorded.calls())))
    ours = re.split(r" \| | && ", command)[0]
    assert main(shlex.split(ours)) == 0


def test_every_format_has_its_section() -> None:
    assert re.findall(r"^## ([a-z-]+)$", PAGE, re.MULTILINE) == list(FORMATS)


def test_every_key_of_jsonl_is_there() -> None:
    section = PAGE.partition("## jsonl")[2].partition("## har")[0]
    line = jsonl.as_json(turn())
    keys = (set(line) - set(call().row)) | set(line["request"]) | set(line["response"])
    assert [key for key in sorted(keys) if f"`{key}`" not in section] == []


def test_a_file_that_is_there_stays_unless_it_is_forced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text("mine")
    status, out, err = run("--format", "jsonl", "-o", str(path))
    assert (status, out, err) == (1, "", f"sessiontap: {path} is there already\nhint: --force overwrites it\n")
    assert path.read_text() == "mine"
    assert run("--format", "jsonl", "-o", str(path), "--force")[0] == 0
    assert len(lines(path.read_text())) == 5


@pytest.mark.parametrize(("answer", "overwritten"), [(b"y\n", True), (b"\n", False)], ids=["yes", "not yes"])
def test_on_a_terminal_it_is_asked(folder: Path, tmp_path: Path, answer: bytes, overwritten: bool) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text("mine")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sessiontap.cli", "export", "--format", "jsonl", "-o", str(path)]
    environ = os.environ | {"SESSIONTAP_TRACE": str(folder)}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as process:
        os.write(ours, answer)
        status = process.wait()
    os.close(ours)
    os.close(theirs)
    assert (status, path.read_text() != "mine") == (0 if overwritten else 1, overwritten)
