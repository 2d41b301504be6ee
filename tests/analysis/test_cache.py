"""Verdicts on the provider's cache, worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.analysis.made_turns import Session, asks, result, said, system, tool, user

from sessiontap.analysis.cache import cache
from sessiontap.analysis.part_costs import InputTerms
from sessiontap.part import Part
from sessiontap.prices import Rates

TOOLS = (tool("Read"), tool("Write"))
SYSTEM, QUESTION = system("You write code. " * 20), user("Fix it. " * 10)
START = (*TOOLS, SYSTEM, QUESTION)
BEHIND = (said("Let me see.", 1), user("And now?", 2))
RATES = Rates(Decimal(3), Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75"))
TERMS = {f"call-{number}": InputTerms(RATES) for number in range(1, 9)}
HOUR = {f"call-{number}": InputTerms(RATES, written_1h=4000) for number in range(1, 9)}


def second(
    *request: Part, read: int | None = 0, written: int = 4100, terms: Any = None, **call: Any
) -> dict[str, Any]:
    """The verdict on a request behind one that left 4,000 tokens in the cache."""
    session = Session()
    session.ask(*START, input=4000, read=0, written=4000)
    session.ask(*request, input=4100, read=read, written=written, **call)
    return cache(session.turns, TERMS if terms is None else terms)["turns"][1]  # type: ignore[no-any-return]


def judged(row: dict[str, Any]) -> tuple[str | None, list[tuple[str, bool]]]:
    return row["verdict"], [(one["reason"], one["certain"]) for one in row["reasons"]]


def test_what_the_call_before_left_was_read() -> None:
    row = second(*START, *BEHIND, read=4000, written=100)
    assert judged(row) == ("hit", [])
    assert (row["readable_tokens"], row["lost_tokens"], row["extra_cost_usd"]) == (4000, 0, 0.0)


@pytest.mark.parametrize(
    ("request_", "call", "reasons"),
    [
        pytest.param((*START, *BEHIND), {"request_model": "claude-opus-4-1"}, [("model", True)], id="another model"),
        pytest.param((tool("Run"), *START, *BEHIND), {}, [("tools", True)], id="a tool more"),
        pytest.param((*TOOLS[1:], SYSTEM, QUESTION, *BEHIND), {}, [("tools", True)], id="a tool less"),
        pytest.param((*TOOLS, system("Be brief."), QUESTION, *BEHIND), {}, [("system", True)], id="the system prompt"),
        pytest.param((*TOOLS, QUESTION, *BEHIND), {}, [("system", True)], id="no system prompt"),
        pytest.param((*TOOLS, SYSTEM, user("Why?"), *BEHIND), {}, [("message", True)], id="a message"),
        pytest.param((*START, *BEHIND), {"wait": 297}, [("unknown", False)], id="nothing, within five minutes"),
        pytest.param((*START, *BEHIND), {"wait": 299.5}, [("idle", True)], id="nothing, five minutes after its start"),
        pytest.param((*START, *BEHIND), {"wait": 301}, [("idle", True)], id="nothing, later"),
        pytest.param(
            (tool("Run"), *START, *BEHIND),
            {"wait": 301, "request_model": "claude-opus-4-1"},
            [("model", True), ("tools", True), ("idle", True)],
            id="all at once",
        ),
        pytest.param(
            (*START, *(user(str(number), number) for number in range(30))),
            {},
            [("lookback", False)],
            id="more than twenty parts at once",
        ),
    ],
)
def test_why_nothing_was_read(
    request_: tuple[Part, ...], call: dict[str, Any], reasons: list[tuple[str, bool]]
) -> None:
    assert judged(second(*request_, **call)) == ("miss", reasons)


def test_a_beginning_that_was_read_is_a_part() -> None:
    row = second(*TOOLS, SYSTEM, user("Why?"), *BEHIND, read=3000, written=1100)
    assert judged(row) == ("partly", [("message", True)])


def test_an_entry_that_is_kept_for_an_hour() -> None:
    assert judged(second(*START, *BEHIND, wait=3500, terms=HOUR)) == ("miss", [("unknown", False)])
    assert judged(second(*START, *BEHIND, wait=3700, terms=HOUR)) == ("miss", [("idle", True)])


@pytest.mark.parametrize(
    ("request_", "facts"),
    [
        pytest.param(
            (tool("Run"), tool("Read"), tool("Write", "Else."), SYSTEM, QUESTION),
            {"added": ["Run"], "removed": [], "changed": ["Write"], "reordered": False},
            id="tools",
        ),
        pytest.param(
            (*reversed(TOOLS), SYSTEM, QUESTION),
            {"added": [], "removed": [], "changed": [], "reordered": True},
            id="their order",
        ),
        pytest.param(
            (*TOOLS, system("You write prose. " * 20), QUESTION),
            {
                "was": "You write code. You write code. You write code. Yo…",
                "is": "You write prose. You write prose. You write prose.…",
            },
            id="the system prompt",
        ),
        pytest.param(
            (*TOOLS, SYSTEM),
            {"message": 0, "role": "user", "kind": "text", "removed": True, "is": None},
            id="a message that is gone",
        ),
    ],
)
def test_what_changed(request_: tuple[Part, ...], facts: dict[str, Any]) -> None:
    found = second(*request_)["reasons"][0]
    assert {key: found[key] for key in facts} == facts


def test_a_miss_costs_what_the_tokens_cost_beyond_reading_them() -> None:
    row = second(*START, *BEHIND, wait=400)
    assert row["lost_tokens"] == 4000
    assert row["extra_cost_usd"] == pytest.approx(4000 * (3.75 - 0.3) / 1e6)


def test_tokens_that_were_not_written_cost_plain_input() -> None:
    row = second(*START, *BEHIND, wait=400, written=0)
    assert row["extra_cost_usd"] == pytest.approx(4000 * (3 - 0.3) / 1e6)


def test_of_a_history_told_anew_only_what_stayed_counts_as_lost() -> None:
    session = Session()
    session.ask(*START, *(user("word " * 500, number) for number in range(8)), input=5000, read=0, written=5000)
    session.ask(*START, user("A summary."), input=1000, read=0, written=1000)
    row = cache(session.turns, TERMS)["turns"][1]
    assert judged(row) == ("miss", [("message", True)])
    assert 800 < row["lost_tokens"] < 1000


def test_without_prices_the_extra_cost_is_unknown() -> None:
    row = second(*START, *BEHIND, wait=400, terms={})
    assert (row["lost_tokens"], row["extra_cost_usd"]) == (4000, None)


def test_the_first_call_misses() -> None:
    session = Session()
    session.ask(*START, input=4000, read=0, written=4000)
    (row,) = cache(session.turns, TERMS)["turns"]
    assert judged(row) == ("miss", [("first", True)])
    assert (row["lost_tokens"], row["extra_cost_usd"]) == (0, 0.0)


def test_the_first_call_reads_what_an_earlier_session_left() -> None:
    session = Session()
    session.ask(*START, input=4000, read=3500, written=500)
    assert judged(cache(session.turns, TERMS)["turns"][0]) == ("hit", [])


def test_too_short_for_a_cache() -> None:
    session = Session()
    session.ask(*START, input=400, read=0, written=0)
    session.ask(*START, *BEHIND, input=500, read=0, written=0)
    rows = cache(session.turns, TERMS)["turns"]
    assert [judged(row) for row in rows] == [("miss", [("too_short", True)])] * 2


def test_a_request_that_marks_nothing_leaves_nothing() -> None:
    session = Session()
    session.ask(*START, input=4000, read=0, written=0)
    session.ask(*START, *BEHIND, input=4100, read=0, written=0)
    row = cache(session.turns, TERMS)["turns"][1]
    assert judged(row) == ("miss", [("never_written", True)])
    assert row["lost_tokens"] == pytest.approx(4000, abs=2)
    assert row["extra_cost_usd"] == pytest.approx(4000 * (3 - 0.3) / 1e6, rel=0.01)


def test_a_failed_call_left_nothing_so_the_one_before_it_counts() -> None:
    session = Session()
    session.ask(*START, input=4000, read=0, written=4000)
    session.ask(*START, *BEHIND)
    session.ask(*START, *BEHIND, input=4100, read=4000, written=100)
    rows = cache(session.turns, TERMS)["turns"]
    assert [row["verdict"] for row in rows] == ["miss", None, "hit"]
    assert rows[2]["compared_with"] == "call-1"


def test_a_sub_agent_reads_what_the_main_one_left() -> None:
    session = Session()
    session.ask(*START, input=4000, read=0, written=4000)
    session.ask(*START, *BEHIND, input=4100, read=4000, written=100, wait=280)
    # The main agent's second call has kept it alive.
    session.ask(*TOOLS, SYSTEM, user("Look it up."), input=3900, read=0, based_on=None, conversation="sub", wait=100)
    row = cache(session.turns, TERMS)["turns"][2]
    assert judged(row) == ("miss", [("unknown", False)])
    assert row["compared_with"] == "call-2"
    assert 3000 < row["lost_tokens"] < 3900


def test_two_that_begin_at_once() -> None:
    session = Session()
    session.ask(*START, input=4000, read=0, written=4000, time_to_first_byte=1.5)
    session.ask(*START, *BEHIND, input=4100, read=0, based_on=None, conversation="other", wait=-1.0)
    assert judged(cache(session.turns, TERMS)["turns"][1]) == ("miss", [("in_flight", True)])


def test_a_provider_that_states_no_cached_tokens_is_not_judged() -> None:
    row = second(*START, *BEHIND, read=None)
    assert (row["verdict"], row["reasons"], row["lost_tokens"]) == (None, [], None)


@pytest.mark.parametrize(
    ("read", "wait", "verdict"),
    [
        pytest.param(3968, 1, ("hit", []), id="31 steps of 128"),
        pytest.param(3840, 1, ("hit", []), id="one step less"),
        pytest.param(2048, 1, ("partly", [("unknown", False)]), id="half"),
        pytest.param(0, 1, ("miss", [("unknown", False)]), id="nothing"),
        pytest.param(0, 400, ("miss", [("idle", False)]), id="after a time that may be too long"),
        pytest.param(0, 90_000, ("miss", [("idle", True)]), id="after a time that is"),
    ],
)
def test_a_cache_that_writes_everything(read: int, wait: float, verdict: Any) -> None:
    session = Session(provider="openai", family="openai-chat", request_model="gpt-4o")
    session.ask(*START, input=4000, read=0)
    session.ask(*START, *BEHIND, input=4100, read=read, wait=wait)
    assert judged(cache(session.turns, TERMS)["turns"][1]) == verdict


def test_calls_without_a_cache_are_left_out() -> None:
    session = Session()
    session.ask(user("vector"), operation="embeddings", input=10)
    assert cache(session.turns, {})["turns"] == []


def test_the_sum_of_a_session() -> None:
    session = Session()
    read = asks("Read", "r1", file_path="/a")
    session.ask(*START, input=4000, read=0, written=4000)
    session.ask(*START, read, result("text", "r1"), input=4100, read=4000, written=100)
    session.ask(*START, read, result("text", "r1"), *BEHIND, input=4200, read=0, written=4200, wait=1000)
    assert cache(session.turns, TERMS)["sum"] == {
        "hit": 1,
        "partly": 0,
        "miss": 2,
        "unknown": 0,
        "input_tokens": 12300,
        "read_tokens": 4000,
        "lost_tokens": 4100,
        "extra_cost_usd": pytest.approx(4100 * 3.45 / 1e6),
        "extra_cost_unknown_calls": 0,
    }


def test_a_sub_agents_first_call_continues_nothing() -> None:
    session = Session()
    session.ask(*START, input=4000, read=0, written=4000)
    session.ask(tool("Search"), system("You search."), user("Look."), input=1500, read=0, conversation="sub")
    row = cache(session.turns, TERMS)["turns"][1]
    assert judged(row) == ("miss", [("first", True)])


def test_an_opening_that_failed_is_not_compared_with() -> None:
    session = Session()
    session.ask(*START)
    session.ask(*START, input=4000, read=0, written=4000, based_on=None)
    assert [judged(row) for row in cache(session.turns, TERMS)["turns"]] == [
        (None, []),
        ("miss", [("first", True)]),
    ]


def test_an_agents_errands_are_left_out() -> None:
    session = Session()
    session.ask(user("quota"), input=None, errand=True)
    session.ask(*START, input=4000, read=0, written=4000, based_on=None)
    session.ask(*START, *BEHIND, input=4100, read=4000, written=100)
    found = cache(session.turns, TERMS)
    assert [row["step"] for row in found["turns"]] == [1, 2]
    assert (found["sum"]["hit"], found["sum"]["unknown"]) == (1, 0)
