"""A program runs as if nothing stood around it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessiontap.cli import program
from sessiontap.cli.errors import Failure


@pytest.mark.parametrize(("returncode", "status"), [(0, 0), (3, 3), (-15, 143), (-2, 130)])
def test_status_is_a_shells(returncode: int, status: int) -> None:
    assert program.status(returncode) == status


def test_a_program_that_is_missing() -> None:
    with pytest.raises(Failure, match="there is no program 'no-such-program'") as raised:
        program.start(["no-such-program"], os.environ)
    assert raised.value.status == 127


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(Failure, match="cannot be run") as raised:
        program.start([str(tmp_path / "text")], os.environ)
    assert raised.value.status == 126


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        pytest.param(b"echo $0 $1; exit 3\n", 3, b"{path} a\n", id="a script without #!"),
        pytest.param(b"", 0, b"", id="an empty one"),
    ],
)
def test_what_a_shell_runs_is_run(tmp_path: Path, text: bytes, status: int, said: bytes) -> None:
    path = tmp_path / "script"
    path.write_bytes(text)
    path.chmod(0o755)
    code = (
        "import os, sys; from sessiontap.cli import program; sys.exit(program.start(sys.argv[1:], os.environ).wait())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), "a"], capture_output=True)
    assert (done.returncode, done.stdout) == (status, said.replace(b"{path}", os.fsencode(path)))


def test_what_no_shell_runs_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\0\1\2echo\n")
    path.chmod(0o755)
    with pytest.raises(Failure, match="cannot be run") as raised:
        program.start([str(path)], os.environ)
    assert raised.value.status == 126
