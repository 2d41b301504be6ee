from __future__ import annotations

import json
from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, reply, sse, streamed
from tests.llm.llm_frames import received

from sessiontap.llm.call import CallError, Reply, ToolCall, Usage

V1 = "/v1/chat"
V2 = "/v2/chat"
V1_STREAM = "application/stream+json"


def lines(*values: Any) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


# What is asked

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "weather?"},
    {
        "role": "assistant",
        "tool_plan": "I will look.",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": [{"type": "document", "document": {"data": "{}"}}]},
]


def test_a_turn_with_tool_results_v2() -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    found = asked(V2, {"model": "command-a", "stream": True, "messages": MESSAGES, "tools": tools})
    assert (found.model, found.stream) == ("command-a", True)
    assert (found.message, found.prompt, found.tools_offered) == ("weather?", "Be brief.", ("weather",))
    assert (found.tool_results, found.answered) == (("weather",), ("c1",))


HISTORY = [
    {"role": "SYSTEM", "message": "Be brief."},
    {"role": "USER", "message": "weather?"},
    {"role": "CHATBOT", "message": "I will look.", "tool_calls": [{"name": "weather", "parameters": {}}]},
]
RESULT = {"call": {"name": "weather", "parameters": {}}, "outputs": [{"t": 20}]}

V1_TURNS: dict[str, tuple[dict[str, Any], str | None, tuple[str, ...]]] = {
    "a first turn": ({"message": "hi"}, "hi", ()),
    "a later turn": ({"message": "and then?", "chat_history": HISTORY}, "and then?", ()),
    "tool results": ({"message": "", "chat_history": HISTORY, "tool_results": [RESULT]}, "weather?", ("weather",)),
    "tool results beside the message": ({"message": "weather?", "tool_results": [RESULT]}, "weather?", ("weather",)),
    "tool results in the history": (
        {"message": "", "chat_history": [*HISTORY, {"role": "TOOL", "tool_results": [RESULT]}], "tool_results": []},
        "weather?",
        ("weather",),
    ),
    "of any shape": ({"message": 7, "chat_history": [None, "x", {"role": 1}], "tool_results": "x"}, None, ()),
}


@pytest.mark.parametrize(("body", "message", "tool_results"), V1_TURNS.values(), ids=V1_TURNS)
def test_turns_v1(body: Any, message: str | None, tool_results: tuple[str, ...]) -> None:
    found = asked(V1, {"model": "command", **body})
    assert (found.model, found.stream) == ("command", False)
    assert (found.message, found.tool_results) == (message, tool_results)


def test_preamble_and_tools_v1() -> None:
    found = asked(
        V1, {"message": "hi", "preamble": "Be kind.", "chat_history": HISTORY, "tools": [{"name": "weather"}]}
    )
    assert (found.prompt, found.tools_offered) == ("Be kind.", ("weather",))
    assert asked(V1, {"message": "hi", "chat_history": HISTORY}).prompt == "Be brief."


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/generate", {"prompt": "go"}, "go"),
        ("/v2/embed", {"texts": ["a", "b"]}, "b"),
        ("/v2/embed", {"inputs": [{"content": [{"type": "text", "text": "a"}]}]}, "a"),
        ("/v2/rerank", {"query": "q", "documents": ["a"]}, "q"),
    ],
)
def test_what_is_asked_elsewhere(path: str, body: Any, message: str) -> None:
    assert asked(path, body, "cohere").message == message


# What comes back

USAGES: dict[str, tuple[Any, Usage | None]] = {
    "none": (None, None),
    "volume and bill": (
        {"billed_units": {"input_tokens": 7, "output_tokens": 80}, "tokens": {"input_tokens": 69, "output_tokens": 81}},
        Usage(69, 81),
    ),
    "the bill alone": ({"billed_units": {"input_tokens": 7, "output_tokens": 80}}, Usage(7, 80)),
    "an empty volume": ({"tokens": {}, "billed_units": {"input_tokens": 7}}, Usage(7)),
    "floats": ({"tokens": {"input_tokens": 7.0, "output_tokens": 8.0}}, Usage(7, 8)),
    "cached": (
        {"tokens": {"input_tokens": 69, "output_tokens": 81}, "cached_tokens": 64},
        Usage(69, 81, cache_read=64),
    ),
    "search units": ({"billed_units": {"search_units": 1}}, None),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES)
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert reply(V2, {"id": "1", "usage": usage}).usage == expected
    assert streamed(V2, [{"type": "message-end", "delta": {"usage": usage}}]).usage == expected
    assert reply(V1, {"response_id": "1", "meta": usage}).usage == expected
    end = {"event_type": "stream-end", "is_finished": True, "response": {"meta": usage}}
    assert received(V1, lines(end), V1_STREAM).usage == expected


def test_embeddings_have_no_output() -> None:
    body = {"id": "1", "embeddings": [], "meta": {"billed_units": {"input_tokens": 7, "output_tokens": 0}}}
    assert reply("/v2/embed", body, provider="cohere").usage == Usage(7)


def test_a_whole_answer_v2() -> None:
    body = {
        "id": "r1",
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}],
        },
        "finish_reason": "COMPLETE",
    }
    assert reply(V2, body) == Reply(stream=False, response_id="r1", text="Hi", reasoning="hm", finish_reason="COMPLETE")


def test_the_plan_is_no_text_and_tool_calls_v2() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"x":1}'}}
    found = reply(V2, {"message": {"tool_plan": "I will look.", "tool_calls": [call]}, "finish_reason": "TOOL_CALL"})
    assert (found.text, found.tool_calls) == (None, (ToolCall("weather", "c1", '{"x":1}'),))


