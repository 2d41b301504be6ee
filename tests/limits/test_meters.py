"""The counts of one scope, as tables: when something was added, and what the count is then."""

from __future__ import annotations

import pytest

from sessiontap.limits.meters import SLICES, Elapsed, ErrorRate, Repeats, Sum, WindowSum

SECOND = 10**9


def test_a_sum_is_unknown_until_something_is_known() -> None:
    total = Sum()
    total.add(None, 0)
    assert (total.value(0), total.unknown) == (None, 1)
    total.add(2, 0)
    total.add(3, 0)
    assert (total.value(0), total.unknown) == (5, 1)


@pytest.mark.parametrize(
    ("added", "now", "value"),
    [
        ([(0, 1), (10, 2), (59, 4)], 59, 7),
        ([(0, 1), (10, 2), (59, 4)], 61, 6),
        ([(0, 1), (10, 2), (59, 4)], 100, 4),
        ([(0, 1), (10, 2), (59, 4)], 200, None),
        ([(30, 1), (10, 2)], 30, 3),  # told late
        ([(30, 1), (10, 2)], 10, 3),  # the clock was set back
    ],
)
def test_a_window_forgets_what_is_older(added: list[tuple[int, int]], now: int, value: int | None) -> None:
    window = WindowSum(60)
    for at, amount in added:
        window.add(amount, at * SECOND)
    assert window.value(now * SECOND) == value


@pytest.mark.parametrize(
    ("now", "told"),
    [
        pytest.param(59, (2, 1), id="within it"),
        pytest.param(61, (2, 0), id="an amount is left"),
        pytest.param(200, (None, 0), id="all of it is older"),
    ],
)
def test_a_window_forgets_the_calls_of_unknown_amount_as_well(now: int, told: tuple[int | None, int]) -> None:
    window = WindowSum(60)
    window.add(None, 0)
    window.add(2, 10 * SECOND)
    assert (window.value(now * SECOND), window.unknown) == told


def test_a_window_in_which_nothing_is_known_has_no_amount() -> None:
    window = WindowSum(60)
    window.add(None, 0)
    assert (window.value(0), window.unknown) == (None, 1)


def test_a_window_holds_no_more_than_its_slices() -> None:
    window = WindowSum(60)
    for second in range(10_000):
        window.add(1, second * SECOND)
    assert len(window._slices) <= SLICES
    assert window.value(9_999 * SECOND) == 60


@pytest.mark.parametrize(
    ("ended", "within", "rate"),
    [
        ([True], None, None),
        ([True, True, True, True], None, None),
        ([True, False, False, False, False], None, 0.2),
        ([True] * 20 + [False] * 10, None, 0.5),
        ([False] * 20 + [True] * 20, None, 1.0),
        ([True] * 20 + [False] * 6, 6.5, 0.0),
        ([True] * 20 + [False] * 6, 3.5, None),
    ],
    ids=["one", "four", "five", "the last twenty", "all of them", "only in the window", "too few in the window"],
)
def test_the_rate_of_errors_is_that_of_the_last_calls(
    ended: list[bool], within: float | None, rate: float | None
) -> None:
    meter = ErrorRate(within)
    for at, failed in enumerate(ended):
        meter.add(failed, at * SECOND)
    assert meter.value(len(ended) * SECOND) == rate


def test_time_runs_from_the_first_call() -> None:
    elapsed = Elapsed()
    assert elapsed.value(0) is None
    for at in (100, 50, 200):
        elapsed.add(at * SECOND)
    assert elapsed.value(260 * SECOND) == 210.0
    assert elapsed.value(0) == 0.0


@pytest.mark.parametrize(
    ("requests", "in_a_row"),
    [("aaa", 3), ("aba", 1), ("abbb", 3), ("aab", 1)],
)
def test_requests_repeat_in_a_row(requests: str, in_a_row: int) -> None:
    repeats = Repeats()
    for one in requests:
        repeats.ask(one.encode())
    assert repeats.value(0) == in_a_row


@pytest.mark.parametrize(
    ("called", "in_a_row"),
    [(["a", "a", "a"], 3), (["a", None, "a"], 1), (["a", "a", None], 0)],
)
def test_tool_calls_repeat_in_a_row(called: list[str | None], in_a_row: int) -> None:
    repeats = Repeats()
    for one in called:
        repeats.call(one.encode() if one is not None else None)
    assert repeats.value(0) == in_a_row


def test_only_the_same_request_would_repeat_it() -> None:
    repeats = Repeats()
    repeats.ask(b"a")
    repeats.ask(b"a")
    assert (repeats.before(b"a"), repeats.before(b"b"), repeats.before(None)) == (2, 0, 0)
