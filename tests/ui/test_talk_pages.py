"""The pages of what was said, by the plain values of their data: conversation, call, compare, search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.analysis import coding_session
from tests.cli.recorded import COURSE, call_id, calls, write

from sessiontap.cli.options import open_trace
from sessiontap.trace import TraceError
from sessiontap.ui.errors import BadParameter, NotFound
from sessiontap.ui.page import Page, read_parameters
from sessiontap.ui.pages.call import PAGE as CALL
from sessiontap.ui.pages.compare import PAGE as COMPARE
from sessiontap.ui.pages.conversation import PAGE as CONVERSATION
from sessiontap.ui.pages.search import PAGE as SEARCH
from sessiontap.ui.reading import Reading

SESSION = {"session": "fix-parse-week"}


@pytest.fixture(scope="module")
def coding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    """A coding agent's session of eight calls."""
    log = open_trace(coding_session.write(tmp_path_factory.mktemp("coding") / "trace"))
    yield Reading(log)
    log.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    """Two sessions, five calls, one of which failed."""
    folder: Path = write(tmp_path_factory.mktemp("small") / "trace", calls())
    log = open_trace(folder)
    yield Reading(log)
    log.close()


def ask(page: Page, reading: Reading, places: dict[str, str] | None = None, **query: str) -> dict[str, Any]:
    return page.data(reading, read_parameters(page, places or {}, {name: [value] for name, value in query.items()}))


def steps(found: dict[str, Any]) -> list[int]:
    return [call["step"] for call in found["calls"]]


# Conversation ------------------------------------------------------------------------------------------------------


def test_a_conversation_says_each_thing_once(coding: Reading) -> None:
    found = ask(CONVERSATION, coding, SESSION, view="tools")
    first, second = found["calls"][:2]
    assert [part["text"] for part in first["new_parts"]] == ["The test of parse_week fails. Find out why and fix it."]
    assert [(part["kind"], part["name"]) for part in first["reply"]] == [("text", None), ("tool_call", "Bash")]
    assert [(part["name"], part["error"]) for part in second["new_parts"]] == [("Bash", True)]
    assert first["reply"][1]["shown"] == "command: pytest -q"
    assert first["prompt"]["parts"] == 8


@pytest.mark.parametrize(
    ("query", "expected", "previous", "next_"),
    [
        ({"limit": "3"}, [0, 1, 2], None, 2),
        ({"limit": "3", "after": call_id(2)}, [3, 4, 5], 3, 5),
        ({"limit": "3", "before": call_id(2)}, [0, 1], None, 1),
        ({"limit": "2", "before": call_id(7)}, [5, 6], 5, 6),
        ({"at": "6"}, [6, 7], 6, None),
        ({"at": "#6", "limit": "1"}, [6], 6, 6),
        ({"at": call_id(7)[:-1]}, [7], 7, None),
        ({"after": call_id(7)}, [], None, None),
    ],
    ids=["the first", "behind a call", "before a call", "the last before", "at a step", "one", "a prefix", "no more"],
)
def test_a_stretch_of_a_conversation(
    coding: Reading, query: dict[str, str], expected: list[int], previous: int | None, next_: int | None
) -> None:
    found = ask(CONVERSATION, coding, SESSION, **query)
    assert steps(found) == expected
    assert found["calls_in_all"] == 8
    assert (found["previous"], found["next"]) == tuple(None if n is None else call_id(n) for n in (previous, next_))


def test_a_stretch_that_is_not_there(coding: Reading) -> None:
    with pytest.raises(NotFound) as raised:
        ask(CONVERSATION, coding, SESSION, at="99")
    assert (raised.value.message, raised.value.hint) == ("the session has no call 99", "Steps go up to 7.")


def test_a_stretch_is_told_as_it_is_in_the_whole(coding: Reading) -> None:
    whole = ask(CONVERSATION, coding, SESSION, view="everything")["calls"]
    stretches = [ask(CONVERSATION, coding, SESSION, view="everything", at=str(n), limit="1")["calls"] for n in range(8)]
    assert [call for stretch in stretches for call in stretch] == whole


# Call --------------------------------------------------------------------------------------------------------------


def test_the_parts_of_a_call_and_which_are_new(coding: Reading) -> None:
    found = ask(CALL, coding, {"call": call_id(1)})
    parts = found["request_parts"]["parts"]
    assert [part["kind"] for part in parts if part["is_new"]] == ["tool_result"]
    assert (found["request_parts"]["in_all"], found["request_parts"]["new"]) == (len(parts), 1)
    assert [(part["position"], part["name"], part["shown"]) for part in found["reply_parts"]] == [
        (0, "Read", "file_path: src/dates.py"), (1, "Read", "file_path: CHANGELOG.md"),
    ]  # fmt: skip


def test_the_calls_around_a_call(coding: Reading) -> None:
    around = ask(CALL, coding, {"call": "fix-parse-week/3"})["around"]
    assert {name: around[name]["step"] for name in ("parent", "previous", "next")} == {
        "parent": 2, "previous": 2, "next": 4,
    }  # fmt: skip
    assert [one["step"] for one in around["children"]] == [4]
    assert around["diff"] == call_id(2)


def test_headers_as_asked_and_as_sent(small: Reading) -> None:
    rows = {row["name"]: row for row in ask(CALL, small, {"call": call_id(1)})["headers"]}
    assert rows["user-agent"] == {
        "name": "user-agent", "asked": "OpenAI/JS 4", "sent": "OpenAI/JS 4", "change": None, "rule": None,
        "wished": None,
    }  # fmt: skip
    ours = rows["Helicone-Session-Path"]
    assert (ours["asked"], ours["sent"], ours["change"], ours["rule"]) == (None, "/outline", "set", "course generator")
    assert "[redacted:" in rows["authorization"]["sent"]


