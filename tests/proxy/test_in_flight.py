"""What a proxy tells of a call that has not ended: what its record will say, no content, nothing that is protected."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow
from tests.proxy.test_sockets import Wire

from sessiontap.callers import Caller, Found, Process
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.proxy import in_flight
from sessiontap.proxy.bodies import BodyTap
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.in_flight import Progress, progress_of, record_of, records
from sessiontap.proxy.plan import Planner
from sessiontap.proxy.prepare import history_of, read
from sessiontap.recording import record as record_module
from sessiontap.redaction import Redactor
from sessiontap.rules import load_text

NOW = 1_763_701_200 * 10**9
SECRET = "sk-proj-abcdefghijklmnopqrstuvwx0123456789"
REDACTOR = Redactor(b"k" * 32)
CALLER = Caller(
    id="0aa5b8a2-0000-5000-8000-000000000001", pid=7, started=5, name="bot.py", names=("bot.py", "python3"),
    argv=("python3", "bot.py"), cwd="/srv", ancestors=(Process(1, "init", None),),
)  # fmt: skip
DESTINATION = Destination("api.openai.com", "openai")
BODY = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "Why is grass green?"}]}).encode()
RULES = """
version: 1
rules:
  - {match: {process: bot.py}, session: {name: Bot, path: /ask}, properties: {mode: test}}
