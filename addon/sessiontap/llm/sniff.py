"""The kind of a body: by its content type, else by its first bytes."""

from __future__ import annotations

import re
import zlib
from typing import Literal

from sessiontap.exchange import Response

Kind = Literal["json", "sse", "ndjson", "eventstream", "text", "binary", "empty"]

STREAMS: frozenset[Kind] = frozenset({"sse", "ndjson", "eventstream"})

CONTENT_TYPES: dict[str, Kind] = {
    "application/json": "json",
    "text/json": "json",
    "text/event-stream": "sse",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/stream+json": "ndjson",  # Cohere v1
    "application/vnd.amazon.eventstream": "eventstream",
}

_SSE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?::|(?:data|event|id|retry)(?::|\r|\n))")
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")


def reply_kind(response: Response) -> Kind:
    """The kind of a response's body. What follows a 101 is a turn of a WebSocket: its frames as JSON lines."""
    if response.status == 101 and response.body:
        return "ndjson"
    return body_kind(response.headers.get("content-type"), response.body)


def body_kind(content_type: str | None, body: bytes) -> Kind:
    """The kind of `body`. A type that says JSON over a body that is SSE, or the other way round, is not believed."""
    if not body:
        return "empty"
    media = (content_type or "").partition(";")[0].strip().lower()
    said = CONTENT_TYPES.get(media) or ("json" if media.endswith("+json") else None)
    if said is None:
        return _look(body) if media in ("", "application/octet-stream") or media.startswith("text/") else "binary"
    if said in ("json", "sse"):
        seen = _look(body)
        return seen if seen in ("json", "sse") else said
    return said


def _more_than_one(body: bytes) -> bool:
    """The first line is a whole object and another one follows."""
    body_start = len(body) - len(body.lstrip()) if body[:1].isspace() else 0
    end = body.find(b"\n", body_start)
    return end > 0 and body[body_start:end].rstrip().endswith(b"}") and body[end : end + 64].lstrip().startswith(b"{")


def _look(body: bytes) -> Kind:
    if _SSE.match(body):
        return "sse"
    if _JSON.match(body):
        return "ndjson" if _more_than_one(body) else "json"
    if len(body) >= 12 and zlib.crc32(body[:8]) == int.from_bytes(body[8:12]):  # an event-stream frame's prelude
        return "eventstream"
    return "binary" if b"\x00" in body[:512] else "text"
