"""Recorded calls as a sender gets them."""

from __future__ import annotations

from typing import Any

from tests.export.calls import call

from sessiontap.export.exported_call import ExportedCall
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.part import CallParts
from sessiontap.push.target import PushedCall

CHAT = {
    "provider": "openai", "family": "openai-chat", "operation": "chat",
    "request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06", "response_id": "chatcmpl-1",
    "stream": False, "finish_reason": "stop", "usage": {"input": 20, "output": 5, "cache_read": 8},
}  # fmt: skip
MESSAGES = {
    "provider": "anthropic", "family": "anthropic-messages", "operation": "chat",
    "request_model": "claude-sonnet-4-5", "response_model": "claude-sonnet-4-5-20250929", "response_id": "msg_1",
    "stream": False, "finish_reason": "end_turn",
    "usage": {"input": 20, "output": 5, "cache_read": 8, "cache_write": 4},
}  # fmt: skip
GEMINI = {
    "provider": "google", "family": "gemini", "operation": "chat",
    "request_model": "gemini-2.5-flash", "response_model": "gemini-2.5-flash", "response_id": "g1",
    "stream": False, "finish_reason": "STOP", "usage": {"input": 20, "output": 5},
}  # fmt: skip
OTHER = {
    "provider": "bedrock", "family": "bedrock-converse", "operation": "chat",
    "request_model": "amazon.nova-lite-v1:0", "finish_reason": "end_turn", "stream": False,
    "usage": {"input": 20, "output": 5},
}  # fmt: skip


def pushed(one: ExportedCall, *, content: bool = True, turn: str | None = None, **more: Any) -> PushedCall:
    """A call by itself, with its parts if content is sent."""
    parts: CallParts | None = None
    if content:
        parts = recorded_parts(one.record, one.request_body.data, one.response_body.data)
    facts: dict[str, Any] = {"turn": turn or one.id, "number": 0, "parts": parts, "first_new": 0, "title": None}
    return PushedCall(call=one, **(facts | more))


def chat(
    request: bytes | None = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}',
    response: bytes | None = b'{"model": "gpt-4o-2024-08-06", "choices": [{"message": {"content": "Hello"}}],'
    b' "usage": {"prompt_tokens": 20, "completion_tokens": 5}}',
    *,
    content: bool = True,
    llm: dict[str, Any] | None = None,
    **more: Any,
) -> PushedCall:
    """A chat with OpenAI; `llm` changes what was read of it, the rest its record."""
    return pushed(call(request, response, llm=CHAT | (llm or {}), **more), content=content)
