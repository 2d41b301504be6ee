"""`sessiontap run` ends when the calls in flight have ended, or at once when it is told twice."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.gate import PATIENCE

from sessiontap.proxy.runner import Drain


class Calls:
    """Counts of calls in flight, and what a drain did."""

    def __init__(self, in_flight: int) -> None:
        self.in_flight = in_flight
        self.ended = asyncio.Event()
        self.listens = True
        self.drain = Drain(lambda: self.in_flight, self.close, self.ended.set)

    def close(self) -> None:
        self.listens = False


@pytest.mark.parametrize(("in_flight", "seconds"), [(0, 60.0), (3, 0.0)], ids=["no call in flight", "no time for it"])
async def test_it_ends_at_once(in_flight: int, seconds: float) -> None:
    calls = Calls(in_flight)
    calls.drain.begin(seconds)
    assert calls.ended.is_set()


async def test_it_ends_after_the_last_call_and_accepts_none_meanwhile() -> None:
    calls = Calls(2)
    calls.drain.begin(60.0)
    await asyncio.sleep(0)
    assert not calls.listens
    assert not calls.ended.is_set()
    calls.in_flight = 0
    await asyncio.wait_for(calls.ended.wait(), PATIENCE)


async def test_calls_that_do_not_end_are_not_waited_for_any_longer() -> None:
    calls = Calls(1)
    calls.drain.begin(0.01)
    await asyncio.wait_for(calls.ended.wait(), PATIENCE)
    assert calls.in_flight == 1


async def test_the_second_signal_ends_it_at_once() -> None:
    calls = Calls(1)
    calls.drain.begin(60.0)
    calls.drain.begin(60.0)
    assert calls.ended.is_set()
