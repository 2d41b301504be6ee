"""Langfuse's attributes of calls, turns, agents and tools."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.push.made_calls import COST, SESSION, chat, coding_turn, pushed, says, turn_of

from sessiontap.push.attributes.langfuse import fitting, langfuse, langfuse_content
from sessiontap.push.spans import Span, call_span, turn_spans
from sessiontap.push.target import PushedCall
from sessiontap.trace.views import CallCost


def of_call(id: str = "a", **facts: Any) -> dict[str, Any]:
    return dict(langfuse(call_span(pushed(id, **facts))))


def said(call: PushedCall) -> dict[str, Any]:
    return {key.rpartition(".")[2]: value for key, value in langfuse_content(call_span(call)).items()}


def named(spans: list[Span], name: str) -> Span:
    return next(span for span in spans if span.name == name)


def test_a_call() -> None:
    found = of_call(
        asked=chat(("user", "Hi")) | {"temperature": 0.5, "max_tokens": 100},
        told=says("Hello"),
        time_to_first_token=250_000_000,
        llm={"stream": True, "finish_reason": "stop", "response_id": "chatcmpl-1", "usage": {"input": 20, "output": 5}},
        user="ada",
        tags=["nightly", "eu"],
        properties={"variant": "B"},
        session={"step": 3},
    )
    assert found == {
        "session.id": SESSION,
        "user.id": "ada",
        "langfuse.trace.name": "Course",
        "langfuse.trace.tags": ["nightly", "eu"],
        "langfuse.trace.metadata.variant": "B",
        "langfuse.trace.metadata.session_path": "/main",
        "langfuse.observation.type": "generation",
        "langfuse.observation.metadata.step": 3,
        "langfuse.observation.metadata.provider": "openai",
        "langfuse.observation.metadata.host": "api.openai.com",
        "langfuse.observation.metadata.finish_reason": "stop",
        "langfuse.observation.metadata.response_id": "chatcmpl-1",
        "langfuse.observation.model.name": "gpt-4o-2024-08-06",
        "langfuse.observation.model.parameters": '{"max_tokens":100,"temperature":0.5}',
        "langfuse.observation.usage_details": '{"input":20,"output":5}',
        "langfuse.observation.cost_details": json.dumps(
            {"input": 0.1, "input_cached_tokens": 0.02, "input_cache_creation": 0.03, "output": 0.1, "total": 0.25},
            separators=(",", ":"),
        ),
        "langfuse.observation.completion_start_time": "2026-11-21T05:06:03.250000Z",
    }


@pytest.mark.parametrize(
    ("usage", "details"),
    [
        ({"input": 100, "output": 10}, {"input": 100, "output": 10}),
        (
            {"input": 100, "output": 10, "cache_read": 70, "cache_write": 20},
            {"input_cached_tokens": 70, "input_cache_creation": 20, "input": 10, "output": 10},
        ),
        ({"input": 100, "output": 10, "reasoning": 8}, {"input": 100, "output_reasoning_tokens": 8, "output": 2}),
        ({"input": 5, "cache_read": 9}, {"input_cached_tokens": 9, "input": 0}),
        ({"output": 10}, {"output": 10}),
        ({"input": 0, "output": 0}, {"input": 0, "output": 0}),
        (None, None),
        ({}, None),
    ],
    ids=["plain", "net of the cache", "net of reasoning", "never below 0", "half known", "none", "unknown", "not said"],
)
def test_each_token_counts_once(usage: dict[str, int] | None, details: dict[str, int] | None) -> None:
    found = of_call(llm={"usage": usage}).get("langfuse.observation.usage_details")
    assert (json.loads(found) if found else None) == details


@pytest.mark.parametrize(
    ("cost", "details"),
    [
        (COST, {"input": 0.1, "input_cached_tokens": 0.02, "input_cache_creation": 0.03, "output": 0.1, "total": 0.25}),
        (CallCost(0.25), {"total": 0.25}),
        (CallCost(0.0), {"total": 0.0}),
        (CallCost(None, unknown="no price"), None),
        (CallCost(None), None),
    ],
    ids=["in parts", "the provider's own figure", "nothing", "unknown", "no price"],
)
def test_a_cost_that_is_not_known_is_langfuses_to_find(cost: CallCost, details: dict[str, float] | None) -> None:
    found = of_call(cost=cost).get("langfuse.observation.cost_details")
    assert (json.loads(found) if found else None) == details


@pytest.mark.parametrize(
    ("operation", "family", "type"),
    [
        ("chat", "openai-chat", "generation"),
        ("embeddings", "openai-embeddings", "embedding"),
        ("vector_search", "other", "retriever"),
        ("rerank", "cohere", "retriever"),
        ("moderation", "other", "guardrail"),
        ("other", "other", "span"),
    ],
)
def test_types_of_calls(operation: str, family: str, type: str) -> None:
    assert of_call(llm={"operation": operation, "family": family})["langfuse.observation.type"] == type


def test_a_tool_of_an_mcp_server_is_a_tool_without_a_model() -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look_up"}}
    found = of_call(asked=asked, llm={"operation": "other", "family": "other", "request_model": None})
    assert found["langfuse.observation.type"] == "tool"
    assert "langfuse.observation.model.name" not in found


@pytest.mark.parametrize(
    ("facts", "level", "message"),
    [
        ({"outcome": "http_error", "status": 429}, "ERROR", "HTTP status 429"),
        ({"llm": {"error": {"type": "overloaded", "message": "Try later"}}}, "ERROR", "Try later"),
        ({"outcome": "client_gone"}, "WARNING", "its client did not wait for the end"),
        ({"llm": {"finish_reason": "length"}}, "WARNING", "cut off: length"),
        ({"llm": {"finish_reason": "stop"}}, None, None),
    ],
    ids=["a status", "an error within a 200", "its client left", "cut off", "ok"],
)
def test_levels(facts: dict[str, Any], level: str | None, message: str | None) -> None:
    found = of_call(**facts)
    assert found.get("langfuse.observation.level") == level
    assert found.get("langfuse.observation.status_message") == message


@pytest.mark.parametrize(
    ("text", "as_id", "as_name"),
    [
        ("x" * 200, "x" * 200, "x" * 200),
        ("x" * 201, "x" * 183 + "-" + "3ddd9a5b9ba4a1bb", "x" * 200),
        ("Straße", "Strasse-d8d8c2b6d4ad5c0c", "Strasse"),
        ("a\nb", "a b-", "a b"),
    ],
    ids=["fits", "too long", "not ASCII", "a line break"],
)
def test_texts_are_made_to_fit(text: str, as_id: str, as_name: str) -> None:
    assert fitting(text) == as_name
    made = fitting(text, is_id=True)
    assert made.isascii()
    assert len(made) <= 200
    assert made.rpartition("-")[0] == as_id.rpartition("-")[0]


def test_ids_that_differ_still_do() -> None:
    ids = ["x" * 300, "x" * 301, "Übung", "Ubung", "ubung"]
    assert len({fitting(one, is_id=True) for one in ids}) == len(ids)


def test_what_was_made_to_fit_is_in_the_metadata_as_it_was() -> None:
    found = of_call(session={"id": "Sitzung-ä", "name": "Straße"}, user="Zoë", tags=["größe", "eu"])
    assert found["session.id"].startswith("Sitzung-a-")
    assert found["langfuse.trace.name"] == "Strasse"
    assert found["langfuse.trace.tags"] == ["grosse", "eu"]
    assert {key.rpartition(".")[2]: value for key, value in found.items() if ".trace.metadata." in key} == {
        "session_id": "Sitzung-ä",
        "user_id": "Zoë",
        "name": "Straße",
        "tags": '["größe","eu"]',
        "session_path": "/main",
    }


@pytest.mark.parametrize(
    ("properties", "environment", "release"),
    [
        ({"environment": "staging", "release": "1.4.2"}, "staging", "1.4.2"),
        ({"Environment": "Staging", "Release": "v2"}, "staging", "v2"),
        ({"environment": "langfuse-x"}, None, None),
        ({"environment": "a b"}, None, None),
        ({"environment": "x" * 41}, None, None),
        ({}, None, None),
    ],
    ids=["as they are", "in any case of letters", "reserved", "another alphabet", "too long", "none"],
)
def test_environment_and_release_are_properties(
    properties: dict[str, str], environment: str | None, release: str | None
) -> None:
    found = of_call(properties=properties)
    assert found.get("langfuse.environment") == environment
    assert found.get("langfuse.release") == release
    for key, value in properties.items():
        assert found[f"langfuse.trace.metadata.{key}"] == value, "they are properties all the same"


def test_a_turn_of_an_agent() -> None:
    spans = turn_spans(coding_turn())
    types = {span.name: langfuse(span)["langfuse.observation.type"] for span in spans}
    assert types == {
        "execute_tool Read": "tool",
        "execute_tool Task": "tool",
        "execute_tool Grep": "tool",
        "invoke_agent explore": "agent",
        "invoke_agent claude-code": "agent",
    }
    assert {langfuse(span)["langfuse.trace.name"] for span in spans} == {"Course"}, "each span has the trace's name"
    root = langfuse_content(spans[-1])
    assert root == {"langfuse.observation.input": "Fix the dates.", "langfuse.observation.output": "Done."}
    assert langfuse_content(named(spans, "execute_tool Grep")) == {
        "langfuse.observation.input": '{"pattern": "date"}',
        "langfuse.observation.output": "3 lines",
    }


def test_a_turn_of_any_other_program_is_a_chain_of_its_paths() -> None:
    spans = turn_spans(turn_of(pushed("a", path="/course/outline"), pushed("b", 3, turn="a", path="/course/lesson")))
    assert {span.name: langfuse(span)["langfuse.observation.type"] for span in spans} == {
        "course": "chain",
        "outline": "chain",
        "lesson": "chain",
        "Course": "chain",
    }


def test_content_is_openais_chat() -> None:
    asked = chat(("system", "Be brief"), ("user", "Hi"), tools=["look_up"])
    told = says("Let me see", ("t1", "look_up", '{"of": "x"}'))
    found = said(pushed("a", asked=asked, told=told))
    assert json.loads(found["input"]) == {
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "look_up", "parameters": {}}}],
    }
    assert json.loads(found["output"]) == {
        "role": "assistant",
        "content": "Let me see",
        "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "look_up", "arguments": '{"of": "x"}'}}],
    }


def test_without_content_nothing_that_was_said_is_told() -> None:
    turn = coding_turn(content=False)
    for span in [*map(call_span, turn.calls), *turn_spans(turn)]:
        assert langfuse_content(span) == {}
        assert "Fix the dates" not in json.dumps(dict(langfuse(span)))


def test_unknown_is_left_out() -> None:
    found = of_call(
        session={"id": None, "name": None, "path": None, "step": None},
        llm={"request_model": None, "response_model": None, "provider": None},
        cost=CallCost(None),
        host=None,
    )
    assert found == {"langfuse.trace.name": "bot.py", "langfuse.observation.type": "generation"}
