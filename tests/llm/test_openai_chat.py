from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, reply, sse, streamed

from sessiontap.llm.call import CallError, Reply, ToolCall, Usage

PATH = "/v1/chat/completions"


def say(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "message": {"content": content, **more}, "finish_reason": "stop"}]}


def delta(content: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {**({} if content is None else {"content": content}), **more}
    return {"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def piece(
    index: int | None, name: str | None = None, call_id: str | None = None, arguments: str = ""
) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    found: dict[str, Any] = {"function": function}
    if index is not None:
        found["index"] = index
    if call_id:
        found["id"] = call_id
    return found


# What is asked

TURN = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [{"type": "text", "text": "And kind."}]},
    {"role": "user", "content": "old"},
    {"role": "assistant", "content": "hm"},
    {
        "role": "user",
        "content": [{"type": "text", "text": "new"}, {"type": "image_url", "image_url": {"url": "data:"}}],
    },
    {
        "role": "assistant",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "search", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"name": "run", "input": "ls"}},
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "1"},
    {"role": "tool", "tool_call_id": "b", "content": "2"},
]


def test_a_turn_with_tool_results() -> None:
    tools = [{"type": "function", "function": {"name": "search"}}, {"type": "web_search"}]
    found = asked(PATH, {"model": "m", "stream": True, "user": "u", "tools": tools, "messages": TURN})
    assert (found.model, found.stream, found.user) == ("m", True, "u")
    assert found.tools_offered == ("search", "web_search")
    assert found.tool_results == ("search", "run")
    assert found.answered == ("b", "a")
    assert found.message == "new"
    assert found.prompt == "Be brief.\nAnd kind."
    assert found.problems == ()


@pytest.mark.parametrize(
    ("messages", "message", "results"),
    [
        ([], None, ()),
        ([{"role": "user", "content": "hi"}], "hi", ()),
        ([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "{"}], "hi", ()),
        ([*TURN, {"role": "user", "content": "go on"}], "go on", ("search", "run")),
        ([*TURN, {"role": "assistant", "content": "done"}, {"role": "user", "content": "more"}], "more", ()),
        ([{"role": "tool", "tool_call_id": "lost", "content": ""}], None, ()),
        ([{"role": "function", "name": "f", "content": ""}], None, ("f",)),
        ("no list", None, ()),
        ([None, 7, {"role": ["x"]}, {}], None, ()),
    ],
)
def test_the_newest_message_and_its_tool_results(messages: Any, message: str | None, results: tuple[str, ...]) -> None:
    found = asked(PATH, {"messages": messages})
    assert (found.message, found.tool_results) == (message, results)


def test_without_the_word_no_stream_is_asked_for() -> None:
    assert asked(PATH, {"model": "m"}).stream is False
    assert asked(PATH, None).stream is None


def test_a_broken_body_is_told() -> None:
    found = asked(PATH, b'{"model": "m",}')
    assert found.model is None
    assert found.problems[0].startswith("the request body is no JSON (")


# What comes back

TEXTS: dict[str, tuple[Any, str | None]] = {
    "a string": ("hello", "hello"),
    "empty": ("", None),
    "null": (None, None),
    "parts (Mistral)": (
        [{"type": "thinking", "thinking": []}, {"type": "text", "text": "hel"}, {"text": "lo"}],
        "hello",
    ),
}


@pytest.mark.parametrize(("content", "text"), TEXTS.values(), ids=TEXTS)
def test_text(content: Any, text: str | None) -> None:
    assert reply(PATH, say(content)).text == text
    assert streamed(PATH, [delta(content)]).text == text


def test_reasoning_that_stands_in_the_content() -> None:
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    assert reply(PATH, say([*thought, {"type": "text", "text": "hello"}])).reasoning == "Hm."
    assert streamed(PATH, [delta(thought), delta("hello")]).reasoning == "Hm."


