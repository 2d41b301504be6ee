"""A reader of a command's output that goes away (`| head`) is no failure: status 0, and not a word."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.support import warm

COMMANDS = (
    *("", "ls --help", "run --help", "run --help-all", "run --options", "--version", "--show-completion bash"),
    *("ls", "ls --json", "show @1", "show @1 --flat", "show @1 --timeline", "show @1 --json", "stats", "stats --json"),
    *("calls", "calls --json", "tail", "tail --json", "diff @2 @1 --calls", "diff @2 @1 --calls --json"),
    *("cat @1", "cat @1 --json", "cat @1 --request", "cat @1 --text", "cat @1 --headers", "cat @1 --curl"),
    *("export --format jsonl", "export --format har", "export --format flow"),
    *("rules schema", "rules explain @1", "rules explain @1 --json", "trace info", "trace verify", "trace info --json"),
    *("init", "env --json", "doctor --json"),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("log") / "trace", recorded.calls())


@pytest.fixture
def closed() -> Iterator[int]:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("command", COMMANDS)
def test_it_ends_well(log: Path, closed: int, command: str) -> None:
    done = warm.sessiontap().run(command.split(), {**os.environ, "SESSIONTAP_TRACE": str(log)}, stdout=closed)
    said = [line for line in done.stderr.decode().splitlines() if "no proxy runs here" not in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("command", ["ls", "show nothing", "calls --name nothing", "no-such-command"])
def test_without_a_reader_of_errors_either_it_ends_as_it_would(log: Path, closed: int, command: str) -> None:
    words = [sys.executable, "-m", "sessiontap.cli", *command.split()]
    environ = {**os.environ, "SESSIONTAP_TRACE": str(log)}
    done = subprocess.run(words, env=environ, stdout=closed, stderr=closed)
    assert done.returncode == warm.sessiontap().run(command.split(), environ).returncode


def test_in_the_middle_of_a_list(tmp_path: Path) -> None:
    """More than a pipe holds, so that the command is still writing when its reader goes."""
    calls = [recorded.chat(n, session=("s", "Name " * 20, "/path", n), caller=recorded.NODE) for n in range(600)]
    log = recorded.write(tmp_path / "trace", calls)
    words = [sys.executable, "-m", "sessiontap.cli", "calls", "-n", "0", "--trace", str(log)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)
