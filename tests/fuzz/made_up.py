"""Exchanges of every wire family, made up: a whole one and a stream of each, with tools, caches and usage in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.llm.llm_frames import EVENTSTREAM, chunk, event


def sse(values: Iterable[Any], *, named: bool = False) -> bytes:
    """Server-sent events; a string stands as it is."""
    parts = []
    for value in values:
        name = f"event: {value['type']}\n" if named else ""
        parts.append(f"{name}data: {value if isinstance(value, str) else json.dumps(value)}\n\n")
    return "".join(parts).encode()


def lines(values: Iterable[Any]) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


JSON = "application/json"
SSE = "text/event-stream"
_SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
_CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is the weather in Oslo?"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"q": "Oslo"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
]
_CHAT_USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 9,
    "total_tokens": 49,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
_FUNCTION = {"type": "function", "function": {"name": "look", "parameters": _SCHEMA}}
_CLAUDE = {
    "model": "claude-haiku-4-5",
    "max_tokens": 300,
    "system": [{"type": "text", "text": "You plan courses.", "cache_control": {"type": "ephemeral"}}],
    "tools": [{"name": "look", "input_schema": _SCHEMA}, {"type": "web_search_20250305", "name": "web_search"}],
    "messages": [
        {"role": "user", "content": "Plan a course."},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Well."},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"q": "x"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "y"}]}],
        },
    ],
    "metadata": {"user_id": "u-1"},
}
_CLAUDE_USAGE = {
    "input_tokens": 12,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 5,
    "cache_creation": {"ephemeral_1h_input_tokens": 5},
    "output_tokens": 21,
    "service_tier": "standard",
    "server_tool_use": {"web_search_requests": 1},
}
_CLAUDE_ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [
        {"type": "text", "text": "Rain "},
        {"type": "tool_use", "id": "t2", "name": "look", "input": {"q": "Bergen"}},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
    ],
    "stop_reason": "tool_use",
    "usage": _CLAUDE_USAGE,
}
_CLAUDE_EVENTS = [
    {
        "type": "message_start",
        "message": {**_CLAUDE_ANSWER, "content": [], "usage": {**_CLAUDE_USAGE, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Rain "}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "again."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t2", "name": "look", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"q": '}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"Bergen"}'}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t3", "name": "note", "input": {}},
    },
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 21}},
    {"type": "message_stop"},
]
_OUTPUT = [
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "function_call", "id": "fc_1", "call_id": "call_2", "name": "look", "arguments": '{"q": "Bergen"}'},
    {"type": "message", "id": "m_1", "role": "assistant", "content": [{"type": "output_text", "text": "Rain again."}]},
]
_RESPONSE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 20},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 62,
}
_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-5-2025",
    "status": "completed",
    "service_tier": "default",
}
_RESPONSES_ASKED = {
    "model": "gpt-5",
    "instructions": "Be brief.",
    "previous_response_id": "resp_0",
    "tools": [
        {"type": "function", "name": "look", "parameters": _SCHEMA},
        {"type": "namespace", "tools": [{"name": "in"}]},
    ],
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "And Bergen?"}]},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "Rain."},
    ],
}
_RESPONSES_EVENTS = [
    {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": [], "usage": None}},
    {"type": "response.output_item.added", "output_index": 0, "item": {**_OUTPUT[2], "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": '{"q": '},
    {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": '"Bergen"}'},
    {"type": "response.output_item.done", "output_index": 0, "item": _OUTPUT[2]},
    {"type": "response.output_item.added", "output_index": 1, "item": {**_OUTPUT[3], "content": []}},
    {"type": "response.output_text.delta", "output_index": 1, "item_id": "m_1", "delta": "Rain "},
    {"type": "response.output_text.delta", "output_index": 1, "item_id": "m_1", "delta": "again."},
    {"type": "response.output_item.done", "output_index": 1, "item": _OUTPUT[3]},
    {"type": "response.completed", "response": {**_RESPONSE, "output": _OUTPUT[2:], "usage": _RESPONSE_USAGE}},
]
_GEMINI_ASKED = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "look", "parameters": _SCHEMA}]}, {"googleSearch": {}}],
    "contents": [
        {"role": "user", "parts": [{"text": "Oslo?"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "f1", "name": "look", "args": {"q": "Oslo"}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "f1", "name": "look", "response": {"is": "rain"}}}]},
    ],
}
_GEMINI_USAGE = {
    "promptTokenCount": 30,
    "toolUsePromptTokenCount": 4,
    "cachedContentTokenCount": 8,
    "candidatesTokenCount": 6,
    "thoughtsTokenCount": 11,
    "totalTokenCount": 51,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 30}, {"modality": "AUDIO", "tokenCount": 2}],
}


def _candidate(parts: list[Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "content": {"role": "model", "parts": parts}, **({"finishReason": finish} if finish else {})}


_GEMINI_CHUNKS = [
    {
        "candidates": [_candidate([{"text": "Hm.", "thought": True}])],
        "modelVersion": "gemini-2.5-pro",
        "responseId": "r1",
    },
    {"candidates": [_candidate([{"text": "Rain "}, {"text": "again."}])], "usageMetadata": {"promptTokenCount": 30}},
    {
        "candidates": [_candidate([{"functionCall": {"id": "f2", "name": "look", "args": {"q": "x"}}}], "STOP")],
        "usageMetadata": _GEMINI_USAGE,
    },
]
_CONVERSE_ASKED = {
    "system": [{"text": "Be brief."}],
    "toolConfig": {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": _SCHEMA}}}]},
    "messages": [
        {"role": "user", "content": [{"text": "Oslo?"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "look", "input": {"q": "Oslo"}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "Rain."}]}}]},
    ],
}
_CONVERSE_USAGE = {
    "inputTokens": 20,
    "outputTokens": 7,
    "totalTokens": 33,
    "cacheReadInputTokens": 6,
    "cacheWriteInputTokens": 0,
}
_CONVERSE_EVENTS = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Rain "}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "again."}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t2", "name": "look"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"q": "x"}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": _CONVERSE_USAGE, "metrics": {"latencyMs": 400}}),
]
_COHERE_USAGE = {
    "tokens": {"input_tokens": 14, "output_tokens": 5},
    "billed_units": {"input_tokens": 9, "output_tokens": 5},
}
_REALTIME_ASKED = [
    {
        "type": "session.update",
        "session": {"instructions": "Be brief.", "tools": [{"type": "function", "name": "look"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"role": "user", "content": [{"type": "input_text", "text": "Oslo?"}]},
    },
    {"type": "response.create", "event_id": "e1"},
]
_REALTIME_TOLD = [
    {"type": "session.updated", "session": {"model": "gpt-realtime"}},
    {"type": "response.created", "response": {"id": "resp_1"}},
    {"type": "response.output_item.added", "response_id": "resp_1", "item": {"id": "i1", "type": "message"}},
    {"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "i1", "delta": "Rain."},
    {
        "type": "response.done",
        "response": {
            "id": "resp_1",
            "status": "completed",
            "output": [{"id": "i2", "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}],
            "usage": {
                "input_tokens": 9,
                "output_tokens": 3,
                "input_token_details": {"cached_tokens": 2, "audio_tokens": 0},
            },
        },
    },
]

WHOLE: tuple[tuple[str, str, str, Any, Any], ...] = (
    # name, host, path, request, reply
    (
        "chat",
        "api.openai.com",
        "/v1/chat/completions",
        {"model": "gpt-4o", "user": "u", "messages": _CHAT, "tools": [_FUNCTION]},
        {
            "id": "c1",
            "model": "gpt-4o-2024-08-06",
            "service_tier": "default",
            "choices": [
                {
                    "index": 0,
                    "message": {"content": "Rain.", "tool_calls": _CHAT[2]["tool_calls"]},
                    "finish_reason": "stop",
                },
                {"index": 1, "message": {"content": "Sun."}, "finish_reason": "length"},
            ],
            "usage": {**_CHAT_USAGE, "cost": 0.0125},
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
        _RESPONSES_ASKED,
        {
            **_RESPONSE,
            "output": _OUTPUT,
            "usage": _RESPONSE_USAGE,
        },
    ),
    ("claude", "api.anthropic.com", "/v1/messages", _CLAUDE, _CLAUDE_ANSWER),
    (
        "gemini",
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-2.5-pro:generateContent",
        _GEMINI_ASKED,
        {
            **_GEMINI_CHUNKS[2],
            "modelVersion": "gemini-2.5-pro",
            "responseId": "r1",
        },
    ),
    (
        "gemini array",
        "generativelanguage.googleapis.com",
        "/v1beta/models/g:streamGenerateContent",
        _GEMINI_ASKED,
        _GEMINI_CHUNKS,
    ),
    (
        "converse",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/amazon.nova-pro-v1:0/converse",
        _CONVERSE_ASKED,
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
            "usage": {**_CONVERSE_USAGE, "cacheDetails": [{"ttl": "1h", "inputTokens": 3}]},
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
        {"model": "command-r", "messages": _CHAT, "tools": [_FUNCTION]},
        {
            "id": "co-1",
            "finish_reason": "COMPLETE",
            "usage": _COHERE_USAGE,
            "message": {
                "role": "assistant",
                "content": [{"type": "text", "text": "Rain."}],
                "tool_calls": _CHAT[2]["tool_calls"],
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
            "meta": _COHERE_USAGE,
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
        {"model": "gpt-4o", "messages": _CHAT},
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
        {"model": "gpt-4o", "stream": True, "messages": _CHAT},
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
                {"id": "c1", "choices": [], "usage": _CHAT_USAGE},
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
        {**_RESPONSES_ASKED, "stream": True},
        SSE,
        sse(_RESPONSES_EVENTS, named=True),
    ),
    (
        "claude stream",
        "api.anthropic.com",
        "/v1/messages",
        {**_CLAUDE, "stream": True},
        SSE,
        sse(_CLAUDE_EVENTS, named=True),
    ),
    (
        "gemini stream",
        "generativelanguage.googleapis.com",
        "/v1beta/models/g:streamGenerateContent?alt=sse",
        _GEMINI_ASKED,
        SSE,
        sse(_GEMINI_CHUNKS),
    ),
    (
        "converse stream",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/amazon.nova-pro-v1:0/converse-stream",
        _CONVERSE_ASKED,
        EVENTSTREAM,
        b"".join(event(kind, value) for kind, value in _CONVERSE_EVENTS),
    ),
    (
        "claude on bedrock",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/anthropic.claude/invoke-with-response-stream",
        {**_CLAUDE, "anthropic_version": "bedrock-2023-05-31"},
        EVENTSTREAM,
        b"".join(map(chunk, _CLAUDE_EVENTS)),
    ),
    (
        "nova on bedrock",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/amazon.nova-lite-v1:0/invoke-with-response-stream",
        {**_CONVERSE_ASKED, "schemaVersion": "messages-v1"},
        EVENTSTREAM,
        b"".join(chunk({kind: value}) for kind, value in _CONVERSE_EVENTS),
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
        {"model": "command-r", "stream": True, "messages": _CHAT},
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
                {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": _COHERE_USAGE}},
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
                    "response": {"response_id": "r1", "meta": _COHERE_USAGE},
                },
            ]
        ),
    ),
    (
        "ollama",
        "localhost",
        "/api/chat",
        {"model": "llama3", "messages": _CHAT},
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
    ("realtime", "/v1/realtime?model=gpt-realtime", _REALTIME_ASKED, _REALTIME_TOLD),
    ("responses socket", "/v1/responses", [{"type": "response.create", **_RESPONSES_ASKED}], _RESPONSES_EVENTS),
)
