"""What does not concern the proxy passes byte for byte, in every mode, and the proxy says what has passed."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.e2e.lab import RUN, Lab, Proxy
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE
from tests.support.raw_server import RawServer, read_all, read_exactly

from sessiontap.demo.certs import Authority
from sessiontap.demo.redirect import Redirect
from sessiontap.exchange import Headers
from sessiontap.proxy.own_address import passed_url

HOST, PORT = "raw.example", 7000
ADDRESS = "203.0.113.7"  # for documentation (RFC 5737): nobody's
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes.fromhex("000000040000000000")
BLOCK = bytes(range(256)) * 4096  # 1 MB

Talk = Callable[[socket.socket], None]


# -- protocols: each a side that the client plays and one of the server; both assert every byte ------------------------


def server_speaks_first(client: bool, wire: socket.socket) -> None:
    if client:
        assert read_exactly(wire, 10) == b"220 mail\r\n"
        wire.sendall(b"EHLO app\r\n")
        assert read_exactly(wire, 8) == b"250 ok\r\n"
    else:
        wire.sendall(b"220 mail\r\n")
        assert read_exactly(wire, 10) == b"EHLO app\r\n"
        wire.sendall(b"250 ok\r\n")


def plain_http2(client: bool, wire: socket.socket) -> None:
    """As gRPC begins without TLS: both sides' settings, and something behind them."""
    if client:
        wire.sendall(PREFACE + SETTINGS)
        assert read_exactly(wire, len(SETTINGS)) == SETTINGS
        wire.sendall(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x10\x00")
        assert read_exactly(wire, 5) == b"ended"
    else:
        assert read_exactly(wire, len(PREFACE + SETTINGS)) == PREFACE + SETTINGS
        wire.sendall(SETTINGS)
        assert read_exactly(wire, 13) == b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x10\x00"
        wire.sendall(b"ended")


def binary(client: bool, wire: socket.socket) -> None:
    """A megabyte there and back."""
    if client:
        wire.sendall(struct.pack("!I", 80877103) + BLOCK)  # PostgreSQL asks for TLS like that
        assert read_exactly(wire, len(BLOCK)) == BLOCK[::-1]
    else:
        assert read_exactly(wire, 4 + len(BLOCK))[4:] == BLOCK
        wire.sendall(BLOCK[::-1])


def like_a_request(client: bool, wire: socket.socket) -> None:
    """A command that comes in two pieces and begins as a request does."""
    if client:
        wire.sendall(b"GET")
        wire.sendall(b" key\r\n")
        assert read_exactly(wire, 5) == b"value"
    else:
        assert read_exactly(wire, 9) == b"GET key\r\n"
        wire.sendall(b"value")


def client_closes_first(client: bool, wire: socket.socket) -> None:
    """The client's direction ends, and the answer depends on all of it."""
    if client:
        wire.sendall(b"\x01 to be counted")
        wire.shutdown(socket.SHUT_WR)
        assert read_all(wire) == b"15"
    else:
        wire.sendall(str(len(read_all(wire))).encode())


def server_closes_first(client: bool, wire: socket.socket) -> None:
    """The server's direction ends, and the client goes on."""
    if client:
        wire.sendall(b"\x01")
        assert read_all(wire) == b"last words"
        wire.sendall(b"and a long answer")
        wire.shutdown(socket.SHUT_WR)
    else:
        assert read_exactly(wire, 1) == b"\x01"
        wire.sendall(b"last words")
        wire.shutdown(socket.SHUT_WR)
        assert read_all(wire) == b"and a long answer"


PROTOCOLS = (server_speaks_first, plain_http2, binary, like_a_request, client_closes_first, server_closes_first)


# -- ways through the proxy --------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def port_of(proxy: Proxy, kind: str) -> int:
    line = proxy.process.wait_line(lambda text: re.search(rf"{kind}.*listening at", text) is not None)
    return int(line.rstrip(".").rpartition(":")[2])


def connect(proxy: Proxy, host: str = HOST, port: int = PORT, at: int | None = None) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", at or proxy.process.port), PATIENCE)
    wire.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    said = b""
    while not said.endswith(b"\r\n\r\n"):
        said += read_exactly(wire, 1)
    assert b" 200 " in said.partition(b"\r\n")[0], said
    return wire


def socks(proxy: Proxy, host: str = HOST, port: int = PORT) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", port_of(proxy, "SOCKS")), PATIENCE)
    wire.sendall(b"\x05\x01\x00")
    assert read_exactly(wire, 2) == b"\x05\x00"
    wire.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", port))
    assert read_exactly(wire, 10)[:2] == b"\x05\x00"
    return wire


@pytest.fixture(scope="module", params=["mitmdump", "run"])
def program(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {} if request.param == "mitmdump" else RUN


class Way:
    """A server that speaks whichever protocol a test says, and a proxy with a listener of each mode before it."""

    def __init__(self, lab: Lab, program: dict[str, Any]) -> None:
        self.protocol: Callable[[bool, socket.socket], None] = binary
        self.server = RawServer(lambda wire: self.protocol(False, wire))
        lab.redirect(Redirect(HOST, PORT, self.server.port), Redirect(ADDRESS, PORT, self.server.port))
        reverse = f"reverse:http://{HOST}:{PORT}@{free_port()}"
        modes = ["--mode", "regular", "--mode", f"socks5@{free_port()}", "--mode", reverse]
        self.proxy = lab.proxy(arguments=modes, **program)
        parent = f"upstream:http://127.0.0.1:{port_of(self.proxy, 'HTTP')}"
        self.child = lab.proxy(arguments=["--mode", parent], **program)

    @contextmanager
    def open(self, mode: str) -> Iterator[socket.socket]:
        with self._open(mode) as wire:
            yield wire

    def _open(self, mode: str) -> socket.socket:
        match mode:
            case "regular":
                return connect(self.proxy, at=port_of(self.proxy, "HTTP"))
            case "regular, by address":
                return connect(self.proxy, ADDRESS, at=port_of(self.proxy, "HTTP"))
            case "upstream":
                return connect(self.child)
            case "socks5":
                return socks(self.proxy)
            case _:
                return socket.create_connection(("127.0.0.1", port_of(self.proxy, "reverse")), PATIENCE)


@pytest.fixture(scope="module")
def way(shared_lab: Lab, program: dict[str, Any]) -> Iterator[Way]:
    way = Way(shared_lab, program)
    with way.server:
        yield way


@pytest.mark.parametrize("mode", ["regular", "regular, by address", "upstream", "socks5", "reverse"])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.__name__.replace("_", " "))
def test_every_byte_passes(way: Way, mode: str, protocol: Callable[[bool, socket.socket], None]) -> None:
    way.protocol = protocol
    with way.open(mode) as wire:
        protocol(True, wire)
    way.server.join()
    assert way.server.faults == []


# -- TLS ---------------------------------------------------------------------------------------------------------------


def trusting(authority: Authority) -> ssl.SSLContext:
    """A context that trusts the upstreams' own CA and not the proxy's: only what passes undecrypted succeeds."""
    return ssl.create_default_context(cafile=authority.pem)


def asked(proxy: Proxy, pid: int | None = None, at: int | None = None) -> list[dict[str, Any]]:
    """What the proxy says has passed."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{at or proxy.process.port}"})
    )
    with opener.open(passed_url(pid), timeout=PATIENCE) as reply:
        answer = json.load(reply)
    assert (answer["forgotten"], answer["lost_records"]) == (0, 0)
    return list(answer["passed"])


def test_a_hello_in_two_pieces_passes_and_is_counted(lab: Lab, program: dict[str, Any]) -> None:
    context = lab.authority.server_context(["other.example"], [])

    def serve(wire: socket.socket) -> None:
        with context.wrap_socket(wire, server_side=True) as tls:
            assert read_exactly(tls, 4) == b"ping"
            tls.sendall(b"pong")

    with RawServer(serve) as server:
        lab.redirect(Redirect("other.example", 443, server.port))
        proxy = lab.proxy(**program)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        app = trusting(lab.authority).wrap_bio(incoming, outgoing, server_hostname="other.example")
        with connect(proxy, "other.example", 443) as wire:
            with pytest.raises(ssl.SSLWantReadError):
                app.do_handshake()
            hello = outgoing.read()
            sent, received = hello[:100], b""
            wire.sendall(sent)
            wire.sendall(hello[100:])
            sent = hello
            while True:
                try:
                    app.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    incoming.write(piece := wire.recv(1 << 16))
                    received += piece
            app.write(b"ping")
            wire.sendall(data := outgoing.read())
            sent += data
            received += read_all(wire)
        server.join()
        (entry,) = asked(proxy, os.getpid())
        assert (entry["host"], entry["port"], entry["why"]) == ("other.example", 443, "unknown_host")
        assert (entry["connections"], entry["sent"], entry["received"]) == (1, len(sent), len(received))
        assert entry["pids"] == [os.getpid()]
        assert entry["first"] <= entry["last"]
        assert asked(proxy, 1 << 30) == []
    assert server.faults == []


def test_what_is_no_http_within_tls_of_an_llm_host_passes(lab: Lab, program: dict[str, Any]) -> None:
    context = lab.authority.server_context(["api.openai.com"], [])

    def serve(wire: socket.socket) -> None:
        with context.wrap_socket(wire, server_side=True) as tls:
            assert read_exactly(tls, 6) == b"\x00hello"
            tls.sendall(b"\x00good day")

    with RawServer(serve) as server:
        lab.redirect(Redirect("api.openai.com", 443, server.port))
        proxy = lab.proxy(**program)
        with connect(proxy, "api.openai.com", 443) as wire:
            trust = ssl.create_default_context(cafile=proxy.ca)
            with trust.wrap_socket(wire, server_hostname="api.openai.com") as tls:
                tls.sendall(b"\x00hello")
                assert read_exactly(tls, 9) == b"\x00good day"
        server.join()
        (entry,) = asked(proxy)
        assert (entry["host"], entry["why"], entry["sent"], entry["received"]) == ("api.openai.com", "not_http", 6, 9)
    assert server.faults == []


def test_a_client_that_hesitates_before_its_hello_is_still_looked_into(lab: Lab, program: dict[str, Any]) -> None:
    """It named an address, so its server was connected, which might have spoken first."""
    context, connected = lab.authority.server_context(["api.openai.com"], []), threading.Event()

    def serve(wire: socket.socket) -> None:
        connected.set()
        with context.wrap_socket(wire, server_side=True) as tls:
            read_exactly(tls, len(request))
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: 2\r\n\r\n{}"
    with RawServer(serve) as server:
        lab.redirect(Redirect(ADDRESS, 443, server.port))
        proxy = lab.proxy(**program)
        with connect(proxy, ADDRESS, 443) as wire:
            assert connected.wait(PATIENCE)
            trust = ssl.create_default_context(cafile=proxy.ca)
            with trust.wrap_socket(wire, server_hostname="api.openai.com") as tls:
                tls.sendall(request)
                assert tls.recv(12) == b"HTTP/1.1 200"
        (call,) = proxy.stop()
        assert (call.record["host"], call.record["outcome"]) == ("api.openai.com", "ok")
    assert server.faults == []


def test_a_server_that_is_not_there_is_told_of_in_the_answer(lab: Lab) -> None:
    proxy = lab.proxy()
    with socket.create_connection(("127.0.0.1", proxy.process.port), PATIENCE) as wire:
        wire.sendall(b"CONNECT nobody.example:443 HTTP/1.1\r\nHost: nobody.example:443\r\n\r\n")
        assert read_exactly(wire, 12) == b"HTTP/1.1 502"


def test_of_a_host_with_a_site_beside_its_api_only_the_api_is_recorded(lab: Lab, program: dict[str, Any]) -> None:
    async def greet(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.whole(200, b"{}", Headers([("content-type", "application/json")]))

    lab.upstream(greet, ["openrouter.ai"])
    proxy = lab.proxy({"version": 1, "rules": []}, **program)
    with proxy.client() as app:
        assert app.get("https://openrouter.ai/rankings").status_code == 200
        assert app.post("https://openrouter.ai/api/v1/chat/completions", json={}).status_code == 200
    (call,) = proxy.wait_calls(1)
    assert (call.record["route"], call.record["llm"]["provider"]) == ("/api/v1/chat/completions", "openrouter")
    (entry,) = asked(proxy, os.getpid())
    assert (entry["host"], entry["why"], entry["requests"]) == ("openrouter.ai", "path", 1)
