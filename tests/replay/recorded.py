"""Recorded calls for tests, made of plain values: what `Trace` would give of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sessiontap.exchange import Headers, Request, UrlParts
from sessiontap.replay.question import LiveRequest
from sessiontap.trace import RecordedCall

CHAT = "https://api.openai.com/v1/chat/completions"
WS = "https://api.openai.com/v1/responses"
MESSAGES = "https://api.anthropic.com/v1/messages"


def body_of(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b"" if value is None else json.dumps(value).encode()


def recorded(
    id: str,
    asked: Any = None,
    answered: Any = b"{}",
    *,
    url: str = CHAT,
    method: str = "POST",
    time: int | None = None,
    conversation: str | None = "c-1",
    parent: str | None = None,
    kind: str | None = None,
    process: str | None = "p-1",
    status: int | None = 200,
    headers: Sequence[Sequence[str]] = (("content-type", "application/json"),),
    chunks: Sequence[int] | None = None,
    outcome: str = "ok",
    flags: Sequence[str] = (),
    tool_calls: Sequence[str] = (),
    response_id: str | None = None,
    agent: str | None = None,
    operation: str = "chat",
    more: dict[str, Any] | None = None,
    more_of_reply: dict[str, Any] | None = None,
) -> RecordedCall:
    """A call of the conversation `c-1`; `more` are keys of the record, `more_of_reply` of the reply's stored body.

    Its reply is `answered`, JSON or bytes; `status` None: there is none.
    """
    request, response = body_of(asked), body_of(answered)
    bodies = {"request": request, "response": response}
    link_kind = kind or ("continue" if parent else "new")
    record: dict[str, Any] = {
        "type": "call",
        "id": id,
        "time": time if time is not None else _number(id),
        "conversation": conversation,
        "parent": parent,
        "link": {"kind": link_kind} if conversation else None,
        "caller": process,
        "agent": agent,
        "llm": {
            "provider": "openai",
            "family": "anthropic-messages" if "anthropic" in url else "openai-chat",
            "operation": operation,
            "request_model": "m" if operation == "chat" else None,
            "response_id": response_id,
            "tool_call_ids": list(tool_calls),
        },
        "outcome": outcome,
        "flags": list(flags),
        "duration": 3_000_000,
        "time_to_first_byte": 1_000_000,
        "host": UrlParts.of(url).host,
        "request": {"method": method, "url": url, "headers": [], "body": _stored(request)},
        "response": None
        if status is None
        else {
            "status": status,
            "headers": [list(pair) for pair in headers],
            "chunks": list(chunks) if chunks else None,
            "body": _stored(response) | (more_of_reply or {}) if response or more_of_reply else None,
        },
    }
    record |= more or {}
    return RecordedCall(record, None, lambda side, stored: bodies[side] if stored.get("enc") else None)


def _number(id: str) -> int:
    digits = "".join(filter(str.isdigit, id))
    return int(digits) if digits else 0


def _stored(body: bytes) -> dict[str, Any]:
    return {"size": len(body), "sha256": hashlib.sha256(body).digest(), "enc": "raw"} if body else {}


def live(
    asked: Any = None,
    *,
    url: str = CHAT,
    method: str = "POST",
    caller: str | None = None,
    socket: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> LiveRequest:
    parts = UrlParts.of(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    request = Request(method, parts.host, parts.target, Headers(headers), body_of(asked) or None, parts.scheme, port)
    return LiveRequest(request, caller, socket)


def user(said: str) -> dict[str, Any]:
    return {"role": "user", "content": said}


def calls_tool(id: str, name: str = "read", arguments: str = '{"path":"a.txt"}') -> dict[str, Any]:
    """An assistant's message that calls a tool, as chat completions write it."""
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"type": "function", "id": id, "function": function}]}


def result(id: str, said: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": said}


def asks(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **more}
