"""A recorder's process that is started before it is needed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from tests.support.gate import PATIENCE

from sessiontap.recording import spawn


@pytest.fixture(autouse=True)
def _ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All that were started are ended."""
    processes: list[subprocess.Popen[bytes]] = []
    start = spawn._start

    def starts() -> subprocess.Popen[bytes]:
        processes.append(start())
        return processes[-1]

    monkeypatch.setattr(spawn, "_start", starts)
    yield
    for process in processes:
        end(process)


def end(process: subprocess.Popen[bytes]) -> int:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    return process.wait(PATIENCE)


def test_the_process_that_was_started_early_is_used_once() -> None:
    spawn.start_early()
    first, second = spawn.started(), spawn.started()
    assert first.pid != second.pid
    assert first.poll() is None


def test_an_early_process_that_has_ended_is_not_used() -> None:
    spawn.start_early()
    (early,) = spawn._early
    end(early)
    assert spawn.started().pid != early.pid


def test_an_early_process_that_is_never_used_ends_with_its_parent() -> None:
    assert end(spawn.started()) == 0


def test_one_that_cannot_be_started_early_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> subprocess.Popen[bytes]:
        raise FileNotFoundError("no Python")

    monkeypatch.setattr(spawn, "_start", fails)
    spawn.start_early()
    with pytest.raises(FileNotFoundError):
        spawn.started()
