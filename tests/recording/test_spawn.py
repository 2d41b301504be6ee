"""A recorder's process that is started before it is needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.support.gate import PATIENCE

from sessiontap.recording import spawn


@pytest.fixture(autouse=True)
def _ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All that were started are ended."""
    processes: list[subprocess.Popen[bytes]] = []
    start = spawn._start
    monkeypatch.setattr(spawn, "Forked", lambda: spawn._start())  # pytest may have threads

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


FORKED = """
import os, signal, subprocess, sys, threading
from sessiontap.recording import process, spawn

def early():
    spawn.start_early()
    return spawn.started()
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks it")


@on_linux
@pytest.mark.parametrize(
    "what",
    [
        pytest.param(
            """
recorder = early()
assert type(recorder) is spawn.Forked
try:
    recorder.wait(0.0)
except subprocess.TimeoutExpired:
    recorder.stdin.close()
    assert recorder.wait() == recorder.poll() == 0
""",
            id="it runs until its input ends",
        ),
        pytest.param(
            """
reader, writer = os.pipe()
recorder = early()
os.close(writer)
assert os.read(reader, 1) == b"" and recorder.poll() is None
""",
            id="files of the proxy are not its own",
        ),
        pytest.param(
            """
def tells():
    os.write(1, str(os.getsid(0)).encode())
    return 3
process.main = tells
spawn.start_early()
recorder = spawn._early[0]
assert recorder.stdout.read() == str(recorder.pid).encode()
assert recorder.wait() == 3
""",
            id="a terminal's keys are not for it",
        ),
        pytest.param(
            """
recorder = early()
recorder.kill()
assert recorder.wait() == -signal.SIGKILL
recorder.kill()
""",
            id="it can be killed",
        ),
        pytest.param(
            """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
recorder = early()
recorder.kill()
assert recorder.wait() == 0
""",
            id="its status is the system's if children are ignored",
        ),
        pytest.param(
            """
def fails():
    raise RuntimeError("of the recorder")
process.main = fails
spawn.start_early()
assert spawn._early[0].wait() == 1
""",
            id="a fault at its start ends it alone",
        ),
        pytest.param(
            """
threading.Thread(target=threading.Event().wait, daemon=True).start()
recorder = early()
assert type(recorder) is subprocess.Popen
recorder.stdin.close()
assert recorder.wait() == 0
""",
            id="a process with threads starts another Python",
        ),
        pytest.param(
            """
def fails(pid):
    raise OSError("this kernel has none")
os.pidfd_open = fails
recorder = early()
assert type(recorder) is subprocess.Popen
recorder.stdin.close()
assert recorder.wait() == 0
""",
            id="an old kernel starts another Python",
        ),
    ],
)
def test_a_recorder_that_is_forked(what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED + what], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert ("of the recorder" in done.stderr) == ("RuntimeError" in what)
