"""The recorder's process is killed, or stands still, under load: no call notices, and what is lost is counted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from tests.e2e.faults.load import RULES, Crowd, serve
from tests.e2e.lab import SCRIPTS, Lab, Proxy, wait_until

from sessiontap import trace

KILLS = 3


def recorder_of(proxy: Proxy) -> psutil.Process | None:
    """The proxy's one child."""
    children = [one for one in psutil.Process(proxy.process.pid).children() if one.status() != psutil.STATUS_ZOMBIE]
    return children[0] if children else None


@pytest.fixture
def load(lab: Lab) -> tuple[Proxy, Crowd]:
    serve(lab)
    proxy = lab.proxy(RULES)
    crowd = Crowd.of("run", "abc", proxy.ca)
    crowd.start(proxy.process.port)
    crowd.wait_more(5)
    return proxy, crowd


def dropped(folder: Path) -> int:
    return sum(sum(note["dropped"].values()) for note in trace.open(folder).notes() if note["kind"] == "dropped")


def test_killed_again_and_again(load: tuple[Proxy, Crowd]) -> None:
    proxy, crowd = load
    killed: set[int] = set()
    for _ in range(KILLS):
        wait_until(lambda: (now := recorder_of(proxy)) is not None and now.pid not in killed)
        recorder = recorder_of(proxy)
        assert recorder is not None
        recorder.kill()
        killed.add(recorder.pid)
        crowd.wait_more(20)
    crowd.stop()
    calls = proxy.stop()

    said = [line for line in proxy.process.lines if "was ended by signal 9" in line]
    assert len(said) == KILLS
    assert "a fault of its own" not in proxy.process.output
    keys = crowd.ledger.check_all(calls)
    lost = crowd.ledger.number - len(keys)
    assert lost <= dropped(proxy.trace_folder)  # what was written and not yet said to be is counted, too
    assert {call.record["session"]["name"] for call in calls} == {"Load"}


def test_one_that_stands_still(load: tuple[Proxy, Crowd]) -> None:
    """Calls come and go; once it goes on, all of them are in the log."""
    proxy, crowd = load
    recorder = recorder_of(proxy)
    assert recorder is not None
    os.kill(recorder.pid, signal.SIGSTOP)
    crowd.wait_more(60)
    os.kill(recorder.pid, signal.SIGCONT)
    crowd.stop()
    calls = proxy.stop()
    assert sorted(crowd.ledger.check_all(calls)) == sorted(crowd.ledger.answered)
    assert dropped(proxy.trace_folder) == 0


def test_one_that_stands_still_holds_nobody_up_when_an_option_changes(lab: Lab) -> None:
    """The new recorder takes over at once; what the old one has is in the log when it goes on, all of it."""
    serve(lab)
    proxy = lab.proxy(RULES, scripts=[SCRIPTS / "change_memory.py"])
    crowd = Crowd.of("run", "abc", proxy.ca)
    crowd.start(proxy.process.port)
    crowd.wait_more(5)
    old = recorder_of(proxy)
    assert old is not None
    os.kill(old.pid, signal.SIGSTOP)
    try:
        crowd.wait_more(10)
        with proxy.client() as app:
            assert app.get("http://other.example/change").status_code == 200
        proxy.process.wait_line(lambda line: line == "CHANGED")
        assert "still writing" not in proxy.process.output  # nobody waited until that is said
        crowd.wait_more(10)
    finally:
        os.kill(old.pid, signal.SIGCONT)
    crowd.stop()
    calls = proxy.stop()
    assert sorted(crowd.ledger.check_all(calls)) == sorted(crowd.ledger.answered)
    assert dropped(proxy.trace_folder) == 0