USAGES: dict[str, tuple[Any, Usage | None]] = {
    "none": (None, None),
    "empty": ({}, None),
    "plain": ({"prompt_tokens": 3, "completion_tokens": 0}, Usage(3, 0)),
    "details": (
        {
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
        Usage(9, 5, 4, 1, 2),
    ),
    "deepseek": (
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1},
        Usage(9, 1, 8),
    ),
    "together": ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 0}, Usage(9, 1, 0)),
    "mistral": ({"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 3}, Usage(9, 1, 3)),
    "singular": (
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_token_details": {"cached_tokens": 3}},
        Usage(9, 1, 3),
    ),
    "xai, reasoning beside the completion": (
        {
            "prompt_tokens": 9,
            "completion_tokens": 1,
            "total_tokens": 30,
            "completion_tokens_details": {"reasoning_tokens": 20},
        },
        Usage(9, 21, reasoning=20),
    ),
    "nonsense": ({"prompt_tokens": "9", "completion_tokens": True, "total_tokens": -1}, None),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES)
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert reply(PATH, {**say("x"), "usage": usage}).usage == expected
    assert streamed(PATH, [delta("x", "stop"), {"choices": [], "usage": usage}, "[DONE]"]).usage == expected


def test_groqs_usage_stands_elsewhere_in_a_stream() -> None:
    last = {**delta(None, "stop"), "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}}
    assert streamed(PATH, [delta("x"), last]).usage == Usage(3, 2)


def test_of_several_statements_the_last_counts() -> None:
    counted = [{**delta("x"), "usage": {"prompt_tokens": 3, "completion_tokens": n}} for n in (1, 2)]
    assert streamed(PATH, counted).usage == Usage(3, 2)


def test_a_count_on_the_way_is_no_usage_of_a_stream_that_was_cut() -> None:
    counted = [{**delta("x"), "usage": {"prompt_tokens": 3, "completion_tokens": n}} for n in (1, 2)]
    assert streamed(PATH, counted, complete=False).usage is None


@pytest.mark.parametrize(("cost", "expected"), [(0.0012, 0.0012), ({"total_cost": 0.5}, 0.5), ("1", None)])
def test_a_cost_that_the_provider_states(cost: Any, expected: float | None) -> None:
    assert reply(PATH, {**say("x"), "usage": {"prompt_tokens": 1, "cost": cost}}).cost_reported == expected


CALLS: dict[str, tuple[list[dict[str, Any]], tuple[ToolCall, ...]]] = {
    "in pieces, two at a time": (
        [
            piece(0, "f", "a"),
            piece(1, "g", "b"),
            piece(0, arguments='{"x"'),
            piece(1, arguments="{}"),
            piece(0, arguments=":1}"),
        ],
        (ToolCall("f", "a", '{"x":1}'), ToolCall("g", "b", "{}")),
    ),
    "the name said again each time": (
        [piece(0, "f", "a", "{"), piece(0, "f", "a", "}")],
        (ToolCall("f", "a", "{}"),),
    ),
    "whole, without an index": (
        [piece(None, "f", "a", "{}"), piece(None, "f", "b", "{}")],
        (ToolCall("f", "a", "{}"), ToolCall("f", "b", "{}")),
    ),
    "whole, all with index 0": (
        [piece(0, "f", "a", "{}"), piece(0, "f", "b", "{}")],
        (ToolCall("f", "a", "{}"), ToolCall("f", "b", "{}")),
    ),
    "pieces without an index": ([piece(None, "f", "a"), piece(None, arguments="{}")], (ToolCall("f", "a", "{}"),)),
    "a piece of nothing": ([piece(0, arguments="{}")], ()),
}


@pytest.mark.parametrize(("pieces", "expected"), CALLS.values(), ids=CALLS)
def test_tool_calls_of_a_stream(pieces: list[dict[str, Any]], expected: tuple[ToolCall, ...]) -> None:
    assert streamed(PATH, [delta(tool_calls=[part]) for part in pieces]).tool_calls == expected


def test_tool_calls_in_one_piece() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": {"x": 1}}},
        {"id": "c", "type": "custom", "custom": {"name": "h", "input": "ls"}},
    ]
    assert reply(PATH, say(tool_calls=calls)).tool_calls == (
        ToolCall("f", "a", '{"x": 1}'),
        ToolCall("g", "b", '{"x":1}'),
        ToolCall("h", "c", "ls"),
    )


def test_the_older_function_call() -> None:
    whole = reply(PATH, say(function_call={"name": "f", "arguments": "{}"}))
    pieces = streamed(PATH, [delta(function_call={"name": "f"}), delta(function_call={"arguments": "{}"})])
    assert whole.tool_calls == pieces.tool_calls == (ToolCall("f", None, "{}"),)


def test_only_the_first_choice_is_told() -> None:
    body = say("first")
    body["choices"].insert(0, {"index": 1, "message": {"content": "second"}, "finish_reason": "length"})
    assert (reply(PATH, body).text, reply(PATH, body).finish_reason) == ("first", "stop")
    other = {"choices": [{"index": 1, "delta": {"content": "second"}, "finish_reason": "length"}]}
    found = streamed(PATH, [delta("first"), other, delta(None, "stop")])
    assert (found.text, found.finish_reason) == ("first", "stop")


def test_a_stream_from_end_to_end() -> None:
    events = [
        {"id": "", "model": "", "choices": [], "prompt_filter_results": []},  # Azure opens with this
        delta("", role="assistant"),
        delta("Hel"),
        delta("lo"),
        delta(None, "stop"),
        {**delta(), "choices": [], "service_tier": "default", "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        "[DONE]",
    ]
    assert streamed(PATH, events) == Reply(
        stream=True,
        response_model="m-1",
        response_id="c1",
        text="Hello",
        finish_reason="stop",
        usage=Usage(1, 2),
        service_tier="default",
        first_token=len(sse(events[:3])),
    )


ERRORS = {
    "an object": ({"error": {"message": "late", "type": "server_error"}}, CallError("server_error", "late")),
    "a string": ({"error": "late"}, CallError(None, "late")),
    "a number for a code (OpenRouter)": ({"error": {"code": 502, "message": "late"}}, CallError(None, "late")),
    "in a choice (OpenRouter)": ({"choices": [{"error": {"code": 502, "message": "late"}}]}, CallError(None, "late")),
    "in x_groq": ({"x_groq": {"error": "late"}}, CallError(None, "late")),
}


@pytest.mark.parametrize(("body", "expected"), ERRORS.values(), ids=ERRORS)
def test_an_error_inside_a_200(body: Any, expected: CallError) -> None:
    assert reply(PATH, body).error == expected
    found = streamed(PATH, [delta("Hel"), body])
    assert (found.error, found.text) == (expected, "Hel")


def test_writer_speaks_it_at_another_path_with_message_and_delta() -> None:
    event = {"choices": [{"index": 0, "message": {"content": "a"}, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    assert streamed("/v1/chat", [event], provider="writer").text == "a"


def test_damaged_events_are_told_and_the_rest_is_read() -> None:
    found = streamed(PATH, [delta("a"), "{broken", delta("b"), *["{" for _ in range(5)]])
    assert found.text == "ab"
    assert len(found.problems) == 4
    assert found.problems[-1] == "3 more events are no JSON"
