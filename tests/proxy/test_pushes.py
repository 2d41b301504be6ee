"""The processes that push while the proxy runs: started, started again, ended, and what they say."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.gate import PATIENCE

from sessiontap.proxy.pushes import Pushes
from sessiontap.rules.push_items import PushEntry

ONE, OTHER = PushEntry("otlp", "http://127.0.0.1:1"), PushEntry("langfuse", None, content=True)
UNBLOCKS = "import signal; signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]); "
STAYS = UNBLOCKS + "import pathlib, os, sys, time; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); time.sleep(600)"
DIES = "import pathlib, os, sys; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); sys.exit('no key')"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[[str], Pushes]]:
    """Makes pushes whose processes run a program instead; each leaves a file named by its pid."""
    pushes: list[Pushes] = []

    def make(program: str) -> Pushes:
        def command(entry: PushEntry) -> list[str]:
            folder = tmp_path / entry.target
            folder.mkdir(exist_ok=True)
            return [sys.executable, "-S", "-E", "-c", program, str(folder)]

        pushes.append(Pushes(tmp_path, None, command=command, pauses=(0.01, 0.02)))
        return pushes[-1]

    yield make
    for one in pushes:
        one.close()


def wait(holds: Callable[[], object], seconds: float = PATIENCE) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return bool(holds())


def pids(folder: Path) -> list[int]:
    return [int(one.name) for one in folder.glob("*")]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_each_item_has_a_process_until_the_rules_have_it_no_more(tmp_path: Path, made: Callable[[str], Pushes]) -> None:
    pushes = made(STAYS)
    pushes.want([ONE])
    assert wait(lambda: pids(tmp_path / "otlp"))
    (first,) = pids(tmp_path / "otlp")
    pushes.want([OTHER])
    assert wait(lambda: pids(tmp_path / "langfuse"))
    assert wait(lambda: is_gone(first))
    (second,) = pids(tmp_path / "langfuse")
    pushes.close()
    assert wait(lambda: is_gone(second))


def test_one_that_dies_is_started_again_and_says_why_once(
    tmp_path: Path, made: Callable[[str], Pushes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "sessiontap")
    made(DIES).want([ONE])
    assert wait(lambda: len(pids(tmp_path / "otlp")) >= 3 and caplog.messages)
    assert caplog.messages == ["sessiontap: push to otlp: no key"]


def test_one_is_started_though_the_proxy_ends_before_the_thread_has_begun(
    tmp_path: Path, made: Callable[[str], Pushes]
) -> None:
    """It sends what the log has by then."""
    pushes = made(DIES)
    pushes.close_aside()
    pushes.want([ONE])
    assert wait(lambda: pids(tmp_path / "otlp"))


def test_without_items_nothing_is_started(tmp_path: Path, made: Callable[[str], Pushes]) -> None:
    pushes = made(STAYS)
    pushes.want([])
    assert pushes._thread is None


def test_the_command_line_holds_what_the_item_says() -> None:
    entry = PushEntry("otlp", "https://h", True, (("x-team", "blue"),), "/keys")
    words = Pushes(Path("/log"), Path("/rules.yaml"))._push(entry)
    at = words.index("push")
    told = " ".join(words[at:])
    for part in (
        "push otlp --follow",
        f"--beside {os.getpid()}",
        "--trace /log",
        "--endpoint https://h",
        "--content",
        "--credentials /keys",
        "--rules /rules.yaml",
        "--header x-team: blue",
    ):
        assert part in told
