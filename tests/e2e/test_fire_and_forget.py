"""A request that was sent completely reaches its server exactly once, though its client has gone meanwhile."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import pytest
from tests.e2e.lab import RUN, SCRIPTS, Lab, Proxy
from tests.e2e.test_pass_through import connect
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE, Gate
from tests.support.http_server import Server

from sessiontap.demo.redirect import Redirect

HOST, PORT = "api.openai.com", 443
USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
REPLY = json.dumps({"id": "x", "model": "m", "choices": [], "usage": USAGE}).encode()
JSON = [("content-type", "application/json")]
PATIENT = [SCRIPTS / "long_linger.py"]
"""For what ends well: on a busy machine a reply may take longer than a proxy waits for it."""


class Upstream:
    """Answers when its gate is open."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.gone = Gate()

    async def __call__(self, request: Request, respond: Respond) -> None:
        await request.body()
        answer = asyncio.ensure_future(self.gate.passed())
        hung_up = asyncio.ensure_future(respond.gone.wait())
        await asyncio.wait([answer, hung_up], return_when=asyncio.FIRST_COMPLETED)
        for task in (answer, hung_up):
            task.cancel()
        if not respond.gone.is_set():
            await respond.whole(200, REPLY, JSON)


@pytest.fixture(params=["mitmdump", "run"])
def program(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {} if request.param == "mitmdump" else RUN


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def server(lab: Lab, upstream: Upstream) -> Server:
    return lab.upstream(upstream, [HOST])


def question(number: int = 0) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": f"Question {number}"}]}).encode()


def http1(target: str, body: bytes) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def http2(target: str, *bodies: bytes) -> bytes:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", target)]
    for body in bodies:
        stream = connection.get_next_available_stream_id()
        connection.send_headers(stream, [*pseudo, *JSON])
        connection.send_data(stream, body, end_stream=True)
    return connection.data_to_send()


def send(proxy: Proxy, version: str, *bodies: bytes) -> socket.socket:
    """Send a whole request in TLS, of HTTP/2 any number, and return the socket."""
    context = ssl.create_default_context(cafile=proxy.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # nothing follows the handshake
    if version == "HTTP/2":
        context.set_alpn_protocols(["h2"])
    tls = context.wrap_socket(connect(proxy, HOST, PORT), server_hostname=HOST)
    tls.settimeout(PATIENCE)
    tls.sendall((http2 if version == "HTTP/2" else http1)("/v1/chat/completions", *bodies))
    return tls


def read_until(wire: socket.socket, end: bytes) -> None:
    said = b""
    while end not in said:
        received = wire.recv(4096)
        assert received, "the connection was closed"
        said += received


def wait_closed(wire: socket.socket) -> None:
    """Read until the proxy closes the connection."""
    while wire.recv(4096):
        pass


def hang_up(wire: socket.socket, how: str) -> None:
    """Close a connection. A reset discards what the other side has not read, and so does to close it before all is read
    that has come: `close` sends what an orderly close does."""
    if how == "reset":
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.close()
    else:
        wire.shutdown(socket.SHUT_WR)


WAYS = pytest.mark.parametrize(
    ("version", "how"), [("HTTP/1.1", "close"), ("HTTP/1.1", "reset"), ("HTTP/2", "close"), ("HTTP/2", "reset")]
)


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_a_client_that_goes_at_once(
    lab: Lab, server: Server, upstream: Upstream, program: dict[str, Any], version: str
) -> None:
    upstream.gate.open()
    proxy = lab.proxy(scripts=PATIENT, **program)
    hang_up(send(proxy, version, question()), "close")
    server.wait_for(lambda requests: any(one.whole for one in requests))
    (call,) = proxy.wait_calls(1)
    assert [one.seen for one in server.requests] == [question()]
    assert call.request_body() == question()
    assert (call.record["outcome"], call.record["llm"]["usage"]["output"]) == ("ok", 4)
    assert "client_gone" in call.record["flags"]


@WAYS
def test_a_client_that_goes_before_the_server_is_connected(
    lab: Lab, server: Server, upstream: Upstream, program: dict[str, Any], version: str, how: str, tmp_path: Path
) -> None:
    upstream.gate.open()
    connected = tmp_path / "connected"
    scripts = [SCRIPTS / "slow_connect.py", *PATIENT]
    proxy = lab.proxy(scripts=scripts, environment={"CONNECT_WHEN": str(connected)}, **program)
    wire = send(proxy, version, question())
    proxy.process.wait_line(lambda line: "CONNECTING" in line)
    hang_up(wire, how)
    with proxy.client() as app:  # what came before it was handled before it
        app.get("http://sessiontap.invalid/passed")
    assert server.requests == []
    connected.touch()
    server.wait_for(lambda requests: any(one.whole for one in requests))
    (call,) = proxy.wait_calls(1)
    assert [one.seen for one in server.requests] == [question()]
    assert call.record["outcome"] == "ok"


@WAYS
def test_a_client_that_goes_while_its_server_thinks(
    lab: Lab, server: Server, upstream: Upstream, program: dict[str, Any], version: str, how: str
) -> None:
    proxy = lab.proxy(scripts=PATIENT, **program)
    wire = send(proxy, version, question())
    upstream.gate.wait_reached()
    hang_up(wire, how)
    with proxy.client() as app:  # what came before it was handled before it
        app.get("http://sessiontap.invalid/passed")
    upstream.gate.open()
    (call,) = proxy.wait_calls(1)
    assert len(server.requests) == 1
    assert call.record["outcome"] == "ok"


@WAYS
def test_a_server_that_does_not_answer_a_client_that_has_gone_is_let_go(
    lab: Lab, server: Server, upstream: Upstream, program: dict[str, Any], version: str, how: str
) -> None:
    proxy = lab.proxy(**program)
    wire = send(proxy, version, question())
    upstream.gate.wait_reached()
    hang_up(wire, how)
    (call,) = proxy.wait_calls(1)
    assert len(server.requests) == 1
    assert (call.record["outcome"], call.record["response"]) == ("client_gone", None)


@WAYS
def test_a_stream_that_has_begun_is_cancelled_with_its_client(
    lab: Lab, program: dict[str, Any], version: str, how: str
) -> None:
    cancelled = threading.Event()

    async def think(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, [("content-type", "text/event-stream")])
        await respond.send(b"data: {}\n\n")
        await respond.gone.wait()
        cancelled.set()

    lab.upstream(think, [HOST])
    proxy = lab.proxy(scripts=PATIENT, **program)
    wire = send(proxy, version, question())
    while b"data:" not in wire.recv(4096):
        pass
    hang_up(wire, how)
    assert cancelled.wait(PATIENCE)
    (call,) = proxy.wait_calls(1)
    assert call.record["outcome"] == "client_gone"


def test_in_plain_http(lab: Lab, upstream: Upstream, program: dict[str, Any]) -> None:
    upstream.gate.open()
    server = lab.upstream(upstream, [], tls=False)
    lab.redirect(Redirect("vllm", 8000, server.port))
    proxy = lab.proxy(scripts=PATIENT, **program)
    with socket.create_connection(("127.0.0.1", proxy.process.port), PATIENCE) as wire:
        wire.sendall(http1("http://vllm:8000/v1/chat/completions", question()))
    (call,) = proxy.wait_calls(1)
    assert [one.seen for one in server.requests] == [question()]
    assert call.record["outcome"] == "ok"


def test_a_request_that_was_not_finished_is_not_sent(
    lab: Lab, server: Server, upstream: Upstream, program: dict[str, Any]
) -> None:
    upstream.gate.open()
    proxy = lab.proxy(**program)
    context = ssl.create_default_context(cafile=proxy.ca)
    with context.wrap_socket(connect(proxy, HOST, PORT), server_hostname=HOST) as tls:
        tls.sendall(http1("/v1/chat/completions", question())[:-1])
    (call,) = proxy.wait_calls(1)
    assert call.record["outcome"] == "client_gone"
    assert server.requests == []


def test_each_of_many_is_sent_once(lab: Lab, server: Server, upstream: Upstream, program: dict[str, Any]) -> None:
    upstream.gate.open()
    proxy = lab.proxy(scripts=PATIENT, **program)
    for number in range(40):
        hang_up(send(proxy, ("HTTP/1.1", "HTTP/2")[number % 2], question(number)), "close")
    calls = proxy.wait_calls(40)
    assert Counter(one.seen for one in server.requests) == Counter(question(number) for number in range(40))
    assert Counter(call.request_body() for call in calls) == Counter(question(number) for number in range(40))


def test_a_client_that_closes_its_direction_alone_gets_the_reply(
    lab: Lab, upstream: Upstream, program: dict[str, Any]
) -> None:
    upstream.gate.open()
    server = lab.upstream(upstream, [], tls=False)
    lab.redirect(Redirect("vllm", 8000, server.port))
    proxy = lab.proxy(**program)
    with socket.create_connection(("127.0.0.1", proxy.process.port), PATIENCE) as wire:
        wire.sendall(http1("http://vllm:8000/v1/chat/completions", question()))
        wire.shutdown(socket.SHUT_WR)
        said = b""
        while piece := wire.recv(4096):
            said += piece
    assert said.endswith(REPLY)


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_a_connection_ends_with_a_client_that_has_its_reply(
    lab: Lab, server: Server, upstream: Upstream, version: str
) -> None:
    upstream.gate.open()
    wire = send(lab.proxy(), version, question())
    read_until(wire, REPLY)
    hang_up(wire, "close")
    wait_closed(wire)


def test_a_connection_ends_with_the_last_reply_to_a_client_that_has_gone(lab: Lab) -> None:
    gate = Gate()

    async def answer(request: Request, respond: Respond) -> None:
        if await request.body() == question(2):
            await gate.passed()
        await respond.whole(200, REPLY, JSON)

    lab.upstream(answer, [HOST])
    proxy = lab.proxy(scripts=PATIENT)
    wire = send(proxy, "HTTP/2", question(1), question(2))
    read_until(wire, REPLY)
    gate.wait_reached()
    hang_up(wire, "close")
    gate.open()
    wait_closed(wire)
    assert [call.record["outcome"] for call in proxy.wait_calls(2)] == ["ok", "ok"]
