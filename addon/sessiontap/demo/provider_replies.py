"""Values that the local LLM server's wire families share: replies, ids, server-sent events, the text of messages."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

HeaderList = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class WholeReply:
    """A reply in one piece: JSON."""

    body: Any
    status: int = 200
    headers: HeaderList = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StreamedReply:
    """A reply in pieces: server-sent events or what `content_type` says, each as its bytes on the wire."""

    events: Iterator[bytes]
    content_type: str = "text/event-stream; charset=utf-8"


class BadRequest(Exception):
    """The request cannot be answered; `reply` says so in the provider's own shape."""

    def __init__(self, reply: WholeReply) -> None:
        super().__init__(str(reply.status))
        self.reply = reply


class Ids:
    """Ids that look like the providers' own: unlike each other, the same in every run of the server."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)  # safe to share between threads

    def take(self, prefix: str, length: int, alphabet: str = BASE62) -> str:
        """`prefix` and `length` characters of `alphabet`."""
        digest = hashlib.shake_256(f"{prefix}{next(self._numbers)}".encode()).digest(length)
        return prefix + "".join(alphabet[byte % len(alphabet)] for byte in digest)

    def hex(self, prefix: str, length: int) -> str:
        return self.take(prefix, length, "0123456789abcdef")


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event; `data` as compact JSON, a string as it is."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts of which the text ones count."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part if isinstance(part, str) else part.get("text") for part in content if part)
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def now() -> int:
    """Unix seconds."""
    return int(time.time())
