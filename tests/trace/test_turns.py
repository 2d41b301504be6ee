"""The turns of a session: the parts of each call, and those that are new in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.trace.conftest import call_map, open_log

from sessiontap import trace
from sessiontap.trace import TraceError
from sessiontap.trace.body import encode
from sessiontap.trace.index import parts_reader

TOOLS = [{"type": "function", "function": {"name": "Bash"}}]
ASK = {"role": "user", "content": "Run the tests."}
RUN = {
    "role": "assistant",
    "content": "I run them.",
    "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "Bash", "arguments": '{"cmd":"pytest"}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "t1", "content": "2 FAILED tests"}
END = {"role": "assistant", "content": "Two failed."}


def turn(
    number: int, messages: list[Any], reply: Any, parent: int | None = None, error: str | None = None, **changes: Any
) -> dict[str, Any]:
    """A chat completion in one session."""
    asked = json.dumps({"tools": TOOLS, "messages": messages}).encode()
    answered = json.dumps({"choices": [{"index": 0, "message": reply}]}).encode()
    return call_map(
        number,
        route="/v1/chat/completions",
        parent=None if parent is None else call_map(parent)["id"],
        llm={"provider": "openai", "family": "openai-chat", "operation": "chat"}
        | ({"error": {"type": error, "message": None}} if error else {}),
        request={"body": encode(asked)},
        response={"body": encode(answered)},
        **changes,
    )


def said(parts: Any) -> list[str | None]:
    return [part.text for part in parts]


def test_turns_in_brief_have_a_part_of_the_keys_of_their_calls_and_are_else_the_same(written, folder):
    again = turn(2, [ASK, RUN, RESULT], END, parent=1) | {"duration": None, "time_to_first_byte": 7_000_000}
    written(turn(1, [ASK], RUN), again, turn(3, [ASK], END, path="/other"))
    log = open_log(folder)

    whole, brief = log.query_turns("session-0"), log.query_brief_turns("session-0")

    assert [one.call for one in brief] == [
        {key: full.call[key] for key in one.call} for full, one in zip(whole, brief, strict=True)
    ]
    assert [(one.request, one.reply, one.first_new, one.based_on) for one in brief] == [
        (one.request, one.reply, one.first_new, one.based_on) for one in whole
    ]


def test_with_little_time_some_turns_have_no_parts_yet(written, folder, monkeypatch):
    monkeypatch.setattr(parts_reader, "SLICE", 1)
    written(turn(1, [ASK], RUN), turn(2, [ASK, RUN, RESULT], END, parent=1), turn(3, [ASK], END))
    log = open_log(folder)

    found = []
    for _ in range(3):
        log.read_for(0)
        found.append([(one.is_read, bool(one.request)) for one in log.query_brief_turns("session-0")])

    read, unread = (True, True), (False, False)
    assert found == [[read, unread, unread], [read, read, unread], [read, read, read]]
    assert log.query_brief_turns("session-0") == open_log(folder).query_brief_turns("session-0")


def test_a_session_is_read_in_steps(written, folder, monkeypatch):
    monkeypatch.setattr(parts_reader, "SLICE", 2)
    written(turn(1, [ASK], RUN), turn(2, [ASK, RUN, RESULT], END, parent=1), turn(3, [ASK], END))
    log = open_log(folder)

    found = []
    for _ in range(2):
        log.read_for(0)
        found.append(log.read_session("session-0"))

    assert [(one, one.is_complete) for one in found] == [((2, 3), False), ((3, 3), True)]


def test_chosen_turns_are_read_however_little_time_there_is(written, folder, monkeypatch):
    monkeypatch.setattr(parts_reader, "SLICE", 1)
    calls = [turn(1, [ASK], RUN), turn(2, [ASK, RUN, RESULT], END, parent=1)]
    written(*calls)
    log = open_log(folder)
    log.read_for(0)

    found = log.query_turns("session-0", calls=[one["id"] for one in calls])

    assert [one.is_read for one in found] == [True, True]


def test_a_turn_brings_what_stood_neither_in_the_request_nor_in_the_reply_before(written, folder):
    written(turn(1, [ASK], RUN), turn(2, [ASK, RUN, RESULT], END, parent=1))

    first, second = open_log(folder).query_turns("session-0")

    assert (first.based_on, first.first_new) == (None, 0)
    assert said(first.request[first.first_new :]) == ['{"name":"Bash"}', "Run the tests."]
    assert said(first.reply) == ["I run them.", '{"cmd":"pytest"}']
    assert second.based_on == first.call["id"]
    assert said(second.request) == [*said(first.request), *said(first.reply), "2 FAILED tests"]
    assert said(second.request[second.first_new :]) == ["2 FAILED tests"]
    assert second.request[second.first_new :][0].name == "Bash"
    assert said(second.reply) == ["Two failed."]
    assert second.request[0] is first.request[0]


def test_a_changed_system_prompt_makes_all_behind_it_new(written, folder):
    system = {"role": "system", "content": "It is five."}
    later = {"role": "system", "content": "It is six."}
    written(turn(1, [system, ASK], RUN), turn(2, [later, ASK, RUN, RESULT], END, parent=1))

    _, second = open_log(folder).query_turns("@1")

    assert second.first_new == 1
    assert said(second.request[second.first_new :])[:2] == ["It is six.", "Run the tests."]


def test_a_result_is_named_by_the_call_in_an_earlier_reply(written, folder):
    written(turn(1, [ASK], RUN), turn(2, [RESULT], END, parent=1))

    _, second = open_log(folder).query_turns("session-0")

    assert [(part.kind, part.name) for part in second.request[second.first_new :]] == [("tool_result", "Bash")]


def test_turns_of_a_session_that_is_not_there(written, folder):
    written(turn(1, [ASK], RUN))
    with pytest.raises(TraceError, match="no session's id begins with 'x'"):
        open_log(folder).query_turns("x")


def test_turns_need_a_reader_of_bodies(written, folder):
    written(turn(1, [ASK], RUN))
    with pytest.raises(TraceError, match="without a reader"):
        trace.open(folder).query_turns("@1")


def test_turns_of_some_calls_read_no_others(written, folder):
    calls = [turn(1, [ASK], RUN), turn(2, [ASK, RUN, RESULT], END, parent=1), turn(3, [ASK], END)]
    written(*calls)
    log = open_log(folder)

    (second,) = log.query_turns("session-0", calls=[calls[1]["id"]])

    assert said(second.request) == [
        '{"name":"Bash"}',
        "Run the tests.",
        "I run them.",
        '{"cmd":"pytest"}',
        "2 FAILED tests",
    ]
    assert log.query_unread().calls == 2


def test_turns_are_the_same_however_many_are_asked_for(written, folder):
    calls = [turn(1, [ASK], RUN), turn(2, [ASK, RUN, RESULT], END, parent=1)]
    written(*calls)
    log = open_log(folder)

    found = [log.query_turns("session-0", calls=[one["id"]]) for one in reversed(calls)]
    log.query_turns("session-0", calls=[calls[1]["id"]])

    assert found[1] == log.query_turns("session-0")[:1]
    assert [log.query_turns("session-0", calls=[calls[1]["id"]])] == [log.query_turns("session-0")[1:]]


def test_links_say_where_calls_belong(written, folder):
    written(
        turn(1, [ASK], RUN, conversation="main"),
        turn(2, [ASK, RUN, RESULT], END, parent=1, conversation="sub", subagent="Explore", link={"kind": "subagent"}),
    )

    assert open_log(folder).query_links("@1") == [
        {"id": call_map(1)["id"], "step": 1, "conversation": "main", "parent": None, "errand": False, "kind": None,
         "subagent": None},
        {"id": call_map(2)["id"], "step": 2, "conversation": "sub", "parent": call_map(1)["id"], "errand": False,
         "kind": "subagent", "subagent": "Explore"},
    ]  # fmt: skip
