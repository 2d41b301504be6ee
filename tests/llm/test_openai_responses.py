from __future__ import annotations

import json
from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, call, reply, request, sse, streamed

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import read, routes
from sessiontap.llm.call import Billed, CallError, Reply, ToolCall, Usage

PATH = "/v1/responses"

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}, {"type": "refusal", "refusal": "no"}]}
CALL = {"type": "function_call", "name": "f", "call_id": "c1", "arguments": '{"x": 1}'}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}


@pytest.mark.parametrize(
    ("given", "message", "results", "answered"),
    [
        ("hello", "hello", (), ()),
        ([{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}], "hello", (), ()),
        (
            [
                {"role": "user", "content": "go"},
                {"type": "reasoning"},
                {"type": "function_call", "name": "f", "call_id": "a"},
                {"type": "custom_tool_call", "name": "g", "call_id": "b"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
                {"type": "custom_tool_call_output", "call_id": "b", "output": "2"},
            ],
            "go",
            ("f", "g"),
            ("b", "a"),
        ),
        ([{"type": "function_call_output", "call_id": "a", "output": "1"}], None, (), ("a",)),
        (
            [{"type": "local_shell_call", "call_id": "a"}, {"type": "local_shell_call_output", "call_id": "a"}],
            None,
            ("local_shell",),
            ("a",),
        ),
        ([{"type": 7}, None, {"role": "user", "content": 7}], None, (), ()),
    ],
    ids=["string", "parts", "tool turn", "outputs alone", "local shell", "nonsense"],
)
def test_input(given: Any, message: str | None, results: tuple[str, ...], answered: tuple[str, ...]) -> None:
    found = asked(PATH, {"model": "m", "input": given})
    assert (found.message, found.tool_results, found.answered) == (message, results, answered)


def test_the_rest_of_a_request() -> None:
    found = asked(
        PATH,
        {
            "model": "m",
            "stream": True,
            "instructions": "Be brief.",
            "input": [{"role": "developer", "content": "And kind."}, {"role": "user", "content": "hi"}],
            "tools": [
                {"type": "function", "name": "f"},
                {"type": "web_search"},
                {"type": "mcp", "server_label": "docs"},
            ],
            "previous_response_id": "resp_1",
        },
    )
    assert found.prompt == "Be brief.\nAnd kind."
    assert found.tools_offered == ("f", "web_search", "docs")
    assert found.previous == ("resp_1",)


def test_codex_offers_its_tools_within_the_input_and_in_namespaces() -> None:
    functions = {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}
    team = {"type": "namespace", "name": "collaboration", "tools": [{"type": "function", "name": "spawn_agent"}]}
    offer = {"type": "additional_tools", "role": "developer", "tools": [functions, team, {"type": "web_search"}]}
    system = {"type": "message", "role": "developer", "content": "Be brief."}
    found = asked(PATH, {"model": "m", "input": [offer, system, {"role": "user", "content": "hi"}]})
    assert found.tools_offered == ("exec", "spawn_agent", "web_search")
    assert (found.prompt, found.message) == ("Be brief.", "hi")


def test_whole() -> None:
    body = {
        "id": "resp_2",
        "model": "m-1",
        "status": "completed",
        "service_tier": "default",
        "output": [
            {"type": "reasoning", "summary": []},
            SEARCH,
            MESSAGE,
            CALL,
            {"type": "computer_call", "call_id": "c2"},
        ],
        "usage": USAGE,
        "error": None,
    }
    assert reply(PATH, body) == Reply(
        stream=False,
        response_model="m-1",
        response_id="resp_2",
        text="Hi",
        tool_calls=(ToolCall("f", "c1", '{"x": 1}'), ToolCall("computer", "c2")),
        builtin_tool_calls=("web_search_call",),
        usage=Usage(9, 5, 4, None, 2),
        billed=Billed(tools=("web_search_call",)),
        service_tier="default",
    )


EVENTS: list[Any] = [
    {"type": "response.created", "response": {"id": "resp_2", "model": "m-1", "service_tier": "auto", "usage": None}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "H"},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "i"},
    {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
    {"type": "response.output_item.added", "output_index": 1, "item": {**CALL, "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"x": '},
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "1}"},
    {"type": "response.output_item.done", "output_index": 1, "item": CALL},
    {
        "type": "response.completed",
        "response": {"id": "resp_2", "model": "m-1", "service_tier": "default", "usage": USAGE},
    },
]


def test_streamed() -> None:
    assert streamed(PATH, EVENTS, named=True) == Reply(
        stream=True,
        response_model="m-1",
        response_id="resp_2",
        text="Hi",
        tool_calls=(ToolCall("f", "c1", '{"x": 1}'),),
        usage=Usage(9, 5, 4, None, 2),
        service_tier="default",
        first_token=len(sse(EVENTS[:3], named=True)),
    )


def test_the_same_events_as_lines() -> None:
    lines = b"\n".join(part[len(b"data: ") :] for part in sse(EVENTS).split(b"\n\n") if part)
    response = Response(200, Headers([("content-type", "application/x-ndjson")]), lines)
    assert read.read_reply(call(PATH, {}), request(PATH), response).text == "Hi"


def test_a_stream_that_was_cut_has_no_usage_and_no_tier() -> None:
    found = streamed(PATH, EVENTS[:7], complete=False)
    assert (found.text, found.usage, found.service_tier) == ("Hi", None, None)
    assert found.tool_calls == (ToolCall("f", "c1", '{"x": '),)


def test_a_terminal_event_alone_is_enough() -> None:
    found = streamed(PATH, [{"type": "response.completed", "response": {"output": [MESSAGE, CALL], "usage": USAGE}}])
    assert (found.text, found.tool_calls) == ("Hi", (ToolCall("f", "c1", '{"x": 1}'),))


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "oops"}}},
        {"type": "error", "code": "server_error", "message": "oops"},
        {"type": "error", "error": {"type": "server_error", "message": "oops"}},
    ],
    ids=["failed", "flat", "nested"],
)
def test_an_error_in_a_stream(event: Any) -> None:
    assert streamed(PATH, [EVENTS[0], event]).error == CallError("server_error", "oops")


