"""The calls in flight as the proxy tells them to readers of its log: what their records will say, as far as is known.

Each is made when somebody asks, never before: a call pays nothing for it. It is redacted as its record will be, and has
neither headers nor content. A call that is not planned yet is not told, since a rule may still keep it out of the log.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

from sessiontap.exchange import Headers
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.finish import Bodies, CapturedBody, Heads, finished_call
from sessiontap.recording.decode import DecodedExchange, DecodedMessage
from sessiontap.recording.finished import BodyTransfer, ReceivedResponse, SentRequest
from sessiontap.redaction import Redactor
from sessiontap.trace.outcomes import WARM_UP

_RECORD = "sessiontap.recording.record"
"""Loaded when a reader asks, beside the loop: the proxy makes no record else."""
AT_ONCE = 16
"""Calls that are told before others have their turn on the loop."""
TOLD = (
    "id", "time", "session", "conversation", "parent", "evidence", "llm", "time_to_first_byte", "agent", "subagent",
    "user", "properties", "tags", "rules", "host", "forwarded_host", "route",
)  # fmt: skip
"""The keys of its record that are told as they are."""
TOLD_OF_SESSION = ("id", "name", "path", "step", "source")
TOLD_OF_CALLER = ("id", "pid", "started", "name", "names", "cwd")
_NO_BODIES = Bodies(CapturedBody((), 0, BodyTransfer()), CapturedBody((), 0, BodyTransfer()))


class Progress(NamedTuple):
    """The progress of a call. Unknown is None."""

    host: str
    """The host that it is sent to."""
    status: int | None = None
    """Of the reply; None: its headers have not come."""
    request_bytes: int | None = None
    response_bytes: int | None = None
    """Bytes that have come; None also of a small reply that mitmproxy holds until it is whole."""
    first_byte: int | None = None
    """Nanoseconds from the call's start."""


def progress_of(context: CallContext) -> Progress | None:
    """Return the progress of a call over HTTP; None if it is over."""
    flow = context.flow
    if flow is None:
        return None
    asked, told = context.request_tap, context.reply_tap
    body = flow.request.raw_content
    return Progress(
        flow.request.host,
        flow.response.status_code if flow.response is not None else None,
        asked.size if asked is not None else len(body) if body is not None else None,
        told.size if told is not None else None,
        context.first_byte,
    )


async def records(calls: Iterable[tuple[CallContext, Progress | None]], redactor: Redactor) -> list[dict[str, Any]]:
    """Return those calls that may be told, in plain values."""
    if _RECORD not in sys.modules:
        await asyncio.to_thread(import_module, _RECORD)
    found = []
    for number, (context, progress) in enumerate(calls, 1):
        record = record_of(context, progress, redactor) if progress is not None else None
        if record is not None:
            found.append(record)
        if not number % AT_ONCE:
            await asyncio.sleep(0)
    return found


def record_of(context: CallContext, progress: Progress, redactor: Redactor) -> dict[str, Any] | None:
    """Return a call with the keys of its record; None if it will have none, or if that is not known yet."""
    plan = context.plan
    if plan is None or plan.session is None or plan.decision.capture == "none" or WARM_UP in context.flags:
        return None
    from sessiontap.recording.record import call_record, caller_record, knowing

    caller = context.connection.caller
    received = ReceivedResponse(progress.status, "") if progress.status is not None else None
    call = finished_call(context, "ok", 0, Heads(SentRequest(progress.host, ""), received), _NO_BODIES)
    asked = DecodedMessage(context.request.headers)
    own = knowing(call, DecodedExchange(asked, None, "ok"), caller, redactor)
    exchange = DecodedExchange(DecodedMessage(Headers()), None, "ok", None, tuple(context.flags))
    record = call_record(call, exchange, own, caller)
    told = {key: record[key] for key in TOLD}
    told["session"] = {key: record["session"][key] for key in TOLD_OF_SESSION}
    told["link"] = {"kind": plan.link.kind}
    told["time_to_first_byte"] = progress.first_byte
    told["request"] = {"method": record["request"]["method"], "body": {"size": progress.request_bytes}}
    told["response"] = None
    if progress.status is not None:
        told["response"] = {"status": progress.status, "body": {"size": progress.response_bytes}}
    told["caller"] = None
    if caller is not None:
        process = caller_record(caller, own)
        if plan.decision.capture == "metadata":
            process["cwd"] = None
        told["caller"] = {key: process[key] for key in TOLD_OF_CALLER}
    return told
