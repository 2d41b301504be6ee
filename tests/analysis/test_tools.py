"""Tools of a session, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.analysis.made_turns import Session, asks, result, said, system, user

from sessiontap.analysis.tool_runs import main_argument
from sessiontap.analysis.tools import runs_of, tools

SYSTEM, QUESTION = system("You write code."), user("Fix it.")


def agent() -> Session:
    """Reads two files at once, then runs the tests, which fail."""
    session = Session()
    reads = (asks("Read", "r1", file_path="/a.py"), asks("Read", "r2", file_path="/b.py"))
    session.ask(SYSTEM, QUESTION, reply=reads, input=100)
    first = (SYSTEM, QUESTION, *reads, result("a" * 40, "r1", name="Read"), result("b" * 10, "r2", name="Read"))
    bash = asks("Bash", "b1", command="pytest")
    session.ask(*first, reply=(bash,), input=160, wait=3)
    failed = result("exit 1", "b1", name="Bash", error=True)
    session.ask(*first, bash, failed, reply=(said("It fails."),), input=200, wait=0.5)
    return session


def test_each_tool_of_a_session() -> None:
    rows = {row["tool"]: row for row in tools(agent().turns)["tools"]}
    counts = ("calls", "results", "errors", "seconds_inferred", "seconds_max", "result_bytes")
    assert {name: tuple(row[key] for key in counts) for name, row in rows.items()} == {
        "Read": (2, 2, 0, 6.0, 3.0, 50),  # both came back three seconds after they were asked for
        "Bash": (1, 1, 1, 0.5, 0.5, 6),
    }


def test_tokens_of_results_are_within_what_their_requests_added() -> None:
    rows = {row["tool"]: row["result_tokens_estimated"] for row in tools(agent().turns)["tools"]}
    assert 0 < rows["Read"] < 60
    assert 0 < rows["Bash"] < 40


def test_the_calls_of_a_tool_with_arguments_and_results() -> None:
    calls = runs_of(agent().turns, lambda name: name == "Read")["calls"]
    keys = ("id", "asked_by", "answered_by", "together_with", "error", "arguments", "result")
    assert [tuple(call[key] for key in keys) for call in calls] == [
        ("r1", "call-1", "call-2", 1, None, '{"file_path": "/a.py"}', "a" * 40),
        ("r2", "call-1", "call-2", 1, None, '{"file_path": "/b.py"}', "b" * 10),
    ]


def only(session: Session) -> dict[str, Any]:
    (row,) = tools(session.turns)["tools"]
    return row  # type: ignore[no-any-return]


def test_a_tool_that_was_not_answered() -> None:
    session = Session()
    session.ask(QUESTION, reply=(asks("Bash", "b1", command="sleep 1000"),), input=10)
    row = only(session)
    assert (row["calls"], row["results"], row["seconds_inferred"], row["result_tokens_estimated"]) == (1, 0, None, None)


def test_a_history_that_is_told_anew_brings_no_result_twice() -> None:
    session = agent()
    last = session.turns[-1].request
    session.ask(system("Another prompt."), *last[1:], said("It fails."), user("And now?"), input=230)
    rows = {row["tool"]: (row["calls"], row["results"]) for row in tools(session.turns)["tools"]}
    assert rows == {"Read": (2, 2), "Bash": (1, 1)}


def test_a_call_whose_reply_was_not_recorded_is_found_in_the_history() -> None:
    session = Session()
    session.ask(QUESTION, asks("Read", "r1", message=1, file_path="/a.py"), result("text", "r1", name="Read"), input=9)
    row = only(session)
    assert (row["calls"], row["results"], row["seconds_inferred"]) == (1, 1, None)
    (call,) = runs_of(session.turns, lambda name: True)["calls"]
    assert (call["asked_by"], call["arguments"]) == (None, '{"file_path": "/a.py"}')


def test_tools_without_ids_are_answered_in_their_order() -> None:
    session = Session(provider="google", family="gemini")
    looks = (asks("look", where="north"), asks("look", where="south"))
    session.ask(QUESTION, reply=looks, input=10)
    answers = (result("snow", name="look"), result("sand", name="look"))
    session.ask(QUESTION, *looks, *answers, reply=(said("Snow and sand."),), input=30)
    calls = runs_of(session.turns, lambda name: True)["calls"]
    assert [(call["arguments"], call["result"]) for call in calls] == [
        ('{"where": "north"}', "snow"),
        ('{"where": "south"}', "sand"),
    ]


def test_an_id_that_servers_count_anew_belongs_to_the_newest_call() -> None:
    session = Session()
    one, two = asks("Read", "call_0", file_path="/a"), asks("Read", "call_0", file_path="/b")
    session.ask(QUESTION, reply=(one,), input=10)
    session.ask(QUESTION, one, result("A", "call_0"), reply=(two,), input=20)
    session.ask(QUESTION, one, result("A", "call_0"), two, result("B", "call_0", 4), input=30)
    calls = runs_of(session.turns, lambda name: True)["calls"]
    assert [(call["arguments"], call["result"]) for call in calls] == [
        ('{"file_path": "/a"}', "A"),
        ('{"file_path": "/b"}', "B"),
    ]


def test_a_tool_that_the_provider_ran_within_its_reply() -> None:
    session = Session()
    session.ask(QUESTION, reply=(asks("web_search", "s1", query="bread"), result("Bread is ...", "s1", None)), input=9)
    row = only(session)
    assert (row["results"], row["result_bytes"], row["seconds_inferred"]) == (1, 12, None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"limit": 3, "file_path": "/a.py"}', "/a.py"),
        ('{"command": ["ls", "-l"]}', "ls -l"),
        ('{"city": "Bern"}', "Bern"),
        ('{"x": 1}', '{"x": 1}'),
        ('"just text"', "just text"),
        ("*** Begin Patch", "*** Begin Patch"),
        ("{}", None),
        ("", None),
        (None, None),
        ('{"path": "' + "x" * 300 + '"}', "x" * 199 + "…"),
    ],
)
def test_the_argument_that_tells_most(arguments: str | None, told: str | None) -> None:
    assert main_argument(arguments) == told


def test_calls_without_ids_in_a_history_whose_replies_were_not_recorded() -> None:
    session = Session(provider="google", family="gemini")
    looks = (asks("look", message=1, where="north"), asks("look", message=1, where="south"))
    session.ask(QUESTION, *looks, result("snow", name="look"), result("sand", name="look"), input=30)
    calls = runs_of(session.turns, lambda name: True)["calls"]
    assert [(call["arguments"], call["result"]) for call in calls] == [
        ('{"where": "north"}', "snow"),
        ('{"where": "south"}', "sand"),
    ]


def test_a_client_that_gives_ids_to_calls_that_came_without() -> None:
    session = Session(provider="google", family="gemini")
    session.ask(QUESTION, reply=(asks("read_file", file_path="/a"),), input=10)
    again = asks("read_file", "read_file_1", message=1, file_path="/a")
    brought = result("A", "read_file_1", name="read_file")
    session.ask(QUESTION, again, brought, reply=(asks("read_file", file_path="/b"),), input=20)
    more = asks("read_file", "read_file_2", message=3, file_path="/b"), result("B", "read_file_2", 4, name="read_file")
    session.ask(QUESTION, again, brought, *more, input=30)
    calls = runs_of(session.turns, lambda name: True)["calls"]
    assert [(call["arguments"], call["result"], call["seconds_inferred"]) for call in calls] == [
        ('{"file_path": "/a"}', "A", 1.0),
        ('{"file_path": "/b"}', "B", 1.0),
    ]
