"""A command's own file is private and whole, recorded text is spelled out, a bar is for long work on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli import recorded

from sessiontap.cli.errors import Failure
from sessiontap.cli.output import line, out_file, safe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def test_it_is_private_and_there_when_it_is_whole(folder: Path) -> None:
    path = folder / "calls.har"
    with out_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        (draft,) = folder.iterdir()
        assert draft.stat().st_mode & 0o777 == 0o600
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_failure_leaves_what_was_there(folder: Path, error: type[BaseException]) -> None:
    path = folder / "calls.har"
    path.write_bytes(b"old")
    with pytest.raises(error), out_file(path):
        raise error
    assert path.read_bytes() == b"old"
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (OSError(28, "No space left on device"), Failure, "calls.har cannot be written: No space left on device"),
        (PermissionError(13, "Permission denied", "/other"), PermissionError, "/other"),
    ],
    ids=["its own", "another file's"],
)
def test_what_went_wrong_is_said_of_the_right_file(
    folder: Path, error: OSError, raised: type[Exception], words: str
) -> None:
    with pytest.raises(raised, match=words), out_file(folder / "calls.har"):
        raise error
    assert list(folder.iterdir()) == []


def test_a_link_leads_to_the_file(folder: Path) -> None:
    target, link = folder / "target", folder / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with out_file(link) as file:
        file.write(b"new")
    assert (target.read_bytes(), link.is_symlink()) == (b"new", True)


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    with out_file(Path(os.devnull)) as file:
        file.write(b"gone")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("name", "words"),
    [("no/such/folder/x", "No such file or directory"), (".", "Is a directory")],
    ids=["no folder", "a folder"],
)
def test_what_cannot_be_written_is_said(folder: Path, name: str, words: str) -> None:
    with pytest.raises(Failure, match=words), out_file(folder / name):
        pass


@pytest.mark.parametrize(
    ("text", "on_lines", "on_one"),
    [
        ("plain ✓ ü", "plain ✓ ü", "plain ✓ ü"),
        ("a\nb\tc", "a\nb\tc", "a\\nb\\tc"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07", "\\x1b[2J\\x07"),
        ("\x9b31m", "\\x9b31m", "\\x9b31m"),
        ("a\r\x00", "a\\x0d\\x00", "a\\x0d\\x00"),
        ("\u202eevil", "\\u202eevil", "\\u202eevil"),
    ],
)
def test_control_characters_are_spelled_out(text: str, on_lines: str, on_one: str) -> None:
    assert (safe(text), line(text)) == (on_lines, on_one)


NEEDS_A_TERMINAL = pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")

CODE = """
import sys
from sessiontap.cli import output
from sessiontap.cli.main import main
output.PATIENCE = float(sys.argv[1])
sys.exit(main(sys.argv[2:]))
"""


def on_stderr(trace: Path, patience: float, *, terminal: bool = True, piped: bool = False) -> bytes:
    """What `sessiontap ls` writes to stderr while it makes the index of `trace`."""
    for file in trace.glob("index.sqlite*"):
        file.unlink()
    command = [sys.executable, "-c", CODE, str(patience), "ls", "--trace", str(trace)]
    ours, theirs = os.openpty() if terminal else os.pipe()
    try:
        out = subprocess.PIPE if piped else subprocess.DEVNULL
        subprocess.run(command, stdout=out, stderr=theirs, check=True, env=os.environ | {"TERM": "xterm"})
        os.write(theirs, b".")  # so that there is something to read
        return os.read(ours, 100_000)[:-1]
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return recorded.write(tmp_path / "trace", recorded.calls())


@NEEDS_A_TERMINAL
def test_long_work_shows_a_bar_on_a_terminal(trace: Path) -> None:
    assert b"reading the trace" in on_stderr(trace, patience=-1)


@NEEDS_A_TERMINAL
@pytest.mark.parametrize(
    ("patience", "terminal", "piped"),
    [
        pytest.param(3600, True, False, id="work that is soon done"),
        pytest.param(-1, False, False, id="stderr is no terminal"),
        pytest.param(-1, True, True, id="stdout goes to another program"),
    ],
)
def test_nothing_else_is_shown(trace: Path, patience: float, terminal: bool, piped: bool) -> None:
    assert on_stderr(trace, patience, terminal=terminal, piped=piped) == b""
