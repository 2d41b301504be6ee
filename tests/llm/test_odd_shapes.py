"""Shapes that no service sends and anybody may: what is around them is read all the same."""

from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import call, streamed

from sessiontap.llm.compare import compare
from sessiontap.llm.history import history

ODD_CALLS: list[Any] = [{"function": 1}, {"custom": 1}, {"function": [1]}, {"function": "look"}, {}, 1, None]


@pytest.mark.parametrize("odd", ODD_CALLS, ids=repr)
def test_a_conversation_with_an_odd_tool_call_is_followed(odd: Any) -> None:
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "Well.", "tool_calls": [odd]},
        {"role": "user", "content": "So?"},
    ]
    found = history(call("/v1/chat/completions", {"messages": messages}))
    assert [entry.role for entry in found.entries] == ["user", "assistant", "user"]
    assert found.latest == "So?"


@pytest.mark.parametrize("item", [5, "x", None, [], [{}]], ids=repr)
def test_a_response_with_an_odd_item_is_read(item: Any) -> None:
    begun = {"type": "function_call", "call_id": "c", "name": "look"}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    found = streamed("/v1/responses", events)
    assert [(tool.name, tool.arguments) for tool in found.tool_calls] == [("look", "{}")]
    assert found.problems == ()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


def test_requests_that_are_nested_deeply_are_compared() -> None:
    found = compare({"deep": nested(400)}, {"deep": nested(401)})
    assert [(value.change, value.name[:8]) for value in found.parameters] == [("changed", "deep.a[0")]
