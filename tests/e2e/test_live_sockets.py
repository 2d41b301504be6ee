"""WebSockets of a replay that go on live: at their upgrade, or from the turn that the recording does not have."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from tests.e2e.lab import RUN, Lab, Proxy
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE
from tests.support.socket_app import SocketApp
from tests.support.socket_wire import serve_realtime, serve_responses
from tests.support.websocket import WebSocket
from websockets.exceptions import ConnectionClosed

from sessiontap.demo.provider_replies import Ids
from sessiontap.replay.miss import LiveSocketFrames
from sessiontap.replay.replayer import open_replayer
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import HEADER, VARIABLE, ReplayHeader
from sessiontap.trace import RecordedCall

RULES: Any = {"version": 1, "rules": [{"rule": "all", "session": {"name": "Sockets"}}]}
KEY = {"Authorization": "Bearer any"}
REALTIME, RESPONSES = "/v1/realtime?model=gpt-realtime", "/v1/responses"


class Listening:
    """A WebSocket of the test's provider, whose frames of the client are kept."""

    def __init__(self, socket: WebSocket, heard: list[Any]) -> None:
        self._socket = socket
        self._heard = heard
        self.send = socket.send

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for said in self._socket:
            self._heard.append(json.loads(said))
            yield said


class Upstream:
    """The test's provider, which speaks WebSockets alone, and may refuse them."""

    def __init__(self) -> None:
        self._ids = Ids()
        self.refuses = False
        self.heard: list[Any] = []
        """Frames of clients, as they came."""

    async def __call__(self, request: Request, respond: Respond) -> None:
        if self.refuses:
            await respond.whole(401, b"{}")
            return
        socket: Any = Listening(await respond.websocket([]), self.heard)
        if request.path.endswith("/realtime"):
            await serve_realtime(socket, "gpt-realtime", self._ids)
        else:
            await serve_responses(socket, self._ids)


@pytest.fixture
def upstream(lab: Lab) -> Upstream:
    made = Upstream()
    lab.upstream(made)
    return made


def open_socket(proxy: Proxy, path: str, user: str = "") -> SocketApp:
    url = proxy.url.replace("://", f"://{user}")
    return SocketApp(f"wss://api.openai.com{path}", proxy=url, ca=proxy.ca, additional_headers=KEY)


def until(app: SocketApp, last: str) -> list[Any]:
    """The frames up to the first of the type `last`."""
    found: list[Any] = []
    while not found or found[-1]["type"] != last:
        found.append(json.loads(app.receive()))
    return found


def say(app: SocketApp, kind: str, **more: Any) -> None:
    app.send(json.dumps({"type": kind, **more}))


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def ask(app: SocketApp, question: str) -> list[Any]:
    """A realtime turn, whose item is awaited before the reply is asked for."""
    say(app, "conversation.item.create", item=message(question))
    found = until(app, "conversation.item.added")
    say(app, "response.create")
    return found + until(app, "response.done")


def greeted(app: SocketApp) -> None:
    until(app, "session.created")
    say(app, "session.update", session={"instructions": "Be brief."})
    until(app, "session.updated")


def recorded_turns(lab: Lab, path: str, *questions: str) -> list[RecordedCall]:
    proxy = lab.proxy(RULES, **RUN)
    with open_socket(proxy, path) as app:
        if path == REALTIME:
            greeted(app)
        for question in questions:
            if path == REALTIME:
                ask(app, question)
            else:
                say(app, "response.create", model="gpt-4o", input=question)
                until(app, "response.completed")
    proxy.wait_calls(len(questions))
    return proxy.stop()


@contextmanager
def replaying(
    lab: Lab, calls: list[RecordedCall], last: str | None = None, **options: str
) -> Iterator[tuple[Proxy, ReplayServer]]:
    """A proxy on these calls, with options of mitmproxy's, which has go on live what they do not answer."""
    with ReplayServer(live=True) as server:
        server.load(open_replayer(calls, strict="canonical", until=last), goes_live=lambda miss: True)
        yield lab.proxy(RULES, **RUN, options=options, environment={VARIABLE: str(server.address)}), server


def live_frames(server: ReplayServer) -> list[LiveSocketFrames | None]:
    return [one.live_frames for one in server.served() if one.went_live]


def test_a_realtime_socket_goes_on_with_the_conversation_that_the_client_knows(lab: Lab, upstream: Upstream) -> None:
    calls = recorded_turns(lab, REALTIME, "Why?")
    upstream.heard.clear()
    with replaying(lab, calls) as (proxy, server):
        with open_socket(proxy, REALTIME) as app:
            greeted(app)
            first = ask(app, "Why?")
            item, reply = first[0]["item"], first[-1]["response"]["output"][0]
            assert upstream.heard == []
            say(app, "conversation.item.create", item=message("When?"))
            say(app, "response.create")
            live = until(app, "response.done")
            again = ask(app, "And then?")
        live_calls = proxy.wait_calls(2)
        (note,) = proxy.wait_notes("replay")
    assert [one["type"] for one in live][:2] == ["conversation.item.added", "response.created"]
    assert live[0]["item"]["content"][0]["text"] == "When?"
    assert again[-1]["response"]["status"] == "completed"
    told, updated = upstream.heard[:4], {"type": "session.update", "session": {}}
    assert told[0] == {"type": "session.update", "session": {"instructions": "Be brief."}}
    assert told[1]["item"] == {**message("Why?"), "id": item["id"]}
    assert told[2]["item"] == reply
    assert told[3] == updated
    assert [one["type"] for one in upstream.heard[4:]] == ["conversation.item.create", "response.create"] * 2
    assert live_frames(server) == [LiveSocketFrames(4, 4)]
    assert (note["frame"], note["retold"], note["host"]) == (4, 4, "api.openai.com")
    assert all(call.record["session"]["name"] == "Sockets" for call in live_calls)
    assert all(call.caller is not None for call in live_calls)


