from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, reply, sse, streamed

from sessiontap.llm.call import CallError, Reply, ToolCall, Usage

PATH = "/v1/messages"

TURN = [
    {"role": "user", "content": "build it"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Well."},
            {"type": "tool_use", "id": "t1", "name": "Read", "input": {}},
            {"type": "tool_use", "id": "t2", "name": "Bash", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "x"},
            {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "y"}]},
            {"type": "text", "text": "<system-reminder>be careful</system-reminder>"},
        ],
    },
]


def test_a_turn_with_tool_results() -> None:
    body = {
        "model": "claude",
        "stream": True,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1;"},
            {"type": "text", "text": "You are a coder."},
        ],
        "tools": [{"name": "Read"}, {"type": "web_search_20250305", "name": "web_search"}],
        "metadata": {"user_id": "u"},
        "diagnostics": {"previous_message_id": "msg_1"},
        "messages": TURN,
    }
    found = asked(PATH, body)
    assert (found.model, found.stream, found.user) == ("claude", True, "u")
    assert found.tools_offered == ("Read", "web_search")
    assert found.tool_results == ("Read", "Bash")
    assert found.answered == ("t2", "t1")
    assert found.message == "build it"
    assert found.prompt == "You are a coder."
    assert found.previous == ("msg_1",)


@pytest.mark.parametrize(
    ("messages", "message", "results"),
    [
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "a\nb", ()),
        ([*TURN, {"role": "user", "content": "stop"}], "stop", ("Read", "Bash")),
        ([*TURN, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "next"}], "next", ()),
        ([*TURN, {"role": "assistant", "content": "prefill"}], "build it", ()),
        ([{"role": "user", "content": [{"type": "image"}]}], None, ()),
        ([*TURN, {"role": "system", "content": "mid-way"}], "build it", ("Read", "Bash")),
        ([{"role": "user", "content": [7, None, {"type": "tool_result"}]}, 3], None, ()),
    ],
    ids=["text", "interrupted", "answered", "prefilled", "image", "system message", "nonsense"],
)
def test_the_newest_message_and_its_tool_results(messages: Any, message: str | None, results: tuple[str, ...]) -> None:
    found = asked(PATH, {"messages": messages})
    assert (found.message, found.tool_results) == (message, results)


USAGES: dict[str, tuple[Any, Usage | None]] = {
    "plain": ({"input_tokens": 3, "output_tokens": 2}, Usage(3, 2)),
    "cached tokens belong to the input": (
        {"input_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 10, "output_tokens": 2},
        Usage(113, 2, 100, 10),
    ),
    "a stated zero stays": (
        {"input_tokens": 3, "cache_read_input_tokens": 0, "cache_creation_input_tokens": None, "output_tokens": 0},
        Usage(3, 0, 0, None),
    ),
    "no input, no sum": ({"cache_read_input_tokens": 5}, Usage(None, None, 5)),
    "none": (None, None),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES)
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert reply(PATH, {"content": [], "usage": usage}).usage == expected
    events = [{"type": "message_start", "message": {"usage": usage}}, {"type": "message_stop"}]
    assert streamed(PATH, events).usage == expected


def test_whole() -> None:
    body = {
        "id": "msg_2",
        "model": "claude-1",
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "Let me "},
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
            {"type": "text", "text": "see."},
            {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "ä"}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 2, "service_tier": "standard"},
    }
    assert reply(PATH, body) == Reply(
        stream=False,
        response_model="claude-1",
        response_id="msg_2",
        text="Let me see.",
        reasoning="hm",
        tool_calls=(ToolCall("Read", "t1", '{"path":"ä"}'),),
        builtin_tool_calls=("web_search",),
        finish_reason="tool_use",
        usage=Usage(3, 2),
        service_tier="standard",
    )


START = {
    "type": "message_start",
    "message": {
        "id": "msg_2",
        "model": "claude-1",
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 1},
    },
}
EVENTS: list[Any] = [
    START,
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "me."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t1", "name": "Read", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"path": '}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"a"}'}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t2", "name": "Now", "input": {}},
    },
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 40}},
    {"type": "message_stop"},
]


def test_streamed() -> None:
    assert streamed(PATH, EVENTS, named=True) == Reply(
        stream=True,
        response_model="claude-1",
        response_id="msg_2",
        text="Let me.",
        tool_calls=(ToolCall("Read", "t1", '{"path": "a"}'), ToolCall("Now", "t2", "{}")),
        finish_reason="tool_use",
        usage=Usage(10, 40, 7),
        first_token=len(sse(EVENTS[:4], named=True)),
    )


def test_the_last_statement_counts_field_by_field() -> None:
    last = {"type": "message_delta", "usage": {"input_tokens": 20, "cache_read_input_tokens": None, "output_tokens": 5}}
    assert streamed(PATH, [START, last]).usage == Usage(27, 5, 7)


def test_of_a_stream_that_was_cut_the_input_is_known_and_the_output_is_not() -> None:
    assert streamed(PATH, EVENTS[:8], complete=False).usage == Usage(10, None, 7)


def test_nor_is_the_input_where_the_provider_may_add_to_it() -> None:
    asked = {"stream": True, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    assert streamed(PATH, EVENTS[:8], asked=asked, complete=False).usage is None


def test_nor_where_it_is_a_placeholder() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}}
    assert streamed(PATH, [start], complete=False).usage is None


def test_a_stream_that_ends_before_its_last_statement_does_not_tell_its_output() -> None:
    """The count at its start is one of tokens that were still to come."""
    assert streamed(PATH, EVENTS[:8]).usage == Usage(10, None, 7)


def test_an_error_in_a_stream_keeps_what_came_before() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    found = streamed(PATH, [*EVENTS[:5], error], named=True)
    assert (found.error, found.text) == (CallError("overloaded_error", "Overloaded"), "Let me.")


def test_counting_tokens_uses_none() -> None:
    found = reply(f"{PATH}/count_tokens", {"input_tokens": 2095}, asked={"model": "claude", "messages": TURN})
    assert found.usage is None
