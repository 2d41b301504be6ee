"""One recorded call as text and as JSON. Functions raise BodyError if a body cannot be given back."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessiontap.analysis.recorded_call import read, why_unknown
from sessiontap.cli import scores_text, table
from sessiontap.cli.call_costs import in_trace
from sessiontap.cli.characters import shown
from sessiontap.cli.listing import result
from sessiontap.cli.output import line, safe
from sessiontap.cli.table import Column, Row
from sessiontap.exchange import UrlParts
from sessiontap.llm.parts import reply_parts, request_parts
from sessiontap.part import Part
from sessiontap.prices import Cost
from sessiontap.trace import RecordedCall, call_row
from sessiontap.trace.views import changes_of, cost_parts, process_of, scored
from sessiontap.units import UNKNOWN, count, dollars_by_part, duration, exact_dollars, moment, plural, size

CHANGES = (
    Column("ACTION"),
    Column("HEADER", style="cyan", shrinks=True, least=16, cut="middle"),
    Column("OLD", shrinks=True, cut="middle"),
    Column("NEW", shrinks=True, cut="middle"),
    Column("RULE OR REASON", shrinks=True, least=16),
)

COST_SOURCES = {
    "reported": "as the provider reported",
    "rules": "by the rules' prices",
    "local": "a host of your own",
    "genai-prices": "by genai-prices",
}


Scores = Sequence[Mapping[str, Any]]
"""The scores of a call as `Trace.query_scores` gives them."""


def whole(call: RecordedCall, cost: Cost, scores: Scores = ()) -> str:
    """The whole call for a person: facts, changes, both messages with readable bodies."""
    parts = [facts(call, cost, scores)]
    if changed := change_rows(call):
        parts.append(table.text(CHANGES, changed))
    for side, body in (("request", call.request_body()), ("response", call.response_body())):
        message = call.record.get(side)
        if message:
            parts.append(safe(start_line(call, side)) + "".join(fields(message)) + "\n" + _readable(message, body))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def facts(call: RecordedCall, cost: Cost, scores: Scores = ()) -> str:
    """The facts of the call beside its messages, a line each."""
    record, row = call.record, call_row(call.record, call.caller)
    usage, process = row["usage"] or {}, row["process"]
    tokens = {key: value for key, value in usage.items() if value is not None}
    lines = {
        "call": row["id"],
        "time": f"{moment(row['time'])}, {duration(row['duration'])}",
        "first": f"byte {duration(row['time_to_first_byte'])}, token {duration(row['time_to_first_token'])}",
        "session": f"{row['session_name']} ({row['session_id']}, by {row['source']})" if row["session_id"] else None,
        "path": f"{row['path']} step {row['step']}" if row["session_id"] else None,
        "recorded": _recorded(call),
        "process": f"{process['name']} (pid {process['pid']}) in {process['cwd'] or UNKNOWN}"
        if process
        else _nobody(record),
        "agent": " / ".join(filter(None, (row["agent"], row["subagent"]))),
        "parent": row["parent"],
        "user": record.get("user"),
        "tags": ", ".join(record.get("tags") or ()),
        "properties": ", ".join(f"{key}={value}" for key, value in (record.get("properties") or {}).items()),
        "model": _models(row),
        "asked": f"{row['host']} {row['route'] or ''}",
        "sent to": row["forwarded_host"] if row["forwarded_host"] != row["host"] else None,
        "gateway": _gateway(record.get("gateway")),
        "tokens": ", ".join(f"{key.replace('_', ' ')} {count(value)}" for key, value in tokens.items()),
        "cost": _cost(cost),
        "tools": ", ".join(row["tools_offered"]),
        "result": result(row),
        "rules": ", ".join(row["rules"]),
        "flags": ", ".join(record.get("flags") or ()),
        "scores": ", ".join(map(scores_text.of_score, scores)),
        "not read": "; ".join((record.get("llm") or {}).get("problems") or ()),
    }
    return "".join(f"{title:<11}{shown(line(str(text)))}\n" for title, text in lines.items() if text)


def _recorded(call: RecordedCall) -> str | None:
    """The session, path and step that the call was recorded with, if labels have changed them."""
    was, now = call.recorded.get("session") or {}, call.record.get("session") or {}
    if was == now:
        return None
    if not was:
        return "in no session"
    step = f" as step {was.get('step')}" if was.get("step") != now.get("step") else ""
    return f"in {was.get('name')} ({was['id']}) at {was.get('path')}{step}"


def _gateway(gateway: Mapping[str, Any] | None) -> str | None:
    """The gateway that a call went through, and what it said: `mine (litellm), id c-1, retries 2`."""
    if gateway is None:
        return None
    shown = {key: value for key, value in gateway.items() if key not in ("kind", "name", "failure_code")}
    if "failure" in shown and gateway.get("failure_code"):
        shown["failure"] = f"{shown['failure']} ({gateway['failure_code']})"
    if shown.get("cost") is not None:
        shown["cost"] = exact_dollars(shown["cost"])
    facts = [f"{key} {value}" for key, value in shown.items() if value is not None]
    return ", ".join((f"{gateway.get('name') or gateway['kind']} ({gateway['kind']})", *facts))


def _cost(cost: Cost) -> str:
    if cost.is_unknown:
        return f"unknown: {cost.reason}"
    if cost.usd is None:
        return f"none by the token: {cost.reason}"
    why = cost.reason or COST_SOURCES[str(cost.source)]
    by_part = dollars_by_part(cost_parts(cost.parts))
    return f"{exact_dollars(cost.usd)} ({why}{'; ' + by_part if by_part else ''})"


def headers(call: RecordedCall) -> str:
    """Return the request and the response as text, without their bodies."""
    parts = [
        safe(start_line(call, side)) + "".join(fields(message))
        for side in ("request", "response")
        if (message := call.record.get(side))
    ]
    return "\n".join(parts)


def start_line(call: RecordedCall, side: str) -> str:
    """`POST /v1/messages HTTP/2.0` or `HTTP/2.0 200`."""
    message = call.record[side]
    version = message.get("http_version") or "HTTP/?"
    if side == "response":
        return f"{version} {message.get('status')}\n"
    target = UrlParts.of(message["url"], call.record.get("host"), call.record.get("forwarded_host")).target
    return f"{message['method']} {target} {version}\n"


def fields(message: Mapping[str, Any]) -> Iterator[str]:
    """Headers, a line each, and trailers behind them."""
    for name, value in (*(message.get("headers") or ()), *(message.get("trailers") or ())):
        yield f"{line(name)}: {line(value)}\n"


def change_rows(call: RecordedCall) -> list[Row]:
    """The changes that were made to the call on its way."""
    return [
        Row([UNKNOWN if cell is None else line(str(cell)) for cell in change])
        for change in call.record.get("changes") or ()
    ]


def show_changes(call: RecordedCall) -> None:
    """Print the changes; nothing if there was none."""
    if rows := change_rows(call):
        table.show(CHANGES, rows)


def dialogue(call: RecordedCall) -> str:
    """All that was said in the call: tools offered, prompts and messages, tool calls and results, and the reply."""
    understood, reply = read(call)
    texts = [*_dialogue(request_parts(understood), "assistant")]
    if reply is not None:
        texts += _dialogue(reply_parts(understood, reply), "reply")
        if reply.error is not None:
            texts.append(("error", ": ".join(filter(None, (reply.error.type, reply.error.message)))))
    return "\n".join(f"--- {line(title)}\n{safe(text).rstrip()}\n" for title, text in texts)


def _dialogue(parts: Sequence[Part], assistant: str) -> Iterator[tuple[str, str]]:
    """The titles and texts of parts; texts of the assistant have the title `assistant`. Tools offered are named."""
    if tools := [part.name or UNKNOWN for part in parts if part.kind == "tool_definition"]:
        yield f"{plural(len(tools), 'tool')} offered", ", ".join(tools)
    for part in parts:
        match part.kind:
            case "tool_definition":
                continue
            case "text":
                title = assistant if part.role == "assistant" else part.role or "user"
            case "tool_call":
                title = f"tool call {part.name or UNKNOWN}"
            case "tool_result":
                title = f"tool result {part.name or UNKNOWN}{' (error)' if part.error else ''}"
            case "media":
                title = f"media {part.name or 'of unknown type'}"
            case _:
                title = part.kind
        yield title, f"({size(part.bytes)} that are no text)" if part.text is None else part.text


def _nobody(record: Mapping[str, Any]) -> str:
    why = why_unknown(record.get("caller_unknown"))
    return f"unknown: {why}" if why else "unknown"


def as_json(call: RecordedCall, cost: Cost, scores: Scores = ()) -> dict[str, Any]:
    """The row of `calls --json`, and beside it the cost's source, caller, labels, changes and both messages."""
    record = call.record
    row = call_row(record | {"machine": call.machine, "scored": scored(scores)}, call.caller, lambda _: in_trace(cost))
    row["score_details"] = list(scores)
    was = call.recorded
    row["recorded_session"], row["recorded_properties"], row["recorded_tags"] = None, None, None
    if was.get("session") != record.get("session"):
        row["recorded_session"] = {key: (was.get("session") or {}).get(key) for key in ("id", "name", "path", "step")}
    for key in ("properties", "tags"):
        if was.get(key) != record.get(key):
            row[f"recorded_{key}"] = was.get(key)
    row["cost_source"], row["cost_reason"] = cost.source, cost.reason
    for key in ("client", "proxy_user", "user", "properties", "tags", "state", "flags", "gateway", "caller_unknown"):
        row[key] = record.get(key)
    row["changes"] = changes_of(record)
    row["caller"] = process_of(call.caller)
    row["request"] = _message(record.get("request"), call.request_body(), ("method", "url", "http_version"))
    row["response"] = _message(record.get("response"), call.response_body(), ("status", "http_version"))
    return row


