"""Results of tools: by the family's own way of naming the call or the tool, or by an id alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import call

OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "7"}
TOOL = {"role": "tool", "tool_call_id": "c1", "content": "7"}
BLOCK = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "7"}]}
CONVERSE = {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "7"}]}}]}
GEMINI = {"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"a": 7}}}]}

ALONE: dict[str, tuple[str, dict[str, Any]]] = {
    "responses": ("/v1/responses", {"input": [OUTPUT]}),
    "chat": ("/v1/chat/completions", {"messages": [TOOL]}),
    "anthropic": ("/v1/messages", {"messages": [BLOCK]}),
    "converse": ("/model/m/converse", {"messages": [CONVERSE]}),
    "cohere": ("/v2/chat", {"messages": [TOOL]}),
    "ollama": ("/api/chat", {"messages": [TOOL]}),
}
NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "responses": (
        "/v1/responses",
        {"input": [{"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"}, OUTPUT]},
    ),
    "chat": (
        "/v1/chat/completions",
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "find"}}]}, TOOL]},
    ),
    "anthropic": (
        "/v1/messages",
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "find"}]}, BLOCK]},
    ),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": [GEMINI]}),
}


@pytest.mark.parametrize(("path", "body"), ALONE.values(), ids=ALONE)
def test_an_id_alone_is_left_to_who_knows_more(path: str, body: dict[str, Any]) -> None:
    asked = call(path, body).asked
    assert (asked.tool_results, asked.results, asked.answered) == ((), (("c1", None),), ("c1",))


@pytest.mark.parametrize(("path", "body"), NAMED.values(), ids=NAMED)
def test_what_the_request_names_needs_nobody(path: str, body: dict[str, Any]) -> None:
    asked = call(path, body).asked
    assert (asked.tool_results, asked.results) == (("find",), ())


def test_where_one_is_not_named_all_stand_in_order() -> None:
    path, body = NAMED["responses"]
    asked = call(path, {"input": [*body["input"], OUTPUT | {"call_id": "c2"}]}).asked
    assert (asked.tool_results, asked.results) == (("find",), (("c1", "find"), ("c2", None)))
