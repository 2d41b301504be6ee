"""Anthropic's messages, count_tokens, models and errors, as https://docs.anthropic.com/en/api has them.

If a request marks anything with `cache_control`, its system prompt counts as read from the cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sessiontap.demo import model
from sessiontap.demo.model import Completion, Prompt
from sessiontap.demo.provider_replies import BadRequest, HeaderList, Ids, StreamedReply, WholeReply, sse, text_of

MODELS = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5")

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error(status: int, message: str) -> WholeReply:
    """An error in Anthropic's shape."""
    kind = ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    headers = [("retry-after-ms", "5"), ("retry-after", "1")] if status == 429 else []
    return WholeReply({"type": "error", "error": {"type": kind, "message": message}}, status, headers)


def reply_headers(ids: Ids) -> HeaderList:
    return [
        ("request-id", ids.take("req_011", 21)),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("anthropic-ratelimit-requests-reset", "2030-01-01T00:00:00Z"),
        ("anthropic-ratelimit-input-tokens-limit", "2000000"),
        ("anthropic-ratelimit-input-tokens-remaining", "1999000"),
        ("anthropic-ratelimit-input-tokens-reset", "2030-01-01T00:00:00Z"),
    ]


def messages(body: dict[str, Any], ids: Ids) -> WholeReply | StreamedReply:
    """`POST /v1/messages`. Raises BadRequest."""
    name, asked = _checked(body)
    if not isinstance(body.get("max_tokens"), int):
        raise BadRequest(error(400, "max_tokens: Field required"))
    answer = model.answer(_prompt(name, asked, body))
    if isinstance(answer, model.PromptedError):
        return error(answer.status, f"The prompt asked for status {answer.status}.")
    usage = _usage(body, asked)
    head = {"id": ids.take("msg_01", 22), "type": "message", "role": "assistant", "model": name}
    content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    content += [
        {"type": "tool_use", "id": ids.take("toolu_01", 22), "name": use.name, "input": use.arguments}
        for use in answer.tool_uses
    ]
    stop = _stop_reason(answer)
    if body.get("stream"):
        return StreamedReply(_events(head, content, stop, usage, answer.tokens))
    ending = {"stop_reason": stop, "stop_sequence": None}
    return WholeReply(head | {"content": content} | ending | {"usage": usage | {"output_tokens": answer.tokens}})


def count_tokens(body: dict[str, Any]) -> WholeReply:
    """`POST /v1/messages/count_tokens`. Raises BadRequest."""
    _, asked = _checked(body)
    return WholeReply({"input_tokens": _prompt_tokens(body, asked)})


def models() -> WholeReply:
    """`GET /v1/models`."""
    data = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"} for name in MODELS
    ]
    return WholeReply({"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})


def _checked(body: Any) -> tuple[str, list[dict[str, Any]]]:
    name = body.get("model") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise BadRequest(error(400, "model: Field required"))
    if not model.KNOWN_MODELS.match(name):
        raise BadRequest(error(404, f"model: {name}"))
    asked = body.get("messages")
    if not isinstance(asked, list) or not asked or not all(isinstance(m, dict) for m in asked):
        raise BadRequest(error(400, "messages: at least one message is required"))
    return name, asked


def _prompt(name: str, asked: list[dict[str, Any]], body: dict[str, Any]) -> Prompt:
    last_reply = max((i for i, m in enumerate(asked) if m.get("role") == "assistant"), default=-1)
    users = [(i, text) for i, m in enumerate(asked) if m.get("role") == "user" and (text := text_of(m.get("content")))]
    newest = users[-1][0] if users else -1
    fresh = [block for m in asked[last_reply + 1 :] for block in _blocks(m)]
    return Prompt(
        model=name,
        system=text_of(body.get("system")),
        user=users[-1][1] if users else "",
        tools=tuple(tool["name"] for tool in body.get("tools") or () if "input_schema" in tool),
        results=tuple(text_of(block.get("content")) for block in fresh if block.get("type") == "tool_result"),
        done=sum(block.get("type") == "tool_result" for m in asked[newest + 1 :] for block in _blocks(m)),
        limit=body.get("max_tokens"),
    )


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _usage(body: dict[str, Any], asked: list[dict[str, Any]]) -> dict[str, Any]:
    total = _prompt_tokens(body, asked)
    marked = '"cache_control"' in json.dumps(body)
    cached = model.count(text_of(body.get("system"))) if marked else 0
    return {
        "input_tokens": total - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }


def _prompt_tokens(body: dict[str, Any], asked: list[dict[str, Any]]) -> int:
    system = text_of(body.get("system"))
    tools = body.get("tools")
    texts = ([system] if system else []) + [_countable(m) for m in asked]
    return model.count_prompt(texts, json.dumps(tools) if tools else "")[0]


def _countable(message: dict[str, Any]) -> str:
    rest = [block for block in _blocks(message) if block.get("type") != "text"]
    return text_of(message.get("content")) + (json.dumps(rest) if rest else "")


def _stop_reason(answer: Completion) -> str:
    if answer.tool_uses:
        return "tool_use"
    return "max_tokens" if answer.cut else "end_turn"


def _events(
    head: dict[str, Any], content: list[dict[str, Any]], stop: str, usage: dict[str, Any], tokens: int
) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    begun = head | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage | {"output_tokens": 1}}
    yield event("message_start", message=begun)
    for index, block in enumerate(content):
        is_text = block["type"] == "text"
        empty: dict[str, Any] = {"text": ""} if is_text else {"input": {}}
        yield event("content_block_start", index=index, content_block=block | empty)
        if index == 0:
            yield event("ping")
        for piece in model.pieces(block["text"] if is_text else json.dumps(block["input"])):
            delta = (
                {"type": "text_delta", "text": piece}
                if is_text
                else {"type": "input_json_delta", "partial_json": piece}
            )
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    yield event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": tokens})
    yield event("message_stop")
