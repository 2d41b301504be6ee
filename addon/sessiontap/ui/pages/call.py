"""One call: request and response in parts, as JSON or as text, headers, times, cost, and the calls around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sessiontap.analysis import call_facts, json_tree
from sessiontap.analysis.recorded_call import asked_request, why_unknown
from sessiontap.export import curl
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.part import CallParts
from sessiontap.trace import BodyError, NotInTrace, RecordedCall, TraceError, call_row
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.views import process_of, scored, unknown_cost
from sessiontap.ui.errors import InFlight, NotFound
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.pages.scores import SCORES, WRITABLE
from sessiontap.ui.reading import Reading
from sessiontap.units import duration, elapsed

VIEWS = ("parts", "json", "text")
MOST_PARTS = 60
"""Parts of a request that are shown together."""
MOST_TEXT = 100_000
"""Characters of a body that are shown together."""
MOST_AROUND = 20
SHORTEST = 4
"""Characters of an id by which a call in flight is known."""
_ODD = (BodyError, ValueError, LookupError, RecursionError)


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The call, and of its bodies the stretch that the parameters name."""
    log = reading.trace
    call = _recorded(reading, parameters["call"])
    record = call.record
    scores = log.query_scores("call", call.id)
    cost_of = reading.prices.cost_of if reading.prices is not None else unknown_cost
    row = call_row(record | {"machine": call.machine, "scored": scored(scores)}, call.caller, cost_of)
    process = process_of(call.caller)
    found: dict[str, Any] = {
        "call": row,
        "user": record.get("user"),
        "properties": record.get("properties") or {},
        "tags": list(record.get("tags") or ()),
        "state": record.get("state"),
        "flags": list(record.get("flags") or ()),
        "problems": list((record.get("llm") or {}).get("problems") or ()),
        "process": process,
        "process_unknown": why_unknown(record.get("caller_unknown")) if process is None else None,
        "session": _session(reading, call),
        "around": _around(reading, call),
        "headers": call_facts.headers(record),
        "timing": call_facts.timing(record),
        "view": parameters["view"],
        "scores": scores,
        "writable": reading.writable,
        "curl": _curl(call),
    }
    for side in ("request", "response"):
        found[side] = _message(call, side)
    match parameters["view"]:
        case "parts":
            found |= _parts(reading, call, parameters["part"])
        case "json":
            found |= _trees(call, parameters["at"])
        case "text":
            for side in ("request", "response"):
                found[side]["text"] = _text(call, side, parameters["from"] if parameters["side"] in (None, side) else 0)
    return found


def _recorded(reading: Reading, name: str) -> RecordedCall:
    """The call. Raises InFlight if it has not ended, and TraceError if there is none."""
    try:
        return reading.trace.call(name)
    except NotInTrace:
        running = reading.trace.query_in_flight(Filters(without_errands=False))
        row = next((row for row in running if row["id"].startswith(name) and len(name) >= SHORTEST), None)
        if row is None:
            raise
    where = f" of {row['session_name'] or row['session_id']}" if row["session_id"] else ""
    raise InFlight(
        f"call {row['id']}{where} has not ended: it began {duration(elapsed(row['time']))} ago",
        "A call is written to the log once it has ended; this page then says so.",
        row["session_id"],
    )


def _session(reading: Reading, call: RecordedCall) -> dict[str, Any] | None:
    """The row of its session; None if it has none."""
    if call.session_id is None:
        return None
    wanted = Filters(session=call.session_id, without_errands=False)
    return next(iter(reading.trace.query_sessions(wanted, limit=1, prices=reading.prices)), None)


def _around(reading: Reading, call: RecordedCall) -> dict[str, Any]:
    """The calls that it continues, that continue it, and that ran before and after it in its session."""
    around: dict[str, Any] = {"parent": None, "children": [], "previous": None, "next": None, "diff": None}
    if call.session_id is None:
        return around
    links = [row for row in reading.trace.query_links(call.session_id) if not row["errand"] or row["id"] == call.id]
    at = next((at for at, row in enumerate(links) if row["id"] == call.id), None)
    if at is None:
        return around

    def neighbour(row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: row[name] for name in ("id", "step", "kind", "subagent")}

    parent = call.record.get("parent")
    around["parent"] = next((neighbour(row) for row in links if row["id"] == parent), None)
    around["children"] = [neighbour(row) for row in links if row["parent"] == call.id][:MOST_AROUND]
    around["previous"] = neighbour(links[at - 1]) if at else None
    around["next"] = neighbour(links[at + 1]) if at + 1 < len(links) else None
    around["diff"] = (around["parent"] or around["previous"] or {}).get("id")
    return around


def _message(call: RecordedCall, side: str) -> dict[str, Any]:
    """Start line, headers and size of a message; `problem` says why its body cannot be shown."""
    message = call.record.get(side) or {}
    stored = message.get("body") or {}
    found: dict[str, Any] = {
        key: message.get(key) for key in ("method", "url", "status", "http_version", "headers", "trailers")
    }
    found |= {"bytes": stored.get("size"), "bytes_in_all": stored.get("total", stored.get("size")), "problem": None}
    try:
        if stored and call.body(side) is None:
            found["problem"] = "the body was not recorded: a rule says `capture: metadata`"
    except BodyError as error:
        found["problem"] = f"the body cannot be read: {error}"
    return found


