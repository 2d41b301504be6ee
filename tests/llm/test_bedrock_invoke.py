from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.llm.llm_exchanges import JSON, asked, reply
from tests.llm.llm_frames import chunk, event, exception, received

from sessiontap.exchange import Headers, Response
from sessiontap.llm.call import CallError, Reply, ToolCall, Usage
from sessiontap.llm.response_facts import error_of

PATH = "/model/a.model-v1%3A0/invoke"
STREAM = "/model/a.model-v1%3A0/invoke-with-response-stream"

# What is asked

TOOL_USE = {"type": "tool_use", "id": "t1", "name": "read", "input": {}}
ASKED: dict[str, tuple[dict[str, Any], str | None, str | None, tuple[str, ...]]] = {
    "Claude": (
        {
            "anthropic_version": "bedrock-2023-05-31",
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": [TOOL_USE]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]},
            ],
        },
        "go",
        "Be brief.",
        ("read",),
    ),
    "Nova": (
        {
            "inferenceConfig": {},
            "system": [{"text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [{"text": "go"}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "read"}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "t1"}}]},
            ],
        },
        "go",
        "Be brief.",
        ("read",),
    ),
    "OpenAI's shape": (
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "go"}]},
        "go",
        "Be brief.",
        (),
    ),
    "Command R": ({"message": "go", "preamble": "Be brief."}, "go", "Be brief.", ()),
    "Titan": ({"inputText": "go", "textGenerationConfig": {}}, "go", None, ()),
    "Llama, Mistral, Jurassic, Claude 2": ({"prompt": "go"}, "go", None, ()),
    "Cohere's embeddings": ({"texts": ["a", "go"], "input_type": "search_query"}, "go", None, ()),
    "an endpoint of SageMaker": ({"inputs": "go", "parameters": {}}, "go", None, ()),
    "of any shape": ({"messages": "x", "prompt": 7, "inputs": {"a": 1}}, None, None, ()),
}


@pytest.mark.parametrize(("body", "message", "prompt", "tool_results"), ASKED.values(), ids=ASKED)
def test_what_is_asked(body: Any, message: str | None, prompt: str | None, tool_results: tuple[str, ...]) -> None:
    found = asked(STREAM, {**body, "model": "not this"})
    assert (found.model, found.stream) == ("a.model-v1:0", True)
    assert (found.message, found.prompt, found.tool_results) == (message, prompt, tool_results)


# What comes back

