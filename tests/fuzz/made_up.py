"""Exchanges of every wire family, made up: a whole one and a stream of each, with tools, caches and usage in them."""

from __future__ import annotations

from typing import Any

from tests.fuzz.made_up_values import (
    CHAT,
    CHAT_USAGE,
    CLAUDE,
    CLAUDE_ANSWER,
    CLAUDE_EVENTS,
    COHERE_USAGE,
    CONVERSE_ASKED,
    CONVERSE_EVENTS,
    CONVERSE_USAGE,
    FUNCTION,
    GEMINI_ASKED,
    GEMINI_CHUNKS,
    OUTPUT,
    REALTIME_ASKED,
    REALTIME_TOLD,
    RESPONSE,
    RESPONSE_USAGE,
    RESPONSES_ASKED,
    RESPONSES_EVENTS,
    SSE,
    lines,
    sse,
)
from tests.llm.llm_frames import EVENTSTREAM, chunk, event

WHOLE: tuple[tuple[str, str, str, Any, Any], ...] = (
    # name, host, path, request, reply
    (
        "chat",
        "api.openai.com",
        "/v1/chat/completions",
        {"model": "gpt-4o", "user": "u", "messages": CHAT, "tools": [FUNCTION]},
        {
            "id": "c1",
            "model": "gpt-4o-2024-08-06",
            "service_tier": "default",
            "choices": [
                {
                    "index": 0,
                    "message": {"content": "Rain.", "tool_calls": CHAT[2]["tool_calls"]},
                    "finish_reason": "stop",
                },
                {"index": 1, "message": {"content": "Sun."}, "finish_reason": "length"},
            ],
            "usage": {**CHAT_USAGE, "cost": 0.0125},
        },
    ),
    (
        "completions",
        "api.openai.com",
        "/v1/completions",
        {"model": "davinci", "prompt": ["Say", "this"]},
        {
            "id": "cmpl-1",
            "model": "davinci-002",
            "choices": [{"index": 0, "text": "this", "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1},
        },
    ),
    (
        "embeddings",
        "api.openai.com",
        "/v1/embeddings",
        {"model": "te-3", "input": ["a", "b"]},
        {
            "model": "te-3-small",
            "data": [{"embedding": [0.1, 0.2]}],
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        },
    ),
    (
        "responses",
        "api.openai.com",
        "/v1/responses",
        RESPONSES_ASKED,
        {
            **RESPONSE,
            "output": OUTPUT,
            "usage": RESPONSE_USAGE,
        },
    ),
    ("claude", "api.anthropic.com", "/v1/messages", CLAUDE, CLAUDE_ANSWER),
    (
        "gemini",
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-2.5-pro:generateContent",
        GEMINI_ASKED,
        {
            **GEMINI_CHUNKS[2],
            "modelVersion": "gemini-2.5-pro",
            "responseId": "r1",
        },
    ),
    (
        "gemini array",
        "generativelanguage.googleapis.com",
        "/v1beta/models/g:streamGenerateContent",
        GEMINI_ASKED,
        GEMINI_CHUNKS,
    ),
    (
        "converse",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/amazon.nova-pro-v1:0/converse",
        CONVERSE_ASKED,
        {
            "output": {
                "message": {
                    "role": "assistant",
                    "content": [
                        {"text": "Rain."},
                        {"toolUse": {"toolUseId": "t2", "name": "look", "input": {"q": "x"}}},
                    ],
                }
            },
            "stopReason": "tool_use",
            "usage": {**CONVERSE_USAGE, "cacheDetails": [{"ttl": "1h", "inputTokens": 3}]},
        },
    ),
    (
        "titan",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/amazon.titan-text-express-v1/invoke",
        {"inputText": "Oslo?"},
        {
            "inputTextTokenCount": 3,
            "results": [{"tokenCount": 5, "outputText": "Rain.", "completionReason": "FINISH"}],
        },
    ),
    (
        "cohere",
        "api.cohere.com",
        "/v2/chat",
        {"model": "command-r", "messages": CHAT, "tools": [FUNCTION]},
        {
            "id": "co-1",
            "finish_reason": "COMPLETE",
            "usage": COHERE_USAGE,
            "message": {
                "role": "assistant",
                "content": [{"type": "text", "text": "Rain."}],
                "tool_calls": CHAT[2]["tool_calls"],
            },
        },
    ),
    (
        "cohere v1",
        "api.cohere.com",
        "/v1/chat",
        {
            "model": "command",
            "message": "Oslo?",
            "preamble": "Be brief.",
            "tools": [{"name": "look"}],
            "chat_history": [{"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Hello"}],
            "tool_results": [{"call": {"name": "look", "parameters": {}}, "outputs": [{"is": "rain"}]}],
        },
        {
            "text": "Rain.",
            "generation_id": "g1",
            "response_id": "r1",
            "finish_reason": "COMPLETE",
            "meta": COHERE_USAGE,
        },
    ),
    (
        "interaction",
        "generativelanguage.googleapis.com",
        "/v1beta/interactions",
        {"model": "g", "input": "Oslo?"},
        {
            "object": "interaction",
            "id": "i1",
            "model": "g-2",
            "usage": {
                "total_input_tokens": 5,
                "total_output_tokens": 6,
                "total_thought_tokens": 2,
                "total_tool_use_tokens": 1,
            },
        },
    ),
    (
        "watsonx",
        "us-south.ml.cloud.ibm.com",
        "/ml/v1/text/generation",
        {"model_id": "granite", "input": "Oslo?"},
        {
            "model_id": "granite-13b",
            "results": [
                {"generated_text": "Rain.", "stop_reason": "eos", "input_token_count": 3, "generated_token_count": 2}
            ],
        },
    ),
    (
        "an error",
        "api.openai.com",
        "/v1/chat/completions",
        {"model": "gpt-4o", "messages": CHAT},
        {
            "error": {"type": "rate_limit_error", "message": "Slow down.", "code": None},
        },
    ),
)


def _delta(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "model": "gpt-4o-2024",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def _called(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {"tool_calls": [{"index": index, **({"id": f"call_{index}"} if name else {}), "function": function}]}


STREAMED: tuple[tuple[str, str, str, Any, str, bytes], ...] = (
    # name, host, path, request, content type, reply
    (
        "chat stream",
        "api.openai.com",
        "/v1/chat/completions",
        {"model": "gpt-4o", "stream": True, "messages": CHAT},
        SSE,
        sse(
            [
                _delta({"role": "assistant", "content": ""}),
                _delta({"content": "Rain "}),
                _delta({"content": "again."}),
                _delta(_called(0, "", "look")),
                _delta(_called(0, '{"q": ')),
                _delta(_called(0, '"x"}')),
                _delta(_called(1, "{}", "note")),
                _delta({}, "tool_calls"),
                {"id": "c1", "choices": [], "usage": CHAT_USAGE},
                "[DONE]",
            ]
        ),
    ),
    (
        "completions stream",
        "api.openai.com",
        "/v1/completions",
        {"model": "d", "stream": True, "prompt": "Say"},
        SSE,
        sse(
            [
                {"id": "c1", "model": "d-2", "choices": [{"index": 0, "text": "th", "finish_reason": None}]},
                {"id": "c1", "model": "d-2", "choices": [{"index": 0, "text": "is", "finish_reason": "stop"}]},
                "[DONE]",
            ]
        ),
    ),
    (
        "responses stream",
        "api.openai.com",
        "/v1/responses",
        {**RESPONSES_ASKED, "stream": True},
        SSE,
        sse(RESPONSES_EVENTS, named=True),
    ),
    (
        "claude stream",
        "api.anthropic.com",
        "/v1/messages",
        {**CLAUDE, "stream": True},
        SSE,
        sse(CLAUDE_EVENTS, named=True),
    ),
    (
        "gemini stream",
        "generativelanguage.googleapis.com",
        "/v1beta/models/g:streamGenerateContent?alt=sse",
        GEMINI_ASKED,
        SSE,
        sse(GEMINI_CHUNKS),
    ),
    (
        "converse stream",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/amazon.nova-pro-v1:0/converse-stream",
        CONVERSE_ASKED,
        EVENTSTREAM,
        b"".join(event(kind, value) for kind, value in CONVERSE_EVENTS),
    ),
    (
        "claude on bedrock",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/anthropic.claude/invoke-with-response-stream",
        {**CLAUDE, "anthropic_version": "bedrock-2023-05-31"},
        EVENTSTREAM,
        b"".join(map(chunk, CLAUDE_EVENTS)),
    ),
    (
        "nova on bedrock",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/amazon.nova-lite-v1:0/invoke-with-response-stream",
        {**CONVERSE_ASKED, "schemaVersion": "messages-v1"},
        EVENTSTREAM,
        b"".join(chunk({kind: value}) for kind, value in CONVERSE_EVENTS),
    ),
    (
        "llama on bedrock",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/meta.llama3/invoke-with-response-stream",
        {"prompt": "Oslo?"},
        EVENTSTREAM,
        b"".join(
            map(
                chunk,
                [
                    {"generation": "Rain ", "prompt_token_count": 4, "generation_token_count": 1, "stop_reason": None},
                    {
                        "generation": "again.",
                        "prompt_token_count": None,
                        "generation_token_count": 3,
                        "stop_reason": "stop",
                        "amazon-bedrock-invocationMetrics": {"inputTokenCount": 4, "outputTokenCount": 3},
                    },
                ],
            )
        ),
    ),
    (
        "cohere stream",
        "api.cohere.com",
        "/v2/chat",
        {"model": "command-r", "stream": True, "messages": CHAT},
        SSE,
        sse(
            [
                {"type": "message-start", "id": "co-1"},
                {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Rain."}}}},
                {
                    "type": "tool-call-start",
                    "index": 0,
                    "delta": {"message": {"tool_calls": {"id": "t1", "function": {"name": "look", "arguments": ""}}}},
                },
                {
                    "type": "tool-call-delta",
                    "index": 0,
                    "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}},
                },
                {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": COHERE_USAGE}},
            ],
            named=True,
        ),
    ),
    (
        "cohere v1 stream",
        "api.cohere.com",
        "/v1/chat",
        {"model": "command", "stream": True, "message": "Oslo?"},
        "application/stream+json",
        lines(
            [
                {"event_type": "stream-start", "generation_id": "g1"},
                {"event_type": "text-generation", "text": "Rain "},
                {"event_type": "text-generation", "text": "again."},
                {
                    "event_type": "stream-end",
                    "finish_reason": "COMPLETE",
                    "response": {"response_id": "r1", "meta": COHERE_USAGE},
                },
            ]
        ),
    ),
    (
        "ollama",
        "localhost",
        "/api/chat",
        {"model": "llama3", "messages": CHAT},
        "application/x-ndjson",
        lines(
            [
                {"model": "llama3", "message": {"role": "assistant", "content": "Rain "}, "done": False},
                {
                    "model": "llama3",
                    "message": {"content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"q": 1}}}]},
                    "done": False,
                },
                {
                    "model": "llama3",
                    "message": {"content": ""},
                    "done": True,
                    "done_reason": "stop",
                    "prompt_eval_count": 7,
                    "eval_count": 3,
                },
            ]
        ),
    ),
    (
        "writer",
        "api.writer.com",
        "/v1/completions",
        {"model": "palmyra", "prompt": "Oslo?", "stream": True},
        SSE,
        sse([{"value": "Rain "}, {"value": "again."}]),
    ),
)

SOCKETS: tuple[tuple[str, str, list[Any], list[Any]], ...] = (
    # name, path, the client's frames, the server's
    ("realtime", "/v1/realtime?model=gpt-realtime", REALTIME_ASKED, REALTIME_TOLD),
    ("responses socket", "/v1/responses", [{"type": "response.create", **RESPONSES_ASKED}], RESPONSES_EVENTS),
)
