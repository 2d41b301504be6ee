"""The upstream that all other end-to-end tests believe: it must do over HTTP/1.1 and HTTP/2 exactly what it is told."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support.coding import CODINGS, Coding
from tests.support.decoding import decoder
from tests.support.dialogue import Handler, Request, Respond
from tests.support.gate import PATIENCE, Gate
from tests.support.http_server import Server

from sessiontap.demo.certs import Authority

EVENTS = [f"data: event {number}\n\n".encode() for number in range(5)]
VERSIONS = pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])


@pytest.fixture
def serve(authority: Authority) -> Iterator[Callable[[Handler], Server]]:
    servers: list[Server] = []

    def start(handler: Handler) -> Server:
        servers.append(Server(handler, tls=authority.server_context(["localhost"])).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)
    assert [fault for server in servers for fault in server.faults] == []


def client(server: Server, authority: Authority, version: str) -> httpx2.Client:
    return httpx2.Client(
        base_url=f"https://localhost:{server.port}",
        verify=ssl.create_default_context(cafile=authority.pem),
        http2=version == "HTTP/2",
        http1=version != "HTTP/2",
        trust_env=False,
        timeout=PATIENCE,
    )


@VERSIONS
def test_it_records_a_request_as_it_was_sent(serve, authority: Authority, version: str) -> None:
    async def handle(request: Request, respond: Respond) -> None:
        await respond.whole(200, await request.body(), [("content-type", "text/plain"), ("x-one", "1")])

    server = serve(handle)
    with client(server, authority, version) as app:
        reply = app.post("/v1/echo?a=b", content=b"body", headers={"X-Custom": "yes"})
        app.get("/again")

    assert (reply.status_code, reply.content, reply.headers["x-one"]) == (200, b"body", "1")
    first, second = server.requests
    assert (first.method, first.target, first.path) == ("POST", "/v1/echo?a=b", "/v1/echo")
    assert first.headers.get("x-custom") == "yes"
    assert (first.seen, first.whole) == (b"body", True)
    assert first.http_version == version
    assert first.host == f"localhost:{server.port}"
    assert (first.connection, second.connection) == (1, 1)  # kept alive


@VERSIONS
@pytest.mark.parametrize("coding", [None, *CODINGS])
def test_an_event_can_be_read_before_the_next_is_sent(
    serve, authority: Authority, version: str, coding: Coding | None
) -> None:
    gates = [Gate() for _ in EVENTS]

    async def handle(request: Request, respond: Respond) -> None:
        await respond.start(200, [("content-type", "text/event-stream")], coding=coding)
        for gate, event in zip(gates, EVENTS, strict=True):
            await gate.passed()
            await respond.send(event)
        await respond.end()

    server = serve(handle)
    with client(server, authority, version) as app, app.stream("GET", "/") as reply:
        wire = reply.iter_raw()
        decode = decoder(coding)
        seen = b""
        for number, gate in enumerate(gates, 1):
            gate.open()  # only now may the server send this one
            while len(seen) < len(b"".join(EVENTS[:number])):
                seen += decode(next(wire))
        rest = decode(b"".join(wire))
    assert seen == b"".join(EVENTS)
    assert rest == b""
    assert reply.headers.get("content-encoding") == coding


@VERSIONS
@pytest.mark.parametrize("coding", CODINGS)
def test_a_whole_reply_may_be_encoded(serve, authority: Authority, version: str, coding: Coding) -> None:
    async def handle(request: Request, respond: Respond) -> None:
        await respond.whole(200, b"text " * 1000, coding=coding)

    with client(serve(handle), authority, version) as app, app.stream("GET", "/") as reply:
        wire = b"".join(reply.iter_raw())
    assert decoder(coding)(wire) == b"text " * 1000
    assert len(wire) == int(reply.headers["content-length"]) < 1000


@VERSIONS
def test_a_body_larger_than_every_window_passes_both_ways(serve, authority: Authority, version: str) -> None:
    large = bytes(range(256)) * 4096 * 3  # 3 MiB

    async def handle(request: Request, respond: Respond) -> None:
        await respond.whole(200, await request.body())

    with client(serve(handle), authority, version) as app:
        assert app.post("/", content=large).content == large


@VERSIONS
def test_a_handler_sees_the_head_before_the_body_is_sent(serve, authority: Authority, version: str) -> None:
    seen = Gate()

    async def handle(request: Request, respond: Respond) -> None:
        await seen.passed()
        await respond.whole(200, await request.body())

    def upload() -> Iterator[bytes]:
        yield b"first "
        seen.wait_reached()
        seen.open()
        yield b"second"

    with client(serve(handle), authority, version) as app:
        assert app.post("/", content=upload()).content == b"first second"


@VERSIONS
@pytest.mark.parametrize("ending", ["reset", "close"])
def test_an_answer_can_break_off(serve, authority: Authority, version: str, ending: str) -> None:
    received = Gate()

    async def handle(request: Request, respond: Respond) -> None:
        await respond.start()
        await respond.send(b"part")
        await received.passed()
        await (respond.reset() if ending == "reset" else respond.close())

    seen = b""
    with client(serve(handle), authority, version) as app, app.stream("GET", "/") as reply:
        pieces = reply.iter_raw()
        seen += next(pieces)
        received.open()
        with pytest.raises(httpx2.TransportError):
            b"".join(pieces)
    assert seen == b"part"


def test_a_reset_over_http1_is_a_tcp_reset(serve, authority: Authority) -> None:
    async def handle(request: Request, respond: Respond) -> None:
        await respond.reset()

    context = ssl.create_default_context(cafile=authority.pem)
    with socket.create_connection(("127.0.0.1", serve(handle).port), PATIENCE) as raw, raw.dup() as below_tls:
        below_tls.settimeout(PATIENCE)
        with context.wrap_socket(raw, server_hostname="localhost") as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                # The handshake's session tickets come first; an orderly end would be b"" and end the list.
                list(iter(lambda: below_tls.recv(4096), b""))


@VERSIONS
def test_a_handler_learns_that_its_client_hung_up(serve, authority: Authority, version: str) -> None:
    gone = threading.Event()

    async def handle(request: Request, respond: Respond) -> None:
        await respond.start()
        await respond.send(b"part")
        await respond.gone.wait()
        gone.set()

    with client(serve(handle), authority, version) as app, app.stream("GET", "/") as reply:
        assert next(reply.iter_raw()) == b"part"
    assert gone.wait(PATIENCE)


@VERSIONS
def test_parallel_requests_are_answered_side_by_side(serve, authority: Authority, version: str) -> None:
    together = threading.Barrier(2)

    async def handle(request: Request, respond: Respond) -> None:
        await server_gate.passed()
        await respond.whole(200, request.path.encode())

    server_gate = Gate()
    server = serve(handle)
    replies: dict[str, bytes] = {}
    with client(server, authority, version) as app:

        def ask(path: str) -> None:
            together.wait(PATIENCE)
            replies[path] = app.get(path).content

        threads = [threading.Thread(target=ask, args=(path,)) for path in ("/a", "/b")]
        for thread in threads:
            thread.start()
        server.wait_for(lambda requests: len(requests) == 2)  # both stand at the gate at once
        server_gate.open()
        for thread in threads:
            thread.join(PATIENCE)
    assert replies == {"/a": b"/a", "/b": b"/b"}


def test_trailers_follow_a_stream_over_http2(serve, authority: Authority, curl: str, tmp_path: Path) -> None:
    async def handle(request: Request, respond: Respond) -> None:
        await respond.start()
        await respond.send(b"body")
        await respond.end([("x-checksum", "abc")])

    url = f"https://localhost:{serve(handle).port}/"
    headers = tmp_path / "headers"
    subprocess.run(
        [curl, "--silent", "--http2", "--cacert", str(authority.pem), "--dump-header", str(headers), url],
        check=True,
        timeout=PATIENCE,
        capture_output=True,
    )
    assert "x-checksum: abc" in headers.read_text()


def test_plain_http_is_served_without_tls() -> None:
    async def handle(request: Request, respond: Respond) -> None:
        await respond.whole(200, request.scheme.encode())

    with Server(handle) as server:
        reply = httpx2.get(f"http://127.0.0.1:{server.port}/", trust_env=False, timeout=PATIENCE)
    assert reply.content == b"http"


def test_a_handler_that_forgets_to_answer_is_a_fault_not_a_hang() -> None:
    async def handle(request: Request, respond: Respond) -> None:
        return None

    with Server(handle) as server, pytest.raises(httpx2.TransportError):
        httpx2.get(f"http://127.0.0.1:{server.port}/", trust_env=False, timeout=PATIENCE)
    assert [type(fault) for fault in server.faults] == [RuntimeError]
