"""The content that leaves with an export: further redaction, calls without content, and a list of what is in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sessiontap.export.exported_call import ExportedBody, ExportedCall, Replace
from sessiontap.plain_text import line
from sessiontap.units import moment, plural, size

LEFT_OUT = "left out of this export"
SHOWN = 12
"""Names of a kind that a preview lists, those of most calls first."""
_REDACTED = "[redacted:"
_OF_CONTENT = ("state", "properties", "link")
"""Keys of a record that may quote what was said."""
_OF_COMMAND = ("argv", "env")
"""The same of a caller: a prompt may stand on its command line."""


def redacted(call: ExportedCall, change: Replace) -> ExportedCall:
    """The call with `change` made to every text of it: names, headers, labels, errors, bodies.

    Text in JSON is changed value by value, so that it stays JSON. A body that is no text is left out.
    """
    return replace(
        call,
        row=_changed(call.row, change),
        record=_changed(call.record, change),
        caller=_changed(call.caller, change),
        request_body=_changed_body(call.request_body, change),
        response_body=_changed_body(call.response_body, change),
        redact=change,
        scores=tuple(_changed(call.scores, change)),
        session_scores=tuple(_changed(call.session_scores, change)),
    )


def without_content(call: ExportedCall) -> ExportedCall:
    """The call without its bodies, errors, properties, notes and command line: names, times, tokens, sizes and scores
    are left."""
    llm = call.record.get("llm")
    record = {key: value for key, value in call.record.items() if key not in _OF_CONTENT}
    if isinstance(llm, Mapping):
        record["llm"] = {key: value for key, value in llm.items() if key != "error"}
    bodies = [
        replace(body, data=None, missing=LEFT_OUT, sha256=None) if body.data is not None else body
        for body in (call.request_body, call.response_body)
    ]
    row = call.row | {"note": None}
    row |= {"error": {"type": None, "message": LEFT_OUT}} if call.row.get("error") else {}
    caller = call.caller and {key: value for key, value in call.caller.items() if key not in _OF_COMMAND}
    return replace(
        call,
        row=row,
        record=record,
        caller=caller,
        request_body=bodies[0],
        response_body=bodies[1],
        scores=_without_notes(call.scores),
        session_scores=_without_notes(call.session_scores),
    )


def _without_notes(scores: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(one | {"note": None} for one in scores if one["name"] is not None)


def _changed(value: Any, change: Replace) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_changed(key, change): _changed(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(inner, change) for inner in value]
    return value


def _changed_body(body: ExportedBody, change: Replace) -> ExportedBody:
    if body.data is None:
        return body
    try:
        text = body.data.decode()
    except UnicodeDecodeError:
        return replace(body, data=None, missing="left out: it is no text that could be redacted", sha256=None)
    data = "".join(_changed_line(line, change) for line in _pieces(text)).encode()
    return replace(body, data=data, size=len(data), sha256=None) if data != body.data else body


def _pieces(text: str) -> list[str]:
    """A body in pieces that may be JSON each: the whole of it, or its lines."""
    return [text] if _is_json(text) else text.splitlines(keepends=True)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _changed_line(text: str, change: Replace) -> str:
    """JSON, a line of events (`data: {...}`), or plain text."""
    begins, end = (5 if text.startswith("data:") else 0), len(text.rstrip())
    try:
        value = json.loads(text[begins:end])
    except (ValueError, RecursionError):
        return change(text)
    changed = _changed(value, change)
    if changed == value:
        return text
    space = " " if text[begins : begins + 1] == " " else ""
    return f"{text[:begins]}{space}{json.dumps(changed, ensure_ascii=False)}{text[end:]}"


@dataclass(slots=True)
class Leaving:
    """The kinds of content in the calls of an export."""

    calls: int = 0
    sessions: set[str] = field(default_factory=set)
    first: str | None = None
    last: str | None = None
    names: dict[str, Counter[str]] = field(default_factory=dict)
    """Kind of name -> each name, and the number of calls with it."""
    request_bytes: int = 0
    response_bytes: int = 0
    redacted: int = 0
    """Values that were redacted, in headers and bodies."""

    def add(self, call: ExportedCall) -> None:
        """Count a call."""
        row, record = call.row, call.record
        self.calls += 1
        if row["session_id"]:
            self.sessions.add(row["session_id"])
        self.first, self.last = self.first or row["time"], row["time"] or self.last
        self._name("hosts", [row["host"], row["forwarded_host"]])
        self._name("models", [row["request_model"], row["response_model"]])
        self._name("sessions named", [row["session_name"]])
        self._name("paths", [row["path"]])
        self._name("programs", [(row["process"] or {}).get("name")])
        self._name("folders", [(row["process"] or {}).get("cwd")])
        self._name("users", [record.get("user"), record.get("proxy_user"), (call.caller or {}).get("user")])
        self._name("tools", [*row["tools_offered"], *row["tool_calls"]])
        self._name("tags", record.get("tags") or ())
        self._name("properties", record.get("properties") or ())
        for scores in (call.scores, call.session_scores):
            self._name("scores", [one["name"] or "a note" for one in scores])
            self._name("scored by", [one["by"] for one in scores])
        for side, body in (("request", call.request_body), ("response", call.response_body)):
            message = record.get(side) or {}
            headers = [*(message.get("headers") or ()), *(message.get("trailers") or ())]
            self._name(f"{side} headers", [str(name).lower() for name, _ in headers])
            self.redacted += sum(_REDACTED in str(value) for _, value in headers)
            length = len(body.data) if body.data is not None else 0
            self.redacted += (body.data or b"").count(_REDACTED.encode())
            if side == "request":
                self.request_bytes += length
            else:
                self.response_bytes += length

    def _name(self, kind: str, names: Iterable[str | None]) -> None:
        for one in dict.fromkeys(filter(None, names)):
            self.names.setdefault(kind, Counter())[one] += 1


def leaving_text(calls: Iterable[ExportedCall]) -> str:
    """Return what would leave with these calls, as text: a line for each kind of name."""
    found = Leaving()
    for call in calls:
        found.add(call)
    lines = [f"{plural(found.calls, 'call')} of {plural(len(found.sessions), 'session')}"]
    if found.calls:
        lines[0] += f", {moment(found.first)} to {moment(found.last)}"
        lines.append(f"bodies: {size(found.request_bytes)} of requests, {size(found.response_bytes)} of responses")
        lines.append(f"redacted: {plural(found.redacted, 'value')}")
    for kind, names in found.names.items():
        listed = [f"{name} ({number:,})" for name, number in names.most_common(SHOWN)]
        more = len(names) - len(listed)
        lines.append(f"{kind}: {', '.join(listed)}" + (f" and {more} more" if more else ""))
    return "".join(line(one) + "\n" for one in lines)
