"""Sessions in the shapes of TraceForge's web API, for programs that read it: `/api/sessions` and what is below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sessiontap.export import jsonl
from sessiontap.export.exported_call import export_call
from sessiontap.trace import RecordedCall, TraceError
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.outcomes import ERRORS
from sessiontap.ui.errors import NotFound
from sessiontap.ui.filters import FILTERS, filters_of
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading

MOST = 1000
"""Sessions or steps of one answer, at most."""
MOST_TRACES = 100
"""The same of steps with their requests and replies."""
_STATUS = {"active": "in_progress", "completed": "completed", "failed": "failed"}
_REPLAYED = ("method", "url", "headers", "body", "body_base64")
"""The parts of a request that is sent again."""

Row = Mapping[str, Any]


def list_sessions(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The newest sessions, and how many there are."""
    wanted, limit = filters_of(parameters), min(parameters["limit"], MOST)
    log = reading.trace
    if (after := parameters["after"]) is None:
        rows = log.query_sessions(wanted, None, limit)
    else:
        rows = reading.sessions_after(after, wanted, None, limit)
    return {"sessions": [_session(row) for row in rows], "total": log.count_sessions(wanted)}


def session(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A session, and its steps with their requests and replies."""
    shown = _shown(reading, parameters)
    rows = {row["id"]: row for row in _some(shown, parameters, MOST_TRACES)}
    calls = _calls(reading, rows.values())
    return {
        "session": _session(shown["session"]),
        "traces": [
            _step(rows[id], call.record) | _messages(jsonl.as_json(export_call(call))) for id, call in calls.items()
        ],
    }


def timeline(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The steps of a session."""
    shown = _shown(reading, parameters)
    rows = _some(shown, parameters, MOST)
    records = {id: call.record for id, call in _calls(reading, rows).items()}
    return {"timeline": [_step(row, records.get(row["id"], {})) for row in rows]}


def _calls(reading: Reading, rows: Iterable[Row]) -> dict[str, RecordedCall]:
    """The calls of these rows that have ended, by their ids."""
    ids = tuple(row["id"] for row in rows if not row["in_flight"])
    places = reading.trace.query_places(Filters(ids=ids)) if ids else []
    return {call.id: call for call in reading.trace.calls_at(places)}


def _shown(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return reading.trace.query_session(parameters["session"], reading.prices, errands=False)
    except TraceError as error:
        raise NotFound("Session not found", f"{error}. {error.hint}") from None


def _some(shown: Mapping[str, Any], parameters: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = shown["calls"]
    return calls[parameters["skip"] :][: min(parameters["limit"], most)]


def _session(row: Row) -> dict[str, Any]:
    tokens = [row[key] for key in ("input_tokens", "output_tokens") if row[key] is not None]
    return {
        "session_id": row["id"],
        "session_name": row["name"],
        "total_steps": row["calls"] + row["calls_in_flight"],
        "start_time": row["started"],
        "end_time": row["ended"],
        "duration_ms": _milliseconds(row["duration"]),
        "models_used": row["models"],
        "total_tokens": sum(tokens) if tokens else None,
        "status": _STATUS[row["status"]],
    }


def _step(row: Row, record: Row) -> dict[str, Any]:
    usage = row["usage"] or {}
    tokens = [usage[key] for key in ("input", "output") if usage.get(key) is not None]
    failed = row["outcome"] in ERRORS or bool(row["error"])
    return {
        "step": row["step"],
        "trace_id": row["id"],
        "timestamp": row["time"],
        "endpoint": row["route"],
        "model": row["response_model"] or row["request_model"],
        "duration_ms": _milliseconds(row["duration"]),
        "tokens_used": sum(tokens) if tokens else None,
        "status": "in_progress" if row["in_flight"] else "failed" if failed else "completed",
        "state_snapshot": record.get("state"),
        "parent_trace_id": row["parent"],
    }


def _messages(call: Row) -> dict[str, Any]:
    request = call["request"]
    return {
        "request": request,
        "response": call["response"],
        "replay": {key: request[key] for key in _REPLAYED} if request["body_missing"] is None else None,
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _described(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


_TEXT, _NUMBER = {"type": ["string", "null"]}, {"type": ["integer", "null"]}
_STATUSES = {"type": "string", "enum": ["in_progress", "completed", "failed"]}
_SESSION_SCHEMA = _described(
    {
        "session_id": {"type": "string"},
        "session_name": _TEXT,
        "total_steps": {"type": "integer", "description": "Its calls, those in flight among them."},
        "start_time": _TEXT,
        "end_time": {**_TEXT, "description": "The end of its last call; null if none has ended."},
        "duration_ms": _NUMBER,
        "models_used": {"type": "array", "items": {"type": "string"}},
        "total_tokens": {**_NUMBER, "description": "In and out; null if no call told them."},
        "status": _STATUSES,
    }
)
_STEP = {
    "step": _NUMBER,
    "trace_id": {"type": "string", "description": "The call's id."},
    "timestamp": _TEXT,
    "endpoint": {**_TEXT, "description": "The path of the API, without the ids in it."},
    "model": _TEXT,
    "duration_ms": _NUMBER,
    "tokens_used": _NUMBER,
    "status": _STATUSES,
    "state_snapshot": {"description": "The state that the rules gave the call, or null."},
    "parent_trace_id": {**_TEXT, "description": "The call that it continues."},
}
_MESSAGE = {"type": ["object", "null"], "description": "As `sessiontap export --format jsonl` gives it."}
_TRACE = _STEP | {
    "request": {**_MESSAGE, "type": "object"},
    "response": _MESSAGE,
    "replay": {"type": ["object", "null"], "description": "What to send to repeat it; credentials are redacted."},
}
_LIMIT = Parameter("limit", "Of them, at most.", "integer", default=100, minimum=1)
_SKIP = Parameter("skip", "Skip this many of the first steps.", "integer", default=0)

PAGES = (
    Page(
        path="/api/sessions",
        title="Sessions, as TraceForge lists them",
        description="The newest sessions first. `total` counts all that fit.",
        template="",
        data=list_sessions,
        parameters=(*FILTERS, _LIMIT, Parameter("after", "The id of a session: those that follow it.")),
        schema=_described({"sessions": {"type": "array", "items": _SESSION_SCHEMA}, "total": {"type": "integer"}}),
    ),
    Page(
        path="/api/sessions/{session}",
        title="A session, as TraceForge shows it",
        description="Its sums, and its steps with request, response, state and what repeats them.",
        template="",
        data=session,
        parameters=(_LIMIT, _SKIP),
        schema=_described({"session": _SESSION_SCHEMA, "traces": {"type": "array", "items": _described(_TRACE)}}),
    ),
    Page(
        path="/api/sessions/{session}/timeline",
        title="A session's steps, as TraceForge lists them",
        description="When each step ran, and what it took.",
        template="",
        data=timeline,
        parameters=(_LIMIT, _SKIP),
        schema=_described({"timeline": {"type": "array", "items": _described(_STEP)}}),
    ),
)