def test_a_call_can_be_sent_again(small: Reading) -> None:
    curl = ask(CALL, small, {"call": call_id(1)})["curl"]
    assert curl["command"].startswith("curl https://api.openai.com/v1/chat/completions")
    assert "Helicone" not in curl["command"]
    assert (curl["redacted_headers"], curl["problem"]) == (1, None)


def test_a_place_in_a_body(small: Reading) -> None:
    found = ask(CALL, small, {"call": call_id(1)}, view="json", at="request/messages/1")
    tree = found["request_tree"]
    assert [(child["key"], child["text"]) for child in tree["children"]] == [
        ("role", "user"), ("content", "Plan a course on Brotbäckerei."),
    ]  # fmt: skip
    assert found["response_tree"] is None
    with pytest.raises(NotFound, match="the request has nothing at /messages/9"):
        ask(CALL, small, {"call": call_id(1)}, view="json", at="request/messages/9")


def test_a_body_as_text_from_a_place_on(small: Reading) -> None:
    found = ask(CALL, small, {"call": call_id(1)}, **{"view": "text", "from": "10", "side": "request"})
    assert found["request"]["text"]["text"].startswith('"gpt-4o-mini"')
    assert found["response"]["text"]["text"].startswith('{"id"')


def test_the_times_of_a_call(small: Reading) -> None:
    assert ask(CALL, small, {"call": call_id(2)})["timing"] == {
        "first_byte": 1.8, "first_token": None, "end": 2.25, "chunks": 0, "bars": [],
    }  # fmt: skip


# Compare -----------------------------------------------------------------------------------------------------------


def test_a_call_is_compared_with_the_one_that_it_continues(coding: Reading) -> None:
    found = ask(COMPARE, coding, b=call_id(1))
    assert found["kind"] == "calls"
    compared = found["calls"]
    assert (compared["before"]["step"], compared["after"]["step"]) == (0, 1)
    messages = compared["difference"]["messages"]
    assert [(one["change"], one["title"]) for one in messages] == [
        ("same", "user"), ("added", "assistant → Bash"), ("added", "tool result"),
    ]  # fmt: skip
    assert messages[1]["lines"][0] == {"mark": "+", "pieces": [["I run the tests first.", False]]}
    assert {row["name"] for row in compared["sums"]} >= {"duration", "input_tokens", "cache_read_tokens"}


def test_two_sessions_are_compared_by_path_and_step(small: Reading) -> None:
    compared = ask(COMPARE, small, a="@2", b="@1")["sessions"]
    assert [one["name"] for one in compared["sums"]][:2] == ["calls", "errors"]
    assert [(pair["path"], pair["before"] is None, pair["after"] is None) for pair in compared["calls"]] == [
        ("/report", True, False), ("/report", True, False),
        ("/outline", False, True), ("/outline", False, True), ("/outline/research", False, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ({"a": "@1"}, BadParameter, "there is nothing to compare with"),
        ({"a": call_id(1), "b": call_id(2), "kind": "sessions"}, NotFound, "do not both name a session"),
        ({"b": call_id(1)}, NotFound, "goes on from no other call"),
        ({"a": "@1/0", "b": "@2"}, BadParameter, "@2 is a session, and @1/0 is a call"),
        ({"a": "@2", "b": call_id(1)}, BadParameter, f"@2 is a session, and {call_id(1)} is a call"),
        ({"a": call_id(1), "b": COURSE}, BadParameter, f"{COURSE} is a session, and"),
        ({"a": "nothing", "b": "@1"}, TraceError, "no call's id begins with 'nothing'"),
    ],
    ids=[
        "one alone", "calls as sessions", "nothing before it", "a call and a session", "a session and a call",
        "a call and a session by its id", "nothing and a session",
    ],
)
def test_what_cannot_be_compared(small: Reading, query: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ask(COMPARE, small, **query)


def test_without_names_there_are_sessions_to_choose_from(small: Reading) -> None:
    found = ask(COMPARE, small)
    assert (found["kind"], [row["name"] for row in found["choices"]]) == (None, ["Nightly report", "Course outline"])


# Search ------------------------------------------------------------------------------------------------------------


def test_a_hit_names_its_part(coding: Reading) -> None:
    found = ask(SEARCH, coding, q="failed TESTS")
    (hit,) = found["hits"]
    assert (hit["where"], hit["call"]["step"], hit["reply"]) == ("result of Bash, an error", 1, False)
    assert hit["snippet"][hit["match"][0] : hit["match"][1]] == "FAILED tests"
    part = ask(CALL, coding, {"call": hit["call"]["id"]})["request_parts"]["parts"][hit["position"]]
    assert "FAILED tests" in part["text"]


def test_places_come_page_by_page(coding: Reading) -> None:
    first = ask(SEARCH, coding, q="week", limit="4")
    second = ask(SEARCH, coding, q="week", limit="4", after="4")
    whole = ask(SEARCH, coding, q="week")
    assert (first["next"], whole["next"]) == (4, None)
    assert first["hits"] + second["hits"] == whole["hits"][:8]


@pytest.mark.parametrize(
    ("tool", "expected"), [("Bash", {0, 1, 7}), ("WebFetch", set())], ids=["of some calls", "of none"]
)
def test_a_search_takes_the_filters(coding: Reading, tool: str, expected: set[int]) -> None:
    assert {hit["call"]["step"] for hit in ask(SEARCH, coding, q="week", tool=tool)["hits"]} == expected


def test_an_empty_search_finds_nothing(coding: Reading) -> None:
    found = ask(SEARCH, coding, q=" ")
    assert (found["hits"], found["unread"]["calls"]) == ([], 0)