def test_a_whole_answer_v1() -> None:
    body = {"response_id": "r1", "generation_id": "g1", "text": "I will.", "finish_reason": "COMPLETE"}
    body |= {"tool_calls": [{"name": "weather", "parameters": {"x": 1}}]}  # type: ignore[dict-item]
    assert reply(V1, body) == Reply(
        stream=False,
        response_id="r1",
        text="I will.",
        tool_calls=(ToolCall("weather", None, '{"x":1}'),),
        finish_reason="COMPLETE",
    )


def test_generate() -> None:
    body = {"id": "r1", "generations": [{"id": "g1", "text": "Hi", "finish_reason": "COMPLETE"}, {"text": "no"}]}
    found = reply("/v1/generate", body)
    assert (found.response_id, found.text, found.finish_reason) == ("r1", "Hi", "COMPLETE")


def content(text: str, kind: str = "content-delta") -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": {"content": {"text": text}}}}


def tool(kind: str, index: int, **function: str) -> dict[str, Any]:
    call: dict[str, Any] = {"function": function}
    if kind == "tool-call-start":
        call["id"] = f"c{index}"
    return {"type": kind, "index": index, "delta": {"message": {"tool_calls": call}}}


V2_EVENTS: list[Any] = [
    {"type": "message-start", "id": "r1", "delta": {"message": {"role": "assistant"}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will."}}},
    tool("tool-call-start", 0, name="weather", arguments=""),
    tool("tool-call-delta", 0, arguments='{"x"'),
    tool("tool-call-delta", 0, arguments=":1}"),
    {"type": "tool-call-end", "index": 0},
    tool("tool-call-start", 1, name="time", arguments="{}"),
    content("", "content-start"),
    content("Hel"),
    content("lo"),
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 3}}}},
]


def test_a_stream_v2() -> None:
    first = len(sse(V2_EVENTS[:2]))
    assert streamed(V2, [*V2_EVENTS, "[DONE]"]) == Reply(
        stream=True,
        response_id="r1",
        text="Hello",
        tool_calls=(ToolCall("weather", "c0", '{"x":1}'), ToolCall("time", "c1", "{}")),
        finish_reason="COMPLETE",
        usage=Usage(3),
        first_token=first,
    )


V1_EVENTS: list[Any] = [
    {"event_type": "stream-start", "generation_id": "g1", "is_finished": False},
    {"event_type": "tool-calls-chunk", "tool_call_delta": {"name": "weather", "index": 0}, "is_finished": False},
    {"event_type": "tool-calls-generation", "tool_calls": [{"name": "weather", "parameters": {}}]},
    {"event_type": "text-generation", "text": "Hel", "is_finished": False},
    {"event_type": "text-generation", "text": "lo", "is_finished": False},
    {
        "event_type": "stream-end",
        "is_finished": True,
        "finish_reason": "COMPLETE",
        "response": {"response_id": "r1", "text": "Hello", "meta": {"tokens": {"input_tokens": 3}}},
    },
]


@pytest.mark.parametrize("content_type", [V1_STREAM, None])
def test_a_stream_v1(content_type: str | None) -> None:
    assert received(V1, lines(*V1_EVENTS), content_type) == Reply(
        stream=True,
        response_id="r1",
        text="Hello",
        tool_calls=(ToolCall("weather", None, "{}"),),
        finish_reason="COMPLETE",
        usage=Usage(3),
        first_token=len(lines(*V1_EVENTS[:2])),
    )


def test_a_stream_v1_of_which_only_the_end_has_the_text() -> None:
    end = V1_EVENTS[-1]["response"] | {"tool_calls": [{"name": "weather", "parameters": {}}]}
    found = received(V1, lines(V1_EVENTS[0], {**V1_EVENTS[-1], "response": end}), V1_STREAM)
    assert (found.text, found.tool_calls) == ("Hello", (ToolCall("weather", None, "{}"),))


def test_generate_streams_texts_without_a_type() -> None:
    parts = [{"text": "Hel", "is_finished": False}, {"text": "lo", "is_finished": False}]
    end = {
        "is_finished": True,
        "response": {"id": "r1", "generations": [{"text": "Hello", "finish_reason": "COMPLETE"}]},
    }
    found = received("/v1/generate", lines(*parts, end), V1_STREAM)
    assert (found.response_id, found.text, found.finish_reason) == ("r1", "Hello", "COMPLETE")


@pytest.mark.parametrize("events", [V1_EVENTS, V2_EVENTS], ids=["v1", "v2"])
def test_a_stream_cut_anywhere_says_nothing_false(events: list[Any]) -> None:
    v1 = events is V1_EVENTS
    body = lines(*events) if v1 else sse(events)
    path, content_type = (V1, V1_STREAM) if v1 else (V2, "text/event-stream")
    truth = received(path, body, content_type)
    for end in range(len(body) + 1):
        found = received(path, body[:end], content_type, complete=False)
        assert "Hello".startswith(found.text or "")
        assert [call.name for call in found.tool_calls] == [c.name for c in truth.tool_calls[: len(found.tool_calls)]]
        assert found.usage in (None, truth.usage)
        assert found.finish_reason in (None, truth.finish_reason)
        assert found.problems == ()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"id": "1", "message": "model 'x' not found"}, CallError(None, "model 'x' not found")),
        (400, {"message": "bad"}, CallError(None, "bad")),
    ],
)
def test_an_error_by_status(status: int, body: Any, expected: CallError) -> None:
    assert reply(V2, body, status=status).error == expected


def test_an_error_inside_a_stream() -> None:
    end = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "too slow"}}
    found = streamed(V2, [content("Hel"), end])
    assert (found.text, found.finish_reason, found.error) == ("Hel", "ERROR", CallError(None, "too slow"))
