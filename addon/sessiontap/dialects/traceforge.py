"""TraceForge's session contract: the server counts nothing itself, so a call without a step index is step 0.

No host is known to read it by name. An app that sends its headers talks to one that does, or a rule's `hosts` says so
(`provider: traceforge`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from sessiontap.dialects.dialect import AppHeaders, Dialect, ProposedHeader, SessionInfo
from sessiontap.dialects.header_text import header_text
from sessiontap.exchange import Headers
from sessiontap.header_edit import Edit

NAME = "traceforge"
PREFIX = "x-traceforge-"

SESSION_ID = "X-TraceForge-Session-ID"
STEP_INDEX = "X-TraceForge-Step-Index"
STATE = "X-TraceForge-State"
PARENT_TRACE_ID = "X-TraceForge-Parent-Trace-ID"
TRACE_ID = "X-TraceForge-Trace-ID"
NEXT_STEP = "X-TraceForge-Next-Step"

LONGEST_STATE = 10_240
"""Bytes of JSON."""
_STEP = re.compile(r"[0-9]{1,15}\Z")


def request_headers(info: SessionInfo) -> Iterator[ProposedHeader]:
    """Session-ID, Step-Index, Parent-Trace-ID if it is certain, State if the rules gave one."""
    yield ProposedHeader(SESSION_ID, info.id, "session.id")
    yield ProposedHeader(STEP_INDEX, str(info.step), "session.id")
    if info.parent_trace:
        parent, cut = header_text(info.parent_trace)
        if cut:
            yield ProposedHeader(PARENT_TRACE_ID, None, "session.id", "it is too long for a header")
        elif parent:
            yield ProposedHeader(PARENT_TRACE_ID, parent, "session.id")
    if info.state is not None:
        yield _state(info)


def reply_headers(request_edits: tuple[Edit, ...], headers: Headers, step: int, call_id: str) -> Iterator[Edit]:
    """The session, its next step and the call's id for the client, if the call carried a session id of this dialect.

    `headers` are the response's: what the server said itself stays. The session and its step are those that went to
    the server, also if they were the app's own.
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


def _state(info: SessionInfo) -> ProposedHeader:
    field = info.state_field
    try:
        text = json.dumps(info.state, separators=(",", ":"), allow_nan=False).replace("\x7f", "\\u007f")
    except (TypeError, ValueError) as error:
        return ProposedHeader(STATE, None, field, f"not JSON: {error}"[:200])
    if len(text) > LONGEST_STATE:
        return ProposedHeader(STATE, None, field, f"{len(text):,} bytes of JSON, more than {LONGEST_STATE:,}")
    return ProposedHeader(STATE, text, field)


DIALECT = Dialect(
    NAME,
    request_headers,
    prefixes=(PREFIX,),
    signs=(PREFIX,),
    reply_headers=reply_headers,
    trace_id=TRACE_ID,
    app=AppHeaders("x-traceforge-session-id"),
)
