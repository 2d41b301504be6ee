from __future__ import annotations

import json
from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, reply
from tests.llm.llm_frames import received

from sessiontap.llm.call import CallError, Reply, ToolCall, Usage

CHAT = "/api/chat"
GENERATE = "/api/generate"
EMBED = "/api/embed"


def lines(*values: Any) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def say(content: str = "", done: bool = False, **message: Any) -> dict[str, Any]:
    return {"model": "llama", "message": {"role": "assistant", "content": content, **message}, "done": done}


DONE = {**say(done=True), "done_reason": "stop", "total_duration": 5, "prompt_eval_count": 3, "eval_count": 2}


# What is asked


@pytest.mark.parametrize(
    ("path", "body", "stream"),
    [
        (CHAT, {"messages": []}, True),
        (CHAT, {"messages": [], "stream": None}, True),
        (CHAT, {"messages": [], "stream": False}, False),
        (GENERATE, {"prompt": "x"}, True),
        (GENERATE, {"prompt": "x", "stream": False}, False),
        (EMBED, {"input": "x"}, False),
        (CHAT, None, None),
    ],
)
def test_without_a_word_it_streams(path: str, body: Any, stream: bool | None) -> None:
    assert asked(path, body).stream is stream


TOOLS = [{"type": "function", "function": {"name": name}} for name in ("read", "write")]


def turn(*results: dict[str, Any], calls: tuple[str, ...] = ("read", "write")) -> dict[str, Any]:
    called = [{"function": {"name": name, "arguments": {}}} for name in calls]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "do it"},
        {"role": "assistant", "content": "", "tool_calls": called},
        *({"role": "tool", "content": "1", **result} for result in results),
    ]
    return {"model": "llama", "messages": messages, "tools": TOOLS}


RESULTS: dict[str, tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "by name": (turn({"tool_name": "read"}, {"tool_name": "write"}), ("read", "write"), ()),
    "by name and id": (turn({"tool_name": "read", "tool_call_id": "c1"}), ("read",), ("c1",)),
    "formerly, of the only tool": (turn({}, calls=("read",)), ("read",), ()),
    "formerly, of one of two": (turn({}), (), ()),
}


@pytest.mark.parametrize(("body", "tool_results", "answered"), RESULTS.values(), ids=RESULTS)
def test_a_turn_with_tool_results(body: Any, tool_results: tuple[str, ...], answered: tuple[str, ...]) -> None:
    found = asked(CHAT, body)
    assert (found.model, found.message, found.prompt) == ("llama", "do it", "Be brief.")
    assert found.tools_offered == ("read", "write")
    assert (found.tool_results, found.answered) == (tool_results, answered)


def test_generate_and_embed() -> None:
    found = asked(GENERATE, {"model": "llama", "prompt": "go", "system": "Be brief."})
    assert (found.model, found.message, found.prompt) == ("llama", "go", "Be brief.")
    assert asked(EMBED, {"model": "m", "input": ["a", "b"]}).message == "b"
    assert asked(EMBED, {"model": "m", "input": "a"}).message == "a"
    assert asked("/api/embeddings", {"model": "m", "prompt": "a"}).message == "a"


# What comes back


def test_a_stream() -> None:
    body = lines(say(thinking="hmm"), say("Hel"), say("lo"), DONE)
    assert received(CHAT, body, "application/x-ndjson") == Reply(
        stream=True,
        response_model="llama",
        text="Hello",
        reasoning="hmm",
        finish_reason="stop",
        usage=Usage(3, 2),
        first_token=len(lines(say(thinking="hmm"))),
    )


def test_a_whole_answer() -> None:
    assert reply(CHAT, {**DONE, **say("Hello", True)}) == Reply(
        stream=False, response_model="llama", text="Hello", finish_reason="stop", usage=Usage(3, 2)
    )


def test_generate_has_a_response_for_a_message() -> None:
    parts = [{"model": "m", "response": part, "done": False} for part in ("Hel", "lo", "")]
    last = {"model": "m", "response": "", "done": True, "done_reason": "length", "context": [1], "eval_count": 2}
    found = received(GENERATE, lines(*parts, last), "application/x-ndjson")
    assert (found.text, found.finish_reason, found.usage) == ("Hello", "length", Usage(None, 2))


def test_tool_calls_come_whole() -> None:
    one = {"id": "c1", "function": {"index": 0, "name": "read", "arguments": {"x": 1}}}
    other = {"function": {"name": "write", "arguments": {}}}
    expected = (ToolCall("read", "c1", '{"x":1}'), ToolCall("write", None, "{}"))
    assert reply(CHAT, say(tool_calls=[one, other])).tool_calls == expected
    streamed = received(CHAT, lines(say(tool_calls=[one]), say(tool_calls=[other]), DONE), "application/x-ndjson")
    assert (streamed.tool_calls, streamed.text) == (expected, None)


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"model": "m", "embeddings": [[0.1]], "prompt_eval_count": 4}, Usage(4)),
        ({"embedding": [0.1]}, None),
        ({**DONE, "prompt_eval_count": None}, Usage(None, 2)),
    ],
    ids=["embed", "embeddings (older)", "a prompt already in memory"],
)
def test_usage_as_far_as_it_is_stated(body: Any, usage: Usage | None) -> None:
    assert reply(EMBED, body).usage == usage


def test_an_error_inside_a_stream() -> None:
    found = received(CHAT, lines(say("Hel"), {"error": "out of memory"}), "application/x-ndjson")
    assert (found.text, found.error, found.usage) == ("Hel", CallError(None, "out of memory"), None)


def test_an_error_by_status() -> None:
    assert reply(CHAT, {"error": "model 'x' not found"}, status=404).error == CallError(None, "model 'x' not found")


@pytest.mark.parametrize("content_type", ["application/x-ndjson", None])
def test_a_stream_cut_anywhere_says_nothing_false(content_type: str | None) -> None:
    body = lines(say("Hel"), say("lo"), DONE)
    for end in range(len(body) + 1):
        found = received(CHAT, body[:end], content_type, complete=False)
        assert "Hello".startswith(found.text or "")
        assert found.stream in (None, True)
        assert found.usage in (None, Usage(3, 2))
        assert found.problems == ()


def test_a_damaged_line_is_told_and_the_rest_is_read() -> None:
    found = received(CHAT, lines(say("Hel")) + b"{broken\n" + lines(say("lo"), DONE), "application/x-ndjson")
    assert (found.text, len(found.problems)) == ("Hello", 1)
