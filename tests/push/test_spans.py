"""Calls and turns as spans: ids, parents, times, names, what failed."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from tests.push.made_calls import SECOND, SESSION, START, coding_turn, pushed, turn_of

from sessiontap.push.span_facts import error_type
from sessiontap.push.spans import Span, call_span, root_id, turn_spans
from sessiontap.push.target import UserTurn
from sessiontap.span_ids import trace_id

Told = tuple[str, str | None, float, float, str]
"""Name, the parent's name, begin and end in seconds, status."""


ORDER = {"internal": 0, "client": 1}


def spans_of(turn: UserTurn) -> list[Span]:
    return [*map(call_span, turn.calls), *turn_spans(turn)]


def told(turn: UserTurn) -> list[Told]:
    spans = sorted(spans_of(turn), key=lambda span: (span.start, ORDER[span.kind], -span.end))
    names = {span.id: span.name for span in spans}
    return [
        (
            span.name,
            names[span.parent_id] if span.parent_id else None,
            (span.start - START) / SECOND,
            (span.end - START) / SECOND,
            span.status,
        )
        for span in spans
    ]


CODING: list[Told] = [
    ("invoke_agent claude-code", None, 0, 17, "ok"),
    ("chat gpt-4o", "invoke_agent claude-code", 0, 2, "ok"),
    ("execute_tool Read", "invoke_agent claude-code", 2, 5, "unset"),
    ("execute_tool Read", "invoke_agent claude-code", 2, 5, "unset"),
    ("chat gpt-4o", "invoke_agent claude-code", 5, 7, "ok"),
    ("execute_tool Task", "invoke_agent claude-code", 7, 15, "unset"),
    ("invoke_agent explore", "execute_tool Task", 8, 12, "ok"),
    ("chat gpt-4o", "invoke_agent explore", 8, 9, "ok"),
    ("execute_tool Grep", "invoke_agent explore", 9, 11, "unset"),
    ("chat gpt-4o", "invoke_agent explore", 11, 12, "ok"),
    ("chat gpt-4o", "invoke_agent claude-code", 15, 17, "ok"),
]


@pytest.mark.parametrize("content", [True, False], ids=["with content", "without"])
def test_an_agents_turn_is_a_tree_of_agents_tools_and_calls(content: bool) -> None:
    assert told(coding_turn(content)) == CODING


def test_a_programs_turn_is_a_tree_of_its_path() -> None:
    turn = turn_of(
        pushed("a", 0, turn="a", path="/course"),
        pushed("b", 3, turn="a", path="/course/outline"),
        pushed("c", 6, turn="a", path="/"),
    )
    assert told(turn) == [
        ("Course", None, 0, 8, "ok"),
        ("course", "Course", 0, 5, "ok"),
        ("chat gpt-4o", "course", 0, 2, "ok"),
        ("outline", "course", 3, 5, "ok"),
        ("chat gpt-4o", "outline", 3, 5, "ok"),
        ("chat gpt-4o", "Course", 6, 8, "ok"),
    ]


def test_ids_are_derived_from_the_logs() -> None:
    span = call_span(pushed("01a1fce0-ea05-7202", turn="01a1fce0-0000-7000"))
    assert span.trace_id == sha256(b"sessiontap/1/trace\x0001a1fce0-0000-7000").hexdigest()[:32]
    assert span.id == sha256(b"sessiontap/1/span\x0001a1fce0-ea05-7202").hexdigest()[:16]


def test_ids_are_the_same_again_and_all_different() -> None:
    first, again = ([span.id for span in spans_of(coding_turn())] for _ in range(2))
    assert first == again
    assert len(set(first)) == len(first)


def test_ids_with_content_are_those_without() -> None:
    assert {span.id for span in spans_of(coding_turn(True))} == {span.id for span in spans_of(coding_turn(False))}


def test_every_span_is_of_its_turns_trace_and_session() -> None:
    for span in spans_of(coding_turn()):
        assert span.trace_id == trace_id("a")
        assert span.attributes["session.id"] == SESSION
        assert span.attributes["sessiontap.session.name"] == "Course"


def test_the_root_stands_last_and_is_the_only_one_without_a_parent() -> None:
    spans = turn_spans(coding_turn())
    assert spans[-1].id == root_id("a")
    assert [span.id for span in spans if span.parent_id is None] == [root_id("a")]


FAILED = {"llm": {"error": {"type": "overloaded_error", "message": "Overloaded"}}}


