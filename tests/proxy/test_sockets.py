"""A WebSocket's frames become calls: which call each turn is, how it ended, what it holds."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import pytest
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow

from sessiontap.callers import Caller, Found
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.proxy import sockets
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.calls import Calls
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.finish import Bodies
from sessiontap.proxy.notices import Notices
from sessiontap.proxy.plan import Planner
from sessiontap.proxy.sockets import Socket, how_closed
from sessiontap.recording.finished import FinishedCall
from sessiontap.rules import load_text

UPGRADE = "0190a000-0000-7000-8000-000000000000"
NOW = 1_763_701_200 * 10**9
CALLER = Caller(id="0aa5b8a2-0000-5000-8000-000000000001", pid=1, started=1, name="app.py")


class Submitted(NamedTuple):
    call: FinishedCall
    bodies: Bodies


class Recorder:
    """Takes calls and notes in place of the recorder's process."""

    def __init__(self) -> None:
        self.calls: list[Submitted] = []
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.has_come = asyncio.Event()

    def submit(self, call: FinishedCall, bodies: Bodies, caller: Caller | None) -> bool:
        self.calls.append(Submitted(call, bodies))
        self.has_come.set()
        return True

    def note(self, kind: str, text: str, **facts: Any) -> None:
        self.notes.append((kind, facts))

    def hurry(self) -> None:
        pass


class Wire:
    """A socket that is watched, and the pipeline behind it."""

    def __init__(self) -> None:
        self.faults = Faults()
        notices, rules = Notices(), load_text("version: 1")
        self.calls = Calls(Planner({}, self.faults), notices, lambda: rules, self.faults)
        self.recorder: Any = Recorder()
        self.calls.recorder = notices.recorder = self.recorder
        self.calls.replies.begin(asyncio.get_running_loop())
        headers = Headers([("connection", "Upgrade"), ("upgrade", "websocket")])
        connection = Connection("c", ("127.0.0.1", 5000), Found(CALLER), proxy=("127.0.0.1", 8080))
        upgrade = CallContext(
            id=UPGRADE,
            time=NOW,
            started=0,
            connection=connection,
            request=Request("GET", "api.openai.com", "/v1/responses", headers),
            destination=Destination("api.openai.com", "openai"),
        )
        self.calls.prepare(upgrade, b"")
        upgrade.plan = self.calls.decide(upgrade)
        flow: HTTPFlow = tflow.tflow(resp=True)
        flow.request.path = "/v1/responses"
        self.socket = Socket(self.calls, upgrade, flow)
        self.at = 0

    def say(self, from_client: bool, kind: str, **more: Any) -> None:
        self.at += 10
        data = json.dumps({"type": kind, **more}).encode()
        self.socket.message(self.at, NOW + self.at, from_client, data, True)

    def ask(self, text: str, **more: Any) -> None:
        self.say(True, "response.create", model="gpt-5", input=[{"role": "user", "content": text}], **more)

    def answer(self, id: str, *, ends: bool = True) -> None:
        self.say(False, "response.created", response={"id": id})
        self.say(False, "response.output_text.delta", response_id=id, delta="Because.")
        if ends:
            self.say(False, "response.completed", response={"id": id, "status": "completed", "output": []})

    async def settle(self, calls: int) -> list[Submitted]:
        """The calls that were recorded, once there are so many."""
        async with asyncio.timeout(20):
            while len(self.recorder.calls) < calls:
                self.recorder.has_come.clear()
                await self.recorder.has_come.wait()
        assert not self.faults.counts
        return list(self.recorder.calls)


async def test_the_first_turn_is_the_upgrade_and_later_ones_are_calls_of_their_own() -> None:
    wire = Wire()
    for number in (1, 2):
        wire.ask(f"question {number}")
        wire.answer(f"resp_{number}")
    first, second = await wire.settle(2)
    assert first.call.id == UPGRADE
    assert second.call.id != UPGRADE
    assert [one.call.outcome for one in (first, second)] == ["ok", "ok"]
    assert [one.call.plan.session.step for one in (first, second) if one.call.plan and one.call.plan.session] == [0, 1]
    assert b"question 1" in first.bodies.request.data
    assert b"question 2" in second.bodies.request.data
    assert second.bodies.response.data.count(b"\n") == 3
    assert (first.call.duration, first.call.time_to_first_byte) == (30, 10)