def _message(message: Mapping[str, Any] | None, body: bytes | None, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """`body` is text, or `{"base64": ...}` if it is not; null if it was not kept or there was none."""
    if not message:
        return None
    found = {key: message.get(key) for key in (*keys, "headers", "trailers")}
    if body is None:
        return found | {"body": None}
    try:
        return found | {"body": body.decode()}
    except UnicodeDecodeError:
        return found | {"body": {"base64": base64.b64encode(body).decode()}}


def _readable(message: Mapping[str, Any], body: bytes | None) -> str:
    """A body for a person: JSON laid out, other text as it is, of bytes only how many."""
    if body is None:
        stored = message.get("body")
        return f"(a body of {size(stored.get('size'))} that was not recorded)\n" if stored else ""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        side = "response" if "status" in message else "request"
        return f"(a body of {size(len(body))} that is no text: --{side} writes it as it is)\n"
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return safe(text)


def _models(row: Mapping[str, Any]) -> str:
    asked, answered = row["request_model"], row["response_model"]
    names = f"{asked or UNKNOWN}" + (f" (answered by {answered})" if answered and answered != asked else "")
    kind = " ".join(filter(None, (row["provider"], row["family"], row["operation"])))
    return f"{names}, {kind}{', streamed' if row['stream'] else ''}"