@pytest.mark.parametrize(
    ("more", "status", "message", "kind"),
    [
        pytest.param({}, "ok", "", None, id="ok"),
        pytest.param({"outcome": "client_gone"}, "unset", "", None, id="the app did not wait"),
        pytest.param(
            {"outcome": "http_error", "status": 529, **FAILED}, "error", "Overloaded", "overloaded_error", id="stated"
        ),
        pytest.param({"outcome": "http_error", "status": 500}, "error", "HTTP status 500", "500", id="a bare status"),
        pytest.param(
            {"outcome": "upstream_unreachable", "status": None},
            "error", "upstream unreachable", "upstream_unreachable", id="no reply",
        ),
        pytest.param(FAILED, "error", "Overloaded", "overloaded_error", id="an error within a 200"),
    ],
)  # fmt: skip
def test_status(more: dict[str, Any], status: str, message: str, kind: str | None) -> None:
    call = pushed("a", **more)
    span = call_span(call)
    assert (span.status, span.message, error_type(call)) == (status, message, kind)
    expected = [{"exception.type": kind, "exception.message": message}] if status == "error" else []
    assert [event.attributes for event in span.events] == expected
    root = turn_spans(turn_of(call))[-1]
    assert (root.status, root.message) == (status, message)


def test_a_providers_own_message_is_content() -> None:
    call = pushed("a", outcome="http_error", status=529, content=False, **FAILED)
    assert call_span(call).message == "overloaded_error"


def test_a_turn_ends_as_its_main_agents_last_call_did() -> None:
    beside = pushed("b", 3, turn="a", outcome="http_error", status=500, link={"kind": "auxiliary"})
    assert turn_spans(turn_of(pushed("a"), beside))[-1].status == "ok"


def test_a_tools_error_is_its_spans() -> None:
    asked = {"model": "claude", "messages": [{"role": "user", "content": "Go on."}]}
    used = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "ls"}}
    brought = {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": "no such file"}
    later = [*asked["messages"], {"role": "assistant", "content": [used]}, {"role": "user", "content": [brought]}]
    anthropic = {"family": "anthropic-messages", "provider": "anthropic"}
    reply = {"type": "message", "role": "assistant", "content": [used]}
    turn = turn_of(
        pushed("a", 0, asked=asked, told=reply, llm={**anthropic, "tool_calls": ["Bash"], "tool_call_ids": ["t"]}),
        pushed("b", 4, turn="a", parent="a", first_new=2, asked={**asked, "messages": later}, llm=anthropic),
    )
    tool = next(span for span in turn_spans(turn) if span.name == "execute_tool Bash")
    assert (tool.status, tool.message) == ("error", "the tool's result says that it is an error")
    assert tool.attributes["sessiontap.time_inferred"] is True


def test_a_tool_that_nobody_answered_is_no_span() -> None:
    call = pushed("a", llm={"tool_calls": ["Bash"], "tool_call_ids": ["t"]}, agent="claude-code", content=False)
    assert [span.name for span in turn_spans(turn_of(call))] == ["invoke_agent claude-code"]


def test_a_call_of_unknown_duration_ends_when_it_began() -> None:
    span = call_span(pushed("a", 1, seconds=None))
    assert span.start == span.end == START + SECOND


def test_labels() -> None:
    first = pushed("a", user="ada", tags=["nightly"], properties={"mode": "plan"})
    second = pushed("b", 3, turn="a", tags=["nightly", "eu"], properties={"mode": "act", "query": "bread"})
    attributes = turn_spans(turn_of(first, second))[-1].attributes
    wanted = {
        "user.id": "ada",
        "sessiontap.tags": ["nightly", "eu"],
        "sessiontap.property.mode": "act",
        "sessiontap.property.query": "bread",
    }
    assert {key: attributes[key] for key in wanted} == wanted


def test_what_is_unknown_is_left_out() -> None:
    call = pushed("a", session={"id": None, "name": None, "path": None, "step": None, "source": None}, number=None)
    for span in spans_of(turn_of(call)):
        assert None not in span.attributes.values()
        assert not {"session.id", "user.id", "sessiontap.turn.number", "sessiontap.session.step"} & set(span.attributes)


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


OTHER = {"operation": "other", "family": "other", "request_model": None, "response_model": None}


@pytest.mark.parametrize(
    ("asked", "llm", "name"),
    [
        pytest.param(None, {}, "chat gpt-4o", id="a chat"),
        pytest.param(None, {"request_model": None}, "chat gpt-4o-2024-08-06", id="the request names no model"),
        pytest.param(None, {"family": "gemini"}, "generate_content gpt-4o", id="Gemini"),
        pytest.param(None, {"operation": "embeddings"}, "embeddings gpt-4o", id="embeddings"),
        pytest.param(None, {**OTHER, "operation": "vector_search"}, "retrieval", id="a vector database"),
        pytest.param(None, {"operation": "rerank"}, "rerank gpt-4o", id="no word of the conventions"),
        pytest.param(None, OTHER, "POST /v1/chat/completions", id="something else"),
        pytest.param(rpc("tools/call", name="search"), OTHER, "execute_tool search", id="a tool of an MCP server"),
        pytest.param(rpc("tools/list"), OTHER, "tools/list", id="an MCP server"),
        pytest.param({"jsonrpc": "2.0", "method": "eth"}, OTHER, "POST /v1/chat/completions", id="other JSON-RPC"),
    ],
)
def test_names_of_calls(asked: Any, llm: dict[str, Any], name: str) -> None:
    assert call_span(pushed("a", asked=asked, llm=llm)).name == name
