"""Workers that count together: what each is told crosses a channel as JSON, as between processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from sessiontap.limits import CallScopes, Counted, Crossing, Threshold, Tracker
from sessiontap.limits.shared import CallBegins, RestoredCall, RestoredCounts
from sessiontap.proxy.shared_counts import FrontCounts, FrontFault, WorkerCounts

NOW = 1_763_701_200 * 10**9
LIMIT = Threshold("limit", "all", "calls", 10, "day")
ALERT = Threshold("alert", "all", "calls", 5, "day")
TOKENS = Threshold("alert", "all", "tokens", 100, "user")
DAY = CallScopes(NOW, "s-1", user="ada")


def workers(number: int) -> list[WorkerCounts]:
    """So many workers of one front."""
    front = FrontCounts()

    def worker(first: bool) -> WorkerCounts:
        def send(message: dict[str, Any]) -> None:
            answer = front.answer(json.loads(json.dumps(message)))
            if answer is not None:
                asyncio.get_running_loop().call_soon(one.take, json.loads(json.dumps(answer)))

        one = WorkerCounts(send, restores=first)
        return one

    return [worker(at == 0) for at in range(number)]


def begins(call: int, *thresholds: Threshold) -> CallBegins:
    return CallBegins(str(call), DAY, thresholds, b"\xff", True, True)


def test_a_limit_refuses_by_the_count_of_all_and_each_crossing_is_told_once() -> None:
    async def run() -> None:
        four = workers(4)
        asked = [four[call % 4].begin(begins(call, LIMIT, ALERT)) for call in range(100)]
        results = await asyncio.gather(*asked)
        assert sum(one.refused is None for one in results) == 10
        assert [one.is_first for one in results if one.refused is not None] == [True] + [False] * 89
        assert [one.threshold for result in results for one in result.crossings] == [ALERT]
        for one in four:
            (refusing,) = await one.refusing()
            assert (refusing.threshold, refusing.value) == (LIMIT, 10)
        assert await four[3].lift(refusing.id) == refusing
        assert (await four[0].begin(begins(100, LIMIT))).refused is None

    asyncio.run(run())


def test_the_worker_whose_call_crosses_a_threshold_is_told() -> None:
    async def run() -> list[Sequence[Crossing]]:
        two = workers(2)
        for call, one in enumerate(two):
            await one.begin(begins(call, TOKENS))
        return [await one.ended(str(call), Counted(NOW, tokens=60)) for call, one in enumerate(two)]

    none, (crossing,) = asyncio.run(run())
    assert (list(none), crossing.value, crossing.scope.key, crossing.call) == ([], 120, "ada", "1")


def test_a_call_that_is_forgotten_counts_no_end() -> None:
    async def run() -> Sequence[Crossing]:
        (one,) = workers(1)
        await one.begin(begins(0, TOKENS))
        one.forget("0")
        return await one.ended("0", Counted(NOW, tokens=500))

    assert list(asyncio.run(run())) == []


def test_the_log_is_counted_once() -> None:
    restored = RestoredCounts([LIMIT], [RestoredCall(DAY, [0], Counted(NOW))] * 6, {}, NOW)

    async def run() -> int:
        two = workers(2)
        for one in (two[1], two[0], two[0]):  # a worker that is started again reads the log again
            one.restore(restored)
        results = [await two[1].begin(begins(call, LIMIT)) for call in range(10)]
        return sum(one.refused is None for one in results)

    assert asyncio.run(run()) == 4


def test_a_fault_in_the_front_is_the_worker_s_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(*values: Any, **more: Any) -> None:
        raise RuntimeError("of ours")

    async def run() -> None:
        (one,) = workers(1)
        with pytest.raises(FrontFault, match="RuntimeError: of ours"):
            await one.begin(begins(0, LIMIT))

    monkeypatch.setattr(Tracker, "begin", begin)
    asyncio.run(run())
