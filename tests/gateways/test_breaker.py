"""When a gateway is left alone, and when it is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.gateways.breaker import (
    FAILURES,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST,
    WINDOW,
    Breaker,
    Breakers,
    GatewayAddress,
)

START = 1_000.0
OPENS = [(START, "failed")] * FAILURES
PROBE = START + FIRST_PAUSE


def after(*heard: tuple[float, str]) -> tuple[Breaker, list[bool]]:
    """A breaker, and what it said to each thing that it heard of a call which began just then."""
    breaker = Breaker()
    said = []
    for at, what in heard:
        ask: Any = {
            "failed": lambda at=at: breaker.failed(at, at),
            "answered": lambda at=at: breaker.answered(at, at),
            "admits": lambda at=at: breaker.admits(at),
        }[what]
        said.append(ask())
    return breaker, said


@pytest.mark.parametrize(
    ("heard", "is_open"),
    [
        pytest.param([], False, id="nothing was heard"),
        pytest.param(OPENS[1:], False, id="a failure too few"),
        pytest.param(OPENS, True, id="enough failures"),
        pytest.param([*OPENS[1:], (START + WINDOW + 1, "failed")], False, id="the last one is in another window"),
        pytest.param([(START, "answered")] * (FAILURES + 1) + OPENS, False, id="more answers than failures"),
        pytest.param([(START, "answered")] * FAILURES + OPENS, True, id="as many answers as failures"),
        pytest.param([*OPENS, (PROBE, "admits"), (PROBE + 1, "answered")], False, id="a probe was answered"),
        pytest.param([*OPENS, (PROBE, "admits"), (PROBE + 1, "failed")], True, id="a probe failed"),
        pytest.param([*OPENS, (PROBE, "answered"), *OPENS[1:]], False, id="it counts anew once it has closed"),
    ],
)
def test_a_breaker_opens_and_closes(heard: list[tuple[float, str]], is_open: bool) -> None:
    breaker, _ = after(*heard)
    assert (breaker.opened is not None) is is_open


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param([START, START + 9.9], [False, False], id="not before the pause is over"),
        pytest.param([PROBE, PROBE, PROBE + 1], [True, False, False], id="one probe at a time"),
        pytest.param([PROBE, PROBE + FIRST_PAUSE], [True, True], id="another if the first is not heard of"),
    ],
)
def test_an_open_breaker_admits(asked: list[float], expected: list[bool]) -> None:
    breaker, _ = after(*OPENS)
    assert [breaker.admits(at) for at in asked] == expected
    assert breaker.skipped == expected.count(False)


def test_each_probe_that_fails_doubles_the_pause_up_to_a_longest_one() -> None:
    breaker, _ = after(*OPENS)
    now, pauses = START, []
    for _ in range(8):
        began = now
        while not breaker.admits(now):
            now += 1
        pauses.append(now - began)
        breaker.failed(now, now)
    assert pauses == [10, 20, 40, 80, 160, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


@pytest.mark.parametrize("what", ["failed", "answered"])
def test_a_call_that_was_on_its_way_when_it_opened_changes_nothing(what: str) -> None:
    breaker, _ = after(*OPENS)
    assert getattr(breaker, what)(START - 1, START + 1) is False
    assert breaker.opened == START
    assert breaker.admits(PROBE)


def test_it_tells_that_it_opens_and_closes_once_each() -> None:
    late = [(START + 1, "failed")]
    _, said = after(*OPENS, *late, (PROBE + 1, "answered"), (PROBE + 2, "answered"))
    assert said == [*[False] * (FAILURES - 1), True, False, True, False]


def test_the_breakers_are_one_for_each_gateway_and_bounded() -> None:
    now = START
    breakers = Breakers(lambda: now)
    slow, fast = GatewayAddress("a", "https://slow.example:443"), GatewayAddress("a", "https://fast.example:443")
    for _ in range(FAILURES):
        breakers.of(slow).failed(now, now)
    now += 2
    assert (breakers.admits(slow), breakers.admits(fast)) == (False, True)
    assert [tuple(one) for one in breakers.open_ones()] == [(slow, 2.0, 1)]
    for number in range(MOST):
        breakers.of(GatewayAddress("b", f"https://{number}.example:443"))
    assert breakers.open_ones() == []
