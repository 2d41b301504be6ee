"""The proxy's side of the process that tells of alerts: nothing waits for it, and it is started again if it dies."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gate import PATIENCE

from sessiontap.proxy import notifier_process as module
from sessiontap.proxy.notifier_process import NotifierProcess

KEEPS = (
    "import sys\nfor line in sys.stdin: "
    "open(sys.argv[1], 'a').write(line); print('{\"by\": \"webhook\", \"error\": %s}', flush=True)"
)
DIES = "import sys; open(sys.argv[1], 'a').write(sys.stdin.readline())"
HANGS = "import time; time.sleep(60)"
SETTINGS: dict[str, Any] = {"run": [], "webhook": "https://hooks.example/key", "headers": {}}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[[str], NotifierProcess]]:
    """Makes notifiers whose process runs a program instead, with the file `lines` as its argument."""
    found: list[NotifierProcess] = []

    def make(program: str) -> NotifierProcess:
        command = [sys.executable, "-S", "-E", "-c", program, str(tmp_path / "lines")]
        found.append(NotifierProcess(lambda: command, again_seconds=0.01))
        return found[-1]

    yield make
    for one in found:
        process = one._process
        one.close_aside()
        if process is not None:
            process.kill()


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    file = tmp_path / "lines"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_settings_go_before_the_crossing_and_once(tmp_path: Path, made: Callable[[str], NotifierProcess]) -> None:
    told = made(KEEPS % "null")
    told.want(SETTINGS)
    for number in range(2):
        told.tell({"value": number})
    wait_until(lambda: len(lines(tmp_path)) == 3)
    assert lines(tmp_path) == [{"settings": SETTINGS}, {"crossing": {"value": 0}}, {"crossing": {"value": 1}}]


def test_without_settings_nothing_is_started(made: Callable[[str], NotifierProcess]) -> None:
    told = made(KEEPS % "null")
    told.tell({"value": 1})
    assert (told.is_wanted, told._thread) == (False, None)


def test_a_failure_is_said_once_and_kept_until_it_is_over(
    tmp_path: Path, made: Callable[[str], NotifierProcess], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "sessiontap")
    told = made(KEEPS % '"it answered with status 404"')
    told.want(SETTINGS)
    for number in range(3):
        told.tell({"value": number})
    wait_until(lambda: len(lines(tmp_path)) == 4 and "webhook" in told.failing)
    assert told.failing == {"webhook": "it answered with status 404"}
    assert [one.getMessage() for one in caplog.records] == [
        "sessiontap: the webhook of alerts was not told: it answered with status 404"
    ]
    told.want(SETTINGS)
    assert told.failing == {}


def test_a_process_that_died_is_started_again(tmp_path: Path, made: Callable[[str], NotifierProcess]) -> None:
    told = made(DIES)
    told.want(SETTINGS)
    for number in range(2):
        told.tell({"value": number})
        wait_until(lambda number=number: len(lines(tmp_path)) == number + 1)  # type: ignore[misc]
        process = told._process
        assert process is not None
        process.wait(PATIENCE)
    assert lines(tmp_path) == [{"settings": SETTINGS}] * 2


def test_a_process_that_hangs_holds_up_nobody(
    made: Callable[[str], NotifierProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipe is full at some time, and the queue behind it."""
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    told = made(HANGS)
    told.want(SETTINGS)
    for _ in range(2_000):
        told.tell({"text": "x" * 1_000})
    assert "process" in told.failing


def test_a_program_that_is_missing_is_said() -> None:
    told = NotifierProcess(lambda: ["/no/such/python"], again_seconds=0.01)
    told.want(SETTINGS)
    told.tell({"value": 1})
    wait_until(lambda: "process" in told.failing)
    assert told.failing["process"] == "the process that tells of alerts: No such file or directory"
    told.close()
