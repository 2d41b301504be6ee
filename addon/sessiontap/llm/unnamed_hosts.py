"""LLM calls in plain HTTP to hosts that neither the table of LLM hosts nor a rule names: vLLM, llama.cpp, LM Studio.

Recognised in two steps: by method and path when a request begins, so that all else passes at once, then by its body.
Both are needed: `/embeddings` may be a page of anybody's, and a list of messages anybody's, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sessiontap.llm.call import Endpoint, Operation
from sessiontap.llm.routes import endpoint_of

_NAMES = (
    "model", "messages", "message", "contents", "input", "inputs", "prompt", "query", "documents", "texts", "voice",
)  # fmt: skip
_Fields = msgspec.defstruct("_Fields", [(name, msgspec.Raw, msgspec.Raw()) for name in _NAMES])
_decode = msgspec.json.Decoder(_Fields).decode

# What the body of an operation holds: one of these sets of fields, and each of them in a form that fits it. A list of
# messages is sign enough; the other fields are common words, so the model must be named, in the body or by the path.
_SIGNS: Mapping[Operation, tuple[tuple[str, ...], ...]] = {
    "chat": (
        ("messages",),
        ("contents",),
        ("model", "input"),
        ("model", "message"),
    ),
    "text_completion": (("model", "prompt"),),
    "embeddings": (("model", "input"), ("model", "texts"), ("model", "prompt"), ("model", "inputs")),
    "rerank": (("model", "query", "documents"), ("query", "texts")),
    "count_tokens": (("messages",), ("contents",), ("model", "input")),
    "moderation": (("model", "input"),),
    "image": (("model", "prompt"),),
    "audio": (("model", "input", "voice"),),
}


def may_be_call(method: str, host: str, path: str, content_type: str | None) -> bool:
    """Return whether a request may be an LLM call, by what is known before its body."""
    media = (content_type or "").partition(";")[0].strip().lower()
    if method != "POST" or not (media in ("", "application/json", "text/plain") or media.endswith("+json")):
        return False
    return endpoint_of(method, host, path, None).operation in _SIGNS


def is_call(method: str, host: str, path: str, body: bytes) -> bool:
    """Return whether such a request is an LLM call, by its body without its encoding."""
    endpoint = endpoint_of(method, host, path, None)
    try:
        fields = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return any(
        all(_fits(name, bytes(getattr(fields, name)), endpoint) for name in names)
        for names in _SIGNS.get(endpoint.operation, ())
    )


def _fits(name: str, raw: bytes, endpoint: Endpoint) -> bool:
    """Whether a field has the form that it has in LLM calls. Unset, it is empty."""
    raw = raw.strip()
    match name:
        case "model":
            return endpoint.model is not None or (raw.startswith(b'"') and raw != b'""')
        case "messages":
            return raw.startswith(b"[") and b'"role"' in raw
        case "contents":
            return raw.startswith((b"[", b"{")) and b'"parts"' in raw
        case "documents" | "texts":
            return raw.startswith(b"[")
        case "message" | "query" | "voice":
            return raw.startswith(b'"')
    return raw.startswith((b'"', b"["))
