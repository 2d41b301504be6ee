"""A call as a row of the index and back: all of its record that lists, trees and statistics show.

`call_of` gives a call record again, without what only the log holds (headers, bodies, changes); `views.call_row` and
`sessions.session_tree` make of it what they make of the whole record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from sessiontap.trace.index.strings import Strings
from sessiontap.trace.views import dollars, is_error, span, tokens

Record = Mapping[str, Any]

TEXTS = (
    "session_name", "path", "source", "evidence", "agent", "subagent", "user", "provider", "family", "operation",
    "host", "forwarded_host", "method", "route", "request_model", "response_model", "outcome", "finish_reason",
    "service_tier",
)  # fmt: skip
"""Columns that hold the number of a text."""
JSONS = ("properties", "tags", "tools_offered", "tool_calls", "rules", "billed")
"""Columns that hold the number of a list or map as JSON."""
PLAIN = (
    "time", "duration", "first_byte", "first_token", "session", "caller", "step", "stream", "status", "failed",
    "input", "output", "cache_read", "cache_write", "reasoning", "has_usage", "cost_reported", "request_bytes",
    "response_bytes", "segment", "offset", "id", "conversation", "parent", "error",
)  # fmt: skip
COLUMNS = (*PLAIN, *TEXTS, *JSONS)
USAGE = ("input", "output", "cache_read", "cache_write", "reasoning")

_MOST = 1 << 63
_NOTHING: dict[str, Any] = {}
_encode = msgspec.json.Encoder().encode


def row_of(
    call: dict[str, Any], *, segment: int, offset: int, session: int | None, caller: int | None, strings: Strings
) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    get = call.get
    own, llm = get("session") or {}, get("llm") or {}
    request, response = get("request") or {}, get("response") or {}
    asked, said = llm.get, own.get
    usage, error = asked("usage"), asked("error")
    count = usage.get if isinstance(usage, dict) else _NOTHING.get
    texts = (
        said("name"), said("path"), said("source"), get("evidence"), get("agent"), get("subagent"), get("user"),
        asked("provider"), asked("family"), asked("operation"), get("host"), get("forwarded_host"),
        request.get("method"), get("route"), asked("request_model"), asked("response_model"), get("outcome"),
        asked("finish_reason"), asked("service_tier"),
    )  # fmt: skip
    structures = (
        get("properties"),
        get("tags"),
        asked("tools_offered"),
        asked("tool_calls"),
        get("rules"),
        asked("billed"),
    )
    number = strings.number
    return (
        get("time"), span(get("duration")), span(get("time_to_first_byte")),
        span(get("time_to_first_token")), session, caller, whole(said("step")), asked("stream"),
        whole(response.get("status")), is_error(call), tokens(count("input")), tokens(count("output")),
        tokens(count("cache_read")), tokens(count("cache_write")), tokens(count("reasoning")),
        isinstance(usage, dict), dollars(asked("cost_reported")), size(request), size(response), segment, offset,
        str(get("id")), get("conversation"), get("parent"), _json(error) if error else None,
        *[
            None if text is None else known[text] if text in known else number(column, text)
            for text, column, known in zip(texts, TEXTS, strings.known(TEXTS), strict=True)
        ],
        *[
            number(column, _json(value)) if value else None
            for value, column in zip(structures, JSONS, strict=True)
        ],
    )  # fmt: skip


def call_of(row: Record, strings: Mapping[int, str], session_id: str | None) -> dict[str, Any]:
    """A call record of a row by column."""

    def text(column: str) -> str | None:
        return None if row[column] is None else strings[row[column]]

    def structure(column: str) -> Any:
        return None if row[column] is None else json.loads(strings[row[column]])

    stream = row["stream"]
    came = row["status"] is not None or row["response_bytes"] is not None
    return {
        "id": row["id"],
        "time": row["time"],
        "session": None
        if session_id is None
        else {
            "id": session_id,
            "name": text("session_name"),
            "path": text("path"),
            "step": row["step"],
            "source": text("source"),
        },
        "conversation": row["conversation"],
        "parent": row["parent"],
        "evidence": text("evidence"),
        "llm": {
            "provider": text("provider"),
            "family": text("family"),
            "operation": text("operation"),
            "request_model": text("request_model"),
            "response_model": text("response_model"),
            "stream": None if stream is None else bool(stream),
            "finish_reason": text("finish_reason"),
            "tools_offered": structure("tools_offered"),
            "tool_calls": structure("tool_calls"),
            "usage": {name: row[name] for name in USAGE} if row["has_usage"] else None,
            "cost_reported": row["cost_reported"],
            "service_tier": text("service_tier"),
            "billed": structure("billed"),
            "error": json.loads(row["error"]) if row["error"] else None,
        },
        "outcome": text("outcome"),
        "duration": row["duration"],
        "time_to_first_byte": row["first_byte"],
        "time_to_first_token": row["first_token"],
        "agent": text("agent"),
        "subagent": text("subagent"),
        "user": text("user"),
        "properties": structure("properties") or {},
        "tags": structure("tags") or [],
        "rules": structure("rules") or [],
        "host": text("host"),
        "forwarded_host": text("forwarded_host"),
        "route": text("route"),
        "request": {"method": text("method"), "body": {"size": row["request_bytes"]}},
        "response": {"status": row["status"], "body": {"size": row["response_bytes"]}} if came else None,
    }


def whole(value: Any) -> int | None:
    """An integer that SQLite can hold, else None."""
    return value if isinstance(value, int) and -_MOST <= value < _MOST else None


def size(message: dict[str, Any]) -> int | None:
    """Bytes of a body as it went by; a message without one has none, a message that never came is unknown."""
    if not message:
        return None
    stored = message.get("body") or _NOTHING
    return whole(stored.get("total", stored.get("size", 0)))


def _json(value: Any) -> str:
    return _encode(value).decode()
