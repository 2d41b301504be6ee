"""JSON Lines: the line of `calls --json`, the log's own maps behind it, and both messages with their bodies.

A body is text if it is UTF-8, byte for byte (its sha256 is that of the log); JSON in it stays text, since parsing
would lose digits, order and spaces. Any other is `body_base64`, so that no key has values of two types. Nothing is left
out: facts without a key of their own are in `session`, `link` and `llm`, as docs/trace-format.md says.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, BinaryIO

import msgspec

from sessiontap.export.exported_call import ExportedBody, ExportedCall, Record
from sessiontap.trace.values import seconds
from sessiontap.trace.views import changes_of, process_of

FACTS = ("client", "proxy_user", "user", "properties", "tags", "state", "flags", "session", "link", "llm")


def write(calls: Iterable[ExportedCall], out: BinaryIO) -> None:
    """Write a call a line. Raises OSError of `out`."""
    encode = msgspec.json.Encoder().encode
    for call in calls:
        out.write(encode(as_json(call)) + b"\n")


def as_json(call: ExportedCall) -> dict[str, Any]:
    """Return the value of a call's line."""
    record = call.record
    return {
        **call.row,
        **{key: record.get(key) for key in FACTS},
        "score_details": list(call.scores),
        "session_score_details": list(call.session_scores),
        "changes": changes_of(record),
        "caller": process_of(call.caller),
        "request": _message(call.request, call.request_body, ("method", "url", "http_version")),
        "response": _response(call),
    }


def _response(call: ExportedCall) -> dict[str, Any] | None:
    if call.response is None:
        return None
    found = _message(call.response, call.response_body, ("status", "http_version"))
    packed = call.response.get("chunks") or ()
    delays = zip(packed[::2], packed[1::2], strict=False)
    return found | {"chunks": [[seconds(delay * 1000), size] for delay, size in delays]}


def _message(message: Record, body: ExportedBody, keys: tuple[str, ...]) -> dict[str, Any]:
    text, binary = _body(body.data)
    return {
        **{key: message.get(key) for key in (*keys, "headers", "trailers")},
        "body": text,
        "body_base64": binary,
        "body_missing": body.missing,
        "body_size": body.size,
        "body_total": body.total,
        "body_sha256": body.sha256,
        "content_encoding": body.encoding,
        "undecodable": body.undecodable,
    }


def _body(data: bytes | None) -> tuple[str | None, str | None]:
    if data is None:
        return None, None
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(data).decode()
