"""The tables of Parquet files: each column with its name, type, description, and the value that a call has there.

What is unknown is null. Columns are only ever added: one whose meaning changes gets another name. If one goes away,
`SCHEMA_VERSION` is raised. docs/parquet.md lists the columns, and a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from sessiontap.export.exported_call import ExportedBody, ExportedCall
from sessiontap.trace.errands import is_errand
from sessiontap.trace.outcomes import end, is_error, part
from sessiontap.trace.values import tokens
from sessiontap.trace.views import COST_PARTS

SCHEMA_VERSION = 1

UNKNOWN_FOLDER = "__HIVE_DEFAULT_PARTITION__"
"""Engines read it as null."""

Row = dict[str, Any]

TEXT = pa.string()
TIME = pa.timestamp("us", "UTC")
"""Microseconds: Spark refuses a file with nanoseconds."""
COUNT = pa.int64()
NUMBER = pa.float64()
FLAG = pa.bool_()
TEXTS = pa.list_(pa.field("element", TEXT, nullable=False))
TEXT_MAP = pa.map_(TEXT, pa.field("value", TEXT, nullable=False))
NUMBER_MAP = pa.map_(TEXT, pa.field("value", NUMBER, nullable=False))


@dataclass(frozen=True, slots=True)
class ParquetColumn:
    """A column of a table."""

    name: str
    type: pa.DataType
    text: str
    """The description that stands in the file."""
    of: Callable[[ExportedCall], Any]
    """Returns the value of a call."""


def _row(key: str) -> Callable[[ExportedCall], Any]:
    """A key of `calls --json`."""
    return lambda call: call.row[key]


def _inside(key: str, within: str) -> Callable[[ExportedCall], Any]:
    """A key of a map in `calls --json`, if there is the map."""
    return lambda call: (call.row[key] or {}).get(within)


def _usage(kind: str) -> Callable[[ExportedCall], Any]:
    return lambda call: tokens((call.row["usage"] or {}).get(kind))


def _gateway(key: str) -> Callable[[ExportedCall], Any]:
    return lambda call: part(call.record, "gateway").get(key)


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores that are numbers; yes is 1, no is 0."""
    return {name: float(value) for name, value in scores.items() if isinstance(value, int | float)}


def _words(scores: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in scores.items() if isinstance(value, str)}


def _session_scores(call: ExportedCall) -> dict[str, Any]:
    return {one["name"]: one["value"] for one in call.session_scores if one["name"] is not None}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}


def _began(call: ExportedCall) -> int:
    """Unix microseconds."""
    return int(call.record["time"]) // 1000


