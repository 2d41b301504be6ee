"""Recorded calls as plain values, for tests of the formats and of what writes mitmproxy's."""

from __future__ import annotations

from typing import Any

from sessiontap.export.exported_call import ExportedCall, export_call
from sessiontap.trace import RecordedCall, body
from sessiontap.trace.views import CallCost

START = 1_795_237_563_000_001_000  # 2026-11-21T05:06:03.000001Z
ID = "01a1fce0-ea05-7202-8000-000000000001"
SESSION = {"id": "1db5055c-ed54-5a42-b919-793b95b7114c", "name": "Course", "path": "/outline", "step": 0}
CALLER = {"type": "caller", "id": "c", "pid": 7, "started": START, "name": "bot.py", "cwd": "/srv", "ancestors": []}
JSON = [["content-type", "application/json"]]


def call(
    request: bytes | None = b'{"model": "gpt-4o"}',
    response: bytes | None = b'{"ok": true}',
    *,
    asked: dict[str, Any] | None = None,
    told: dict[str, Any] | None = None,
    **more: Any,
) -> ExportedCall:
    """A call with these bodies; `asked` and `told` change its messages, the rest its record."""
    record: dict[str, Any] = {
        "type": "call",
        "id": ID,
        "time": START,
        "session": SESSION,
        "llm": {"provider": "openai", "request_model": "gpt-4o", "usage": {"input": 3, "output": 4}},
        "outcome": "ok",
        "flags": [],
        "duration": 1_500_000_000,
        "time_to_first_byte": 500_000_000,
        "client": "127.0.0.1",
        "tags": ["nightly"],
        "properties": {"mode": "test"},
        "host": "api.openai.com",
        "forwarded_host": "api.openai.com",
        "request": {
            "method": "POST",
            "url": "https://api.openai.com/v1/chat?a=1&b=%C3%A4",
            "http_version": "HTTP/2.0",
            "headers": JSON,
            "body": None if request is None else body.encode(request),
            **(asked or {}),
        },
        "response": {
            "status": 200,
            "http_version": "HTTP/2.0",
            "headers": JSON,
            "body": None if response is None else body.encode(response),
            **(told or {}),
        },
        **more,
    }
    recorded = RecordedCall(record, CALLER, lambda _, stored: body.decode(stored))
    return export_call(recorded, lambda _: CallCost(0.25, (0.1, 0.0, 0.0, 0.15, 0.0)))


def unanswered(outcome: str = "upstream_unreachable") -> ExportedCall:
    """A call to which nothing came back."""
    record = {**call(outcome=outcome).record, "response": None, "time_to_first_byte": None}
    return export_call(RecordedCall(record, CALLER, lambda _, stored: body.decode(stored)))


def turn(*, outcome: str = "ok", **told: Any) -> ExportedCall:
    """A turn of a WebSocket: one message, and two that came 0.1 and 0.3 seconds after it."""
    asked = {"method": "GET", "url": "https://api.openai.com/v1/responses", "http_version": "HTTP/1.1"}
    told = {"status": 101, "http_version": "HTTP/1.1", "chunks": [100_000, 12, 200_000, 11], **told}
    sent, came = b'{"type": "response.create"}\n', '{"n": "ä"}\n{"n": "b"}\n'.encode()
    return call(sent, came, asked=asked, told=told, outcome=outcome, flags=["websocket"])


def damaged(data: bytes = b"x" * 1000) -> dict[str, Any]:
    """A stored body whose bytes have changed."""
    return body.encode(data) | {"sha256": "0" * 64}
