from __future__ import annotations

import time
import zlib

import pytest

from sessiontap.llm.sniff import body_kind

FRAME = bytes.fromhex("000000af0000004b")

CASES = {
    "json": ("application/json; charset=utf-8", b'{"a": 1}', "json"),
    "json of a vendor": ("application/vnd.api+json", b"[]", "json"),
    "sse": ("text/event-stream", b"data: a\n\n", "sse"),
    "json lines": ("application/x-ndjson", b'{"a": 1}\n', "ndjson"),
    "cohere's": ("application/stream+json", b'{"a": 1}\n{"b": 2}\n', "ndjson"),
    "aws frames": ("application/vnd.amazon.eventstream", b"\0\0\0\xaf", "eventstream"),
    "an image": ("image/png", b"\x89PNG", "binary"),
    "a page": ("text/html", b"<html>", "text"),
    "nothing": ("application/json", b"", "empty"),
    "json that is sse": ("application/json", b": hello\n\ndata: {}\n\n", "sse"),
    "sse that is json": ("text/event-stream", b'{"error": {}}', "json"),
    "no type: json": (None, b' \n{"a": 1}', "json"),
    "no type: pretty json": (None, b'{\n "a": {\n}\n}', "json"),
    "no type: sse": (None, b"event: a\ndata: b\n\n", "sse"),
    "no type: json lines": (None, b'{"a": 1}\r\n{"b": 2}', "ndjson"),
    "no type: frames": (None, FRAME + zlib.crc32(FRAME).to_bytes(4) + b"x", "eventstream"),
    "no type: text": (None, b"Not found", "text"),
    "no type: binary": (None, b"\x00\x01", "binary"),
    "plain text that is json": ("text/plain", b'{"a": 1}', "json"),
}


@pytest.mark.parametrize(("content_type", "body", "kind"), CASES.values(), ids=CASES)
def test_kind(content_type: str | None, body: bytes, kind: str) -> None:
    assert body_kind(content_type, body) == kind


def test_a_large_body_costs_nothing() -> None:
    body = b'{"a": "' + b"}" * 20_000_000 + b'"}'
    start = time.process_time()
    assert body_kind(None, body) == "json"
    assert time.process_time() - start < 0.5
