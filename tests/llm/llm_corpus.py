"""The recorded exchanges of ../shared/corpus, where they are at hand."""

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

import pytest

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import content_encoding, hosts, read, routes
from sessiontap.llm.call import Call, Reply

FOLDER = Path(__file__).parents[3] / "shared" / "corpus"
FILES = tuple(sorted(FOLDER.glob("*.jsonl.gz"))) if FOLDER.is_dir() else ()

needs_corpus = pytest.mark.skipif(not FILES, reason=f"no recorded exchanges: {FOLDER} is missing or empty")


INTERACTIONS = (
    "openinference/python/instrumentation/openinference-instrumentation-google-genai/tests/cassettes/"
    "test_interactions_instrumentation/test_"
)
_JOKE = "Why do programmers prefer dark mode?\n\nBecause light attracts bugs!"
_SKY = (
    "The sky is blue because tiny air molecules scatter blue light from the sun more effectively than other colors, a "
    "phenomenon called Rayleigh scattering. This scattered blue light then reaches our eyes from all directions, "
    "making the sky appear blue."
)


def _counted(input: int, output: int, reasoning: int) -> dict[str, int | None]:
    return {"input": input, "output": output, "cache_read": 0, "cache_write": None, "reasoning": reasoning}


INTERACTIONS_SAY: dict[str, dict[str, Any]] = {
    "agent_stream#0": {},
    "generate_interactions_async[False]#0": {"text": _JOKE},
    "generate_interactions_async[True]#0": {
        "text": _JOKE, "response_model": "gemini-2.5-flash", "usage": _counted(9, 233, 220),
    },
    "generate_interactions_multi_model_messages[False]#0": {"text": "The image displays"},
    "generate_interactions_multi_model_messages[True]#0": {
        "text": "The image displays", "response_model": "gemini-2.5-flash-lite", "usage": _counted(266, 60, 57),
    },
    "generate_interactions_simple_message[False]#0": {"text": _JOKE},
    "generate_interactions_simple_message[True]#0": {
        "text": _JOKE, "response_model": "gemini-2.5-flash", "usage": _counted(9, 202, 189),
    },
    "interactions_with_thinking_stream#0": {
        "text": _SKY, "response_model": "gemini-2.5-flash", "usage": _counted(11, 168, 126),
    },
}  # fmt: skip
"""What stands in Gemini's interactions: the expectations say no more of them than a whole answer's model and usage."""
CORRECTIONS = {
    f"{INTERACTIONS}{test}": {"family": "gemini-interactions", **fields} for test, fields in INTERACTIONS_SAY.items()
}
"""Id of an exchange -> fields of its expectation that are others."""


@dataclass(frozen=True)
class Recorded:
    id: str
    request: Request
    response_status: int
    response_headers: Headers
    response_raw: bytes
    """The body as it went over the wire, content-encoding and all."""
    expect: dict[str, Any]

    def response(self, length: int | None = None) -> Response:
        """The response, or as much of it as `length` bytes on the wire hold."""
        raw = self.response_raw if length is None else self.response_raw[:length]
        encodings = self.response_headers.get("content-encoding")
        decoded = content_encoding.decode(raw, encodings, complete=length is None)
        assert decoded.problem is None
        return Response(self.response_status, self.response_headers, decoded.data, complete=length is None)

    def call(self) -> Call:
        request = self.request
        provider = hosts.provider_of(request.host, request.port)
        return read.read_request(request, routes.endpoint_of(request.method, request.host, request.path, provider))

    def reply(self, length: int | None = None) -> Reply:
        return read.read_reply(self.call(), self.request, self.response(length))


def recorded() -> tuple[Recorded, ...]:
    return tuple(_load()) if FILES else ()


@cache
def _load() -> tuple[Recorded, ...]:
    return tuple(_parse(json.loads(line)) for file in FILES for line in gzip.open(file))


def _parse(line: dict[str, Any]) -> Recorded:
    request, response = line["request"], line["response"]
    url = urlsplit(request["url"])
    return Recorded(
        id=line["id"],
        request=Request(
            method=request["method"],
            host=url.hostname or "",
            target=(url.path or "/") + (f"?{url.query}" if url.query else ""),
            headers=Headers(_pairs(request["headers"])),
            body=_body(request) or None,
            scheme=url.scheme,
            port=url.port or (443 if url.scheme == "https" else 80),
        ),
        response_status=response["status"],
        response_headers=Headers(_pairs(response["headers"])),
        response_raw=_body(response),
        expect=line["expect"] | CORRECTIONS.get(line["id"], {}),
    )


def _pairs(headers: list[list[str]]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in headers)


def _body(message: dict[str, Any]) -> bytes:
    if "body_b64" in message:
        return base64.b64decode(message["body_b64"])
    return str(message.get("body") or "").encode()
