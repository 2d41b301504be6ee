"""Short ways to write an exchange down in a test."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import read, routes
from sessiontap.llm.call import Asked, Call, Reply

JSON = Headers([("content-type", "application/json")])
SSE = Headers([("content-type", "text/event-stream")])


def request(path: str, body: Any = None, method: str = "POST") -> Request:
    raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, "llm.example", path, JSON, raw)


def call(path: str, body: Any = None, provider: str | None = None, method: str = "POST") -> Call:
    asked = request(path, body, method)
    return read.read_request(asked, routes.endpoint_of(method, asked.host, asked.path, provider))


def asked(path: str, body: Any, provider: str | None = None) -> Asked:
    return call(path, body, provider).asked


def reply(path: str, body: Any, *, asked: Any = None, provider: str | None = None, status: int = 200) -> Reply:
    """The reply of a JSON body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    understood = call(path, {} if asked is None else asked, provider)
    return read.read_reply(understood, request(path), Response(status, JSON, raw))


def sse(events: Iterable[Any], *, named: bool = False) -> bytes:
    """An event stream; a string is put in as it is."""
    parts = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        parts.append(f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return "".join(parts).encode()


def streamed(
    path: str,
    events: Iterable[Any],
    *,
    asked: Any = None,
    provider: str | None = None,
    complete: bool = True,
    named: bool = False,
) -> Reply:
    """The reply of an event stream, or of one that breaks off behind `events`."""
    understood = call(path, {"stream": True} if asked is None else asked, provider)
    return read.read_reply(understood, request(path), Response(200, SSE, sse(events, named=named), complete))
