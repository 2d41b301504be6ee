"""Parts of requests and replies, by wire family; the expected ones are worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_corpus import Recorded, needs_corpus, recorded
from tests.llm.llm_exchanges import call, reply, streamed

from sessiontap.llm.parts import reply_parts, request_parts
from sessiontap.part import Part

IMAGE = "iVBORw0KGgo="

CALL = '{"path":"a.py"}'
LOOK_UP: dict[str, Any] = {"path": "a.py"}

REQUESTS: dict[str, tuple[str, Any, list[tuple[Any, ...]]]] = {
    "anthropic": (
        "/v1/messages",
        {
            "tools": [{"name": "mcp__docs__read"}],
            "system": [
                {"type": "text", "text": "x-anthropic-billing-header: 1"},
                {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
            ],
            "messages": [
                {"role": "user", "content": "Look <system-reminder>now</system-reminder>"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                        {"type": "redacted_thinking", "data": "c2VhbGVk"},
                        {"type": "tool_use", "id": "t1", "name": "mcp__docs__read", "input": LOOK_UP},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t1",
                            "is_error": True,
                            "content": [
                                {"type": "text", "text": "FAILED tests"},
                                {
                                    "type": "image",
                                    "source": {"type": "base64", "media_type": "image/png", "data": IMAGE},
                                },
                            ],
                        },
                        {"type": "text", "text": "Go on."},
                    ],
                },
            ],
        },
        [
            ("tool_definition", None, None, '{"name":"mcp__docs__read"}', "mcp__docs__read", None, None),
            ("system", "system", None, "Be kind.", None, None, None),
            ("text", "user", 0, "Look <system-reminder>now</system-reminder>", None, None, None),
            ("reasoning", "assistant", 1, "Hm.", None, None, None),
            ("reasoning", "assistant", 1, None, None, None, None),
            ("tool_call", "assistant", 1, CALL, "mcp__docs__read", "t1", None),
            ("tool_result", "tool", 2, "FAILED tests", "mcp__docs__read", "t1", True),
            ("media", "tool", 2, None, "image/png", "t1", None),
            ("text", "user", 2, "Go on.", None, None, None),
        ],
    ),
    "anthropic, tools that the provider ran": (
        "/v1/messages",
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": [
                        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
                        {
                            "type": "web_search_tool_result",
                            "tool_use_id": "s1",
                            "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
                        },
                    ],
                }
            ]
        },
        [
            ("tool_call", "assistant", 0, '{"query":"x"}', "web_search", "s1", None),
            (
                "tool_result", "tool", 0,
                '{"type":"web_search_tool_result_error","error_code":"max_uses_exceeded"}', "web_search", "s1", True,
            ),
        ],
    ),
    "openai-chat": (
        "/v1/chat/completions",
        {
            "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}],
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "See"},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "reasoning_content": "Let me see.",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": CALL}},
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
            ],
        },
        [
            ("tool_definition", None, None, '{"name":"look","parameters":{}}', "look", None, None),
            ("system", "system", 0, "Be brief.", None, None, None),
            ("text", "user", 1, "See", None, None, None),
            ("media", "user", 1, None, "image/png", None, None),
            ("reasoning", "assistant", 2, "Let me see.", None, None, None),
            ("tool_call", "assistant", 2, CALL, "look", "c1", None),
            ("tool_result", "tool", 3, "nothing", "look", "c1", None),
        ],
    ),
    "openai-responses": (
        "/v1/responses",
        {
            "instructions": "Be brief.",
            "input": [
                {
                    "type": "additional_tools",
                    "role": "user",
                    "tools": [{"type": "namespace", "name": "mcp__docs__", "tools": [{"name": "read"}]}],
                },
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Run it."}]},
                {"type": "reasoning", "summary": [{"text": "Think."}], "encrypted_content": "c2VhbGVk"},
                {"type": "function_call", "call_id": "f1", "name": "exec_command", "arguments": '{"cmd":"ls"}'},
                {
                    "type": "function_call_output",
                    "call_id": "f1",
                    "output": "Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 2\nOutput:\nno",
                },
                {"type": "web_search_call", "id": "w1", "action": {"query": "x"}},
                {"type": "custom_tool_call_output", "call_id": "gone", "output": {"success": False}},
            ],
        },
        [
            ("system", "system", None, "Be brief.", None, None, None),
            ("tool_definition", None, 0, '{"name":"read"}', "mcp__docs__read", None, None),
            ("text", "user", 1, "Run it.", None, None, None),
            ("reasoning", "assistant", 2, "Think.", None, None, None),
            ("tool_call", "assistant", 3, '{"cmd":"ls"}', "exec_command", "f1", None),
            (
                "tool_result", "tool", 4,
                "Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 2\nOutput:\nno",
                "exec_command", "f1", True,
            ),
            ("tool_call", "assistant", 5, '{"query":"x"}', "web_search", "w1", None),
            ("tool_result", "tool", 6, '{"success":false}', None, "gone", True),
        ],
    ),
    "gemini": (
        "/v1beta/models/gemini-2.5-pro:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "tools": [{"functionDeclarations": [{"name": "look"}]}, {"googleSearch": {}}],
            "contents": [
                {"role": "user", "parts": [{"text": "See"}, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "Hm.", "thought": True},
                        {"functionCall": {"name": "look", "args": LOOK_UP}, "thoughtSignature": "c2ln"},
                    ],
                },
                {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"error": "no file"}}}]},
            ],
        },
        [
            ("tool_definition", None, None, '{"name":"look"}', "look", None, None),
            ("tool_definition", None, None, '{"googleSearch":{}}', "googleSearch", None, None),
            ("system", "system", None, "Be brief.", None, None, None),
            ("text", "user", 0, "See", None, None, None),
            ("media", "user", 0, None, "image/png", None, None),
            ("reasoning", "assistant", 1, "Hm.", None, None, None),
            ("tool_call", "assistant", 1, CALL, "look", None, None),
            ("tool_result", "tool", 2, "no file", "look", None, True),
        ],
    ),
    "gemini, wrapped by Code Assist": (
        "/v1internal:generateContent",
        {"model": "gemini-2.5-pro", "request": {"contents": [{"role": "user", "parts": [{"text": "See"}]}]}},
        [("text", "user", 0, "See", None, None, None)],
    ),
    "bedrock-converse": (
        "/model/m/converse",
        {
            "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "toolConfig": {"tools": [{"toolSpec": {"name": "look"}}]},
            "messages": [
                {
                    "role": "user",
                    "content": [{"text": "See"}, {"image": {"format": "png", "source": {"bytes": IMAGE}}}],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                        {"toolUse": {"toolUseId": "t1", "name": "look", "input": LOOK_UP}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": "t1", "content": [{"json": {"a": 1}}], "status": "success"}},
                    ],
                },
            ],
        },
        [
            ("tool_definition", None, None, '{"name":"look"}', "look", None, None),
            ("system", "system", None, "Be brief.", None, None, None),
            ("text", "user", 0, "See", None, None, None),
            ("media", "user", 0, None, "png", None, None),
            ("reasoning", "assistant", 1, "Hm.", None, None, None),
            ("tool_call", "assistant", 1, CALL, "look", "t1", None),
            ("tool_result", "tool", 2, '{"a":1}', "look", "t1", False),
        ],
    ),
    "cohere v1": (
        "/v1/chat",
        {
            "preamble": "Be brief.",
            "chat_history": [{"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Hello"}],
            "message": "Look",
            "tools": [{"name": "look"}],
            "tool_results": [{"call": {"name": "look", "parameters": LOOK_UP}, "outputs": [{"found": "x"}]}],
        },
        [
            ("tool_definition", None, None, '{"name":"look"}', "look", None, None),
            ("system", "system", None, "Be brief.", None, None, None),
            ("text", "user", 0, "Hi", None, None, None),
            ("text", "assistant", 1, "Hello", None, None, None),
            ("text", "user", 2, "Look", None, None, None),
            ("tool_call", "assistant", 3, CALL, "look", None, None),
            ("tool_result", "tool", 4, "x", "look", None, None),
        ],
    ),
    "ollama": (
        "/api/chat",
        {
            "messages": [
                {"role": "user", "content": "See", "images": [IMAGE]},
                {
                    "role": "assistant",
                    "content": "",
                    "thinking": "Hm.",
                    "tool_calls": [{"function": {"name": "look", "arguments": LOOK_UP}}],
                },
                {"role": "tool", "tool_name": "look", "content": "nothing"},
            ]
        },
        [
            ("text", "user", 0, "See", None, None, None),
            ("media", "user", 0, None, None, None, None),
            ("reasoning", "assistant", 1, "Hm.", None, None, None),
            ("tool_call", "assistant", 1, CALL, "look", None, None),
            ("tool_result", "tool", 2, "nothing", "look", None, None),
        ],
    ),
    "completions": (
        "/v1/completions",
        {"prompt": "Once upon"},
        [("text", "user", 0, "Once upon", None, None, None)],
    ),
    "embeddings": (
        "/v1/embeddings",
        {"input": ["one", "two"]},
        [("text", "user", 0, "one", None, None, None), ("text", "user", 1, "two", None, None, None)],
    ),
    "no object": ("/v1/chat/completions", [1], []),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "expected"), REQUESTS.values(), ids=REQUESTS)
def test_parts_of_requests(path: str, body: Any, expected: list[tuple[Any, ...]]) -> None:
    assert [told(part) for part in request_parts(call(path, body))] == expected


def told(part: Part) -> tuple[Any, ...]:
    return part.kind, part.role, part.message, part.text, part.name, part.id, part.error


def test_parts_of_a_reply() -> None:
    body = {
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "t1", "name": "look", "input": LOOK_UP},
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        ]
    }
    asked = call("/v1/messages", {"messages": []})
    assert [told(part) for part in reply_parts(asked, reply("/v1/messages", body))] == [
        ("text", "assistant", None, "Let me look.", None, None, None),
        ("tool_call", "assistant", None, CALL, "look", "t1", None),
        ("tool_call", "assistant", None, None, "web_search", None, None),
    ]


@pytest.mark.parametrize(
    ("name", "server"),
    [("mcp__docs__read", "docs"), ("mcp__docs__read__all", "docs"), ("mcp__docs", None), ("Bash", None), (None, None)],
)
def test_the_server_of_a_tool(name: str | None, server: str | None) -> None:
    assert Part("tool_call", "assistant", None, None, 0, name).server == server


THOUGHTS: dict[str, tuple[str, Any]] = {
    "anthropic": ("/v1/messages", {"content": [{"type": "thinking", "thinking": "Hm."}]}),
    "openai-chat, DeepSeek": ("/v1/chat/completions", {"choices": [{"message": {"reasoning_content": "Hm."}}]}),
    "openai-chat, OpenRouter": ("/v1/chat/completions", {"choices": [{"message": {"reasoning": "Hm."}}]}),
    "openai-responses": ("/v1/responses", {"output": [{"type": "reasoning", "summary": [{"text": "Hm."}]}]}),
    "gemini": (
        "/v1beta/models/m:generateContent",
        {"candidates": [{"content": {"parts": [{"thought": True, "text": "Hm."}]}}]},
    ),
    "bedrock-converse": (
        "/model/m/converse",
        {"output": {"message": {"content": [{"reasoningContent": {"reasoningText": {"text": "Hm."}}}]}}},
    ),
    "cohere": ("/v2/chat", {"message": {"content": [{"type": "thinking", "thinking": "Hm."}]}}),
    "ollama": ("/api/chat", {"message": {"thinking": "Hm."}}),
}


@pytest.mark.parametrize(("path", "body"), THOUGHTS.values(), ids=THOUGHTS)
def test_the_reasoning_of_a_reply(path: str, body: Any) -> None:
    found = reply_parts(call(path, {}), reply(path, body))
    assert [told(part) for part in found] == [("reasoning", "assistant", None, "Hm.", None, None, None)]


STREAMED_THOUGHTS: dict[str, tuple[str, list[Any]]] = {
    "anthropic": (
        "/v1/messages",
        [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": said}}
            for said in ("H", "m.")
        ],
    ),
    "openai-chat": (
        "/v1/chat/completions",
        [{"choices": [{"index": 0, "delta": {"reasoning_content": said}}]} for said in ("H", "m.")],
    ),
    "openai-responses": (
        "/v1/responses",
        [
            {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": said}
            for said in ("H", "m.")
        ],
    ),
    "gemini": (
        "/v1beta/models/m:streamGenerateContent",
        [{"candidates": [{"content": {"parts": [{"thought": True, "text": said}]}}]} for said in ("H", "m.")],
    ),
    "cohere": (
        "/v2/chat",
        [
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"thinking": said}}}}
            for said in ("H", "m.")
        ],
    ),
}


@pytest.mark.parametrize(("path", "events"), STREAMED_THOUGHTS.values(), ids=STREAMED_THOUGHTS)
def test_the_reasoning_of_a_stream(path: str, events: list[Any]) -> None:
    found = streamed(path, events)
    assert (found.reasoning, found.text) == ("Hm.", None)


@needs_corpus
@pytest.mark.parametrize("one", recorded(), ids=lambda one: one.id)
def test_recorded_exchanges(one: Recorded) -> None:
    """What the reply says and calls is as expected; no text or tool of the request is missing."""
    asked = one.call()
    sent, came = request_parts(asked), reply_parts(asked, one.reply())
    expect = one.expect
    if expect["family"] not in (None, "other"):
        calls = [part.name for part in came if part.kind == "tool_call"]
        assert [part.text for part in came if part.kind == "text"] == ([expect["text"]] if expect["text"] else [])
        assert calls == [*(expect["tool_calls"] or ()), *(expect["builtin_tool_calls"] or ())]
    told = asked.asked
    assert {part.name for part in sent if part.kind == "tool_definition"} >= set(told.tools_offered)
    assert {part.name for part in sent if part.kind == "tool_result"} >= set(told.tool_results)
    whole = "\n".join(part.text for part in sent if part.text and part.kind in ("text", "system"))
    assert (told.message or "") in whole
    assert (told.prompt or "") in whole
