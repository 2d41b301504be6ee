"""The way of a call through its stages, of plain values: no proxy and no recorder's process."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sessiontap.callers import Caller, Found
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.calls import PROTECTED, Calls
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.finish import Bodies, CapturedBody, Heads
from sessiontap.proxy.notices import Notices
from sessiontap.proxy.plan import Planner
from sessiontap.proxy.prepare import HEAVY
from sessiontap.proxy.recorder import Recorder
from sessiontap.recording.finished import (
    BodyTransfer,
    CallCounted,
    FinishedCall,
    Outcome,
    PlannerUpdate,
    ReceivedResponse,
    SentRequest,
)
from sessiontap.rules import load_text

APP = Found(Caller(id="0aa5b8a2-0000-5000-8000-000000000001", pid=1, started=1, name="app.py"))
GONE = Found(reason="gone")
START = 1_763_701_200 * 10**9
NOTHING = CapturedBody((), 0, BodyTransfer())
JSON = (("content-type", "application/json"),)


def body(*said: str) -> bytes:
    """A chat request, user and assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(said)]
    return json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode()


FIRST, SECOND = body("Why is the sky blue?"), body("Why is the sky blue?", "Air.", "Why?")


@dataclass
class Handed:
    """Stands for the recorder: what was handed to it, and what it does then."""

    takes: Callable[[], bool] = lambda: True
    on_hurry: Callable[[], None] = lambda: None
    calls: list[FinishedCall] = field(default_factory=list)
    faults: int = 0
    notes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def submit(self, call: FinishedCall, bodies: Bodies, caller: Caller | None) -> bool:
        taken = self.takes()
        if taken:
            self.calls.append(call)
        return taken

    def hurry(self) -> None:
        self.on_hurry()

    def count_fault(self) -> None:
        self.faults += 1

    def note(self, kind: str, text: str, **facts: Any) -> None:
        self.notes.append(kind)
        self.texts.append(text)


def calls(rules: str, recorder: Handed | None = None) -> Calls:
    loaded, faults, notices = load_text(rules), Faults(), Notices()
    made = Calls(Planner({}, faults), notices, lambda: loaded, faults)
    made.recorder = notices.recorder = cast(Recorder | None, recorder)
    return made


def context(id: str, found: Found = APP, headers: tuple[tuple[str, str], ...] = JSON) -> CallContext:
    request = Request("POST", "api.openai.com", "/v1/chat/completions", Headers(headers))
    connection = Connection("conn-1", ("127.0.0.1", 5000), found, proxy=("127.0.0.1", 8080))
    return CallContext(id, START, 0, connection, request, Destination("api.openai.com", "openai"))


def end(made: Calls, call: CallContext, outcome: Outcome = "ok", status: int = 200) -> None:
    heads = Heads(SentRequest("api.openai.com", "HTTP/1.1"), ReceivedResponse(status, "HTTP/1.1"))
    made.finished(call, outcome, 7, heads, Bodies(NOTHING, NOTHING))


NAMED = "version: 1\nrules: [{match: {process: app.py}, session: {name: An App, path: '/${model}'}}]"


async def test_a_request_is_read_and_planned() -> None:
    made, call = calls(NAMED), context("call-1")
    plan = await made.plan(call, FIRST)
    assert plan.session is not None
    assert (plan.session.name, plan.session.step, plan.filled.path) == ("An App", 0, "/gpt-4o-mini")
    assert (call.flags, call.call, made.faults.counts) == ([], plan.call, {})


def in_grpc(data: bytes, *, compressed: bool) -> bytes:
    return bytes([compressed]) + len(data).to_bytes(4) + data


@pytest.mark.parametrize(
    ("wire", "content_type", "on_loop"),
    [
        pytest.param(FIRST, "application/json", True, id="a short one"),
        pytest.param(body("x" * 2_000_000), "application/json", False, id="a large one"),
        pytest.param(in_grpc(b"", compressed=False), "application/grpc", True, id="gRPC"),
        pytest.param(in_grpc(gzip.compress(bytes(8_000)), compressed=True), "application/grpc", False, id="in gzip"),
    ],
)
async def test_what_may_take_long_is_not_read_on_the_loop(wire: bytes, content_type: str, on_loop: bool) -> None:
    headers = (("content-type", content_type), ("grpc-encoding", "gzip"))
    made, call = calls(NAMED), context("call-1", headers=headers)
    assert (made.plan_at_once(call, wire) is not None) is on_loop


async def test_nothing_counts_of_a_request_that_was_decoded_to_see_how_large_it_is() -> None:
    headers = (*JSON, ("content-encoding", "gzip"))
    made, most = calls(NAMED), [0]
    force = made.budget.force

    def forced(size: int, to_read: bool = False) -> None:
        force(size, to_read)
        most[0] = max(most[0], made.budget.used)

    made.budget.force = forced  # type: ignore[method-assign]
    assert made.plan_at_once(context("call-1", headers=headers), gzip.compress(body("x" * 2_000_000))) is None
    assert (most[0], made.budget.used) == (HEAVY, 0)


