"""The line of calls in flight below the rows of `tail -f`, as a terminal of 80 columns gets it."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.recorded import COURSE, NODE, call_id

from sessiontap import units
from sessiontap.cli import following, options
from sessiontap.cli.main import main
from sessiontap.cli.output import ReaderGone

NOW = recorded.START + 100 * recorded.SECOND
CLEAR = "\r\x1b[2K"


class Terminal(io.StringIO):
    """What is written, and what then stands on the screen: one line is rewritten at most, the last."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        screen = [""]
        for piece in self.getvalue().replace("\n", "\x00").split("\x00"):
            screen[-1] = piece.rpartition(CLEAR)[2] if CLEAR in piece else screen[-1] + piece
            screen.append("")
        return screen[:-1]


def told(number: int, **more: Any) -> dict[str, Any]:
    """A call as a proxy tells it."""
    return {
        "id": call_id(number),
        "time": NOW - number * recorded.SECOND,
        "session": {"id": COURSE, "name": "Course outline", "path": "/outline", "step": number},
        "llm": {"operation": "chat", "request_model": "gpt-4o"},
        "request": {"method": "POST", "body": {"size": 10}},
        "response": None,
    } | more


class Tail:
    """`tail -f` on a trace and a terminal that change between its looks."""

    def __init__(self, folder: Path, terminal: io.StringIO) -> None:
        self.folder, self.terminal = folder, terminal
        self.told: list[dict[str, Any]] = []
        self.seen: list[list[str]] = []
        """The lines of the screen at each look."""

    def run(
        self, monkeypatch: pytest.MonkeyPatch, *looks: list[dict[str, Any]] | int, options: tuple[str, ...] = ()
    ) -> None:
        """At each look these are in flight, or the call of that number has ended meanwhile. Then Ctrl-C."""
        rest = iter(looks)

        def pause(_: float) -> None:
            self.seen.append(self.terminal.lines() if isinstance(self.terminal, Terminal) else [])
            happens = next(rest, None)
            if happens is None:
                raise KeyboardInterrupt
            if isinstance(happens, int):
                one = recorded.chat(happens, session=(COURSE, "Course outline", "/outline", happens), caller=NODE)
                recorded.write(self.folder, [one])
                self.told = [call for call in self.told if call["id"] != call_id(happens)]
            else:
                self.told = happens

        monkeypatch.setattr(sys, "stdout", self.terminal)
        monkeypatch.setattr(following, "wait", pause)
        assert main(["tail", "-f", "-n", "1", *options]) == 130


@pytest.fixture
def tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tail:
    terminal = Terminal()
    found = Tail(recorded.write(tmp_path / "trace", [recorded.calls()[0]]), terminal)
    monkeypatch.setattr("sessiontap.trace.in_flight_queries._ASKED_AGAIN", -1.0)
    monkeypatch.setattr(options, "_in_flight", lambda folder: found.told)
    monkeypatch.setattr(units.time, "time", lambda: NOW / 1e9)
    monkeypatch.setenv("SESSIONTAP_TRACE", str(found.folder))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return found


def test_it_stands_below_the_rows_while_calls_are_in_flight(tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    tail.run(monkeypatch, [told(12)], [told(12)], 12, [])
    before, begun, again, ended, after = ([line for line in screen if line] for screen in tail.seen)
    line = "1 in flight: Course outline /outline gpt-4o 12.0s, no reply yet"
    assert (len(before), len(begun), len(ended)) == (1, 3, 3)
    assert (begun[-1], again[-1]) == (line, line)
    assert [line for line in (*ended, *after) if "in flight" in line] == []


def test_it_tells_the_oldest_first_and_keeps_to_its_line(tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = {"status": 200, "body": {"size": 4200}}
    tail.run(monkeypatch, [told(9), told(95, response=reply, time_to_first_byte=1_200_000_000)])
    line = tail.seen[-1][-1]
    assert line.startswith("2 in flight: Course outline /outline gpt-4o 1m35s, 4.2 KB so far, first")
    assert len(line) == 79
    assert line.endswith("...")


def test_it_is_gone_when_the_command_ends(tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    tail.run(monkeypatch, [told(12)])
    assert tail.terminal.getvalue().endswith(CLEAR)


def test_json_has_none(tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    tail.run(monkeypatch, [told(12)], options=("--json",))
    assert CLEAR not in tail.terminal.getvalue()


def test_a_pipe_has_none(tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    tail.terminal = io.StringIO()
    tail.run(monkeypatch, [told(12)])
    assert "running, no reply yet" in tail.terminal.getvalue()
    assert CLEAR not in tail.terminal.getvalue()


def test_without_a_reader_nothing_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> None:
        raise ReaderGone

    live = following.LiveLine(list, wanted=True)
    with live:
        live._stands = True
        monkeypatch.setattr(following, "write", gone)
