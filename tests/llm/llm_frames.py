"""AWS event-stream frames, written by the specification, and replies of any content type."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from tests.llm.llm_exchanges import call, request

from sessiontap.exchange import Headers, Response
from sessiontap.llm import read
from sessiontap.llm.call import Reply

EVENTSTREAM = "application/vnd.amazon.eventstream"

Typed = tuple[int, Any]
"""A header's type and value."""


def frame(headers: dict[str, Typed], payload: bytes) -> bytes:
    packed = b"".join(
        bytes([len(name)]) + name.encode() + bytes([kind]) + _value(kind, value)
        for name, (kind, value) in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return body + struct.pack(">I", zlib.crc32(body))


def _value(kind: int, value: Any) -> bytes:
    if kind in (0, 1):
        return b""
    if kind in (2, 3, 4, 5, 8):
        return struct.pack({2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}[kind], value)
    if kind == 9:
        return UUID(value).bytes
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(raw)) + raw


def event(kind: str, value: Any) -> bytes:
    """An ordinary event with a JSON payload; bytes are put in as they are."""
    headers = {":event-type": (7, kind), ":content-type": (7, "application/json"), ":message-type": (7, "event")}
    return frame(headers, value if isinstance(value, bytes) else json.dumps(value).encode())


def exception(kind: str, message: str) -> bytes:
    headers = {":exception-type": (7, kind), ":message-type": (7, "exception")}
    return frame(headers, json.dumps({"message": message}).encode())


def error(code: str, message: str) -> bytes:
    return frame({":message-type": (7, "error"), ":error-code": (7, code), ":error-message": (7, message)}, b"")


def chunk(value: Any) -> bytes:
    """A model's own chunk, as InvokeModelWithResponseStream sends it."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return event("chunk", {"bytes": base64.b64encode(raw).decode(), "p": "abcd"})


def received(
    path: str,
    body: bytes,
    content_type: str | None = EVENTSTREAM,
    *,
    asked: Any = None,
    provider: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    complete: bool = True,
) -> Reply:
    """The reply of a body of any type."""
    fields = [*([("content-type", content_type)] if content_type else []), *headers]
    understood = call(path, {} if asked is None else asked, provider)
    return read.read_reply(understood, request(path), Response(200, Headers(fields), body, complete))
