"""How far the time of day was set, told apart from how far it went on."""

from __future__ import annotations

import time

import pytest

from sessiontap.proxy import set_clock
from sessiontap.proxy.set_clock import SetClock

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


class Clocks:
    """The time of day, and a clock that nobody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.day, self.running = 1_750_000_000 * SECOND, 77 * SECOND
        monkeypatch.setattr(time, "time_ns", lambda: self.day)
        monkeypatch.setattr(set_clock, "_running", lambda: self.running)

    def pass_by(self, nanoseconds: int) -> None:
        self.day += nanoseconds
        self.running += nanoseconds


@pytest.mark.parametrize(
    ("set_by", "told"),
    [
        (0, 0),
        (HOUR, HOUR),
        (-HOUR, -HOUR),
        (SECOND, SECOND),
        (SECOND - 1, 0),
        (-SECOND + 1, 0),
    ],
    ids=["not set", "forwards", "back", "a second", "a correction", "a correction back"],
)
def test_it_tells_by_how_much(monkeypatch: pytest.MonkeyPatch, set_by: int, told: int) -> None:
    clocks = Clocks(monkeypatch)
    clock = SetClock()
    clocks.pass_by(5 * HOUR)
    assert clock.by() == 0
    clocks.day += set_by
    clocks.pass_by(HOUR)
    assert clock.by() == told


def test_set_back_again_it_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    clock = SetClock()
    clocks.day += HOUR
    assert clock.by() == HOUR
    clocks.day -= HOUR
    assert clock.by() == 0


def test_a_call_lasts_as_long_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of its times are by the clock as it was before it was set."""
    clocks = Clocks(monkeypatch)
    clock = SetClock()
    began = clocks.day
    clocks.day += HOUR
    assert clock.begun("a", clocks.day) == began
    clocks.pass_by(5 * SECOND)
    assert clock.ended("a", clocks.day) == began + 5 * SECOND
