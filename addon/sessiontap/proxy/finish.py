"""Make the one value that a call becomes when it is over: `FinishedCall`, and the bodies that go beside it.

The hooks call this at a call's end, on the loop. Nothing here is copied but what mitmproxy may still change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from mitmproxy import http

from sessiontap.gateways import Direct, Route
from sessiontap.proxy.bodies import BodyTap
from sessiontap.proxy.call_context import CallContext, Plan
from sessiontap.recording.budget import Budget, Lease
from sessiontap.recording.finished import (
    BodyTransfer,
    FinishedCall,
    Outcome,
    ReceivedResponse,
    RecordedPlan,
    SentRequest,
)
from sessiontap.value_classes import dataclass

OVER_BUDGET = "over_budget"
"""A flag: of a body that is cut there is less than was allowed, because the memory was in use."""


@dataclass(frozen=True, slots=True)
class CapturedBody:
    """A body's wire bytes, as far as they are kept."""

    pieces: Sequence[bytes]
    """As they came: to put them together is not for the loop."""
    kept: int
    """Bytes of all pieces."""
    transfer: BodyTransfer
    lease: Lease | None = None
    """Of the memory that the pieces take."""

    @property
    def data(self) -> bytes:
        """The pieces as one."""
        return b"".join(self.pieces)

    def joined(self) -> CapturedBody:
        """Return the body with its bytes in one piece."""
        return replace(self, pieces=[self.data])


class Bodies(NamedTuple):
    """Both bodies of a call."""

    request: CapturedBody
    response: CapturedBody


class Heads(NamedTuple):
    """Both messages of a call without their bodies, as mitmproxy has them at the end."""

    sent: SentRequest
    received: ReceivedResponse | None

    @classmethod
    def of(cls, flow: http.HTTPFlow) -> Heads:
        """Return those of a flow that is over."""
        request, reply = flow.request, flow.response
        sent = SentRequest(
            request.host,
            request.http_version,
            request.headers.fields,
            request.trailers.fields if request.trailers else (),
        )
        if reply is None:
            return cls(sent, None)
        trailers = reply.trailers.fields if reply.trailers else ()
        return cls(sent, ReceivedResponse(reply.status_code, reply.http_version, reply.headers.fields, trailers))


def captured_bodies(context: CallContext, flow: http.HTTPFlow, budget: Budget) -> Bodies:
    """Return what is kept of a flow's bodies, and flag the call if something is missing.

    They are not copied if mitmproxy holds them whole; they do not change any more. From here on they take memory of the
    `budget`. A body for which there is none is left out.
    """
    request = _body(context, context.request_tap, flow.request, "request", budget, budget.most)
    left = min(budget.most, budget.together - request.kept)
    return Bodies(request, _body(context, context.reply_tap, flow.response, "response", budget, left))


def finished_call(context: CallContext, outcome: Outcome, duration: int, heads: Heads, bodies: Bodies) -> FinishedCall:
    """Return the call in plain values, without what only the proxy needs. `duration` is nanoseconds."""
    call, connection, asked = context.call, context.connection, context.request
    if call is not None and (call.json is not None or call.asked.message or call.asked.prompt):
        call = call.without_texts()
    return FinishedCall(
        id=context.id,
        time=context.time,
        duration=duration,
        outcome=outcome,
        method=asked.method,
        url=asked.url,
        host=asked.host,
        target=asked.target,
        sent=heads.sent,
        received=heads.received,
        request_body=bodies.request.transfer,
        response_body=bodies.response.transfer,
        time_to_first_byte=context.first_byte,
        flags=context.flags,
        caller=context.caller_id,
        caller_unknown=connection.found.reason if connection.caller is None else None,
        client=connection.client_ip,
        proxy_user=connection.proxy_user,
        call=call,
        plan=_recorded_plan(context.plan) if context.plan is not None else None,
        capture_without_plan=context.capture_without_plan,
    )


def _recorded_plan(plan: Plan) -> RecordedPlan:
    return RecordedPlan(
        rules=plan.decision.rules,
        capture=plan.decision.capture,
        set_by=plan.decision.set_by,
        filled=plan.filled,
        session=plan.session,
        link=plan.link,
        edits=(*plan.edits, *plan.reply_edits),
        route=plan.gateway if isinstance(plan.gateway, Route) else None,
        direct=plan.gateway if isinstance(plan.gateway, Direct) else None,
        match_scope=plan.match_scope,
        history=plan.history.tail() if plan.history is not None else None,
        counted=plan.counted,
    )


def _body(
    context: CallContext, tap: BodyTap | None, message: http.Message | None, which: str, budget: Budget, most: int
) -> CapturedBody:
    """Return a body of which at most `most` bytes are kept."""
    if tap is not None:
        # An answer may end before the upload does.
        is_cut = tap.cut or (which == "request" and tap.size and not tap.ended)
        pieces, kept, lease = tap.settle()
        if kept > most:
            is_cut, pieces, kept = True, list(_first(pieces, most)), most
        if is_cut:
            _cut(context, which, tap.refused)
        return CapturedBody(pieces, kept, BodyTransfer(tap.size, tap.chunks, context.started), lease)
    data = (message.raw_content if message else None) or b""
    if message and message.stream and not data:
        context.flags.append(f"{which}_unseen")  # it streamed past us
    kept, transfer = min(len(data), most), BodyTransfer(len(data))
    lease = Lease(budget)
    if kept and not lease.grow(kept):
        _cut(context, which, True)
        return CapturedBody((), 0, transfer)
    if kept < len(data):
        _cut(context, which, False)
    return CapturedBody([data[:kept]], kept, transfer, lease)


def _cut(context: CallContext, which: str, refused: bool) -> None:
    context.flags.append(f"{which}_cut")
    if refused and OVER_BUDGET not in context.flags:
        context.flags.append(OVER_BUDGET)


def _first(pieces: Sequence[bytes], size: int) -> Iterator[bytes]:
    """The first `size` bytes of all pieces."""
    for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            return
