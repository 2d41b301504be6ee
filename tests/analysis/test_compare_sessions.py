"""Two sessions beside each other, of plain values: sums, models, tools, labels, and calls in pairs."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.analysis.compare_sessions import (
    CallPair,
    ComparedLabel,
    ComparedNumber,
    ComparedTool,
    NotComparedError,
    align,
    compare_sessions,
)
from sessiontap.llm.compare import Difference, MessageChange, PartChange, ValueChange
from sessiontap.part import Part
from sessiontap.trace.index.turns import Turn

SAME = Difference()


def call(name: str, path: str | None = "/a", **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "path": path,
        "operation": "chat",
        "subagent": None,
        "conversation": "c",
        "time": "2025-11-21T05:00:00.000000Z",
        "tool_calls": [],
        "request_model": "small",
        "response_model": None,
        "usage": {"input": 10, "output": 2},
        "cost_usd": 0.5,
        "duration": 1.0,
        "outcome": "ok",
        "error": None,
        **more,
    }


def turn(name: str, *parts: Part, first_new: int = 0, based_on: str | None = "parent", **more: Any) -> Turn:
    return Turn(call(name, **more), parts, first_new, (), based_on)


def session(**more: Any) -> dict[str, Any]:
    return {"agents": [], "processes": ["bot.py"], "users": [], "tags": [], "properties": {}, **more}


def said(text: str, message: int = 0) -> Part:
    return Part("text", "user", message, text, len(text))


def result(tool: str | None, name: str | None, *, error: bool | None = None) -> Part:
    return Part("tool_result", "tool", 1, "...", 3, name=tool, id=name, error=error)


def same(one: Any, other: Any) -> Difference:
    return SAME


def names(pairs: list[CallPair]) -> list[str]:
    """`a-b` of a pair, `a-` of a call that only the earlier session has."""
    return [f"{(pair.before or {}).get('id', '')}-{(pair.after or {}).get('id', '')}" for pair in pairs]


ALIGNED = {
    "the same": (["a1", "a2"], ["b1", "b2"], ["a1-b1", "a2-b2"]),
    "one more at the end": (["a1"], ["b1", "b2"], ["a1-b1", "-b2"]),
    "one less": (["a1", "a2"], ["b1"], ["a1-b1", "a2-"]),
    "one more between, by its tool": (["a1 Read", "a2"], ["b1 Read", "b2 Grep", "b3"], ["a1-b1", "-b2", "a2-b3"]),
    "one less between": (["a1 Read", "a2 Grep", "a3"], ["b1 Read", "b2"], ["a1-b1", "a2-", "a3-b2"]),
    "another tool in the same place": (["a1 Read", "a2"], ["b1 Bash", "b2"], ["a1-b1", "a2-b2"]),
    "nothing before": ([], ["b1"], ["-b1"]),
    "nothing after": (["a1"], [], ["a1-"]),
    "nothing": ([], [], []),
    "paths apart": (["a1@/x", "a2@/y"], ["b1@/y", "b2@/x"], ["a2-b1", "a1-b2"]),
    "a path that only one has": (["a1@/x"], ["b1@/y"], ["-b1", "a1-"]),
}


def spelled(text: str) -> Turn:
    """`NAME[@PATH] [TOOL]`."""
    where, _, tool = text.partition(" ")
    name, _, path = where.partition("@")
    return turn(name, path=path or "/a", tool_calls=[tool] if tool else [])


@pytest.mark.parametrize(("before", "after", "expected"), ALIGNED.values(), ids=ALIGNED)
def test_calls_are_paired(before: list[str], after: list[str], expected: list[str]) -> None:
    assert names(align([spelled(one) for one in before], [spelled(one) for one in after])) == expected


def test_conversations_that_begin_with_the_same_words_are_a_pair_in_any_order() -> None:
    before = [turn("a1", said("bread"), based_on=None), turn("a2", said("rye"), based_on=None)]
    after = [turn("b1", said("rye"), based_on=None), turn("b2", said("bread"), based_on=None)]

    assert names(align(before, after)) == ["a2-b1", "a1-b2"]


def test_the_same_words_later_in_a_conversation_are_no_sign() -> None:
    before = [turn("a1", said("go on")), turn("a2", said("stop"))]
    after = [turn("b1", said("stop")), turn("b2", said("go on"))]

    assert names(align(before, after)) == ["a1-b1", "a2-b2"]


def test_sums_models_and_labels() -> None:
    before = session(
        calls=2,
        cost_usd=1.0,
        duration=3.5,
        tags=["old"],
        processes=["bot.py", "node"],
        properties={"mode": "a", "k": "v"},
    )
    after = session(calls=3, cost_usd=None, processes=["node", "bot.py"], properties={"mode": ["a", "b"], "k": "v"})
    turns = [turn("a1"), turn("a2", response_model="large")], [turn("b1"), turn("b2"), turn("b3", request_model=None)]

    found = compare_sessions(before, after, *turns, same)

    sums = {one.name: (one.before, one.after) for one in found.sums}
    assert (sums["calls"], sums["cost_usd"], sums["duration"]) == ((2, 3), (1.0, None), (3.5, None))
    assert found.models == (ComparedNumber("small", 1, 2), ComparedNumber("large", 1, 0))
    assert found.properties == (ComparedLabel("mode", ("a",), ("a", "b")),)
    assert found.labels == (ComparedLabel("tags", ("old",), ()),)


def test_tools_are_counted_by_calls_and_by_results_that_failed() -> None:
    before = [turn("a1", tool_calls=["Bash", "Read"]), turn("a2", result("Bash", "1", error=True))]
    after = [
        turn("b1", tool_calls=["Bash"]),
        turn("b2", result("Bash", "1", error=False), tool_calls=["Bash"]),
        # Nothing is known of what it continues: it brings the first result again.
        turn("b3", result("Bash", "1"), result("Bash", "2", error=True), result(None, "3", error=True), based_on=None),
        turn("b4", result("Bash", "2", error=True), first_new=1),
    ]

    found = compare_sessions(session(), session(), before, after, same)

    assert found.tools == (ComparedTool("Bash", 1, 2, 1, 1), ComparedTool("Read", 1, 0, 0, 0))


def test_paths_have_sums_of_the_calls_there_alone() -> None:
    before = [turn("a1", path="/a"), turn("a2", path="/a", usage=None, cost_usd=None, outcome="http_error")]
    after = [turn("b1", path="/a/b", duration=None)]

    paths = compare_sessions(session(), session(), before, after, same).paths

    assert [path.path for path in paths] == ["/a/b", "/a"]
    assert {one.name: (one.before, one.after) for one in paths[1].sums} == {
        "calls": (2, 0),
        "errors": (1, 0),
        "duration": (2.0, None),
        "input_tokens": (10, None),
        "output_tokens": (2, None),
        "cost_usd": (0.5, None),
    }
    assert {one.name: one.after for one in paths[0].sums}["duration"] is None


PROMPT = PartChange("changed", "system prompt", ("-a", "+b"))
MODEL = ValueChange("changed", "model", "small", "large")
FIRST = MessageChange("changed", "user", 0, 0, lines=("-x", "+y"))


def test_a_change_that_an_earlier_pair_has_is_counted_and_not_said_again() -> None:
    before, after = [[turn(f"{side}{n}") for n in range(3)] for side in "ab"]
    new = MessageChange("added", "user", after=2, lines=("z",))
    history = MessageChange("same", "user", 0, 0, 2)
    differences = {
        "b0": Difference((FIRST,), PROMPT, parameters=(MODEL,)),
        "b1": Difference((FIRST, history, new), PROMPT, (PartChange("added", "Bash"),), 3, (MODEL,)),
        "b2": Difference((FIRST,), PROMPT),
    }

    pairs = compare_sessions(session(), session(), before, after, lambda _, call: differences[call["id"]]).calls

    assert [(pair.asked, pair.repeated) for pair in pairs] == [
        (differences["b0"], 0),
        (Difference((history, new), None, (PartChange("added", "Bash"),), 3), 3),
        (Difference(), 2),
    ]


def test_requests_that_cannot_be_compared_say_why() -> None:
    def refuse(one: Any, other: Any) -> Difference:
        raise NotComparedError("the request was not recorded")

    (pair,) = compare_sessions(session(), session(), [turn("a")], [turn("b")], refuse).calls

    assert (pair.asked, pair.not_compared) == (None, "the request was not recorded")


def test_calls_of_one_session_alone_are_not_compared() -> None:
    (pair,) = compare_sessions(session(), session(), [], [turn("b")], same).calls

    assert (pair.before, pair.asked, pair.not_compared) == (None, None, None)


def test_many_calls_are_paired_in_time() -> None:
    before, after = [[turn(f"{side}{n}", tool_calls=["Bash"]) for n in range(3000)] for side in "ab"]

    pairs = align(before, [*after, turn("b-last")])

    assert names(pairs)[::2999] == ["a0-b0", "a2999-b2999"]
    assert names(pairs)[-1] == "-b-last"