@pytest.mark.parametrize(
    ("wire", "headers", "flags", "model"),
    [
        pytest.param(gzip.compress(FIRST), (*JSON, ("content-encoding", "gzip")), [], "gpt-4o-mini", id="encoded"),
        pytest.param(b"no gzip", (*JSON, ("content-encoding", "gzip")), ["undecodable"], None, id="damaged"),
        pytest.param(None, JSON, [], None, id="streams past"),
    ],
)
async def test_what_is_known_of_a_body(
    wire: bytes | None, headers: tuple[tuple[str, str], ...], flags: list[str], model: str | None
) -> None:
    call = context("call-1", headers=headers)
    plan = await calls(NAMED).plan(call, wire)
    assert (call.flags, plan.call.asked.model) == (flags, model)


@pytest.mark.parametrize(
    ("rule", "found", "flags", "capture", "notes"),
    [
        pytest.param("{match: {process: app.py}, capture: none}", APP, [], "none", [], id="certain"),
        pytest.param("{match: {process: app.py}, capture: none}", GONE, [PROTECTED], "none", ["protected"], id="maybe"),
        pytest.param("{match: {process: other.py}, capture: none}", APP, [], "full", [], id="another's"),
    ],
)
async def test_a_call_that_a_rule_may_protect_says_so(
    rule: str, found: Found, flags: list[str], capture: str, notes: list[str]
) -> None:
    recorder = Handed()
    call = context("call-1", found)
    plan = await calls(f"version: 1\nrules: [{rule}]", recorder).plan(call, FIRST)
    assert (call.flags, plan.decision.capture, recorder.notes) == (flags, capture, notes)


async def test_a_call_that_a_rule_ignores_gets_no_session() -> None:
    plan = await calls("version: 1\nrules: [{match: {model: 'gpt-4o*'}, ignore: true}]").plan(context("call-1"), FIRST)
    assert plan.session is None


async def answered(recorder: Handed) -> Calls:
    """A first call has ended, and its reply is not read yet."""
    made = calls(NAMED, recorder)
    made.replies.begin(asyncio.get_running_loop())
    first = context("call-1")
    first.plan = await made.plan(first, FIRST)
    end(made, first)
    return made


async def test_a_call_that_is_over_is_handed_over_once() -> None:
    recorder = Handed()
    await answered(recorder)
    assert [(call.id, call.outcome, call.duration) for call in recorder.calls] == [("call-1", "ok", 7)]
    assert recorder.calls[0].plan is not None
    assert recorder.calls[0].call is not None
    assert recorder.calls[0].call.json is None


async def test_the_next_turn_waits_for_the_reply_that_it_goes_on_from() -> None:
    recorder = Handed()
    made = await answered(recorder)
    hurried: list[str] = []

    def read() -> None:
        hurried.append("call-1")
        made.replies.read(PlannerUpdate("call-1", None, START + 7, None, None))

    recorder.on_hurry = read
    await made.plan(context("call-2"), SECOND)
    await made.plan(context("call-3"), SECOND)
    assert hurried == ["call-1"]


async def test_a_turn_whose_reply_is_not_read_in_time_is_still_gone_on_from() -> None:
    made = await answered(Handed())
    plan = await made.plan(context("call-2"), SECOND)
    assert plan.link is not None
    assert (plan.link.parent, plan.link.evidence) == ("call-1", "weak")


def full() -> bool:
    raise ValueError("a fault")


@pytest.mark.parametrize(
    ("takes", "faults"), [(lambda: False, 0), (full, 1)], ids=["the queue is full", "it cannot be put into words"]
)
async def test_what_was_not_handed_over_is_not_waited_for(takes: Callable[[], bool], faults: int) -> None:
    recorder = Handed(takes)
    recorder.on_hurry = lambda: pytest.fail("its reply was waited for")
    made = await answered(recorder)
    await made.plan(context("call-2"), SECOND)
    assert (recorder.calls, recorder.faults, sum(made.faults.counts.values())) == ([], faults, faults)


@pytest.mark.parametrize(
    ("rule", "capture"),
    [
        ("{match: {process: app.py}, capture: metadata}", "metadata"),
        ("{match: {process: app.py}, ignore: true}", "none"),
        ("{match: {process: app.py}, properties: {team: one}}", "full"),
    ],
    ids=["metadata", "ignored", "all of it"],
)
async def test_a_call_that_could_not_be_planned_is_recorded_as_the_rules_alone_allow(rule: str, capture: str) -> None:
    recorder = Handed()
    made, call = calls(f"version: 1\nrules: [{rule}]", recorder), context("call-1")
    end(made, call)
    assert [one.capture for one in recorder.calls] == [capture]


async def test_without_a_recorder_calls_pass_unrecorded() -> None:
    made, call = calls(NAMED), context("call-1")
    call.plan = await made.plan(call, FIRST)
    end(made, call)
    assert (made.receipt()(), made.faults.counts) == (True, {})


async def test_a_call_that_is_not_recorded_is_counted_as_unknown() -> None:
    takes = iter((False, True))
    recorder = Handed(takes=lambda: next(takes))
    made = calls("version: 1\nrules: [{rule: all, session: {name: App}, alert: {tokens: 10, per: day}}]", recorder)
    for id in ("lost", "read"):
        call = context(id)
        call.plan = await made.plan(call, FIRST)
        end(made, call)
    made.alerts.read(CallCounted("read", START + 7, tokens=10))
    made.alerts.settle()
    assert recorder.texts == [
        "alert 'all': tokens is at least 10 (1 call of unknown tokens left out), at or above 10, in day 2025-11-21"
    ]