CLAUDE_STREAM = [
    {
        "type": "message_start",
        "message": {"id": "m1", "model": "claude-9", "usage": {"input_tokens": 3, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_start", "index": 1, "content_block": TOOL_USE},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 2}},
]
NOVA_STREAM = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "Hel"}, "contentBlockIndex": 0}},
    {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 1}},
    {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t1", "name": "read"}}, "contentBlockIndex": 2}},
    {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 2}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2}}},
]
OPENAI_STREAM = [
    {"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": {"content": "Hello"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
]
READ = ToolCall("read", "t1", "{}")

WHOLE: dict[str, tuple[Any, Reply]] = {
    "Claude": (
        {
            "type": "message",
            "id": "m1",
            "model": "claude-9",
            "content": [{"type": "text", "text": "Hello"}, TOOL_USE],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 3, "output_tokens": 2},
        },
        Reply(
            response_model="claude-9",
            response_id="m1",
            text="Hello",
            tool_calls=(READ,),
            finish_reason="tool_use",
            usage=Usage(3, 2),
        ),
    ),
    "Claude 2": (
        {"type": "completion", "completion": "Hello", "stop_reason": "stop_sequence"},
        Reply(text="Hello", finish_reason="stop_sequence"),
    ),
    "Nova": (
        {
            "output": {
                "message": {
                    "content": [{"text": "Hello"}, {"toolUse": {"toolUseId": "t1", "name": "read", "input": {}}}]
                }
            },
            "stopReason": "tool_use",
            "usage": {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokenCount": 4},
        },
        Reply(text="Hello", tool_calls=(READ,), finish_reason="tool_use", usage=Usage(7, 2, 4)),
    ),
    "Titan, whose counts may be floats": (
        {
            "inputTextTokenCount": 28.0,
            "results": [{"tokenCount": 2.0, "outputText": "Hello", "completionReason": "FINISH"}],
        },
        Reply(text="Hello", finish_reason="FINISH", usage=Usage(28, 2)),
    ),
    "Llama": (
        {"generation": "Hello", "prompt_token_count": 3, "generation_token_count": 2, "stop_reason": "stop"},
        Reply(text="Hello", finish_reason="stop", usage=Usage(3, 2)),
    ),
    "Mistral": (
        {"outputs": [{"text": "Hello", "stop_reason": "length"}]},
        Reply(text="Hello", finish_reason="length"),
    ),
    "Mistral's chat": (
        {"choices": [{"index": 0, "message": {"content": "Hello"}, "stop_reason": "stop"}]},
        Reply(text="Hello", finish_reason="stop"),
    ),
    "Jamba, gpt-oss": (
        {
            "id": "c1",
            "model": "m-1",
            "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        },
        Reply(response_model="m-1", response_id="c1", text="Hello", finish_reason="stop", usage=Usage(3, 2)),
    ),
    "Jurassic": (
        {"id": 1234, "completions": [{"data": {"text": "Hello"}, "finishReason": {"reason": "endoftext"}}]},
        Reply(text="Hello", finish_reason="endoftext"),
    ),
    "DeepSeek R1": (
        {"choices": [{"text": "Hello", "stop_reason": "stop"}]},
        Reply(text="Hello", finish_reason="stop"),
    ),
    "an imported model": (
        {
            "object": "text_completion",
            "model": "/opt/ml/model",
            "choices": [{"index": 0, "text": "Hello", "finish_reason": "length"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        },
        Reply(response_model="/opt/ml/model", text="Hello", finish_reason="length", usage=Usage(3, 2)),
    ),
    "Command": (
        {"id": "r1", "generations": [{"text": "Hello", "finish_reason": "COMPLETE"}], "prompt": "go"},
        Reply(response_id="r1", text="Hello", finish_reason="COMPLETE"),
    ),
    "Command R": (
        {"response_id": "r1", "generation_id": "g1", "text": "Hello", "finish_reason": "COMPLETE"},
        Reply(response_id="r1", text="Hello", finish_reason="COMPLETE"),
    ),
    "Pegasus": ({"message": "Hello", "finishReason": "stop"}, Reply(text="Hello", finish_reason="stop")),
    "Titan's embeddings": ({"embedding": [0.1], "inputTextTokenCount": 3}, Reply(usage=Usage(3))),
    "of no known shape": ({"images": ["abc"]}, Reply()),
    "no object": ([1], Reply()),
}


@pytest.mark.parametrize(("body", "expected"), WHOLE.values(), ids=WHOLE)
def test_a_whole_answer(body: Any, expected: Reply) -> None:
    assert reply(PATH, body) == replace(expected, stream=False)


CLAUDE = WHOLE["Claude"][1]
STREAMS: dict[str, tuple[list[Any], Reply]] = {
    "Claude": (CLAUDE_STREAM, CLAUDE),
    "Claude 2": (
        [{"completion": "Hel"}, {"completion": "lo", "stop_reason": "stop_sequence"}],
        Reply(text="Hello", finish_reason="stop_sequence"),
    ),
    "Nova": (NOVA_STREAM, Reply(text="Hello", tool_calls=(READ,), finish_reason="tool_use", usage=Usage(3, 2))),
    "Titan": (
        [
            {"outputText": "Hel", "index": 0, "inputTextTokenCount": 28.0},
            {"outputText": "lo", "index": 0, "totalOutputTextTokenCount": 2.0, "completionReason": "FINISH"},
        ],
        Reply(text="Hello", finish_reason="FINISH", usage=Usage(28, 2)),
    ),
    "Llama, which counts along": (
        [
            {"generation": "Hel", "prompt_token_count": 3, "generation_token_count": 1, "stop_reason": None},
            {"generation": "lo", "prompt_token_count": None, "generation_token_count": 2, "stop_reason": "stop"},
        ],
        Reply(text="Hello", finish_reason="stop", usage=Usage(3, 2)),
    ),
    "Mistral": (
        [{"outputs": [{"text": "Hel"}]}, {"outputs": [{"text": "lo", "stop_reason": "stop"}]}],
        Reply(text="Hello", finish_reason="stop"),
    ),
    "Mistral's chat": (
        [
            {"choices": [{"index": 0, "message": {"content": "Hel"}, "stop_reason": None}]},
            {"choices": [{"index": 0, "message": {"content": "lo"}, "stop_reason": "stop"}]},
        ],
        Reply(text="Hello", finish_reason="stop"),
    ),
    "OpenAI's shape": (
        OPENAI_STREAM,
        Reply(response_model="m-1", response_id="c1", text="Hello", finish_reason="stop", usage=Usage(3, 2)),
    ),
    "Command": (
        [
            {"text": "Hel", "is_finished": False},
            {"text": "lo", "is_finished": False},
            {"is_finished": True, "finish_reason": "COMPLETE"},
        ],
        Reply(text="Hello", finish_reason="COMPLETE"),
    ),
    "Command R": (
        [
            {"event_type": "text-generation", "text": "Hello", "is_finished": False},
            {"event_type": "stream-end", "is_finished": True, "finish_reason": "COMPLETE", "response": {}},
        ],
        Reply(text="Hello", finish_reason="COMPLETE"),
    ),
    "a guardrail's answer has no finish reason": (
        [{"outputText": "Blocked", "totalOutputTextTokenCount": 3.0, "inputTextTokenCount": 6.0}],
        Reply(text="Blocked", usage=Usage(6, 3)),
    ),
    "of no known shape": ([{"x": 1}, {"y": 2}], Reply()),
    "nothing": ([], Reply()),
}


@pytest.mark.parametrize(("chunks", "expected"), STREAMS.values(), ids=STREAMS)
def test_a_stream(chunks: list[Any], expected: Reply) -> None:
    body = b"".join(map(chunk, chunks)) or event("other", {})
    found = received(STREAM, body)
    assert replace(found, first_token=None) == replace(expected, stream=True)
    assert (found.first_token is None) == (expected.text is None)


@pytest.mark.parametrize(("chunks", "expected"), STREAMS.values(), ids=STREAMS)
def test_a_stream_cut_anywhere_says_nothing_false(chunks: list[Any], expected: Reply) -> None:
    body = b"".join(map(chunk, chunks))
    for end in range(0, len(body) + 1, 7):
        found = received(STREAM, body[:end], complete=False)
        assert (expected.text or "").startswith(found.text or "")
        assert [call.name for call in found.tool_calls] in ([], [call.name for call in expected.tool_calls])
        assert found.finish_reason in (None, expected.finish_reason)
        if found.usage and expected.usage:
            assert found.usage.input in (None, expected.usage.input)
            assert found.usage.output in (None, expected.usage.output)
        assert bool(found.usage) <= bool(expected.usage)
        assert found.problems == ()


# Counts, stated twice


def counts(**counts: int | str) -> list[tuple[str, str]]:
    return [(f"X-Amzn-Bedrock-{name.replace('_', '-')}-Token-Count", str(value)) for name, value in counts.items()]


LLAMA = {"generation": "x", "prompt_token_count": 3, "generation_token_count": 2}
CACHED = {"type": "message", "usage": {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": 90}}

TWICE: dict[str, tuple[Any, list[tuple[str, str]], Usage | None]] = {
    "nowhere": ({}, [], None),
    "in the body alone": (LLAMA, [], Usage(3, 2)),
    "in headers alone": ({"outputs": [{"text": "x"}]}, counts(Input=3, Output=2), Usage(3, 2)),
    "in both": (LLAMA, counts(Input=3, Output=2), Usage(3, 2)),
    "one count in each": (
        {"inputTextTokenCount": 3, "results": [{"outputText": "x"}]},
        counts(Output=2),
        Usage(3, 2),
    ),
    "differing": (LLAMA, counts(Input=3, Output=7), Usage(3, None)),
    "differing throughout": (LLAMA, counts(Input=5, Output=7), None),
    "cached tokens come on top of either": (
        CACHED,
        counts(Input=4, Output=2, Cache_Read_Input=90, Cache_Write_Input=0),
        Usage(94, 2, 90, 0),
    ),
    "differing in cached tokens the whole input is unknown": (
        CACHED,
        counts(Input=4, Output=2, Cache_Read_Input=80),
        Usage(None, 2),
    ),
    "no number": (LLAMA, counts(Input="x", Output="-1"), Usage(3, 2)),
}


@pytest.mark.parametrize(("body", "headers", "expected"), TWICE.values(), ids=TWICE)
def test_counts_of_body_and_headers(body: Any, headers: list[tuple[str, str]], expected: Usage | None) -> None:
    assert received(PATH, json.dumps(body).encode(), JSON.get("content-type"), headers=headers).usage == expected


def test_embeddings_have_no_output() -> None:
    path = "/model/cohere.embed-english-v3/invoke"
    found = received(path, b'{"embeddings": [], "id": "e1"}', "application/json", headers=counts(Input=3, Output=0))
    assert (found.response_id, found.usage) == ("e1", Usage(3))


def test_counts_of_chunks_and_metrics() -> None:
    metrics = {"inputTokenCount": 3, "outputTokenCount": 9}
    last = {**CLAUDE_STREAM[-1], "amazon-bedrock-invocationMetrics": metrics}
    found = received(STREAM, b"".join(map(chunk, [*CLAUDE_STREAM[:-1], last])))
    assert found.usage == Usage(3, None)


def test_where_the_second_statement_was_cut_off_the_output_is_unknown() -> None:
    assert received(STREAM, b"".join(map(chunk, CLAUDE_STREAM[:-1])), complete=False).usage == Usage(3, None)
    assert received(STREAM, b"".join(map(chunk, CLAUDE_STREAM[:-1])), complete=True).usage == Usage(3, 2)


# Errors and damage


def test_an_error_inside_a_stream() -> None:
    body = b"".join(map(chunk, CLAUDE_STREAM[:3])) + exception("modelStreamErrorException", "broke")
    found = received(STREAM, body)
    assert (found.text, found.error) == ("Hel", CallError("modelStreamErrorException", "broke"))


def test_an_error_by_status_has_its_type_in_a_header() -> None:
    headers = Headers([*JSON, ("x-amzn-ErrorType", "ValidationException:http://internal.amazon.com/")])
    assert error_of(Response(400, headers, b'{"message": "bad"}')) == CallError("ValidationException", "bad")


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (event("chunk", {"bytes": "%%%"}), "is no base64"),
        (chunk(b"{broken"), "is no JSON"),
        (event("chunk", b"{"), "is no JSON"),
    ],
    ids=["no base64", "no JSON inside", "no JSON"],
)
def test_a_damaged_chunk_is_told_and_the_rest_is_read(frame: bytes, problem: str) -> None:
    parts = [chunk(part) for part in CLAUDE_STREAM]
    found = received(STREAM, b"".join([*parts[:3], frame, *parts[3:]]))
    assert found.text == "Hello"
    assert [problem in said for said in found.problems] == [True]
