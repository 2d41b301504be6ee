from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.llm.llm_exchanges import JSON, SSE, call, reply, request, streamed
from tests.llm.llm_frames import chunk, event, received

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import read, routes
from sessiontap.llm.call import Agent, CallError, Reply
from sessiontap.llm.families import BY_NAME

PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-completions": "/v1/completions",
    "openai-responses": "/v1/responses",
    "openai-embeddings": "/v1/embeddings",
    "anthropic-messages": "/v1/messages",
    "gemini": "/v1beta/models/m:streamGenerateContent",
    "bedrock-converse": "/model/m/converse-stream",
    "bedrock-invoke": "/model/m/invoke-with-response-stream",
    "cohere": "/v2/chat",
    "cohere v1": "/v1/chat",
    "ollama": "/api/chat",
    "ollama generate": "/api/generate",
    "other": "/v1/complete",
}


def test_the_model_in_the_url_stands_in_for_one_in_the_body() -> None:
    path = "/openai/deployments/my-gpt/chat/completions"
    assert call(path, {"messages": []}).asked.model == "my-gpt"
    assert call(path, {"model": "gpt-4o"}).asked.model == "gpt-4o"


def test_the_client_and_the_retry_are_recognised() -> None:
    headers = Headers([*JSON, ("x-claude-code-session-id", "s1"), ("X-Stainless-Retry-Count", "2")])
    asked = Request("POST", "llm.example", "/v1/messages", headers, b"{}")
    found = read.read_request(asked, routes.endpoint_of("POST", asked.host, asked.path, None))
    assert (found.agent, found.retry) == (Agent("claude-code", session="s1"), 2)


@pytest.mark.parametrize("count", ["", "-1", "two", "1.5", "²", "9" * 9])
def test_a_retry_count_that_is_none_is_unknown(count: str) -> None:
    asked = Request("POST", "llm.example", "/v1/messages", Headers([("x-stainless-retry-count", count)]))
    assert read.read_request(asked, routes.endpoint_of("POST", asked.host, asked.path, None)).retry is None


def test_without_a_body_there_is_nothing_to_complain_of() -> None:
    found = call("/v1/chat/completions", None)
    assert (found.json, found.asked.problems, found.asked.stream) == (None, (), None)


def test_a_body_that_is_no_json_by_its_own_word_is_left_alone() -> None:
    headers = Headers([("content-type", "multipart/form-data; boundary=x")])
    asked = Request("POST", "llm.example", "/v1/files", headers, b'--x\r\n{"model": "m"}')
    found = read.read_request(asked, routes.endpoint_of("POST", asked.host, asked.path, "openai"))
    assert (found.json, found.asked.problems) == (None, ())


def test_a_failed_call_has_an_error_even_where_nothing_says_which() -> None:
    assert reply("/v1/chat/completions", b"<html>", status=502) == Reply(stream=False, error=CallError(None, None))


def test_a_stream_of_which_nothing_came_is_not_known_to_be_one() -> None:
    assert streamed("/v1/chat/completions", [], complete=False).stream is None
    assert streamed("/v1/chat/completions", ["[DONE]"], complete=False).stream is True


def test_a_fault_of_ours_is_a_problem_and_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> NoReturn:
        raise ZeroDivisionError("oops")

    monkeypatch.setitem(BY_NAME, "openai-chat", replace(BY_NAME["openai-chat"], asked=fails, reply=fails))
    understood = call("/v1/chat/completions", {"model": "m"})
    assert understood.asked.problems == ("the request could not be read as openai-chat: ZeroDivisionError: oops",)
    found = read.read_reply(understood, request("/"), Response(200, SSE, b"data: {}\n\n"))
    assert found == Reply(
        stream=True, problems=("the response could not be read as openai-chat: ZeroDivisionError: oops",)
    )


def test_a_byte_order_mark_is_no_damage() -> None:
    assert call("/v1/messages", b'\xef\xbb\xbf{"model": "m"}').asked.model == "m"


# Any JSON at all, made of the words that readers look for, in any place.

