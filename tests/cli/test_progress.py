"""A bar on a terminal, for long work; nothing anywhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli import recorded

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")

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


def test_long_work_shows_a_bar_on_a_terminal(trace: Path) -> None:
    assert b"reading the trace" in on_stderr(trace, patience=-1)


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
