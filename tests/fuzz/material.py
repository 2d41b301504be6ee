"""Exchanges that are mutated: made-up ones, and recorded ones if their folder is at hand."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.fuzz.made_up import SOCKETS, STREAMED, WHOLE
from tests.fuzz.made_up_values import JSON, lines

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import hosts, read, routes
from sessiontap.llm.call import Call
from sessiontap.llm.content_encoding import decode
from sessiontap.llm.streaming import reply_kind

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
GRPC_MESSAGES = Path(__file__).parents[1] / "llm" / "grpc_messages.json"
LARGEST = 60_000
"""Bytes of a message: larger ones are left out, since each of them takes the time of many."""


@dataclass(frozen=True)
class Exchange:
    """A request and its reply, both decoded."""

    id: str
    request: Request
    response: Response

    def call(self, body: bytes | None = None) -> Call:
        """The request, or one with another body, read."""
        request = self.asked(body)
        provider = hosts.provider_of(request.host, request.port)
        return read.read_request(request, routes.endpoint_of(request.method, request.host, request.path, provider))

    def asked(self, body: bytes | None = None) -> Request:
        if body is None:
            return self.request
        one = self.request
        return Request(one.method, one.host, one.target, one.headers, body, one.scheme, one.port)

    def came(self, body: bytes, *, complete: bool = True) -> Response:
        """The response with another body."""
        return Response(self.response.status, self.response.headers, body, complete)

    @property
    def kind(self) -> str:
        return reply_kind(self.response)


def exchanges(corpus: Path | None) -> tuple[Exchange, ...]:
    """Those of the corpus, always in the same order; the made-up ones without it."""
    return (*_made_up(), *_recorded(corpus)) if corpus is not None else _made_up()


@cache
def _recorded(corpus: Path) -> tuple[Exchange, ...]:
    found = []
    for file in sorted(corpus.glob("*.jsonl.gz")):
        with gzip.open(file) as lines:
            found += [one for line in lines if (one := _read(json.loads(line))) is not None]
    return tuple(found)


def _read(line: dict[str, Any]) -> Exchange | None:
    request, response, url = line["request"], line["response"], urlsplit(line["request"]["url"])
    headers = Headers((name, value) for name, value in response["headers"])
    came = decode(_body(response), headers.get("content-encoding")).data
    sent = _body(request)
    if line["expect"]["family"] is None or len(came) > LARGEST or len(sent) > LARGEST:
        return None
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    port = url.port or (443 if url.scheme == "https" else 80)
    fields = Headers((name, value) for name, value in request["headers"])
    asked = Request(request["method"], url.hostname or "", target, fields, sent or None, url.scheme, port)
    return Exchange(line["id"], asked, Response(response["status"], headers, came))


def _body(message: dict[str, Any]) -> bytes:
    return base64.b64decode(message["body_b64"]) if "body_b64" in message else str(message.get("body") or "").encode()


@cache
def _made_up() -> tuple[Exchange, ...]:
    found = []
    for name, host, path, asked, told in WHOLE:
        status = 429 if "error" in told else 200
        found.append(_exchange(name, host, path, asked, JSON, json.dumps(told).encode(), status))
    found += [_exchange(*one) for one in STREAMED]
    for name, path, sent, came in SOCKETS:
        asked = Request("GET", "api.openai.com", path, Headers([("upgrade", "websocket")]), lines(sent))
        found.append(Exchange(name, asked, Response(101, Headers([("upgrade", "websocket")]), lines(came))))
    return (*found, *by_grpc())


def by_grpc() -> Iterator[Exchange]:
    """Gemini's, as Google's packages write them."""
    written = {one["id"]: one for one in json.loads(GRPC_MESSAGES.read_text(encoding="utf-8"))}
    headers = Headers([("content-type", "application/grpc"), ("grpc-encoding", "gzip")])
    for service in sorted({one["service"] for one in written.values()}):
        sent, first, last = (framed(written, f"{service} {name}") for name in ("a tool's result", "a call", "a reply"))
        for method, body in (("GenerateContent", last), ("StreamGenerateContent", first + last)):
            asked = Request("POST", "aiplatform.googleapis.com", f"/{service}/{method}", headers, sent)
            yield Exchange(f"{service}/{method}", asked, Response(200, headers, body))


def framed(written: dict[str, Any], name: str) -> bytes:
    data = base64.b64decode(written[name]["data"])
    return b"\0" + len(data).to_bytes(4) + data


def _exchange(
    name: str, host: str, path: str, asked: Any, content_type: str, body: bytes, status: int = 200
) -> Exchange:
    headers = Headers([("content-type", JSON)])
    port = 11434 if host == "localhost" else 443
    request = Request("POST", host, path, headers, json.dumps(asked).encode(), "https", port)
    return Exchange(name, request, Response(status, Headers([("content-type", content_type)]), body))
