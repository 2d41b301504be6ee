"""A call that is over, as it crosses the pipe: which bodies are kept, what is flagged, what stays behind."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow

from sessiontap.callers import Caller, Found
from sessiontap.exchange import Request
from sessiontap.llm.call import Asked, Call
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.finish import CapturedBody, Heads, captured_bodies, finished_call
from sessiontap.proxy.prepare import read
from sessiontap.recording.budget import Budget
from sessiontap.recording.finished import BodyTransfer, FinishedCall

CALLER = Caller(id="0aa5b8a2-0000-5000-8000-000000000001", pid=1, started=1, name="app.py")
DESTINATION = Destination("api.openai.com", "openai")
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Why?"}]}).encode()
PLENTY = 1 << 20
SCARCE = Budget(len(ASKED) + 10, PLENTY, PLENTY)
"""Enough for the request alone."""


def over(reply: bytes | None, *, streamed: bool = False) -> tuple[CallContext, HTTPFlow]:
    """A call that was answered with `reply`; None: no response came."""
    flow = tflow.tflow(resp=reply is not None)
    flow.request.raw_content = ASKED
    if flow.response is not None:
        flow.response.raw_content, flow.response.stream = reply, streamed
    request, call, _ = read(Request("POST", DESTINATION.host, "/v1/chat/completions"), DESTINATION, ASKED)
    connection = Connection("c", ("127.0.0.1", 5000), Found(CALLER))
    return CallContext("id", 1, 0, connection, request, DESTINATION, call=call), flow


def finished(context: CallContext, flow: HTTPFlow, budget: Budget) -> FinishedCall:
    return finished_call(context, "ok", 5, Heads.of(flow), captured_bodies(context, flow, budget))


@pytest.mark.parametrize(
    ("reply", "streamed", "budget", "kept", "flags"),
    [
        pytest.param(b"fine", False, Budget(PLENTY), 4, [], id="whole"),
        pytest.param(b"", False, Budget(PLENTY), 0, [], id="empty"),
        pytest.param(b"", True, Budget(PLENTY), 0, ["response_unseen"], id="it streamed past us"),
        pytest.param(b"r" * 100, False, Budget(PLENTY, 90, 180), 90, ["response_cut"], id="larger than one may be"),
        pytest.param(b"r" * 100, False, SCARCE, 0, ["response_cut", "over_budget"], id="no memory is left"),
    ],
)
def test_which_part_of_a_reply_is_kept(
    reply: bytes, streamed: bool, budget: Budget, kept: int, flags: list[str]
) -> None:
    context, flow = over(reply, streamed=streamed)
    bodies = captured_bodies(context, flow, budget)
    assert (bodies.response.data, bodies.response.transfer.size) == (reply[:kept], len(reply))
    assert (bodies.request.data, context.flags) == (ASKED, flags)


def test_a_body_in_one_piece_is_not_copied_again() -> None:
    body = CapturedBody([b"fi", b"ne"], 4, BodyTransfer(4)).joined()
    assert (body.pieces, body.kept) == ([b"fine"], 4)
    assert body.data is body.pieces[0]


def test_without_a_response_there_is_none() -> None:
    call = finished(*over(None), Budget(PLENTY))
    assert (call.received, call.response_body.size, call.plan) == (None, 0, None)


def test_what_only_the_proxy_needs_stays_behind() -> None:
    context, flow = over(b"fine")
    call = finished(context, flow, Budget(PLENTY))
    assert context.call is not None
    assert context.call.asked.message == "Why?"
    assert call.call is not None
    assert (call.call.json, call.call.asked.message, call.call.asked.prompt) == (None, None, None)
    assert (call.caller, call.host, call.sent.host) == (CALLER.id, DESTINATION.host, flow.request.host)


@pytest.mark.parametrize("capture", ["full", "metadata", "none"])
def test_a_call_that_could_not_be_planned_is_recorded_as_the_rules_alone_allow(capture: str) -> None:
    context, flow = over(b"fine")
    context.capture_without_plan = capture  # type: ignore[assignment]
    assert finished(context, flow, Budget(PLENTY)).capture == capture


def test_a_call_without_its_texts_keeps_all_else() -> None:
    asked = Asked(**{field.name: field.name for field in fields(Asked)})  # type: ignore[arg-type]
    call = Call(**{field.name: field.name for field in fields(Call)} | {"asked": asked})  # type: ignore[arg-type]
    without = replace(call, json=None, asked=replace(asked, message=None, prompt=None))
    assert call.without_texts() == without
