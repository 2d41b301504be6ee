"""What a proxy answers for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.support.gate import PATIENCE

from sessiontap.callers import Caller, Process
from sessiontap.proxy.own_address import (
    ProcessAnswer,
    Question,
    asked,
    descends,
    health_url,
    in_flight_url,
    passed_url,
    recorded_url,
    when_recorded,
)


@pytest.mark.parametrize(
    ("target", "question"),
    [
        ("/recorded?pid=42", Question("recorded", 42)),
        ("/recorded", None),
        ("/recorded?pid=", None),
        ("/recorded?pid=x", None),
        ("/recorded?pid=-1", None),
        ("/recorded?pid=٣", None),
        ("/recorded?pid=1&pid=2", None),
        ("/passed?pid=42", Question("passed", 42)),
        ("/passed", Question("passed", None)),
        ("/passed?pid=x", None),
        ("/passed?pid=", None),
        ("/health", Question("health", None)),
        ("/health?pid=42", None),
        ("/in-flight?token=a-b_c", Question("in_flight", None, "a-b_c")),
        ("/in-flight?token=", Question("in_flight", None, "")),
        ("/in-flight", None),
        ("/else?pid=42", None),
    ],
)
def test_what_is_asked(target: str, question: Question | None) -> None:
    assert asked(target) == question


@pytest.mark.parametrize(
    ("url", "question"),
    [
        (recorded_url(7), Question("recorded", 7)),
        (passed_url(7), Question("passed", 7)),
        (passed_url(), Question("passed", None)),
        (health_url(), Question("health", None)),
        (in_flight_url("a&b"), Question("in_flight", None, "a&b")),
    ],
)
def test_the_questions_are_understood(url: str, question: Question) -> None:
    assert asked(url.removeprefix("http://sessiontap.invalid")) == question


@pytest.mark.parametrize(
    ("caller", "is_its"),
    [
        (Caller("c", 42, 1, "bot"), True),
        (Caller("c", 43, 1, "bot", ancestors=(Process(42, "sh", 1), Process(1, "init", 0))), True),
        (Caller("c", 43, 1, "bot", ancestors=(Process(1, "init", 0),)), False),
        (None, False),
    ],
    ids=["itself", "what it started", "another", "not known"],
)
def test_whose_call_it_is(caller: Caller | None, is_its: bool) -> None:
    assert descends(caller, 42) is is_its


def steps(*values: int) -> Iterator[int]:
    yield from values[:-1]
    while True:
        yield values[-1]


@pytest.mark.parametrize(
    ("in_flight", "written", "limit", "answer"),
    [
        ((0,), (1,), 5, ProcessAnswer(True, 0)),
        ((2, 1, 0), (0, 0, 1), 5, ProcessAnswer(True, 0)),
        ((3,), (1,), 0.05, ProcessAnswer(False, 3)),
        ((0,), (0,), 0.05, ProcessAnswer(False, 0)),
    ],
    ids=["all is over", "soon", "a call that goes on", "a recorder that hangs"],
)
async def test_the_answer(
    in_flight: tuple[int, ...], written: tuple[int, ...], limit: float, answer: ProcessAnswer
) -> None:
    calls, ready = steps(*in_flight), steps(*written)
    found = await when_recorded(lambda: next(calls), lambda: lambda: bool(next(ready)), limit)
    assert found == answer


async def test_what_ended_while_it_waited_is_written_before_it_answers() -> None:
    asked: list[str] = []

    def in_flight() -> int:
        asked.append("in flight")
        return asked.count("in flight") < 3

    def written() -> bool:
        asked.append("written")
        return True

    def receipt():  # type: ignore[no-untyped-def]
        asked.append("receipt")
        return written

    assert await asyncio.wait_for(when_recorded(in_flight, receipt), PATIENCE) == ProcessAnswer(True, 0)
    assert asked == ["in flight"] * 3 + ["receipt", "written", "in flight"]