WORDS = st.sampled_from(
    """
    model id type role content text messages input output choices message delta tool_calls function name arguments index
    finish_reason usage prompt_tokens completion_tokens input_tokens output_tokens error tools system instructions
    tool_call_id call_id tool_use_id response item output_index content_block partial_json metadata user_id prompt
    completion results generated_text stream x_groq custom functions function_call object value
    contents parts request candidates functionCall functionResponse functionDeclarations promptTokenCount usageMetadata
    messageStart contentBlockStart contentBlockDelta messageStop metadata toolUse toolResult contentBlockIndex start
    chat_history tool_results generations generation outputs event_type is_finished done inputs texts toolConfig
    inputTextTokenCount generation_token_count stop_reason anthropic_version schemaVersion prompt_eval_count
    """.split()  # noqa: SIM905 - shorter than its list
)
KINDS = st.sampled_from(
    """
    user assistant tool system text output_text message function_call function_call_output tool_use tool_result
    server_tool_use text_delta input_json_delta message_start content_block_start content_block_delta message_delta
    content_block_stop response.completed response.output_item.added response.output_item.done error interaction
    response.output_text.delta response.function_call_arguments.delta web_search_call computer_call
    model CHATBOT stream-end text-generation message-start tool-call-start tool-call-delta content-delta message-end
    """.split()  # noqa: SIM905 - shorter than its list
)
LEAVES = st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.text("ab\u20ac{", max_size=3)
ANY_JSON = st.recursive(
    LEAVES | KINDS | st.lists(LEAVES, max_size=1),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS, inner, max_size=5)
        | st.builds(lambda fields, kind: {**fields, "type": kind}, st.dictionaries(WORDS, inner, max_size=4), KINDS)
        | st.builds(lambda fields, kind: {**fields, "role": kind}, st.dictionaries(WORDS, inner, max_size=4), KINDS)
    ),
    max_leaves=25,
)
FAMILIES = st.sampled_from(list(PATHS.values()))


@settings(max_examples=300)
@given(FAMILIES, st.dictionaries(WORDS, ANY_JSON, max_size=6), ANY_JSON, st.booleans())
def test_no_shape_of_json_is_too_strange(path: str, asked: Any, answer: Any, complete: bool) -> None:
    understood = call(path, asked)
    whole = reply(path, answer, asked=asked)
    stream = streamed(path, [answer, asked], asked=asked, complete=complete)
    assert [
        p for p in (*understood.asked.problems, *whole.problems, *stream.problems) if "could not be read" in p
    ] == []


@settings(max_examples=200)
@given(FAMILIES, st.lists(st.dictionaries(WORDS, ANY_JSON, max_size=6), max_size=4), st.data())
def test_no_damage_to_a_stream_raises(path: str, answers: list[Any], data: st.DataObject) -> None:
    body = "".join(f"data: {json.dumps(answer)}\n\n" for answer in answers).encode()
    at = data.draw(st.integers(0, len(body)))
    damaged = body[:at] + data.draw(st.binary(max_size=4)) + body[at + data.draw(st.integers(0, 4)) :]
    found = read.read_reply(call(path, {}), request(path), Response(200, SSE, damaged, data.draw(st.booleans())))
    assert [problem for problem in found.problems if "could not be read" in problem] == []


@settings(max_examples=300)
@given(st.sampled_from(["bedrock-converse", "bedrock-invoke"]), st.lists(ANY_JSON, max_size=4), KINDS, st.data())
def test_nothing_in_a_frame_is_too_strange(family: str, values: list[Any], kind: str, data: st.DataObject) -> None:
    write = chunk if family == "bedrock-invoke" else lambda value: event(kind, value)
    body = b"".join(map(write, values))
    found = received(PATHS[family], body[: data.draw(st.integers(0, len(body)))], complete=data.draw(st.booleans()))
    assert [problem for problem in found.problems if "could not be read" in problem] == []


@given(FAMILIES, st.binary(max_size=80), st.sampled_from([JSON, SSE, Headers()]), st.sampled_from([200, 400]))
def test_no_bytes_raise(path: str, body: bytes, headers: Headers, status: int) -> None:
    found = read.read_reply(call(path, body), request(path), Response(status, headers, body, complete=False))
    assert [problem for problem in found.problems if "could not be read" in problem] == []
