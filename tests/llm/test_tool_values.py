"""The newest results and calls of tools, by wire family: an older search found 1, the newest 2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.llm.llm_exchanges import call

from sessiontap.llm.tool_values import MOST_TEXT, tool_values

OLD, NEW = '{"count":1}', '{"count":2}'
SEARCH: dict[str, Any] = {"name": "search", "input": {"q": "y"}}


def chat_call(call_id: str, query: str) -> dict[str, Any]:
    return {"id": call_id, "function": {"name": "search", "arguments": f'{{"q":"{query}"}}'}}


def tool_use(call_id: str, query: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "search", "input": {"q": query}}


REQUESTS: dict[str, tuple[str, Any]] = {
    "openai-chat": (
        "/v1/chat/completions",
        {
            "messages": [
                {"role": "user", "content": "Look."},
                {"role": "assistant", "tool_calls": [chat_call("a", "x")]},
                {"role": "tool", "tool_call_id": "a", "content": OLD},
                {"role": "assistant", "tool_calls": [chat_call("b", "y")]},
                {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": NEW}]},
                {"role": "user", "content": "And now?"},
            ]
        },
    ),
    "openai-responses": (
        "/v1/responses",
        {
            "input": [
                {"type": "function_call", "call_id": "a", "name": "search", "arguments": '{"q":"x"}'},
                {"type": "function_call_output", "call_id": "a", "output": OLD},
                {"type": "function_call", "call_id": "b", "name": "search", "arguments": '{"q":"y"}'},
                {"type": "function_call_output", "call_id": "b", "output": NEW},
            ]
        },
    ),
    "anthropic": (
        "/v1/messages",
        {
            "messages": [
                {"role": "assistant", "content": [tool_use("a", "x")]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": OLD}]},
                {"role": "assistant", "content": [tool_use("b", "y")]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": NEW}]},
                        {"type": "text", "text": "Go on."},
                    ],
                },
            ]
        },
    ),
    "bedrock-invoke": (
        "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke",
        {
            "anthropic_version": "bedrock-2023-05-31",
            "messages": [
                {"role": "assistant", "content": [tool_use("b", "y")]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "b", "content": NEW}]},
            ],
        },
    ),
    "gemini": (
        "/v1beta/models/m:generateContent",
        {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"name": "search", "args": {"q": "x"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "search", "response": {"count": 1}}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "search", "args": {"q": "y"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "search", "response": {"count": 2}}}]},
            ]
        },
    ),
    "gemini, the result in a text": (
        "/v1beta/models/m:generateContent",
        {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"name": "search", "args": {"q": "y"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "search", "response": {"output": NEW}}}]},
            ]
        },
    ),
    "bedrock-converse": (
        "/model/m/converse",
        {
            "messages": [
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "b", **SEARCH}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "b", "content": [{"json": {"count": 2}}]}}]},
            ]
        },
    ),
    "cohere v1": (
        "/v1/chat",
        {
            "message": "",
            "chat_history": [
                {"role": "USER", "message": "Look."},
                {"role": "CHATBOT", "message": "", "tool_calls": [{"name": "search", "parameters": {"q": "y"}}]},
            ],
            "tool_results": [{"call": {"name": "search", "parameters": {"q": "y"}}, "outputs": [{"count": 2}]}],
        },
    ),
    "cohere v2": (
        "/v2/chat",
        {
            "messages": [
                {"role": "assistant", "tool_calls": [chat_call("b", "y")]},
                {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": NEW}]},
            ]
        },
    ),
    "ollama": (
        "/api/chat",
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "search", "arguments": {"q": "y"}}}]},
                {"role": "tool", "tool_name": "search", "content": NEW},
            ]
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body"), REQUESTS.values(), ids=REQUESTS)
def test_the_newest_of_a_tool(path: str, body: Any) -> None:
    found = tool_values(call(path, body))
    assert (set(found.results), set(found.calls)) == ({"search"}, {"search"})
    assert any(isinstance(one, dict) and one.get("count") == 2 for one in found.results["search"].values)
    assert found.calls["search"].text == '{"q":"y"}'
    assert {"q": "y"} in found.calls["search"].values


def test_results_without_their_calls_are_named_by_their_ids() -> None:
    body = {"previous_response_id": "r", "input": [{"type": "function_call_output", "call_id": "b", "output": NEW}]}
    alone = call("/v1/responses", body)
    assert tool_values(alone).results == {}
    named = replace(alone, asked=replace(alone.asked, results=(("b", "search"),)))
    assert tool_values(named).results["search"].text == NEW


@pytest.mark.parametrize(
    ("content", "values"),
    [
        pytest.param("3 files", (), id="a text"),
        pytest.param("[broken", (), id="what only looks like JSON"),
        pytest.param("", (), id="nothing"),
        pytest.param('[{"a": 1}]', ([{"a": 1}],), id="a list"),
        pytest.param(' {"a": 1}\n', ({"a": 1},), id="with blanks around it"),
    ],
)
def test_the_values_of_a_result(content: str, values: tuple[Any, ...]) -> None:
    body = {"messages": [{"role": "tool", "name": "look", "tool_call_id": "a", "content": content}]}
    result = tool_values(call("/v1/chat/completions", body)).results["look"]
    assert (result.text, result.values) == (content, values)


def test_a_large_result_is_cut() -> None:
    body = {"messages": [{"role": "tool", "name": "look", "content": "x" * (MOST_TEXT + 1)}]}
    assert len(tool_values(call("/v1/chat/completions", body)).results["look"].text or "") == MOST_TEXT


@pytest.mark.parametrize("body", [None, [1], "x", {"messages": 1}, {"messages": [None, 1, {"role": "tool"}]}])
def test_no_request_of_tools(body: Any) -> None:
    found = tool_values(call("/v1/chat/completions", body))
    assert (found.results, found.calls) == ({}, {})
