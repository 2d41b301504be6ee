"""Whether a process that was found before still runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from sessiontap.callers.caller import machine, process_id
from sessiontap.callers.portable import identity
from sessiontap.callers.running import _is_known_to_psutil, is_running

if sys.platform == "linux":
    from sessiontap.callers.procfs import ProcessFolder


def id_of(pid: int) -> str:
    """As a proxy of this machine makes it."""
    if sys.platform != "linux":
        return identity(psutil.Process(pid))
    with ProcessFolder(pid) as folder:
        return process_id(machine(), pid, folder.stat().ticks)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until its standard input ends."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        yield child


def test_a_process_that_runs() -> None:
    assert is_running(machine(), os.getpid(), id_of(os.getpid())) is True


def test_one_that_has_ended(child: subprocess.Popen[bytes]) -> None:
    id = id_of(child.pid)
    child.communicate()
    assert is_running(machine(), child.pid, id) is False


@pytest.mark.skipif(sys.platform != "linux", reason="has zombies in /proc")
def test_one_that_has_ended_and_that_nobody_has_waited_for(child: subprocess.Popen[bytes]) -> None:
    id = id_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_running(machine(), child.pid, id) is False


def test_another_process_with_its_number() -> None:
    assert is_running(machine(), os.getpid(), process_id(machine(), os.getpid(), 1)) is False


@pytest.mark.parametrize("where", ["", "another boot pid:[1]"])
def test_of_another_machine_nothing_is_known(where: str) -> None:
    assert is_running(where, os.getpid(), id_of(os.getpid())) is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc may hide processes")
@pytest.mark.parametrize(("signalled", "known"), [(ProcessLookupError, False), (PermissionError, None)])
def test_a_process_that_proc_does_not_show(
    monkeypatch: pytest.MonkeyPatch, signalled: type[OSError], known: bool | None
) -> None:
    def refuse(*_: object) -> None:
        raise signalled

    def hidden(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(ProcessFolder, "__init__", hidden)
    assert is_running(machine(), 4711, "some-process") is known


def test_without_proc(child: subprocess.Popen[bytes]) -> None:
    id = identity(psutil.Process(child.pid))
    assert _is_known_to_psutil(child.pid, id) is True
    assert _is_known_to_psutil(child.pid, "another") is False
    child.communicate()
    assert _is_known_to_psutil(child.pid, id) is False
