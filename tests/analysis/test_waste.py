"""Waste of a session, worked out by hand."""

from __future__ import annotations

import pytest
from tests.analysis.made_turns import Session, asks, result, said, system, tool, user

from sessiontap.analysis.references import references
from sessiontap.analysis.waste import waste

START = (tool("Read"), tool("Write"), tool("mcp__docs__search"), system("You write code."), user("Fix parser.py."))
CONFIG = "timeout=30 retries=5 backoff=exponential endpoint=https://billing.internal:8443 region=eu-central\n" * 3
PARSER = "def tokenize(source):\n    return scanner.split(source)\n\nclass Grammar:\n    precedence = {}\n" * 3


def agent() -> Session:
    """Reads a file that plays no part, and one that it then speaks of."""
    session = Session()
    read = (asks("Read", "r1", file_path="/etc/config"), asks("Read", "r2", file_path="/src/parser.py"))
    session.ask(*START, reply=read, input=200)
    answers = (result(CONFIG, "r1", name="Read"), result(PARSER, "r2", name="Read"))
    once = asks("Read", "r3", file_path="/src/parser.py")
    session.ask(*START, *read, *answers, reply=(said("Grammar has no precedence."), once), input=500)
    again = (*read, *answers, said("Grammar has no precedence."), once, result(PARSER, "r3", name="Read"))
    session.ask(*START, *again, reply=(said("I see."),), input=620)
    return session


def test_tools_that_were_sent_and_never_called() -> None:
    rows = waste(agent().turns, {})["tools_never_called"]
    assert [(row["tool"], row["server"], row["turns"]) for row in rows] == [
        ("mcp__docs__search", "docs", 3),
        ("Write", None, 3),
    ]
    assert all(row["tokens_sent_estimated"] > 0 and row["cost_usd_estimated"] is None for row in rows)


def test_results_that_nothing_refers_to() -> None:
    rows = waste(agent().turns, {})["results_not_referred_to"]
    assert [(row["tool"], row["argument"], row["first_step"], row["later_replies"], row["turns"]) for row in rows] == [
        ("Read", "/etc/config", 1, 2, 2)
    ]
    assert rows[0]["words"] >= 10
    assert "exponential" in rows[0]["examples"]


def test_content_that_is_sent_twice_in_one_request() -> None:
    rows = waste(agent().turns, {})["repeated"]
    (row,) = rows
    assert (row["kind"], row["tool"], row["argument"], row["copies"], row["turns"]) == (
        "tool_result",
        "Read",
        "/src/parser.py",
        2,
        1,
    )
    # One copy of the two, which the third request added.
    assert 0 < row["tokens_sent_estimated"] <= 120


@pytest.mark.parametrize(
    ("brought", "said_later", "referred"),
    [
        pytest.param("alpha bravo charlie delta foxtrot", "Charlie and delta.", True, id="two of its words"),
        pytest.param("alpha bravo charlie delta foxtrot", "The word is charlie.", False, id="one of its words"),
        pytest.param("alpha bravo charlie delta fox_trot", "It is fox_trot.", True, id="one of its names"),
        pytest.param("alpha bravo test_charlie delta foxtrot", "Open charlie.py.", True, id="a piece of a name in one"),
        pytest.param("alpha bravo parseCharlie delta foxtrot", "In a_charlie.", True, id="a piece of another form"),
        pytest.param("alpha bravo charlie delta foxtrot", "Open charlie.py.", False, id="a word in a name"),
        pytest.param("alpha bravo charlie delta 4711", "It is 4711.", True, id="a long number"),
        pytest.param("alpha bravo charlie delta 42", "There are 42.", False, id="a short number"),
        pytest.param("alpha bravo charlie delta foxtrot with that", "With that, well.", False, id="common words"),
        pytest.param("alpha bravo charlie delta foxtrot", "Nothing of use.", False, id="none of them"),
        pytest.param("see /src/deep/module.py", "module.py is broken.", True, id="a part of a path"),
        pytest.param("it is Parser.py again, all of it", "Parser.py it is.", None, id="too few words of its own"),
        pytest.param("Fix parser.py", "Fix parser.py", None, id="words that were there before"),
    ],
)
def test_a_result_is_judged_by_its_own_words(brought: str, said_later: str, referred: bool | None) -> None:
    session = Session()
    read = asks("Read", "r1", file_path="/x")
    session.ask(*START, reply=(read,), input=100)
    session.ask(*START, read, result(brought, "r1", name="Read"), reply=(said(said_later),), input=150)
    (found,) = references(session.turns)
    assert found.referred is referred


def test_a_result_behind_which_nothing_was_said_is_not_judged() -> None:
    session = Session()
    read = asks("Read", "r1", file_path="/x")
    session.ask(*START, reply=(read,), input=100)
    session.ask(*START, read, result(CONFIG, "r1", name="Read"), input=150)
    (found,) = references(session.turns)
    assert (found.referred, found.replies) == (None, 0)


def test_another_conversations_reply_refers_to_nothing() -> None:
    session = Session()
    read = asks("Read", "r1", file_path="/x")
    session.ask(*START, reply=(read,), input=100)
    session.ask(*START, read, result(CONFIG, "r1", name="Read"), reply=(said("Hm."),), input=150)
    session.ask(user("Other"), reply=(said("exponential backoff"),), based_on=None, conversation="other", input=9)
    assert [one.referred for one in references(session.turns)] == [False]


def test_what_an_errand_sends_is_no_waste() -> None:
    session = Session()
    session.ask(tool("Count"), user("quota"), input=9, errand=True)
    session.ask(*START, reply=(said("Well."),), input=100, based_on=None)
    assert "Count" not in [row["tool"] for row in waste(session.turns, {})["tools_never_called"]]
