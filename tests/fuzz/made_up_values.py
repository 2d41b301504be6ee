"""Requests, replies and events of the wire families, as plain values: exchanges (`made_up`) are made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


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
CHAT = [
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
CHAT_USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 9,
    "total_tokens": 49,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
FUNCTION = {"type": "function", "function": {"name": "look", "parameters": _SCHEMA}}
CLAUDE = {
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
CLAUDE_ANSWER = {
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
CLAUDE_EVENTS = [
    {
        "type": "message_start",
        "message": {**CLAUDE_ANSWER, "content": [], "usage": {**_CLAUDE_USAGE, "output_tokens": 1}},
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
OUTPUT = [
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "function_call", "id": "fc_1", "call_id": "call_2", "name": "look", "arguments": '{"q": "Bergen"}'},
    {"type": "message", "id": "m_1", "role": "assistant", "content": [{"type": "output_text", "text": "Rain again."}]},
]
RESPONSE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 20},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 62,
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-5-2025",
    "status": "completed",
    "service_tier": "default",
}
RESPONSES_ASKED = {
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
RESPONSES_EVENTS = [
    {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}},
    {"type": "response.output_item.added", "output_index": 0, "item": {**OUTPUT[2], "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": '{"q": '},
    {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": '"Bergen"}'},
    {"type": "response.output_item.done", "output_index": 0, "item": OUTPUT[2]},
    {"type": "response.output_item.added", "output_index": 1, "item": {**OUTPUT[3], "content": []}},
    {"type": "response.output_text.delta", "output_index": 1, "item_id": "m_1", "delta": "Rain "},
    {"type": "response.output_text.delta", "output_index": 1, "item_id": "m_1", "delta": "again."},
    {"type": "response.output_item.done", "output_index": 1, "item": OUTPUT[3]},
    {"type": "response.completed", "response": {**RESPONSE, "output": OUTPUT[2:], "usage": RESPONSE_USAGE}},
]
GEMINI_ASKED = {
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


GEMINI_CHUNKS = [
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
CONVERSE_ASKED = {
    "system": [{"text": "Be brief."}],
    "toolConfig": {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": _SCHEMA}}}]},
    "messages": [
        {"role": "user", "content": [{"text": "Oslo?"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "look", "input": {"q": "Oslo"}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "Rain."}]}}]},
    ],
}
CONVERSE_USAGE = {
    "inputTokens": 20,
    "outputTokens": 7,
    "totalTokens": 33,
    "cacheReadInputTokens": 6,
    "cacheWriteInputTokens": 0,
}
CONVERSE_EVENTS = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Rain "}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "again."}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t2", "name": "look"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"q": "x"}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": CONVERSE_USAGE, "metrics": {"latencyMs": 400}}),
]
COHERE_USAGE = {
    "tokens": {"input_tokens": 14, "output_tokens": 5},
    "billed_units": {"input_tokens": 9, "output_tokens": 5},
}
REALTIME_ASKED = [
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
REALTIME_TOLD = [
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
