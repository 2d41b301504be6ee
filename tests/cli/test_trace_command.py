"""trace info, verify, prune and reindex as a user and a program see them."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.command import Run, runner
from tests.cli.recorded import COURSE, REPORT
from tests.support.gate import PATIENCE

from sessiontap.cli.main import main
from sessiontap.trace import Writer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two segments: the course and a call of the report, the rest of the report."""
    calls = recorded.calls()
    recorded.write(tmp_path / "trace", calls[:4])
    return recorded.write(tmp_path / "trace", calls[4:])


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`sessiontap trace ...` on that folder, without a terminal."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return runner(capsys, monkeypatch, "trace", trace=folder)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mpk"))


def names(run: Run, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Sessions that are left."""
    assert main(["ls", "--json"]) == 0
    return [json.loads(row)["id"] for row in capsys.readouterr().out.splitlines()]


def test_info(run: Run, folder: Path) -> None:
    status, out, err = run("info")

    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert (status, err) == (0, "")
    assert lines["folder"] == str(folder)
    assert lines["calls"] == "5 in 2 sessions"
    assert lines["log"].endswith("KB in 2 segments")
    assert (lines["from"], lines["to"]) == ("2025-11-21 05:00:01", "2025-11-21 05:00:05")
    assert lines["problems"] == "none"


def test_info_json(run: Run, folder: Path) -> None:
    found = json.loads(run("info", "--json")[1])

    assert (found["calls"], found["sessions"], found["problems"]) == (5, 2, 0)
    assert (found["first"], found["last"]) == ("2025-11-21T05:00:01.000000Z", "2025-11-21T05:00:05.000000Z")
    assert found["bytes"] == sum(path.stat().st_size for path in segments(folder))
    assert [one["file"] for one in found["segments"]] == list(map(str, segments(folder)))
    assert {(one["live"], one["readable"], one["writer"]["host"]) for one in found["segments"]} == {
        (False, True, "test")
    }


def test_verify_what_is_sound(run: Run) -> None:
    status, out, err = run("verify")

    assert (status, err) == (0, "")
    assert out.endswith("10 bodies in 2 segments: all sound\n")


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_verify_says_where_what_is_damaged(run: Run, folder: Path, as_json: bool) -> None:
    first, _ = segments(folder)
    data = bytearray(first.read_bytes())
    data[-50] ^= 1
    first.write_bytes(data)

    status, out, err = run("verify", *["--json"] * as_json)

    assert (status, err) == (1, "")
    if as_json:
        (problem,) = json.loads(out)["problems"]
        assert (problem["file"], problem["offset"] + problem["size"]) == (str(first), len(data))
    else:
        assert out.startswith(f"{first} at ")
        assert out.endswith(": 1 problem\n")


def test_a_dry_run_removes_nothing(run: Run, folder: Path) -> None:
    before = [path.read_bytes() for path in segments(folder)]

    status, out, _ = run("prune", "--older-than", "2025-12-01", "--dry-run")

    assert status == 0
    assert out.startswith("would remove 5 calls, 2 whole sessions, ")
    assert out.endswith(": 2 segments as a whole\n")
    assert [path.read_bytes() for path in segments(folder)] == before


@pytest.mark.parametrize(
    ("wish", "calls", "sessions", "left"),
    [
        (["--older-than", "2025-11-21T05:00:05Z"], 4, 1, [REPORT]),
        (["--older-than", "2025-11-01"], 0, 0, [REPORT, COURSE]),
        (["--max-size", "0"], 5, 2, []),
        (["--max-size", "1GB"], 0, 0, [REPORT, COURSE]),
        (["--session", COURSE[:8]], 3, 1, [REPORT]),
        (["--session", "@1"], 2, 1, [COURSE]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_prune(
    run: Run, capsys: pytest.CaptureFixture[str], wish: list[str], calls: int, sessions: int, left: list[str]
) -> None:
    assert names(run, capsys) == [REPORT, COURSE]

    status, out, err = run("prune", *wish, "--yes", "--json")

    said = json.loads(out)
    assert (status, err) == (0, "")
    assert (said["removed"], said["calls"], said["sessions"]) == (True, calls, sessions)
    assert (said["bytes"] > 0) == (calls > 0)
    assert names(run, capsys) == left


def test_prune_says_what_went(run: Run) -> None:
    assert run("prune", "--session", REPORT, "-y")[1].startswith("removed 2 calls, 1 whole session, ")
    assert run("prune", "--older-than", "2001-01-01", "-y")[1] == "nothing to remove\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing says what may go"),
        (["--older-than", "30x", "--yes"], "'30x' is no age"),
        (["--older-than", "2099-01-01", "--yes"], "'2099-01-01' is still to come"),
        (["--older-than", "2999-01-01", "--yes"], "'2999-01-01' is no age"),
        (["--max-size", "5 apples", "--yes"], "'5 apples' is no size"),
        (["--max-size", "-5MB", "--yes"], "'-5MB' is no size"),
        (["--max-size", "0", "--yes", "--dry-run"], "--yes and --dry-run cannot be combined"),
        (["--max-size", "0"], "prune asks before it removes, and there is no terminal to ask on"),
    ],
    ids=["nothing", "age", "future", "far future", "size", "negative", "both", "no terminal"],
)
def test_a_prune_that_is_not_meant_so_removes_nothing(run: Run, folder: Path, arguments: list[str], words: str) -> None:
    status, out, err = run("prune", *arguments)

    assert (status, out) == (2, "")
    assert err.startswith(f"sessiontap: {words}")
    assert "hint: " in err
    assert len(segments(folder)) == 2


def test_a_session_that_there_is_not(run: Run) -> None:
    status, _, err = run("prune", "--session", "nosuch", "--yes")

    assert (status, "no session's id begins with 'nosuch'" in err) == (1, True)


def test_what_a_proxy_is_writing_stays_and_is_said(run: Run, folder: Path) -> None:
    writer = Writer(folder, writer_info={"pid": 1, "host": "test"}, fsync_seconds=None)
    writer.start()
    record: dict[str, Any] = {"type": "call", "id": "0-0", "time": recorded.START, "session": {"id": COURSE}}
    record["request"] = {"method": "POST", "url": "https://h/"}
    writer.submit(lambda: [record], 1)
    writer.flush()
    try:
        by_size, by_session = run("prune", "--max-size", "0", "--yes"), run("prune", "--session", COURSE, "--yes")
    finally:
        writer.close()

    said = "sessiontap: 1 segment with calls that should go stay: a proxy is writing to them\n"
    assert (by_size[0], by_size[1].startswith("removed 5 calls, 1 whole session"), by_size[2]) == (0, True, said)
    assert (by_session[0], by_session[1], by_session[2].startswith(said)) == (1, "nothing to remove\n", True)


@pytest.mark.parametrize(
    ("answer", "status", "left"), [("y\n", 0, 0), ("YES\n", 0, 0), ("n\n", 1, 2), ("\n", 1, 2), ("\x04", 1, 2)],
    ids=["y", "yes", "no", "return", "end of input"],
)  # fmt: skip
def test_prune_asks_on_a_terminal(folder: Path, answer: str, status: int, left: int) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "sessiontap.cli", "trace", "prune", "--max-size", "0", "--trace", str(folder)]
    try:
        os.write(terminal, answer.encode())
        done = subprocess.run(command, stdin=end, capture_output=True, text=True, timeout=PATIENCE)
    finally:
        os.close(terminal)
        os.close(end)

    assert "This removes 5 calls, 2 whole sessions, " in done.stderr
    assert "Remove? [y/N]" in done.stderr
    assert (done.returncode, len(segments(folder))) == (status, left)
    assert done.stdout.startswith("removed 5 calls") == (left == 0)


def test_reindex(run: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "index.sqlite").write_bytes(b"nothing that one could use" * 100)

    assert run("reindex") == (0, "indexed 5 calls in 2 sessions\n", "")
    assert json.loads(run("reindex", "--json")[1])["calls"] == 5
    assert names(run, capsys) == [REPORT, COURSE]


@pytest.mark.parametrize("command", [["info"], ["verify"], ["reindex"], ["prune", "--max-size", "0", "--yes"]])
def test_a_folder_that_is_not_there(run: Run, tmp_path: Path, command: list[str]) -> None:
    status, out, err = run(*command, "--trace", str(tmp_path / "nowhere"))

    assert (status, out) == (1, "")
    assert err.startswith("sessiontap: there is no trace folder ")