def test_a_socket_goes_on_through_a_proxy_that_demands_a_password(lab: Lab, upstream: Upstream) -> None:
    calls = recorded_turns(lab, RESPONSES, "Why?")
    upstream.heard.clear()
    with replaying(lab, calls, proxyauth="me:secret") as (proxy, _):
        with open_socket(proxy, RESPONSES, "me:secret@") as app:
            for question in ("Why?", "When?"):
                say(app, "response.create", model="gpt-4o", input=question)
                assert until(app, "response.completed")
        (call,) = proxy.wait_calls(1)
    assert [one.get("input") for one in upstream.heard] == ["When?"]
    assert call.record["proxy_user"] == "me"


def test_a_live_port_of_a_proxy_that_demands_a_password_is_nobody_elses(lab: Lab, upstream: Upstream) -> None:
    calls = recorded_turns(lab, RESPONSES, "Why?")
    with replaying(lab, calls, proxyauth="me:secret") as (proxy, _):
        found = psutil.Process(proxy.process.pid).net_connections()
        ports = {one.laddr.port for one in found if one.status == "LISTEN"} - {proxy.process.port}
        answers = []
        for port in ports:
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            header = str(ReplayHeader("another token", "https", "api.openai.com", 443, live_from=1))
            asked.request("GET", "http://api.openai.com/v1/models", headers={HEADER: header})
            answers.append(asked.getresponse().status)
            asked.close()
    assert answers == [407]


def test_a_request_of_responses_goes_on_alone_and_the_ids_that_its_server_did_not_give_are_told(
    lab: Lab, upstream: Upstream
) -> None:
    calls = recorded_turns(lab, RESPONSES, "Why?")
    upstream.heard.clear()
    with replaying(lab, calls) as (proxy, server):
        with open_socket(proxy, RESPONSES) as app:
            say(app, "response.create", model="gpt-4o", input="Why?")
            first = until(app, "response.completed")[-1]["response"]["id"]
            say(app, "response.create", model="gpt-4o", input="And then?", previous_response_id=first)
            assert json.loads(app.receive())["error"]["code"] == "previous_response_not_found"
            say(app, "response.create", model="gpt-4o", input="Why? And then?")
            assert until(app, "response.completed")
        proxy.wait_calls(2)
    assert [one.get("input") for one in upstream.heard] == ["And then?", "Why? And then?"]
    assert live_frames(server) == [LiveSocketFrames(2, 0, [first])]


def test_a_socket_goes_on_behind_the_last_call_that_is_replayed(lab: Lab, upstream: Upstream) -> None:
    calls = recorded_turns(lab, REALTIME, "Why?", "Where?")
    with replaying(lab, calls, calls[0].id) as (proxy, server), open_socket(proxy, REALTIME) as app:
        greeted(app)
        ask(app, "Why?")
        assert ask(app, "Where?")[-1]["response"]["status"] == "completed"
    assert [one.first for one in live_frames(server) if one] == [4]


@pytest.mark.parametrize("until_first", [True, False], ids=["later than the last call", "never recorded"])
def test_a_socket_that_is_not_in_the_recording_is_live_from_its_upgrade(
    lab: Lab, upstream: Upstream, until_first: bool
) -> None:
    calls = recorded_turns(lab, RESPONSES, "Why?")
    if until_first:
        calls += recorded_turns(lab, REALTIME, "Where?")
    upstream.heard.clear()
    with replaying(lab, calls, calls[0].id if until_first else None) as (proxy, server):
        with open_socket(proxy, REALTIME) as app:
            greeted(app)
            assert ask(app, "Where?")
        proxy.wait_calls(1)
    assert len(upstream.heard) == 3
    assert live_frames(server) == [None]


def test_a_socket_on_which_audio_was_sent_does_not_go_on(lab: Lab, upstream: Upstream) -> None:
    calls = recorded_turns(lab, REALTIME, "Why?")
    upstream.heard.clear()
    with replaying(lab, calls) as (proxy, server), open_socket(proxy, REALTIME) as app:
        greeted(app)
        say(app, "input_audio_buffer.append", audio="AAAA")
        say(app, "conversation.item.create", item=message("When?"))
        say(app, "response.create")
        refused = until(app, "error")[-1]
        with pytest.raises(ConnectionClosed):
            app.receive()
    assert "it cannot go on live: the client has sent audio" in refused["error"]["message"]
    assert (live_frames(server), upstream.heard) == ([], [])


def test_if_its_server_refuses_the_upgrade_the_client_is_told(lab: Lab, upstream: Upstream) -> None:
    calls = recorded_turns(lab, RESPONSES, "Why?")
    upstream.refuses = True
    with replaying(lab, calls) as (proxy, server), open_socket(proxy, RESPONSES) as app:
        say(app, "response.create", model="gpt-4o", input="When?")
        refused = json.loads(app.receive())
        with pytest.raises(ConnectionClosed):
            app.receive()
    assert "it cannot go on live: its server answers the upgrade with the status 401" in refused["error"]["message"]
    assert live_frames(server) == []
