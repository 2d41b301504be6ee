"""TraceForge's session contract: the server counts nothing itself, so a call without a step index is step 0.

No host is known to read it by name. An app that sends its headers talks to one that does, or a rule's `hosts` says so
(`provider: traceforge`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from sessiontap.exchange import Headers
from sessiontap.headers.dialect import Told, Wish
from sessiontap.headers.edit import Edit
from sessiontap.headers.values import header_text

NAME = "traceforge"
PREFIXES = ("x-traceforge-",)

SESSION_ID = "X-TraceForge-Session-ID"
STEP_INDEX = "X-TraceForge-Step-Index"
STATE = "X-TraceForge-State"
PARENT_TRACE_ID = "X-TraceForge-Parent-Trace-ID"
TRACE_ID = "X-TraceForge-Trace-ID"
NEXT_STEP = "X-TraceForge-Next-Step"

LONGEST_STATE = 10_240
"""Bytes of JSON."""
_STEP = re.compile(r"[0-9]{1,15}\Z")


def reads(host: str, headers: Headers, provider: str | None) -> bool:
    return provider == NAME or any(name[:13].lower() == "x-traceforge-" for name, _ in headers)


def wishes(told: Told) -> Iterator[Wish]:
    """Session-ID, Step-Index, Parent-Trace-ID where it is certain, State where the rules gave one."""
    yield Wish(SESSION_ID, told.session.id, "session.id")
    yield Wish(STEP_INDEX, str(told.session.step), "session.id")
    if told.link.parent_trace and (parent := header_text(told.link.parent_trace)):
        yield Wish(PARENT_TRACE_ID, parent, "session.id")
    if told.labels.state is not None:
        yield _state(told)


def reply(request_edits: tuple[Edit, ...], headers: Headers, step: int, call_id: str) -> Iterator[Edit]:
    """What the client is told, as far as the server has not: only where the call carried a session id of this dialect.

    `headers` are the response's. The session and its step are those that went to the server, also where they were the
    app's own.
    """
    sent = {
        edit.header.lower(): edit.old if edit.action == "keep" else edit.new
        for edit in request_edits
        if edit.action in ("set", "keep")
    }
    session_id = sent.get(SESSION_ID.lower())
    if not session_id:
        return
    index = sent.get(STEP_INDEX.lower()) or str(step)
    next_step = str(int(index) + 1) if _STEP.match(index) else None
    for header, value in ((SESSION_ID, session_id), (TRACE_ID, call_id), (NEXT_STEP, next_step)):
        if value is not None and header not in headers:
            yield Edit("set", header, None, value, "reply")


def trace_id(headers: Headers) -> str | None:
    """The server's own name for a call, from the response's headers."""
    value = (headers.get(TRACE_ID) or "").strip()
    return value if 0 < len(value) <= 256 and value.isprintable() else None


def _state(told: Told) -> Wish:
    field = next((key for key in told.labels.set_by if key == "state" or key.startswith("state.")), "state")
    try:
        text = json.dumps(told.labels.state, separators=(",", ":"), allow_nan=False).replace("\x7f", "\\u007f")
    except (TypeError, ValueError) as error:
        return Wish(STATE, None, field, f"not JSON: {error}"[:200])
    if len(text) > LONGEST_STATE:
        return Wish(STATE, None, field, f"{len(text):,} bytes of JSON, more than {LONGEST_STATE:,}")
    return Wish(STATE, text, field)
