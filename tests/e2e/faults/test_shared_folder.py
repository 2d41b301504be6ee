"""Two proxies on one folder, and readers of it while a proxy rotates its segments and old ones are pruned."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.faults import patches
from tests.e2e.faults.load import RULES, Crowd, Ledger, serve
from tests.e2e.lab import PYTHON, Lab, Proxy, own_environment
from tests.support import warm
from tests.support.gate import PATIENCE

from sessiontap import trace
from sessiontap.trace import RecordedCall, TraceError
from sessiontap.trace.body import BodyError
from sessiontap.trace.maintenance import prune, verify


def test_two_proxies_on_one_folder(lab: Lab) -> None:
    """Apps of both work in one session; every call of either is in the log."""
    serve(lab)
    folder = lab.folder / "shared"
    proxies = [lab.proxy(RULES, options={"session_trace": folder}) for _ in range(2)]
    ledger = Ledger()
    crowds = [Crowd.of("run", names, proxies[0].ca, ledger) for names in ("abc", "xyz")]
    for crowd, proxy in zip(crowds, proxies, strict=True):
        crowd.start(proxy.process.port)
    for crowd in crowds:
        crowd.wait_more(100)
    for crowd in crowds:
        crowd.stop()
    for proxy in proxies:
        proxy.stop()

    log = trace.open(folder)
    calls = list(log.calls())
    assert len(ledger.check_all(calls)) == ledger.number
    assert verify(folder).problems == ()
    (row,) = log.query_sessions()
    assert row["calls"] == len(calls)
    assert set(ledger.runs) == {row["id"]}
    assert sorted(one["id"] for one in log.query_calls()) == sorted(call.id for call in calls)
    for segment in log.segments():
        assert segment.header is not None
    writers = {segment.header["writer"]["pid"] for segment in log.segments() if segment.header}
    assert len(writers) == 2
    for crowd in crowds:  # a proxy counts the steps of its own calls
        own = {app.name for app in crowd.apps}
        steps = [call.record["session"]["step"] for call in calls if ledger.check(call).split(":")[1] in own]
        assert sorted(steps) == list(range(len(steps)))
    log.close()


# -- readers -----------------------------------------------------------------------------------------------------------


class Loop:
    """Does the same again and again on a thread, until it is told to stop; a failure comes up then."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self.rounds = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._act()
                self.rounds += 1
        except BaseException as error:
            self._failed = error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._failed is not None:
            raise self._failed
        assert self.rounds > 0


def told(folder: Path, *words: str) -> list[dict[str, Any]]:
    """What a command says, a JSON object a line."""
    done = warm.sessiontap().run([*words, "--trace", str(folder)], own_environment())
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Tail:
    """`sessiontap tail -f`."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [PYTHON, "-m", "sessiontap.cli", "tail", "-f", "--json", "--trace", str(folder)],
            env=own_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ids: list[str] = []

    def _next(self) -> str:
        """The next line; empty if it ended, or was killed because it said nothing for long."""
        assert self.process.stdout is not None
        limit = threading.Timer(PATIENCE * 2, self.process.kill)
        limit.start()
        try:
            return self.process.stdout.readline()
        finally:
            limit.cancel()

    def read(self, told: Callable[[list[str]], bool]) -> None:
        """Read on until `told` is true of the ids of all calls so far."""
        while line := self._next():
            self.ids.append(json.loads(line)["id"])
            if told(self.ids):
                return
        raise AssertionError(f"it ended after {len(self.ids)} calls: {self.process.communicate()[1]}")

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def rotating(lab: Lab) -> Iterator[tuple[Proxy, Crowd]]:
    """A proxy under load that begins a new segment every few calls."""
    serve(lab)
    proxy = lab.proxy(RULES, patch=patches.SMALL_SEGMENTS)
    crowd = Crowd.of("run", "abc", proxy.ca)
    crowd.start(proxy.process.port)
    crowd.wait_more(20)
    yield proxy, crowd
    crowd.may_fail()


@pytest.mark.parametrize("pruned", [False, True], ids=["rotation", "rotation and prune"])
def test_readers_go_on(rotating: tuple[Proxy, Crowd], pruned: bool) -> None:
    """Nobody misreads a call, misses one that stays, or fails, whatever goes away under him."""
    proxy, crowd = rotating
    folder, ledger = proxy.trace_folder, crowd.ledger
    log, asked = trace.open(folder), trace.open(folder)
    most = 0

    def check(calls: Iterable[RecordedCall]) -> int:
        """How many there are; those whose segment has gone since they were seen cannot be read any more."""
        number = 0
        for call in calls:
            number += 1
            try:
                ledger.check(call)
            except BodyError as error:
                if not pruned or "No such file" not in str(error):
                    raise
        return number

    def read() -> None:
        nonlocal most
        number = check(log.calls())
        assert pruned or number >= most, "calls went away"
        most = number

    def ask() -> None:
        calls = sum(row["calls"] for row in asked.query_sessions())
        rows = asked.query_calls()
        assert pruned or len(rows) >= calls, "the index lost calls"
        for row in rows[:3]:
            try:
                check([asked.call(row["id"])])
            except TraceError:
                assert pruned

    def list_all() -> None:
        calls = sum(row["calls"] for row in told(folder, "ls", "--json"))
        assert pruned or len(told(folder, "calls", "--json", "-n", "0")) >= calls

    def take_away() -> None:
        prune(folder, max_bytes=500_000)

    tail = Tail(folder)
    tail.read(lambda ids: len(ids) == 10)
    loops = [Loop(act) for act in (read, ask, list_all, *([take_away] if pruned else []))]
    crowd.wait_more(300)
    for loop in loops:
        loop.stop()
    crowd.stop()
    calls = proxy.stop()
    latest = {call.id for call in (calls[-1:] if pruned else calls[-300:])}
    tail.read(lambda ids: ids[-1] in latest and latest.issubset(ids))
    tail.stop()

    keys = ledger.check_all(calls)
    assert len(keys) < ledger.number if pruned else len(keys) == ledger.number
    assert pruned or len(log.segments()) > 5
    assert len(tail.ids) == len(set(tail.ids)), "tail told of a call twice"
    assert verify(folder).problems == ()
    assert sorted(row["id"] for row in asked.query_calls()) == sorted(call.id for call in calls)
    asked.close()
