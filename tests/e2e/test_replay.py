"""A replay through a real proxy: what the client gets is the recording's, and nothing else is reached."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import Lab, Proxy
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService
from tests.support.replay import FixedReplayer, recorded
from tests.support.socket_app import SocketApp
from websockets.exceptions import ConnectionClosed

from sessiontap.replay.question import Answer, LiveRequest, Miss
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import HEADER, VARIABLE, ReplayHeader

MISS = Miss("its messages differ", "01b3", ("messages[1]: 'Why?' was 'How?'",))
RULES: Any = {"version": 1, "rules": [{"rule": "all", "session": {"name": "Live"}}]}
QUESTION = {"model": "gpt-4o", "input": "Why?"}
KEY = {"authorization": "Bearer sk-test-0000"}
CREATED = {"type": "response.created", "response": {"id": "resp_1"}}
TURN = [json.dumps(one).encode() + b"\n" for one in (CREATED, {"type": "response.done", "response": {"id": "resp_1"}})]
EVENTS = [f'data: {{"n": {n}}}\n\n'.encode() for n in range(5)]


def choose(live: LiveRequest) -> Answer | Miss:
    match live.request.path:
        case "/v1/chat/completions":
            return recorded(b'{"choices": []}')
        case "/stream":
            return recorded(*EVENTS, headers=[("content-type", "text/event-stream")])
        case "/limited":
            return recorded(b'{"error": {}}', status=429, headers=[("retry-after", "7"), ("x-ratelimit-limit", "1")])
        case "/cut":
            return recorded(*EVENTS[:2], headers=[("content-type", "text/event-stream")], ending="cut")
        case "/unanswered":
            return recorded(ending="unanswered", status=0)
        case "/v1/realtime" if live.socket is None:
            return recorded(status=101, headers=[("sec-websocket-protocol", "realtime"), ("x-request-id", "r-1")])
        case "/v1/realtime" if b"Once." in (live.request.body or b""):
            return recorded(*TURN)
        case _:
            return MISS


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, server: ReplayServer) -> Proxy:
    return shared_lab.proxy(None, environment={VARIABLE: str(server.address)})


@pytest.fixture
def replayer(server: ReplayServer) -> FixedReplayer:
    made = FixedReplayer(choose)
    server.load(made)
    return made


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_a_call_gets_its_recorded_reply(proxy: Proxy, replayer: FixedReplayer, version: str) -> None:
    with proxy.client(version) as client:
        reply = client.post("https://api.openai.invalid/v1/chat/completions?a=1", json={"model": "m"})
    assert (reply.status_code, reply.json()) == (200, {"choices": []})
    (live,) = replayer.asked
    assert live.request.url == "https://api.openai.invalid/v1/chat/completions?a=1"
    assert json.loads(live.request.body or b"") == {"model": "m"}
    assert live.request.headers.get("host") == "api.openai.invalid"
    assert live.caller is not None


def test_a_stream_comes_in_its_pieces(proxy: Proxy, replayer: FixedReplayer) -> None:
    with proxy.client() as client, client.stream("GET", "https://llm.invalid/stream") as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        assert b"".join(reply.iter_raw()) == b"".join(EVENTS)


def test_an_error_comes_with_its_headers(proxy: Proxy, replayer: FixedReplayer) -> None:
    with proxy.client() as client:
        reply = client.get("https://llm.invalid/limited")
    assert (reply.status_code, reply.headers["retry-after"], reply.headers["x-ratelimit-limit"]) == (429, "7", "1")


def test_a_cut_stream_breaks_off(proxy: Proxy, replayer: FixedReplayer) -> None:
    received: list[bytes] = []
    with proxy.client() as client, client.stream("GET", "https://llm.invalid/cut") as reply:
        pieces = reply.iter_raw()
        with pytest.raises(httpx2.RemoteProtocolError):
            received.extend(pieces)
    assert b"".join(received) == b"".join(EVENTS[:2])


def test_a_call_that_was_not_answered_is_closed(proxy: Proxy, replayer: FixedReplayer) -> None:
    with proxy.client() as client, pytest.raises(httpx2.RemoteProtocolError):
        client.get("https://llm.invalid/unanswered")


@pytest.mark.parametrize("url", ["https://api.openai.com/v1/responses", "http://other.example/"], ids=["TLS", "plain"])
def test_a_miss_says_what_differs(proxy: Proxy, server: ReplayServer, replayer: FixedReplayer, url: str) -> None:
    with proxy.client() as client:
        reply = client.post(url, content=b"{}")
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], reply.headers["x-should-retry"]) == (501, "replay_miss", "false")
    assert f"no recorded call answers POST {url}: its messages differ. The nearest is call 01b3." in error["message"]
    assert "messages[1]: 'Why?' was 'How?'" in error["message"]
    assert [(one.url, one.outcome) for one in server.served()] == [(url, MISS)]


def test_many_requests_of_one_client_share_a_connection(proxy: Proxy, replayer: FixedReplayer) -> None:
    with proxy.client() as client:
        replies = [client.post("https://llm.invalid/v1/chat/completions") for _ in range(20)]
    assert {reply.status_code for reply in replies} == {200}


@pytest.mark.parametrize("in_tls", [False, True], ids=["bytes", "bytes in TLS"])
def test_what_is_not_http_is_closed(proxy: Proxy, in_tls: bool) -> None:
    with socket.create_connection(("127.0.0.1", proxy.process.port), PATIENCE) as raw:
        raw.sendall(b"CONNECT db.invalid:5432 HTTP/1.1\r\nHost: db.invalid:5432\r\n\r\n")
        assert b" 200 " in raw.recv(1000)
        if in_tls:
            trust = ssl.create_default_context(cafile=proxy.ca)
            with trust.wrap_socket(raw, server_hostname="db.invalid") as tls:
                tls.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
                assert is_closed(tls)
        else:
            raw.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
            assert is_closed(raw)
    proxy.process.wait_line(lambda line: "a connection to db.invalid:5432 was closed" in line)


def test_only_the_proxy_is_answered(server: ReplayServer, replayer: FixedReplayer) -> None:
    headers = {HEADER: str(ReplayHeader("guess", "https", "llm.invalid", 443))}
    with httpx2.Client(trust_env=False, timeout=PATIENCE) as client:
        for given in (headers, {}):
            assert client.get(f"http://127.0.0.1:{server.address.port}/stream", headers=given).status_code == 403
    assert replayer.asked == []


def test_no_server_no_reply(shared_lab: Lab) -> None:
    with ReplayServer() as gone:
        pass
    proxy = shared_lab.proxy(None, environment={VARIABLE: str(gone.address)})
    with proxy.client() as client:
        assert client.post("https://llm.example/v1/chat/completions", content=b"{}").status_code == 502


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other end closes; False if it says something."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_request_that_goes_on_is_recorded_as_any_other(shared_lab: Lab) -> None:
    shared_lab.upstream(LlmService(), ("api.openai.com", "other.example"))
    with ReplayServer(live=True) as server:
        proxy = shared_lab.proxy(RULES, environment={VARIABLE: str(server.address)})
        server.load(FixedReplayer(choose), goes_live=lambda miss: True)
        with proxy.client() as client:
            recorded_one = client.post("https://api.openai.com/v1/chat/completions", json=QUESTION)
            live_one = client.post("https://api.openai.com/v1/responses", json=QUESTION, headers=KEY)
            other = client.get("https://other.example/nothing")
    assert recorded_one.json() == {"choices": []}
    assert (live_one.status_code, live_one.json()["object"]) == (200, "response")
    assert other.status_code == 401  # the test's server wants a key
    assert [one.went_live for one in server.served()] == [False, True, True]
    (call,) = proxy.wait_calls(1)
    assert call.record["request"]["url"] == "https://api.openai.com/v1/responses"
    assert call.record["session"]["name"] == "Live"
    assert HEADER not in {name.lower() for name, _ in call.record["request"]["headers"]}


def test_a_miss_that_may_not_go_on_does_not(shared_lab: Lab) -> None:
    upstream = shared_lab.upstream(LlmService(), ("api.openai.com",))
    with ReplayServer(live=True) as server:
        proxy = shared_lab.proxy(RULES, environment={VARIABLE: str(server.address)})
        server.load(FixedReplayer(choose))
        with proxy.client() as client:
            reply = client.post("https://api.openai.com/v1/responses", json=QUESTION)
    assert (reply.status_code, reply.json()["error"]["type"]) == (501, "replay_miss")
    assert upstream.connections == 0


def test_a_socket_gets_the_recorded_frames_of_each_turn(proxy: Proxy, replayer: FixedReplayer) -> None:
    url = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
    with SocketApp(url, proxy=proxy.url, ca=proxy.ca, subprotocols=["realtime"]) as app:
        assert app.reply_headers["x-request-id"] == "r-1"
        for _ in range(2):
            app.send(turn("Once."))
            assert [app.receive(), app.receive()] == [one.decode().strip() for one in TURN]
        app.send(turn("Twice."))
        assert "its messages differ" in json.loads(app.receive())["error"]["message"]
        with pytest.raises(ConnectionClosed, match="replay: its messages differ"):
            app.receive()
    upgrade, *turns = replayer.asked
    assert upgrade.socket is None
    assert len({one.socket for one in turns}) == 1
    assert turns[0].request.body == turn("Once.").encode() + b"\n"


def turn(said: str) -> str:
    return json.dumps({"type": "response.create", "response": {"instructions": said}})