"""


def planned(rules: str = RULES, caller: Caller | None = CALLER, **headers: str) -> CallContext:
    """A call that has been sent on."""
    request = Request("POST", DESTINATION.host, "/v1/chat/completions", Headers(headers.items()), BODY)
    request, call, _ = read(request, DESTINATION, BODY)
    connection = Connection("c", ("127.0.0.1", 5000), Found(caller), proxy=("127.0.0.1", 8080))
    flow = tflow.tflow()
    flow.request.host, flow.request.raw_content = DESTINATION.host, BODY
    context = CallContext("call-1", NOW, 0, connection, request, DESTINATION, call=call, flow=flow)
    context.history = history_of(call)
    context.plan = Planner({}, Faults()).plan(context, load_text(rules))
    return context


def told(context: CallContext) -> dict[str, Any] | None:
    progress = progress_of(context)
    assert progress is not None
    return record_of(context, progress, REDACTOR)


def answered(context: CallContext, *chunks: bytes) -> HTTPFlow:
    """Its reply has begun, and these have come."""
    flow = context.flow
    assert flow is not None
    flow.response = tflow.tresp(status_code=200)
    flow.response.raw_content = None
    context.first_byte, context.reply_tap = 3, BodyTap()
    for chunk in chunks:
        context.reply_tap(chunk)
    return flow


def test_it_is_what_its_record_will_say() -> None:
    context = planned()
    assert context.plan is not None
    assert context.plan.session is not None
    assert told(context) == {
        "id": "call-1",
        "time": NOW,
        "session": {"id": context.plan.session.id, "name": "Bot", "path": "/ask", "step": 0, "source": "process"},
        "conversation": context.plan.link.conversation,
        "parent": None,
        "evidence": "new",
        "link": {"kind": "new"},
        "llm": {
            "provider": "openai", "family": "openai-chat", "operation": "chat", "request_model": "gpt-5",
            "response_model": None, "response_id": None, "stream": None, "finish_reason": None, "tools_offered": [],
            "tool_calls": [], "tool_results": [], "usage": None, "cost_reported": None, "service_tier": None,
            "error": None,
        },
        "time_to_first_byte": None,
        "agent": None,
        "subagent": None,
        "user": None,
        "properties": {"mode": "test"},
        "tags": [],
        "rules": ["#1"],
        "host": "api.openai.com",
        "forwarded_host": "api.openai.com",
        "route": "/v1/chat/completions",
        "caller": {
            "id": CALLER.id, "pid": 7, "started": 5, "name": "bot.py", "names": ["bot.py", "python3"], "cwd": "/srv"
        },
        "request": {"method": "POST", "body": {"size": len(BODY)}},
        "response": None,
    }  # fmt: skip


def test_a_reply_that_comes_is_told_by_its_bytes() -> None:
    context = planned()
    answered(context, b"12345", b"678")
    found = told(context)
    assert found is not None
    assert (found["response"], found["time_to_first_byte"]) == ({"status": 200, "body": {"size": 8}}, 3)


def test_of_a_reply_that_is_held_until_it_is_whole_no_bytes_are_known() -> None:
    context = planned()
    answered(context)
    context.reply_tap = None
    found = told(context)
    assert found is not None
    assert found["response"] == {"status": 200, "body": {"size": None}}


def test_an_upload_is_told_by_what_went_by() -> None:
    context = planned()
    context.request_tap = BodyTap()
    context.request_tap(b"123")
    found = told(context)
    assert found is not None
    assert found["request"]["body"] == {"size": 3}


def test_a_caller_that_is_not_known_is_null() -> None:
    found = told(planned("version: 1", caller=None))
    assert found is not None
    assert found["caller"] is None


@pytest.mark.parametrize(
    ("rules", "is_told"),
    [
        ("version: 1\nrules: [{capture: full}]", True),
        ("version: 1\nrules: [{capture: metadata}]", True),
        ("version: 1\nrules: [{capture: none}]", False),
        ("version: 1\nrules: [{ignore: true}]", False),
        ("version: 1\nrules: [{match: {message: '*grass*'}, capture: none}]", False),
    ],
)
def test_what_is_not_recorded_is_not_told(rules: str, is_told: bool) -> None:
    assert (told(planned(rules)) is not None) is is_told


def test_with_metadata_alone_its_folder_is_not_told() -> None:
    found = told(planned("version: 1\nrules: [{capture: metadata}]"))
    assert found is not None
    assert (found["caller"]["name"], found["caller"]["cwd"]) == ("bot.py", None)


def test_before_it_is_planned_nothing_is_told() -> None:
    context = planned()
    context.plan = None
    assert told(context) is None


def test_credentials_are_not_told() -> None:
    rules = "version: 1\nrules: [{session: {name: 'Bot ${header.x-key}', path: '/${header.x-own}'}}]"
    context = planned(rules, **{"x-key": SECRET, "x-own": "q8Zr3LwX0mVt7Nb2Kd5P", "x-api-key": "q8Zr3LwX0mVt7Nb2Kd5P"})
    assert context.plan is not None
    assert context.plan.session is not None
    assert SECRET in context.plan.session.name
    said = json.dumps(told(context))
    assert "Bot [redacted:" in said
    assert (SECRET in said, "q8Zr3LwX0mVt7Nb2Kd5P" in said, "grass" in said) == (False, False, False)


async def test_a_call_that_ended_meanwhile_is_left_out() -> None:
    begun, over = planned(), planned()
    over.flow = None
    found = await records([(one, progress_of(one)) for one in (begun, over)], REDACTOR)
    assert [call["id"] for call in found] == ["call-1"]


async def test_others_have_their_turn_while_many_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    made = 0

    def record(*_: Any) -> dict[str, Any]:
        nonlocal made
        made += 1
        return {}

    async def others() -> None:
        while made < 3 * in_flight.AT_ONCE:
            turns.append(made)
            await asyncio.sleep(0)

    assert record_module.__name__ == in_flight._RECORD  # loaded: nothing waits for it
    monkeypatch.setattr(in_flight, "record_of", record)
    calls = [(planned(), Progress("h"))] * (3 * in_flight.AT_ONCE)
    found, _ = await asyncio.gather(records(calls, REDACTOR), others())
    assert len(found) == len(calls)
    assert turns == [in_flight.AT_ONCE, 2 * in_flight.AT_ONCE]


async def test_the_turns_of_a_websocket() -> None:
    wire = Wire()
    wire.ask("Why?")
    wire.answer("r1", ends=False)
    for _ in range(20):  # frames are looked at, and a turn is planned, behind their being passed on
        await asyncio.sleep(0)
    ((context, progress),) = wire.socket.in_flight()
    assert progress is not None
    found = record_of(context, progress, REDACTOR)
    assert found is not None
    assert (found["id"], found["response"]["status"]) == (context.id, 200)
    assert found["request"]["body"]["size"] > 0
    assert found["response"]["body"]["size"] > 0
    assert found["time_to_first_byte"] == 10
    wire.say(False, "response.completed", response={"id": "r1", "status": "completed", "output": []})
    await wire.settle(1)
    assert wire.socket.in_flight() == []
