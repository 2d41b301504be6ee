"""What a session cost over its calls, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.analysis.made_spans import span

from sessiontap.analysis.spending import MOST_COLUMNS, MOST_GROUPS, By, spending

CALLS = [
    span("a", 0, model="opus", path="/plan", cost_usd=0.5, cost_parts=(0.1, 0.0, 0.2, 0.2, 0.0), step=0),
    span("b", 2, model="haiku", path="/look", subagent="explorer", cost_usd=0.25, step=1),
    span("c", 4, model="opus", path="/plan", cost_unknown=True, step=2),
    span("d", 6, model="opus", path="/plan", cost_usd=1.0, cost_parts=(0.0, 0.25, 0.0, 0.75, 0.0), step=3),
]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("model", [["opus", 3, 1.5, 1], ["haiku", 1, 0.25, 0]]),
        ("agent", [["agent.py", 3, 1.5, 1], ["explorer", 1, 0.25, 0]]),
        ("path", [["/plan", 3, 1.5, 1], ["/look", 1, 0.25, 0]]),
        (
            "part",
            [["output", 2, 0.95, 0], ["cache_read", 1, 0.25, 0], ["other", 2, 0.25, 1], ["cache_write", 1, 0.2, 0],
             ["input", 1, 0.1, 0]],
        ),
    ],
)  # fmt: skip
def test_groups_by_cost(by: By, expected: list[list[Any]]) -> None:
    found = spending(CALLS, by)["groups"]
    assert [[one["name"], one["calls"], one["cost_usd"], one["cost_unknown_calls"]] for one in found] == expected


def test_columns_are_calls_and_what_they_come_to() -> None:
    columns = spending(CALLS, "model")["columns"]
    assert columns[3] == {
        "call": "d",
        "calls": 1,
        "step": 3,
        "time": "2025-11-21T05:00:06.000000Z",
        "cost_usd": [1.0, 0.0],
        "cumulative_usd": [1.5, 0.25],
    }
    assert [one["cost_usd"] for one in columns] == [[0.5, 0], [0, 0.25], [0, 0], [1.0, 0]]


def test_many_calls_share_columns() -> None:
    many = [span(f"c{at}", at, cost_usd=0.001) for at in range(10 * MOST_COLUMNS)]
    columns = spending(many, "model")["columns"]
    assert len(columns) == MOST_COLUMNS
    assert {one["calls"] for one in columns} == {10}
    assert columns[-1]["cumulative_usd"] == pytest.approx([1.2])


def test_many_groups_share_the_last() -> None:
    many = [span(f"c{at}", at, cost_usd=1.0 + at, model=f"m{at}") for at in range(MOST_GROUPS + 2)]
    groups = spending(many, "model")["groups"]
    assert len(groups) == MOST_GROUPS
    assert (groups[0]["name"], groups[-1]["name"]) == (f"m{MOST_GROUPS + 1}", "(others)")
    assert (groups[-1]["calls"], groups[-1]["cost_usd"]) == (3, 6.0)


def test_a_session_of_unknown_cost() -> None:
    found = spending([span("a", 0, cost_unknown=True)], "model")
    assert found["groups"] == [{"name": "m", "calls": 1, "cost_usd": None, "cost_unknown_calls": 1}]
    assert found["columns"][0]["cumulative_usd"] == [0.0]