def _body(call: RecordedCall, side: str) -> bytes | None:
    try:
        return call.body(side)
    except BodyError:
        return None


def _parts(reading: Reading, call: RecordedCall, wanted: int | None) -> dict[str, Any]:
    """The parts of request and reply: of a long request those around the wanted one, or around the first new one."""
    first_new = _first_new(reading, call)
    try:
        parts = recorded_parts(call.record, _body(call, "request"), _body(call, "response"))
    except _ODD:
        parts = CallParts([], [])
    around = wanted if wanted is not None else min(first_new or 0, len(parts.request) - 1)
    start = max(0, around) // MOST_PARTS * MOST_PARTS
    return {
        "request_parts": {
            "parts": call_facts.told_parts(parts.request, start, MOST_PARTS, first_new),
            "start": start,
            "in_all": len(parts.request),
            "new": None if first_new is None else len(parts.request) - first_new,
            "step": MOST_PARTS,
        },
        "reply_parts": call_facts.told_parts(parts.reply, 0, MOST_PARTS),
    }


def _first_new(reading: Reading, call: RecordedCall) -> int | None:
    """The position of the first part that the call it continues did not have; None if it is not known."""
    if call.session_id is None:
        return None
    wanted = [call.id, *filter(None, [call.record.get("parent")])]
    try:
        turns = reading.trace.query_turns(call.session_id, calls=wanted)
    except TraceError:
        return None
    return next((turn.first_new for turn in turns if turn.call["id"] == call.id), None)


def _trees(call: RecordedCall, at: str | None) -> dict[str, Any]:
    """Both bodies as trees; `at` names a part of one: `request/messages/3`. Raises NotFound."""
    side_of, _, pointer = (at or "").partition("/")
    found: dict[str, Any] = {"at": at, "request_tree": None, "response_tree": None}
    for side in ("request", "response"):
        if at is not None and side != side_of:
            continue
        value, is_json = _json(_body(call, side))
        if not is_json:
            continue
        place = f"/{pointer}" if pointer else ""
        try:
            found[f"{side}_tree"] = asdict(json_tree.tree(json_tree.member(value, place), place))
        except LookupError:
            raise NotFound(
                f"the {side} has nothing at {place}", "Begin at the top: leave `at` out of the address."
            ) from None
    return found


def _json(body: bytes | None) -> tuple[Any, bool]:
    """A body as JSON, and if it is any; the events of a stream are a list."""
    if not body:
        return None, False
    try:
        return json.loads(body), True
    except (ValueError, RecursionError):
        pass
    events = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
    try:
        return [json.loads(one) for one in events if one and one != b"[DONE]"], bool(events)
    except (ValueError, RecursionError):
        return None, False


def _text(call: RecordedCall, side: str, start: int) -> dict[str, Any] | None:
    """A stretch of a body as text; None if it is no text."""
    body = _body(call, side)
    if body is None:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    shown = text[start : start + MOST_TEXT]
    more = start + MOST_TEXT if start + MOST_TEXT < len(text) else None
    return {"text": shown, "from": start, "next": more, "characters": len(text)}


def _curl(call: RecordedCall) -> dict[str, Any]:
    """The command that sends the app's own request again; else why there is none."""
    found: dict[str, Any] = {"command": None, "redacted_headers": 0, "problem": None}
    if "websocket" in (call.record.get("flags") or ()):
        return found | {"problem": "a turn of a WebSocket, which curl does not send"}
    try:
        request = asked_request(call)
    except BodyError as error:
        return found | {"problem": f"the request cannot be read: {error}"}
    return found | {"command": curl.command(request, call.id), "redacted_headers": curl.redactions(request)}


_PARTS = {"type": "array", "items": {"type": "object"}}
_MESSAGE = {"type": "object", "description": "Start line, headers, sizes; `problem`: why the body is not shown."}
PAGE = Page(
    path="/calls/{call}",
    title="Call",
    description="A call: request and response, headers as asked and as sent, times, tokens, cost, the calls around it.",
    template="call.html",
    data=data,
    parameters=(
        Parameter("view", "How the bodies are shown.", "choice", VIEWS, default="parts"),
        Parameter("part", "With view=parts: show the stretch of the request with this part.", "integer"),
        Parameter("at", "With view=json: a place in a body, such as request/messages/3."),
        Parameter("from", "With view=text: begin at this character.", "integer", default=0),
        Parameter("side", "With view=text: the body that begins there.", "choice", ("request", "response")),
    ),
    schema={
        "type": "object",
        "properties": {
            "call": {"type": "object", "description": "A row of `sessiontap calls --json`."},
            "session": {"type": ["object", "null"], "description": "A row of `sessiontap ls --json`."},
            "around": {"type": "object", "description": "The calls around it; `diff`: the one to compare with."},
            "headers": {"type": "array", "items": {"type": "object"}},
            "timing": {"type": "object", "description": "Seconds since the call began, and bytes over time."},
            "scores": SCORES,
            "writable": WRITABLE,
            "curl": {"type": "object"},
            "view": {"enum": list(VIEWS)},
            "request": _MESSAGE,
            "response": _MESSAGE,
            "request_parts": {"type": "object", "properties": {"parts": _PARTS}},
            "reply_parts": _PARTS,
        },
        "required": [
            "call", "session", "around", "headers", "timing", "scores", "writable", "curl", "view", "request",
            "response",
        ],
    },
)  # fmt: skip
