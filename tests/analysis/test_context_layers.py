"""The layers of a picture of requests, worked out by hand: one token for each byte."""

from __future__ import annotations

from typing import Any

import pytest
from tests.analysis.made_turns import Session, asks, part, result, said, system, tool, user

from sessiontap.analysis.context_layers import MOST_LAYERS, Split, layers
from sessiontap.analysis.tool_runs import runs_by_result

TOOLS = (tool("Read"), tool("mcp__docs__search"))
START = (*TOOLS, system("s" * 50), user("u" * 20))


def agent() -> Session:
    """Reads two files, then is asked again."""
    session = Session()
    first = (asks("Read", "r1", path="a"), asks("Read", "r2", path="b"))
    session.ask(*START, reply=first, input=1)
    second = (*START, *first, result("x" * 300, "r1", name="Read"), result("y" * 70, "r2", name="Read"))
    session.ask(*second, reply=(said("d" * 10),), input=1)
    session.ask(*second, said("d" * 10), user("v" * 5), part("media", None, "user", 6, bytes=40), input=1)
    return session


def split(session: Session, by: Split, uncounted: int | None = None) -> dict[str, Any]:
    tokens = [
        None if at == uncounted else [float(one.bytes) for one in turn.request]
        for at, turn in enumerate(session.turns)
    ]
    return layers(session.turns, tokens, runs_by_result(session.turns), by)


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
    assert split(agent(), by) == {"split": by, "layers": names, "tokens_estimated": tokens}


def test_a_turn_without_a_count_has_none() -> None:
    found = split(agent(), "kind", uncounted=1)["tokens_estimated"]
    assert [one is None for one in found] == [False, True, False]


def test_of_many_tools_the_small_ones_are_one_layer() -> None:
    session = Session()
    results = [result("z" * (at + 1), f"r{at}", name=f"tool{at}") for at in range(12)]
    session.ask(user("u"), *results, input=1)
    found = split(session, "tool")
    assert found["layers"] == ["(rest)", *(f"tool{at}" for at in (11, 10, 9, 8, 7, 6)), "(others)"]
    assert len(found["layers"]) == MOST_LAYERS
    assert found["tokens_estimated"] == [[1, 12, 11, 10, 9, 8, 7, sum(range(1, 7))]]