async def test_a_warm_up_takes_no_step() -> None:
    wire = Wire()
    wire.ask("nothing yet", generate=False)
    wire.answer("resp_0")
    wire.ask("a question")
    wire.answer("resp_1")
    warm_up, first = await wire.settle(2)
    assert "warm_up" in warm_up.call.flags
    assert first.call.id == UPGRADE
    assert first.call.plan is not None
    assert first.call.plan.session is not None
    assert first.call.plan.session.step == 0


async def test_a_turn_of_which_the_request_was_cut_is_read_in_part() -> None:
    wire = Wire()
    wire.calls.budget.limit = 0
    wire.ask("a question")
    wire.answer("resp_1")
    (cut,) = await wire.settle(1)
    assert "request_cut" in cut.call.flags
    assert cut.call.call is not None
    assert cut.call.call.partial


@pytest.mark.parametrize(
    ("by_client", "code", "outcome"),
    [(True, 1000, "client_gone"), (False, 1011, "upstream_gone"), (None, None, "websocket_closed")],
    ids=["by the client", "by the server", "by nobody"],
)
async def test_a_turn_under_way_ends_with_its_socket(by_client: bool | None, code: int | None, outcome: str) -> None:
    wire = Wire()
    wire.ask("a question")
    wire.answer("resp_1", ends=False)
    how, why = how_closed(by_client, code)
    wire.socket.closed(100, how, why, code)
    (call,) = await wire.settle(1)
    assert (call.call.id, call.call.outcome, call.call.duration) == (UPGRADE, outcome, 90)
    (note,) = [facts for kind, facts in wire.recorder.notes if kind == "websocket"]
    assert (note["turns"], note["frames"], note["code"]) == (1, 3, code)


async def test_a_client_that_asks_faster_than_turns_are_decided_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "MOST_UNPLANNED", 2)
    wire = Wire()

    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(wire.calls, "wait_for_replies", never)
    for number in range(6):
        wire.ask(f"question {number}")
        wire.answer(f"resp_{number}")
    calls = await wire.settle(4)  # two still wait
    assert [json.loads(call.bodies.request.data)["input"][0]["content"] for call in calls] == [
        f"question {number}" for number in range(4)
    ]


async def test_a_socket_without_turns_is_a_call_and_what_passed_is_its_body() -> None:
    wire = Wire()
    wire.say(True, "session.hello", text="anybody there?")
    wire.say(False, "session.hello", text="no")
    wire.socket.closed(50, "websocket_closed", "by nobody in particular", None)
    (call,) = await wire.settle(1)
    assert (call.call.id, call.call.outcome) == (UPGRADE, "websocket_closed")
    assert b"anybody there?" in call.bodies.request.data
    assert b'"no"' in call.bodies.response.data


async def test_a_proxy_that_stops_leaves_what_came() -> None:
    wire = Wire()
    wire.ask("a question")
    wire.answer("resp_1", ends=False)
    seen = asyncio.Event()
    asyncio.get_running_loop().call_soon(seen.set)  # behind the frames
    await seen.wait()
    wire.socket.stopped(100)
    (call,) = await wire.settle(1)
    assert (call.call.outcome, call.bodies.response.data.count(b"\n")) == ("websocket_closed", 2)


@pytest.mark.parametrize(
    ("by_client", "code", "said"),
    [
        (True, 1000, ("client_gone", "by the client")),
        (True, 1006, ("client_gone", "without a word by the client")),
        (True, None, ("client_gone", "without a word by the client")),
        (False, 1000, ("upstream_gone", "by the server")),
        (False, 1006, ("upstream_gone", "without a word by the server")),
        (None, 1000, ("websocket_closed", "by nobody in particular")),
    ],
)
def test_who_closed_it(by_client: bool | None, code: int | None, said: tuple[str, str]) -> None:
    assert how_closed(by_client, code) == said
