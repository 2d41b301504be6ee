"""OpenAI's chat completions, embeddings, models and errors: https://platform.openai.com/docs/api-reference."""

from __future__ import annotations

import array
import base64
import hashlib
import json
import math
import sys
from collections.abc import Iterator
from typing import Any

from sessiontap.demo import model
from sessiontap.demo.model import Completion, Prompt
from sessiontap.demo.provider_replies import BadRequest, HeaderList, Ids, StreamedReply, WholeReply, now, sse, text_of

FINGERPRINT = "fp_44709d6fcb"
DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "o4-mini", "text-embedding-3-small", "text-embedding-3-large")


def error(
    status: int, message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> WholeReply:
    """An error in OpenAI's shape."""
    return WholeReply({"error": {"message": message, "type": kind, "param": param, "code": code}}, status)


def refusal(status: int) -> WholeReply:
    """The error that a prompt asked for."""
    kinds = {429: ("requests", "rate_limit_exceeded"), 401: ("invalid_request_error", "invalid_api_key")}
    kind, code = kinds.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
    reply = error(status, f"The prompt asked for status {status}.", kind=kind, code=code)
    return WholeReply(reply.body, status, [("retry-after-ms", "5"), ("retry-after", "1")] if status == 429 else [])


def reply_headers(ids: Ids, version: str = "2020-10-01") -> HeaderList:
    return [
        ("x-request-id", ids.hex("req_", 32)),
        ("openai-organization", "org-local"),
        ("openai-processing-ms", "12"),
        ("openai-version", version),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-tokens", "1999000"),
        ("x-ratelimit-reset-tokens", "30ms"),
    ]


def known_model(body: Any) -> str:
    """Return the request's model. Raises BadRequest if it names none, or none that is known."""
    name = body.get("model") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise BadRequest(error(400, "you must provide a model parameter"))
    if not model.KNOWN_MODELS.match(name):
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise BadRequest(error(404, message, code="model_not_found"))
    return name


def usage(prompt: tuple[int, int], answer: Completion) -> dict[str, Any]:
    total, cached = prompt
    return {
        "prompt_tokens": total,
        "completion_tokens": answer.tokens,
        "total_tokens": total + answer.tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat(body: dict[str, Any], ids: Ids) -> WholeReply | StreamedReply:
    """`POST /v1/chat/completions`. Raises BadRequest."""
    name = known_model(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise BadRequest(error(400, "Missing required parameter: 'messages'.", param="messages"))
    answer = model.answer(_prompt(name, messages, body))
    if isinstance(answer, model.PromptedError):
        return refusal(answer.status)
    tools = body.get("tools")
    prompt = model.count_prompt([_countable(m) for m in messages], json.dumps(tools) if tools else "")
    head = {"id": ids.take("chatcmpl-", 29), "created": now(), "model": name}
    call_ids = [ids.take("call_", 24) for _ in answer.tool_uses]
    if body.get("stream"):
        options = body.get("stream_options") or {}
        counted = usage(prompt, answer) if options.get("include_usage") else None
        return StreamedReply(_chat_events(head, answer, call_ids, counted))
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
    if answer.tool_uses:
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": use.name, "arguments": use.json}}
            for call_id, use in zip(call_ids, answer.tool_uses, strict=True)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(answer)}
    return WholeReply(
        head
        | {
            "object": "chat.completion",
            "choices": [choice],
            "usage": usage(prompt, answer),
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }
    )


def finish_reason(answer: Completion) -> str:
    if answer.tool_uses:
        return "tool_calls"
    return "length" if answer.cut else "stop"


def _prompt(name: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> Prompt:
    last_reply = max((i for i, m in enumerate(messages) if m.get("role") == "assistant"), default=-1)
    newest = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=-1)
    return Prompt(
        model=name,
        system="\n".join(text_of(m.get("content")) for m in messages if m.get("role") in ("system", "developer")),
        user=text_of(messages[newest].get("content")) if newest >= 0 else "",
        tools=tuple(
            tool["function"]["name"] for tool in body.get("tools") or () if isinstance(tool.get("function"), dict)
        ),
        results=tuple(text_of(m.get("content")) for m in messages[last_reply + 1 :] if m.get("role") == "tool"),
        done=sum(m.get("role") == "tool" for m in messages[newest + 1 :]),
        limit=body.get("max_completion_tokens") or body.get("max_tokens"),
    )


def _countable(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    return text_of(message.get("content")) + (json.dumps(calls) if calls else "")


def _chat_events(
    head: dict[str, Any], answer: Completion, call_ids: list[str], counted: dict[str, Any] | None
) -> Iterator[bytes]:
    fixed = head | {"object": "chat.completion.chunk", "service_tier": "default", "system_fingerprint": FINGERPRINT}
    if counted is not None:
        fixed["usage"] = None

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse(fixed | {"choices": [choice]})

    yield chunk({"role": "assistant", "content": None if answer.tool_uses else "", "refusal": None})
    for piece in model.pieces(answer.text):
        yield chunk({"content": piece})
    for index, (call_id, use) in enumerate(zip(call_ids, answer.tool_uses, strict=True)):
        function = {"name": use.name, "arguments": ""}
        yield chunk({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})
        for piece in model.pieces(use.json):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, finish_reason(answer))
    if counted is not None:
        yield sse(fixed | {"choices": [], "usage": counted})
    yield sse("[DONE]")


def embeddings(body: dict[str, Any]) -> WholeReply:
    """`POST /v1/embeddings`. Raises BadRequest."""
    name = known_model(body)
    asked = body.get("input")
    if not asked or not isinstance(asked, str | list):
        raise BadRequest(error(400, "'$.input' is invalid.", param="input"))
    texts = [asked] if isinstance(asked, str) or isinstance(asked[0], int) else asked
    size = body.get("dimensions") or DIMENSIONS.get(name, 1536)
    as_base64 = body.get("encoding_format") == "base64"
    tokens = sum(model.count(text) if isinstance(text, str) else len(text) for text in texts)
    vectors = [_vector(str(text), size) for text in texts]
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if as_base64 else vector.tolist()}
        for index, vector in enumerate(vectors)
    ]
    counted = {"prompt_tokens": tokens, "total_tokens": tokens}
    return WholeReply({"object": "list", "data": data, "model": name, "usage": counted})


def _vector(text: str, size: int) -> array.array[float]:
    """A direction that depends on the text alone, of length 1."""
    raw = array.array("h", hashlib.shake_256(text.encode()).digest(size * 2))
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return array.array("f", (value / length for value in raw))


def _base64(vector: array.array[float]) -> str:
    if sys.byteorder == "big":
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode("ascii")


def models() -> WholeReply:
    """`GET /v1/models`."""
    return WholeReply({"object": "list", "data": [_model(name) for name in MODELS]})


def one_model(name: str) -> WholeReply:
    """`GET /v1/models/{name}`. Raises BadRequest."""
    return WholeReply(_model(known_model({"model": name})))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1715367049, "owned_by": "system"}
