"""Mistral's conversations. The requests are those that mistralai 3.7 sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, call, reply, streamed

from sessiontap.llm import routes
from sessiontap.llm.call import Billed, CallError, ToolCall, Usage
from sessiontap.llm.history import fingerprint_of, history
from sessiontap.llm.mistral_conversations import FAMILY
from sessiontap.llm.parts import request_parts

PATH = "/v1/conversations"
MISTRAL = "mistral"

USER = {"role": "user", "content": "Oslo?", "object": "entry", "type": "message.input", "prefix": False}
CALL = {"tool_call_id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}', "object": "entry",
        "type": "function.call", "model": "mistral-medium-2505"}  # fmt: skip
RESULT = {"tool_call_id": "c1", "result": "rain", "object": "entry", "type": "function.result"}
SEARCH = {"name": "web_search", "arguments": "{}", "object": "entry", "type": "tool.execution", "id": "t1"}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Look it up."}]}
SOURCE = {"type": "tool_reference", "tool": "web_search", "title": "Weather", "url": "https://weather.example"}
SAID = {"type": "message.output", "object": "entry", "id": "m1", "model": "mistral-medium-2505", "role": "assistant",
        "content": [THOUGHT, {"type": "text", "text": "It "}, SOURCE, {"type": "text", "text": "rains."}]}  # fmt: skip
HANDOFF = {"type": "agent.handoff", "object": "entry", "previous_agent_id": "a1", "next_agent_id": "a2"}
TURN = ToolCall("weather", "c1", '{"city":"Oslo"}')
USAGE = {"prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 243}
COUNTED = Usage(188, 55)


@pytest.mark.parametrize(
    ("given", "message", "results", "answered"),
    [
        pytest.param("Oslo?", "Oslo?", (), (), id="text"),
        pytest.param([USER], "Oslo?", (), (), id="entry"),
        pytest.param([{"role": "user", "content": "Oslo?"}], "Oslo?", (), (), id="message"),
        pytest.param([USER, CALL, RESULT], "Oslo?", ("weather",), ("c1",), id="tool turn"),
        pytest.param([RESULT], None, (), ("c1",), id="result alone"),
        pytest.param([USER, CALL, RESULT, SAID, {**USER, "content": "And now?"}], "And now?", (), (), id="answered"),
        pytest.param([USER, HANDOFF, SEARCH], "Oslo?", (), (), id="what Mistral did"),
        pytest.param([{"type": 7}, None, 3, {"type": "message.input", "content": 7}], None, (), (), id="nonsense"),
        pytest.param(None, None, (), (), id="none"),
    ],
)
def test_inputs(given: Any, message: str | None, results: tuple[str, ...], answered: tuple[str, ...]) -> None:
    found = asked(PATH, {"model": "m", "inputs": given}, MISTRAL)
    assert (found.message, found.tool_results, found.answered) == (message, results, answered)


def test_the_rest_of_a_request() -> None:
    tools = [
        {"type": "web_search"},
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
        {"type": "connector", "connector_id": "calendar"},
    ]
    body = {"model": "mistral-medium-latest", "inputs": "Oslo?", "stream": True, "instructions": "Be brief."}
    found = asked(PATH, {**body, "tools": tools}, MISTRAL)
    assert (found.model, found.stream, found.prompt) == ("mistral-medium-latest", True, "Be brief.")
    assert found.tools_offered == ("web_search", "weather", "calendar")


def test_an_agent_s_conversation_names_no_model() -> None:
    assert asked(PATH, {"agent_id": "ag_1", "inputs": "Oslo?"}, MISTRAL).model is None


@pytest.mark.parametrize(
    ("path", "provider", "family", "previous"),
    [
        pytest.param(PATH, MISTRAL, "mistral-conversations", (), id="start"),
        pytest.param(f"{PATH}/conv_1", MISTRAL, "mistral-conversations", ("conv_1",), id="append"),
        pytest.param(f"{PATH}/conv_1?beta=1", MISTRAL, "mistral-conversations", ("conv_1",), id="with a query"),
        pytest.param(f"{PATH}/conv_1/restart", MISTRAL, "mistral-conversations", (), id="restart"),
        pytest.param(PATH, "openai", "other", (), id="OpenAI's, which only stores"),
    ],
)
def test_routes(path: str, provider: str, family: str, previous: tuple[str, ...]) -> None:
    assert routes.endpoint_of("POST", "llm.example", path.partition("?")[0], provider).family == family
    assert asked(path, {"inputs": "Oslo?"}, provider).previous == previous


def test_a_conversation_that_is_fetched_is_no_chat() -> None:
    assert routes.endpoint_of("GET", "api.mistral.ai", f"{PATH}/conv_1/history", MISTRAL).operation == "other"


def test_a_whole_reply() -> None:
    body = {"conversation_id": "conv_1", "object": "conversation.response", "outputs": [SAID, CALL], "usage": USAGE}
    found = reply(PATH, body, provider=MISTRAL)
    assert (found.response_id, found.response_model) == ("conv_1", "mistral-medium-2505")
    assert (found.text, found.reasoning, found.usage) == ("It rains.", "Look it up.", COUNTED)
    assert (found.tool_calls, found.builtin_tool_calls, found.billed) == ((TURN,), (), None)


def test_tokens_of_connectors_are_billed_apart() -> None:
    usage = {**USAGE, "total_tokens": 7355, "connector_tokens": 7112, "connectors": {"web_search": 1}}
    found = reply(PATH, {"conversation_id": "conv_1", "outputs": [SEARCH, SAID], "usage": usage}, provider=MISTRAL)
    assert (found.usage, found.builtin_tool_calls) == (COUNTED, ("web_search",))
    assert found.billed == Billed(tools=("web_search",))


@pytest.mark.parametrize(
    "body",
    [{}, {"outputs": 7, "usage": []}, {"outputs": [7, {"type": 7}], "usage": {"connectors": ["a"]}}, {"outputs": [{}]}],
    ids=["empty", "no lists", "no entries", "an empty entry"],
)
def test_nonsense_is_unknown(body: Any) -> None:
    found = reply(PATH, body, provider=MISTRAL)
    assert (found.text, found.usage, found.tool_calls, found.billed, found.problems) == (None, None, (), None, ())


def test_an_error() -> None:
    body = {"object": "error", "message": "No such model.", "type": "invalid_model", "code": 1500}
    assert reply(PATH, body, provider=MISTRAL, status=400).error == CallError("invalid_model", "No such model.")


def _event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


_PART = {"id": "m1", "model": "mistral-medium-2505", "output_index": 0, "content_index": 0, "role": "assistant"}
EVENTS = [
    _event("conversation.response.started", conversation_id="conv_1"),
    _event("tool.execution.started", id="t1", name="web_search", arguments="{}", output_index=0),
    _event("tool.execution.done", id="t1", name="web_search", output_index=0),
    _event("message.output.delta", **_PART, content=THOUGHT),
    _event("message.output.delta", **_PART, content="It "),
    _event("message.output.delta", **_PART, content=SOURCE),
    _event("message.output.delta", **_PART, content={"type": "text", "text": "rains."}),
    _event("function.call.delta", id="f1", tool_call_id="c1", name="weather", arguments='{"city":', output_index=2),
    _event("function.call.delta", id="f1", tool_call_id="c1", name="weather", arguments='"Oslo"}', output_index=2),
    _event("conversation.response.done", usage=USAGE),
]


@pytest.mark.parametrize("named", [True, False], ids=["named events", "data alone"])
def test_a_stream(named: bool) -> None:
    found = streamed(PATH, EVENTS, provider=MISTRAL, named=named)
    assert (found.response_id, found.response_model) == ("conv_1", "mistral-medium-2505")
    assert (found.text, found.reasoning, found.usage) == ("It rains.", "Look it up.", COUNTED)
    assert (found.tool_calls, found.builtin_tool_calls, found.problems) == ((TURN,), ("web_search",), ())


def test_the_first_token_of_a_stream_is_the_first_thing_that_is_generated() -> None:
    sent = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in EVENTS[:4])
    assert streamed(PATH, EVENTS, provider=MISTRAL).first_token == len(sent)


@pytest.mark.parametrize("events", range(len(EVENTS)))
def test_a_stream_that_breaks_off_has_no_usage(events: int) -> None:
    found = streamed(PATH, EVENTS[:events], provider=MISTRAL, complete=False)
    assert found.usage is None
    assert "It rains.".startswith(found.text or "")


def test_an_error_in_a_stream() -> None:
    fault = _event("conversation.response.error", message="Try later.", code=3505)
    found = streamed(PATH, [*EVENTS[:5], fault], provider=MISTRAL)
    assert (found.text, found.error) == ("It ", CallError("3505", "Try later."))


def test_a_history_that_is_sent_again_has_the_reply_in_its_chain() -> None:
    first = call(PATH, {"model": "m", "inputs": "Oslo?", "store": False}, MISTRAL)
    answer = reply(PATH, {"conversation_id": "conv_1", "outputs": [SEARCH, SAID, CALL]}, provider=MISTRAL)
    key = fingerprint_of(history(first), answer, 200).key
    spoken = {**SAID, "content": [THOUGHT, {"type": "text", "text": "It rains."}]}
    next_turn = history(call(PATH, {"model": "m", "inputs": [USER, SEARCH, spoken, CALL, RESULT]}, MISTRAL))
    assert key is not None
    assert key in next_turn.chain


def test_parts_of_a_request() -> None:
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "tools": [{"type": "function", "function": {"name": "weather"}}],
        "inputs": [USER, SEARCH, {**SAID, "content": [THOUGHT, {"type": "text", "text": "Hm."}]}, CALL, RESULT],
    }
    found = [(part.kind, part.role, part.name) for part in request_parts(call(PATH, body, MISTRAL))]
    assert found == [
        ("tool_definition", None, "weather"),
        ("system", "system", None),
        ("text", "user", None),
        ("tool_call", "assistant", "web_search"),
        ("reasoning", "assistant", None),
        ("text", "assistant", None),
        ("tool_call", "assistant", "weather"),
        ("tool_result", "tool", "weather"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": "a", "parameters": {}},
        {"model": "embed", "inputs": [{"content": [{"type": "text", "text": "a"}]}]},
        {"inputs": ["a", "b"]},
        {"inputs": []},
    ],
    ids=["text generation", "Cohere's embeddings", "texts", "empty"],
)
def test_inputs_of_other_services_are_not_taken_for_entries(body: Any) -> None:
    assert not FAMILY.messages[0].fits(body)
