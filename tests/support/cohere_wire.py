"""Cohere's chat, version 2, whole and as a stream: https://docs.cohere.com/v2/reference/chat."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from sessiontap.demo import model
from sessiontap.demo.model import Completion, Prompt
from sessiontap.demo.provider_replies import BadRequest, HeaderList, Ids, StreamedReply, WholeReply, sse, text_of

PREAMBLE_TOKENS = 66
"""What Cohere puts around a prompt: in `tokens`, not in `billed_units`."""


def error(status: int, message: str) -> WholeReply:
    """An error in Cohere's shape."""
    return WholeReply({"id": str(uuid.uuid4()), "message": message}, status)


def reply_headers(ids: Ids) -> HeaderList:
    return [
        ("x-debug-trace-id", ids.hex("", 32)),
        ("x-endpoint-monthly-call-limit", "1000"),
        ("x-trial-endpoint-call-limit", "20"),
        ("x-trial-endpoint-call-remaining", "19"),
    ]


def chat(body: dict[str, Any]) -> WholeReply | StreamedReply:
    """`POST /v2/chat`. Raises BadRequest."""
    messages = body.get("messages")
    if not isinstance(body.get("model"), str) or not isinstance(messages, list) or not messages:
        raise BadRequest(error(400, "invalid request: model and messages are required"))
    texts = [text_of(message.get("content")) for message in messages]
    users = [text for message, text in zip(messages, texts, strict=True) if message.get("role") == "user"]
    answer = model.answer(Prompt(body["model"], user=users[-1] if users else "", limit=body.get("max_tokens")))
    if isinstance(answer, model.PromptedError):
        return error(answer.status, f"The prompt asked for status {answer.status}.")
    given = model.count_prompt(texts)[0]
    usage = {
        "billed_units": {"input_tokens": given, "output_tokens": answer.tokens},
        "tokens": {"input_tokens": given + PREAMBLE_TOKENS, "output_tokens": answer.tokens},
        "cached_tokens": 0,
    }
    end = {"finish_reason": "MAX_TOKENS" if answer.cut else "COMPLETE", "usage": usage}
    if body.get("stream"):
        return StreamedReply(_events(answer, end))
    message = {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}
    return WholeReply({"id": str(uuid.uuid4()), "message": message} | end)


def _events(answer: Completion, end: dict[str, Any]) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    begun = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield event("message-start", id=str(uuid.uuid4()), delta={"message": begun})
    yield event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    for piece in model.pieces(answer.text):
        yield event("content-delta", index=0, delta={"message": {"content": {"text": piece}}})
    yield event("content-end", index=0)
    yield event("message-end", delta=end)
    yield sse("[DONE]")
