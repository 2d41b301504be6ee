"""The facts of calls that stand on spans whatever the convention: names, errors, session, user, tags, properties.

Their attributes are `session.id` and `user.id`, which all readers know, and our own, `sessiontap.*` (docs/otlp.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessiontap.push.operations import mcp_request, operation_of
from sessiontap.push.target import PushedCall
from sessiontap.trace.outcomes import is_error, part

AttributeValue = str | int | float | bool | Sequence[str]
Attributes = Mapping[str, AttributeValue]


def known(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Return the attributes whose value is known."""
    return {key: value for key, value in attributes.items() if value is not None}


def call_name(call: PushedCall) -> str:
    """Return the name of a call's span: operation and model, or what was asked of a service that is no model."""
    row = call.call.row
    if (mcp := mcp_request(call)) is not None:
        return f"execute_tool {mcp.tool}" if mcp.tool else mcp.method
    name = operation_of(call).name or (row["operation"] if row["operation"] != "other" else None)
    if name is None:
        return " ".join(str(word) for word in (row["method"], row["route"] or row["host"]) if word) or "call"
    model = row["request_model"] or row["response_model"]
    return f"{name} {model}" if model else str(name)


def error_type(call: PushedCall) -> str | None:
    """Return the class of a failed call's error: the provider's word, else the status, else how the call ended."""
    row = call.call.row
    if not is_error(call.call.record):
        return None
    status = row["status"]
    stated = (row["error"] or {}).get("type") or (str(status) if status and status >= 400 else None)
    return stated or str(row["outcome"])


def error_words(call: PushedCall) -> str:
    """Why a call failed. The provider's own message may quote what was said, so it is content."""
    row = call.call.row
    error = row["error"] or {}
    if stated := (error.get("message") if call.parts is not None else None) or error.get("type"):
        return str(stated)
    return f"HTTP status {row['status']}" if row["outcome"] == "http_error" else str(row["outcome"]).replace("_", " ")


def exception(call: PushedCall, message: str) -> Attributes:
    """Return the attributes of a failed call's event (OpenTelemetry, "Recording exceptions in spans")."""
    return known({"exception.type": error_type(call), "exception.message": message})


def labels(calls: Sequence[PushedCall]) -> dict[str, AttributeValue]:
    """The session, user, tags and properties of calls; of properties the latest values."""
    row, record = calls[0].call.row, calls[0].call.record
    process = row["process"] or {}
    tags = dict.fromkeys(str(tag) for call in calls for tag in call.call.record.get("tags") or ())
    properties: dict[str, str] = {}
    for call in calls:
        properties |= {str(name): str(value) for name, value in part(call.call.record, "properties").items()}
    return known(
        {
            "session.id": row["session_id"],
            "user.id": next((user for call in calls if (user := call.call.record.get("user"))), record.get("user")),
            "sessiontap.session.name": row["session_name"],
            "sessiontap.session.path": row["path"],
            "sessiontap.session.source": row["source"],
            "sessiontap.process.name": process.get("name"),
            "sessiontap.process.pid": process.get("pid"),
            "sessiontap.tags": list(tags) or None,
            **{f"sessiontap.property.{name}": value for name, value in properties.items()},
        }
    )


def call_facts(call: PushedCall) -> dict[str, AttributeValue]:
    """Return what is told of a call alone: its place in its session and conversation, how it ended, its cost."""
    row = call.call.row
    return known(
        {
            "sessiontap.call.id": row["id"],
            "sessiontap.call.parent": row["parent"],
            "sessiontap.call.kind": row["kind"],
            "sessiontap.call.outcome": row["outcome"],
            "sessiontap.session.step": row["step"],
            "sessiontap.turn.number": call.number,
            "sessiontap.conversation.id": row["conversation"],
            "sessiontap.conversation.evidence": row["evidence"],
            "sessiontap.agent": row["agent"],
            "sessiontap.subagent": row["subagent"],
            "sessiontap.cost.usd": row["cost_usd"],
            "sessiontap.cost.unknown": row["cost_unknown"],
        }
    )
