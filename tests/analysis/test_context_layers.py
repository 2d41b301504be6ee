"""The layers of a picture of requests, worked out by hand: one token for each byte."""

from __future__ import annotations

from typing import Any

import pytest
from tests.analysis.made_turns import Session, asks, part, result, said, system, tool, user

from sessiontap.analysis.context_layers import MOST_COLUMNS, MOST_LAYERS, Split, layers
from sessiontap.analysis.tool_runs import runs_by_result

TOOLS = (tool("Read"), tool("mcp__docs__search"))
START = (*TOOLS, system("s" * 50), user("u" * 20))


def agent() -> Session:
    """Reads two files, then is asked again."""
    session = Session()
    first = (asks("Read", "r1", path="a"), asks("Read", "r2", path="b"))
    session.ask(*START, reply=first, input=1)
    second = (*START, *first, result("x" * 300, "r1", name="Read"), result("y" * 70, "r2", name="Read"))
    session.ask(*second, reply=(said("d" * 10),), input=700, read=400)
    session.ask(*second, said("d" * 10), user("v" * 5), part("media", None, "user", 6, bytes=40), input=1)
    return session


def split(session: Session, by: Split, uncounted: int | None = None) -> dict[str, Any]:
    tokens = [
        None if at == uncounted else [float(one.bytes) for one in turn.request]
        for at, turn in enumerate(session.turns)
    ]
    return layers(session.turns, tokens, runs_by_result(session.turns), by, {})


READ, SEARCH = (one.bytes for one in TOOLS)
CALLS = sum(one.bytes for one in (asks("Read", "r1", path="a"), asks("Read", "r2", path="b")))


@pytest.mark.parametrize(
    ("by", "names", "tokens"),
    [
        (
            "turn",
            ["tool_definitions", "system", "history", "tool_results", "current"],
            [[READ + SEARCH, 50, 0, 0, 20], [READ + SEARCH, 50, 20 + CALLS, 0, 370],
             [READ + SEARCH, 50, 20 + CALLS + 10, 370, 45]],
        ),
        (
            "kind",
            ["tool_definitions", "system", "user", "assistant", "tool_calls", "tool_results", "media"],
            [[READ + SEARCH, 50, 20, 0, 0, 0, 0], [READ + SEARCH, 50, 20, 0, CALLS, 370, 0],
             [READ + SEARCH, 50, 25, 10, CALLS, 370, 40]],
        ),
        (
            "server",
            ["(rest)", "MCP server docs", "built in"],
            [[70, SEARCH, READ], [440 + CALLS, SEARCH, READ], [495 + CALLS, SEARCH, READ]],
        ),
        (
            "tool",
            ["(rest)", "Read"],
            [[READ + SEARCH + 70, 0], [READ + SEARCH + 70 + CALLS, 370], [READ + SEARCH + 125 + CALLS, 370]],
        ),
        (
            "file",
            ["(rest)", "Read a", "Read b"],
            [[READ + SEARCH + 70, 0, 0], [READ + SEARCH + 70 + CALLS, 300, 70], [READ + SEARCH + 125 + CALLS, 300, 70]],
        ),
    ],
)  # fmt: skip
def test_layers(by: Split, names: list[str], tokens: list[list[int]]) -> None:
    found = split(agent(), by)
    assert found["layers"] == names
    assert [one["tokens_estimated"] for one in found["columns"]] == tokens


def test_a_tool_more_makes_no_message_new() -> None:
    session = Session()
    session.ask(*START, reply=(said("d" * 10),), input=1)
    session.ask(tool("Edit"), *START, said("d" * 10), user("v" * 5), input=1)
    found = split(session, "turn")
    assert found["layers"] == ["tool_definitions", "system", "history", "current"]
    assert found["columns"][1]["tokens_estimated"] == [tool("Edit").bytes + READ + SEARCH, 50, 30, 5]


def test_a_column_has_the_providers_counts() -> None:
    assert split(agent(), "kind")["columns"][1] | {"tokens_estimated": []} == {
        "step": 1,
        "call": "call-2",
        "input_tokens": 700,
        "window_tokens": None,
        "cache_read_tokens": 400,
        "tokens_estimated": [],
    }


def test_a_turn_without_a_count_has_no_column() -> None:
    assert [one["step"] for one in split(agent(), "kind", uncounted=1)["columns"]] == [0, 2]


def test_a_column_of_a_long_session_is_the_fullest_of_several_turns() -> None:
    session = Session()
    for at in range(2 * MOST_COLUMNS + 1):
        session.ask(user("u"), input=1000 + at * (-1) ** at, based_on=None)
    found = split(session, "kind")
    assert found["turns_in_column"] == 3
    assert [one["step"] for one in found["columns"]][:3] == [2, 4, 8]


def test_nothing_is_counted() -> None:
    found = split(agent(), "kind", uncounted=0)
    assert len(found["columns"]) == 2
    session = Session()
    session.ask(user("u"))
    assert layers(session.turns, [None], {}, "turn", {}) == {
        "split": "turn",
        "layers": [],
        "turns_in_column": 1,
        "columns": [],
    }


def test_of_many_tools_the_small_ones_are_one_layer() -> None:
    session = Session()
    results = [result("z" * (at + 1), f"r{at}", name=f"tool{at}") for at in range(12)]
    session.ask(user("u"), *results, input=1)
    found = split(session, "tool")
    assert found["layers"] == ["(rest)", *(f"tool{at}" for at in (11, 10, 9, 8, 7, 6)), "(others)"]
    assert len(found["layers"]) == MOST_LAYERS
    assert found["columns"][0]["tokens_estimated"] == [1, 12, 11, 10, 9, 8, 7, sum(range(1, 7))]
