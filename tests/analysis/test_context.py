"""The content of requests, worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.analysis.made_turns import Session, asks, part, result, said, system, tool, user

from sessiontap.analysis.context import context
from sessiontap.analysis.part_costs import InputTerms
from sessiontap.prices import Rates

TOOLS = (tool("Read"), tool("mcp__docs__search"), tool("mcp__docs__fetch"))
SYSTEM, QUESTION = system("You write code. " * 20), user("Fix it. " * 10)
BIG = "line of code\n" * 200
RATES = Rates(Decimal(3), Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75"))


def agent() -> Session:
    """Reads one file twice and another once; the second request reads what the first one wrote."""
    session = Session()
    start = (*TOOLS, SYSTEM, QUESTION)
    first = asks("Read", "r1", file_path="/a.py")
    session.ask(*start, reply=(first,), input=400, read=0, written=390)
    second = (first, result(BIG, "r1", name="Read"))
    more = (asks("Read", "r2", file_path="/a.py"), asks("Read", "r3", file_path="/b.py"))
    session.ask(*start, *second, reply=(said("Once more."), *more), input=1400, read=390, written=1000)
    third = (said("Once more."), *more, result(BIG, "r2", name="Read"), result("short", "r3", name="Read"))
    session.ask(*start, *second, *third, reply=(said("Done."),), input=2460, read=1390, written=1000)
    return session


TERMS = {f"call-{number}": InputTerms(RATES) for number in (1, 2, 3)}


def test_the_split_of_each_turn_adds_up_to_the_providers_count() -> None:
    rows = context(agent().turns, TERMS)["turns"]
    assert [row["input_tokens"] for row in rows] == [400, 1400, 2460]
    assert [sum(row["split_estimated"].values()) for row in rows] == pytest.approx([400, 1400, 2460], abs=4)
    assert [row["cache_read_tokens"] for row in rows] == [0, 390, 1390]


def test_what_came_first_keeps_its_tokens() -> None:
    rows = [row["split_estimated"] for row in context(agent().turns, TERMS)["turns"]]
    assert {(row["system"], row["tool_definitions"], row["user"]) for row in rows} == {
        (rows[0]["system"], rows[0]["tool_definitions"], rows[0]["user"])
    }
    assert rows[0]["tool_results"] == 0
    assert rows[1]["tool_results"] > 900
    assert rows[2]["tool_results"] > 1850


def by_name(group: dict[str, Any]) -> dict[str, Any]:
    """Names and numbers of parts, with those within."""
    return {
        one["name"]: (one["parts"], by_name(one)) if one["within"] else one["parts"]
        for one in sorted(group["within"], key=lambda one: one["name"])
    }


def test_one_request_in_detail() -> None:
    detail = context(agent().turns, TERMS)["detail"]
    assert (detail["step"], detail["call"], detail["input_tokens"]) == (2, "call-3", 2460)
    assert by_name({"within": detail["categories"]}) == {
        "assistant": 1,
        "system": 1,
        "tool_calls": (3, {"Read": 3}),
        "tool_definitions": (
            3,
            {
                "MCP server docs": (2, {"mcp__docs__fetch": 1, "mcp__docs__search": 1}),
                "built in": (1, {"Read": 1}),
            },
        ),
        "tool_results": (3, {"Read": (3, {"/a.py": 2, "/b.py": 1})}),
        "user": 1,
    }
    results = next(one for one in detail["categories"] if one["name"] == "tool_results")
    assert 0.75 < results["within"][0]["within"][0]["share_estimated"] < 0.85


def test_a_turn_is_chosen_by_its_step() -> None:
    assert context(agent().turns, TERMS, step=1)["detail"]["call"] == "call-2"
    assert context(agent().turns, TERMS, step=7)["detail"] is None


def test_the_biggest_blocks_and_what_sending_them_cost() -> None:
    blocks = context(agent().turns, TERMS)["blocks"]
    first = blocks[0]
    assert (first["kind"], first["name"], first["argument"]) == ("tool_results", "Read", "/a.py")
    assert (first["first_step"], first["last_step"], first["turns"]) == (1, 2, 2)
    size = first["tokens_estimated"]
    assert first["tokens_sent_estimated"] == pytest.approx(2 * size, abs=1)
    # Written once, and read once but for the end that the first write left out (10 of 1,400).
    assert first["cost_usd_estimated"] == pytest.approx((size * 3.75 + size * 0.3) / 1e6, rel=0.02)
    definitions = {block["name"]: block["turns"] for block in blocks if block["kind"] == "tool_definitions"}
    assert definitions == {None: 3, "docs": 3}


def test_a_cost_that_is_not_known_is_none_and_counted() -> None:
    block = context(agent().turns, {})["blocks"][0]
    assert (block["cost_usd_estimated"], block["cost_unknown_turns"]) == (None, 2)


def test_without_a_count_there_is_no_split() -> None:
    session = Session()
    session.ask(SYSTEM, QUESTION)
    found = context(session.turns, {})
    assert found["turns"][0]["split_estimated"] is None
    assert found["turns"][0]["input_cost_usd"] is None
    assert found["detail"] is None
    assert [block["tokens_sent_estimated"] for block in found["blocks"]] == [None, None]


def test_media_and_reasoning_have_their_own_categories() -> None:
    session = Session()
    image = part("media", None, "user", 0, bytes=90_000, name="image/png")
    thought = part("reasoning", "Let me see. " * 30, "assistant", 1)
    session.ask(QUESTION, image, thought, said("A cat.", 1), input=1500)
    split = context(session.turns, {})["turns"][0]["split_estimated"]
    assert {name for name, number in split.items() if number} == {"user", "media", "reasoning", "assistant"}


def test_an_agents_errands_are_left_out() -> None:
    session = Session()
    session.ask(user("quota"), input=9, errand=True)
    session.ask(system("You help."), user("Why is grass green?"), input=90, based_on=None)
    found = context(session.turns, {})
    assert [row["step"] for row in found["turns"]] == [1]
    assert "quota" not in str(found)
