"""The proxy of a replay opens no connection, in whatever mode it serves: each request is answered by the recording or
refused, and what is no HTTP is closed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.e2e.lab import RUN, Lab, Proxy, run_to_its_end
from tests.e2e.test_pass_through import ADDRESS, HOST, PORT, connect, free_port, port_of, socks
from tests.support.gate import PATIENCE
from tests.support.replay import FixedReplayer

from sessiontap import destination_line
from sessiontap.demo.redirect import Redirect
from sessiontap.replay.question import Miss
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import VARIABLE, ReplayAddress

WAYS = {
    "regular": "regular",
    "redirected by capture": "regular",
    "upstream": f"upstream:http://{HOST}:{PORT}",
    "socks5": "socks5",
    "reverse": f"reverse:http://{HOST}:{PORT}",
    "reverse, bytes": f"reverse:tcp://{HOST}:{PORT}",
}
"""How a client comes, and the mode that serves it."""
NO_HTTP = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nConnection: close\r\n\r\n".encode()


@pytest.fixture(scope="module")
def nobody(shared_lab: Lab) -> Iterator[socket.socket]:
    """A server to which every way out leads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        shared_lab.redirect(Redirect(HOST, PORT, port), Redirect(ADDRESS, PORT, port))
        yield server


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest, shared_lab: Lab, nobody: socket.socket) -> Iterator[tuple[str, Proxy]]:
    with ReplayServer() as server:
        server.load(FixedReplayer(lambda live: Miss("nothing is recorded")))
        modes = ["--mode", f"{WAYS[request.param]}@127.0.0.1:{free_port()}"]
        if request.param == "socks5":
            modes[:0] = ["--mode", "regular"]  # by which the lab sees that it answers
        yield request.param, shared_lab.proxy(None, **RUN, arguments=modes, environment={VARIABLE: str(server.address)})


def opened(way: str, proxy: Proxy) -> socket.socket:
    """A client's connection that is to lead to the server."""
    match way:
        case "regular" | "upstream":
            return connect(proxy, at=port_of(proxy, "HTTP"))
        case "socks5":
            return socks(proxy)
    kind = "HTTP" if way.startswith("redirected") else "reverse"
    wire = socket.create_connection(("127.0.0.1", port_of(proxy, kind)), PATIENCE)
    if way.startswith("redirected"):
        wire.sendall(destination_line.write(ADDRESS, PORT))
    return wire


@pytest.mark.parametrize(
    ("said", "answer"), [(REQUEST, b"HTTP/1.1 501 "), (NO_HTTP, b"")], ids=["a request", "bytes"]
)
def test_nothing_goes_out(way: tuple[str, Proxy], nobody: socket.socket, said: bytes, answer: bytes) -> None:
    with opened(*way) as wire:
        wire.sendall(said)
        assert told(wire).startswith(answer)
    with pytest.raises(BlockingIOError):
        nobody.accept()


def told(wire: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    found = b""
    try:
        while more := wire.recv(1 << 16):
            found += more
    except ConnectionResetError:
        pass
    return found


def test_a_replay_looks_no_name_up_for_others(shared_lab: Lab) -> None:
    address = str(ReplayAddress(1, "token"))
    done = run_to_its_end(shared_lab.folder, "--mode", f"dns@127.0.0.1:{free_port()}", **{VARIABLE: address})
    assert done.returncode == 2, done.stdout
    assert "a replay looks no names up, so it cannot serve --mode dns. Leave it out" in done.stdout
