"""`tail -f`: which rows come when, look by look."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.recorded import COURSE, NODE, call_id
from tests.support.gate import PATIENCE

from sessiontap import trace
from sessiontap.cli import following, output
from sessiontap.cli.output import ReaderGone
from sessiontap.trace import in_flight_queries
from sessiontap.trace.index.filters import Filters


class NothingComesError(Exception):
    """All looks are over."""


class Tail:
    """`follow` on a log that changes between its looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[dict[str, Any]] = []
        self.now = 100.0
        self._looks: list[Callable[[], None]] = []

    def begins(self, *numbers: int, model: str = "gpt-4o") -> Callable[[], None]:
        """These are in flight, and no others."""

        def begin() -> None:
            self.told = [
                {
                    "id": call_id(number),
                    "time": recorded.START + number * recorded.SECOND,
                    "session": {"id": COURSE, "name": "Course outline", "path": "/outline", "step": number},
                    "llm": {"operation": "chat", "request_model": model},
                    "request": {"method": "POST", "body": {"size": 10}},
                }
                for number in numbers
            ]

        return begin

    def ends(self, number: int) -> Callable[[], None]:
        """It is written; the proxy still tells what it told before."""
        call = recorded.chat(number, session=(COURSE, "Course outline", "/outline", number), caller=NODE)

        def end() -> None:
            recorded.write(self.folder, [call])

        return end

    def passes(self, seconds: float) -> Callable[[], None]:
        return lambda: setattr(self, "now", self.now + seconds)

    def rows(self, *looks: Callable[[], None], wanted: Filters | None = None) -> list[tuple[int, str]]:
        """What is shown, if this happens between one look and the next: number and state of each row."""
        rest = iter(looks)

        def pause(_: float) -> None:
            happens = next(rest, None)
            if happens is None:
                raise NothingComesError
            happens()

        log = trace.open(self.folder, in_flight=lambda: self.told)
        news = log.news()
        wanted = wanted or Filters()
        shown = log.query_calls(wanted, 10)
        found: list[tuple[int, str]] = [self._short(row) for row in reversed(shown)]
        coming = following.follow(log, wanted, None, shown, news, pause, lambda: self.now)
        with pytest.raises(NothingComesError):
            found.extend(self._short(row) for row in coming)
        return found

    def _short(self, row: dict[str, Any]) -> tuple[int, str]:
        numbers = {call_id(number): number for number in range(20)}
        state = "begun" if row["in_flight"] else "lost" if row["outcome"] is None else "ended"
        return numbers[row["id"]], state


@pytest.fixture
def tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tail:
    """A log with call 1. Its proxies are asked at every look."""
    monkeypatch.setattr(in_flight_queries, "_ASKED_AGAIN", -1.0)
    folder = tmp_path / "trace"
    recorded.write(folder, [recorded.calls()[0]])
    return Tail(folder)


def nothing() -> None:
    pass


def test_a_call_comes_when_it_begins_and_when_it_has_ended(tail: Tail) -> None:
    assert tail.rows(tail.begins(5), nothing, tail.ends(5), tail.begins(), nothing) == [
        (1, "ended"), (5, "begun"), (5, "ended")
    ]  # fmt: skip


def test_one_in_flight_at_the_start_comes_when_it_has_ended(tail: Tail) -> None:
    tail.begins(5)()
    assert tail.rows(nothing, tail.ends(5), tail.begins()) == [(1, "ended"), (5, "begun"), (5, "ended")]


def test_a_short_one_comes_only_when_it_has_ended(tail: Tail) -> None:
    assert tail.rows(tail.ends(5), nothing) == [(1, "ended"), (5, "ended")]


def test_an_answer_from_before_its_end_does_not_begin_it_again(
    tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight_queries, "_ASKED_AGAIN", 1e9)  # the first answer holds
    tail.begins(5)()
    assert tail.rows(tail.ends(5), nothing, nothing) == [(1, "ended"), (5, "begun"), (5, "ended")]


def test_several_at_once_and_in_several_segments(tail: Tail) -> None:
    assert tail.rows(tail.begins(5, 6), tail.ends(6), tail.begins(5, 7), tail.ends(7), tail.ends(5), tail.begins()) == [
        (1, "ended"), (5, "begun"), (6, "begun"), (6, "ended"), (7, "begun"), (7, "ended"), (5, "ended")
    ]  # fmt: skip


def test_one_that_is_neither_in_flight_nor_in_the_log_was_lost(tail: Tail) -> None:
    soon, late = tail.passes(following.GIVE_UP_AFTER - 1), tail.passes(2)
    assert tail.rows(tail.begins(5), tail.begins(), soon) == [(1, "ended"), (5, "begun")]
    assert tail.rows(tail.begins(5), tail.begins(), soon, late, late) == [(1, "ended"), (5, "begun"), (5, "lost")]


def test_one_that_is_written_late_was_not_lost(tail: Tail) -> None:
    soon = tail.passes(following.GIVE_UP_AFTER - 1)
    assert tail.rows(tail.begins(5), tail.begins(), soon, tail.ends(5), tail.passes(9), nothing) == [
        (1, "ended"), (5, "begun"), (5, "ended")
    ]  # fmt: skip


def test_the_filters_hold_for_both(tail: Tail) -> None:
    wanted = Filters(model="gpt-4o-mini*")
    assert tail.rows(tail.begins(5), tail.begins(6, model="gpt-4o-mini"), tail.ends(6), wanted=wanted) == [
        (1, "ended"), (6, "begun"), (6, "ended")
    ]  # fmt: skip


# -- how it ends -------------------------------------------------------------------------------------------------------


def start(folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "sessiontap.cli", "tail", "-f", "--trace", str(folder)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it with the next line")
def test_without_a_reader_it_ends_at_once_though_no_call_comes(tail: Tail) -> None:
    with start(tail.folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == b""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_it_quietly(tail: Tail) -> None:
    import signal

    with start(tail.folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read().strip() == b""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it with the next line")
def test_a_pause_ends_with_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        output.pause(0.001)
        closing = threading.Timer(0.05, os.close, [reader])
        closing.start()
        with pytest.raises(ReaderGone):
            output.pause(PATIENCE)
        closing.join()


def test_a_pause_of_what_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    slept: list[float] = []
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(time, "sleep", slept.append)
    output.pause(3.0)
    assert slept == [3.0]