def _day(call: ExportedCall) -> date:
    return datetime.fromtimestamp(_began(call) // 1_000_000, UTC).date()


_KEY = ParquetColumn("id", TEXT, "The call's id, a UUIDv7. One row has it.", lambda call: call.id)
_BEGAN = ParquetColumn("time", TIME, "When the call began.", _began)
_SESSION = ParquetColumn(
    "session_id", TEXT, "The session that the call belongs to; null if no rule gave it one.", _row("session_id")
)

CALLS: tuple[ParquetColumn, ...] = (
    _KEY,
    _BEGAN,
    ParquetColumn("ended", TIME, "When the call was over.", lambda call: end(call.record) // 1000),
    _SESSION,
    ParquetColumn("session_name", TEXT, "The session's name.", _row("session_name")),
    ParquetColumn("path", TEXT, "The place in the session's path tree: /course/outline.", _row("path")),
    ParquetColumn("step", COUNT, "The call's number in its session, from 0.", _row("step")),
    ParquetColumn("session_source", TEXT, "How the session's id was found: native, process, ...", _row("source")),
    ParquetColumn("conversation", TEXT, "The conversation that the call belongs to.", _row("conversation")),
    ParquetColumn("parent", TEXT, "The id of the call that this one goes on from.", _row("parent")),
    ParquetColumn("evidence", TEXT, "How sure the parent is: declared, exact, strong, ...", _row("evidence")),
    ParquetColumn("kind", TEXT, "What the call is to its conversation: new, continue, auxiliary, ...", _row("kind")),
    ParquetColumn(
        "errand", FLAG, "The call is an agent's errand; sums leave it out.", lambda call: is_errand(call.record)
    ),
    ParquetColumn("agent", TEXT, "The known agent that made the call.", _row("agent")),
    ParquetColumn("subagent", TEXT, "The sub-agent that made the call; null: the main agent.", _row("subagent")),
    ParquetColumn("process", TEXT, "The name of the program that made the call.", _inside("process", "name")),
    ParquetColumn("pid", COUNT, "Its process id.", _inside("process", "pid")),
    ParquetColumn("user_name", TEXT, "The user as the rules name it.", lambda call: call.record.get("user")),
    ParquetColumn("provider", TEXT, "The provider of the API.", _row("provider")),
    ParquetColumn("family", TEXT, "The wire family of the API.", _row("family")),
    ParquetColumn("operation", TEXT, "What was asked for: chat, embeddings, ...", _row("operation")),
    ParquetColumn("api_host", TEXT, "The host that the app called.", _row("host")),
    ParquetColumn("forwarded_host", TEXT, "The host that the call went to.", _row("forwarded_host")),
    ParquetColumn("method", TEXT, "The HTTP method.", _row("method")),
    ParquetColumn("route", TEXT, "The path of the URL.", _row("route")),
    ParquetColumn("gateway", TEXT, "The name of the gateway that the call went through.", _gateway("name")),
    ParquetColumn("gateway_kind", TEXT, "The kind of that gateway.", _gateway("kind")),
    ParquetColumn("request_model", TEXT, "The model that was asked for.", _row("request_model")),
    ParquetColumn("response_model", TEXT, "The model that answered.", _row("response_model")),
    ParquetColumn(
        "model",
        TEXT,
        "The model that answered, or else the one that was asked for.",
        lambda call: call.row["request_model"] if call.row["response_model"] is None else call.row["response_model"],
    ),
    ParquetColumn("stream", FLAG, "A stream was asked for.", _row("stream")),
    ParquetColumn("status", COUNT, "The HTTP status.", _row("status")),
    ParquetColumn("outcome", TEXT, "How the call ended: ok, http_error, client_gone, ...", _row("outcome")),
    ParquetColumn("failed", FLAG, "The call is an error.", lambda call: is_error(call.record)),
    ParquetColumn("error_type", TEXT, "The type of the error, as the provider states it.", _inside("error", "type")),
    ParquetColumn("finish_reason", TEXT, "Why the reply ended, as the provider states it.", _row("finish_reason")),
    ParquetColumn("tool_calls", TEXTS, "The names of the tools that the reply calls.", _row("tool_calls")),
    ParquetColumn("input_tokens", COUNT, "Tokens of the request, with those of a cache.", _usage("input")),
    ParquetColumn("output_tokens", COUNT, "Tokens of the reply, with reasoning.", _usage("output")),
    ParquetColumn(
        "cache_read_tokens", COUNT, "Input tokens that were read from the provider's cache.", _usage("cache_read")
    ),
    ParquetColumn("cache_write_tokens", COUNT, "Input tokens that were written to it.", _usage("cache_write")),
    ParquetColumn("reasoning_tokens", COUNT, "Output tokens of reasoning.", _usage("reasoning")),
    ParquetColumn(
        "cost_usd", NUMBER, "The cost in US dollars; null if it is unknown or has no price.", _row("cost_usd")
    ),
    ParquetColumn(
        "cost_unknown", TEXT, "Why the cost is unknown; null if it is known or has no price.", _row("cost_unknown")
    ),
    *(
        ParquetColumn(
            f"{name}_cost_usd",
            NUMBER,
            f"The part of the cost for {name.replace('_', ' ')} tokens."
            if name != "other"
            else "The rest of the cost.",
            _inside("cost_parts", name),
        )
        for name in COST_PARTS
    ),
    ParquetColumn("duration", NUMBER, "Seconds from the request to the reply's end.", _row("duration")),
    ParquetColumn("time_to_first_byte", NUMBER, "Seconds to the reply's first byte.", _row("time_to_first_byte")),
    ParquetColumn(
        "time_to_first_token", NUMBER, "Seconds to the first token of a stream.", _row("time_to_first_token")
    ),
    ParquetColumn("request_bytes", COUNT, "Bytes of the request's body.", _row("request_bytes")),
    ParquetColumn("response_bytes", COUNT, "Bytes of the reply's body, as far as it came.", _row("response_bytes")),
    ParquetColumn("rules", TEXTS, "The rules that set something for the call.", _row("rules")),
    ParquetColumn("tags", TEXTS, "The call's tags.", lambda call: [str(one) for one in call.record.get("tags") or ()]),
    ParquetColumn(
        "properties", TEXT_MAP, "The call's properties.", lambda call: _texts(part(call.record, "properties"))
    ),
    ParquetColumn(
        "scores",
        NUMBER_MAP,
        "Scores of the call that are numbers; yes is 1, no is 0.",
        lambda call: _numbers(call.row["scores"]),
    ),
    ParquetColumn(
        "score_texts", TEXT_MAP, "Scores of the call that are texts.", lambda call: _words(call.row["scores"])
    ),
    ParquetColumn("starred", FLAG, "The call has a star.", _row("starred")),
    ParquetColumn("note", TEXT, "The note on the call.", _row("note")),
    ParquetColumn(
        "session_scores",
        NUMBER_MAP,
        "Scores of the session that are numbers.",
        lambda call: _numbers(_session_scores(call)),
    ),
    ParquetColumn(
        "session_score_texts",
        TEXT_MAP,
        "Scores of the session that are texts.",
        lambda call: _words(_session_scores(call)),
    ),
)
"""The table `calls`: a row a call."""


def _body(side: str, value: Callable[[ExportedBody], Any]) -> Callable[[ExportedCall], Any]:
    return lambda call: value(call.request_body if side == "request" else call.response_body)


def _text_of(body: ExportedBody) -> str | None:
    try:
        return body.data.decode() if body.data is not None else None
    except UnicodeDecodeError:
        return None


def _binary_of(body: ExportedBody) -> bytes | None:
    return body.data if body.data is not None and _text_of(body) is None else None


def _missing(body: ExportedBody) -> str | None:
    return body.missing


def _of_body(side: str) -> tuple[ParquetColumn, ...]:
    return (
        ParquetColumn(
            f"{side}_body", TEXT, f"The {side}'s body, decoded and redacted; null if not UTF-8.", _body(side, _text_of)
        ),
        ParquetColumn(f"{side}_body_binary", pa.binary(), "The same if it is not UTF-8.", _body(side, _binary_of)),
        ParquetColumn(f"{side}_body_missing", TEXT, "Why there is none although there was one.", _body(side, _missing)),
    )


BODIES: tuple[ParquetColumn, ...] = (_KEY, _BEGAN, _SESSION, *_of_body("request"), *_of_body("response"))
"""The table `bodies`: what was said in each call."""

FOLDERS: tuple[ParquetColumn, ...] = (
    ParquetColumn("day", pa.date32(), "The day on which the call began, in UTC.", _day),
    ParquetColumn("host", TEXT, "The machine whose proxy recorded the call.", _row("machine")),
)
"""The columns that a table in folders has in their names, and a single file at its end."""


def schema(columns: Iterable[ParquetColumn]) -> pa.Schema:
    """Return the schema of a file, with descriptions and version in its metadata."""
    shown = tuple(columns)
    metadata = {
        "sessiontap.schema_version": str(SCHEMA_VERSION),
        "sessiontap.columns": json.dumps({one.name: one.text for one in shown}),
    }
    return pa.schema([pa.field(one.name, one.type, metadata={"description": one.text}) for one in shown], metadata)


def row_of(call: ExportedCall, columns: Iterable[ParquetColumn]) -> Row:
    """Return the row of a call."""
    return {one.name: one.of(call) for one in columns}


def folder_of(call: ExportedCall) -> str:
    """Return the folder of the call's row within its table, as Hive names it: day=2026-11-22/host=NAME."""
    return "/".join(f"{one.name}={_folder_name(one.of(call))}" for one in FOLDERS)


def _folder_name(value: Any) -> str:
    return UNKNOWN_FOLDER if value is None else quote(str(value), safe="")
