"""What a shell or a script may hand to a command: closed streams, bytes that are no text, numbers beyond all bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.e2e.lab import own_environment


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("log") / "trace", recorded.calls())


def run(log: Path, redirection: str, *arguments: str | bytes) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sessiontap.cli", "--trace", str(log), *arguments]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command],
        env={**own_environment(), "HOME": str(log.parent)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_nowhere_to_write_to_and_no_failure(log: Path, redirection: str) -> None:
    done = run(log, redirection, "ls")
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in redirection.replace("2>&-", ""))


def test_an_error_behind_a_closed_stream_is_its_status(log: Path) -> None:
    assert run(log, "2>&-", "show", "nobody").returncode == 1


@pytest.mark.parametrize("command", ["show", "calls", "cat", "stats"])
def test_an_id_of_bytes_that_are_no_text_is_refused_in_words(log: Path, command: str) -> None:
    named = ["--session", b"\xff\xfe"] if command in ("calls", "stats") else [b"\xff\xfe"]
    done = run(log, "", command, *named)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("sessiontap: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["calls", "ls"])
def test_a_limit_beyond_all_bounds_is_refused(log: Path, command: str) -> None:
    done = run(log, "", command, "--limit", "9" * 30)
    assert done.returncode == 2
    assert "is no whole number from 0 to" in done.stderr
