"""The first build of a large index: what comes of it is what comes of a slow one, whatever stops it."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.trace.conftest import CALLER, call_map, open_log
from tests.trace.everything import framed, segment
from tests.trace.oracle import cost_of

from sessiontap import trace
from sessiontap.trace import frame
from sessiontap.trace.files import open_segment
from sessiontap.trace.index import catch_up, costs, first_build
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.findings import ReadAhead, findings
from sessiontap.trace.index.tables import LOOK_UPS

PRICES = Prices(cost_of(lambda call: call["time"] % 1000 / 1000 if call["outcome"] == "ok" else None), "1")
HEADER = {"type": "segment", "format": "sessiontap-trace", "version": 2, "id": "s"}
NOTE = {"type": "note", "time": 5, "kind": "dropped", "text": "lost"}
MISFIT = frame.encode({"type": "call", "id": "x"})[frame.FRAME_SIZE :]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three segments with all kinds of records, damage between them, and calls of sessions in several segments."""
    folder = tmp_path / "trace"
    for number in range(3):
        name = f"2026010{number + 1}T000000.000000Z-1-aaaaaa.mpk"
        calls = [_call(number + 3 * each) for each in range(40)]
        segment(folder, HEADER | {"id": name}, CALLER, *calls[:20], NOTE, MISFIT, *calls[20:], name=name)
        with (folder / name).open("ab") as file:
            file.write(b"garbage" + framed(_call(number + 200)) + b"rest")
    return folder


def _call(number: int) -> dict[str, Any]:
    more: dict[str, Any] = {"flags": ["warm_up"]} if number % 13 == 5 else {}
    if number % 7 == 3:
        more |= {"outcome": "http_error", "properties": {"mode": f"m{number % 2}"}, "tags": ["a", "b"]}
    return call_map(number, **more)


def dump(folder: Path) -> set[str]:
    """All that the index holds; what is numbered by the order in which it came is told by what it stands for."""
    index = sqlite3.connect(folder / "index.sqlite")
    try:
        return set(index.iterdump())
    finally:
        index.close()


def built(folder: Path) -> set[str]:
    for file in folder.glob("index.sqlite*"):
        file.unlink()
    log = trace.open(folder)
    log.query_sessions(prices=PRICES)
    log.close()
    return dump(folder)


@pytest.fixture
def expected(folder: Path) -> set[str]:
    return built(folder)


@pytest.fixture
def large(expected: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every first build is a large one."""
    monkeypatch.setattr(first_build, "LARGE", 0)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[ReadAhead]:
    """The processes that read ahead; they are allowed whatever threads the tests have."""
    made: list[ReadAhead] = []

    class Watched(ReadAhead):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

        @staticmethod
        def is_possible() -> bool:
            return True

    monkeypatch.setattr(catch_up, "ReadAhead", Watched)
    return made


@pytest.mark.skipif(not hasattr(os, "fork"), reason="another process is a fork")
class TestWithAnotherProcess:
    def test_the_index_is_the_same(self, folder, expected, large, children, monkeypatch):
        monkeypatch.setattr(catch_up, "findings", refused)

        assert built(folder) == expected
        assert len(children) == 2

    def test_the_index_is_the_same_in_small_batches(self, folder, expected, large, children, monkeypatch):
        monkeypatch.setattr(catch_up, "findings", refused)
        monkeypatch.setattr(catch_up.CatchUp.__init__, "__defaults__", (7, None))

        assert built(folder) == expected

    def test_one_that_is_killed_is_not_missed(self, folder, expected, large, monkeypatch):
        class Killed(ReadAhead):
            def __init__(self, *given: Any) -> None:
                super().__init__(*given)
                os.kill(self._pid, signal.SIGKILL)

            @staticmethod
            def is_possible() -> bool:
                return True

        monkeypatch.setattr(catch_up, "ReadAhead", Killed)

        assert built(folder) == expected

    def test_no_process_is_left(self, folder, large, children):
        built(folder)

        for child in children:
            with pytest.raises(ChildProcessError):
                os.waitpid(child._pid, os.WNOHANG)

    def test_what_it_tells_is_what_this_process_finds(self, folder):
        paths = sorted(folder.glob("*.mpk"), reverse=True)
        child = ReadAhead([(path, 0) for path in paths], PRICES.cost_of)

        for path in paths:
            with open_segment(path) as file:
                assert child.has(path, file, 0)
                assert list(child.findings()) == list(findings(file, 0, PRICES.cost_of))
        child.close()

    def test_a_segment_that_was_replaced_is_read_by_this_process(self, folder):
        (path,) = sorted(folder.glob("*.mpk"))[:1]
        child = ReadAhead([(path, 0)], None)
        path.rename(path.with_suffix(".old"))
        segment(folder, HEADER, name=path.name)

        with open_segment(path) as file:
            assert not child.has(path, file, 0)
        child.close()


def refused(*_: Any) -> Any:
    raise AssertionError("this process reads a segment")


def test_without_another_process_the_index_is_the_same(folder, expected, large, monkeypatch):
    monkeypatch.setattr(ReadAhead, "is_possible", staticmethod(lambda: False))

    assert built(folder) == expected


@pytest.fixture
def interrupted(folder: Path, large: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build that was stopped before it came to its end."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(first_build, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            built(folder)
    assert "calls_by_time" not in "".join(dump(folder))
    return folder


def test_a_build_that_was_stopped_is_finished_by_the_next_question(interrupted, expected):
    open_log(interrupted).query_sessions(prices=PRICES)

    assert dump(interrupted) == expected


def test_a_search_finishes_a_build_that_was_stopped(interrupted):
    found, unsearched = open_log(interrupted).query_hits("demo", seconds=0)

    assert found
    assert unsearched.calls == 109
    assert "calls_by_time" in "".join(dump(interrupted))


def test_a_question_with_little_time_takes_one_step_of_a_build_that_was_stopped(interrupted):
    log = open_log(interrupted)
    made = []
    for _ in LOOK_UPS:
        log.read_for(0)
        log.query_sums()
        held = "".join(dump(interrupted))
        made.append((sum(statement in held for statement in LOOK_UPS.values()), log.is_behind))
    assert made == [(1, True), (2, True), (3, True), (4, True), (5, False)]


def test_a_question_with_little_time_prices_some_calls(folder, expected, monkeypatch):
    for file in folder.glob("index.sqlite*"):
        file.unlink()
    open_log(folder).query_sums()  # without prices
    monkeypatch.setattr(costs, "SMALL_BATCH", 50)
    log = open_log(folder)
    shares = []
    for _ in range(3):
        log.read_for(0)
        log.query_sessions(prices=PRICES)
        shares.append(round(log.read_share, 2))
        assert not log.is_behind
    assert shares == [0.44, 0.88, 1]