def test_a_queued_response_has_no_usage_and_its_retrieval_has() -> None:
    assert reply(PATH, {"id": "resp_3", "status": "queued", "output": [], "usage": None}).usage is None
    body = json.dumps({"id": "resp_3", "output": [MESSAGE], "usage": USAGE}).encode()
    retrieved = read.read_reply(call(f"{PATH}/resp_3", method="GET"), request(PATH), Response(200, Headers(), body))
    assert retrieved.usage == Usage(9, 5, 4, None, 2)


def test_counting_tokens_uses_none() -> None:
    assert reply(f"{PATH}/input_tokens", {"object": "response.input_tokens", "input_tokens": 11}).usage is None


@pytest.mark.parametrize("others", [[], [{"type": "response.cancel"}]], ids=["alone", "with another frame"])
def test_a_turn_of_a_websocket(others: list[Any]) -> None:
    frame = {"type": "response.create", "model": "m", "input": "hi", "previous_response_id": "resp_0"}
    body = b"".join(json.dumps(line).encode() + b"\n" for line in [frame, *others])
    turn = Request("GET", "api.openai.com", PATH, body=body)
    understood = read.read_request(turn, routes.endpoint_of("GET", turn.host, PATH, "openai"))
    found = understood.asked
    assert (found.model, found.message, found.previous, found.stream) == ("m", "hi", ("resp_0",), True)
    assert understood.json == frame

    done = {"type": "response.completed", "response": {"id": "resp_1", "model": "m-1", "usage": USAGE}}
    lines = json.dumps(done).encode() + b"\n"
    said = read.read_reply(understood, turn, Response(101, Headers([("upgrade", "websocket")]), lines))
    assert (said.stream, said.response_id, said.usage) == (True, "resp_1", Usage(9, 5, 4, None, 2))


def test_a_turn_that_a_websockets_server_refused() -> None:
    error = {"type": "error", "status": 400, "error": {"code": "previous_response_not_found", "message": "Gone."}}
    lines = json.dumps(error).encode() + b"\n"
    said = read.read_reply(call(PATH, {}), request(PATH), Response(101, Headers(), lines))
    assert said.error == CallError("previous_response_not_found", "Gone.")
