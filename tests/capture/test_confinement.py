"""A program that is confined reaches the proxy and loopback, and nothing else."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from threading import Thread

import pytest
from tests.capture.relay import Relay
from tests.support.gate import PATIENCE
from tests.support.small_server import SmallHandler

from sessiontap.capture import force, name_server

SERVER = "203.0.113.7"  # for documentation (RFC 5737): nobody's
ASK = "import socket, urllib.request as u; ask = u.build_opener(u.ProxyHandler({})).open\n"


@pytest.fixture(scope="module", autouse=True)
def _allowed_here() -> None:
    if why := force.why_not_seccomp():
        pytest.skip(why)


class Hello(SmallHandler):
    def do_GET(self) -> None:
        self.answer(f"hello {self.headers['Host']}".encode())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def relay(port: int) -> Iterator[Relay]:
    """In the place of the proxy: it leads to that server, as all others' addresses do."""
    with Relay({SERVER: port, name_server.UNUSED_ADDRESS: port, "127.0.0.1": port}) as relay:
        yield relay


def run(relay: Relay, text: str, *arguments: object, ports: tuple[int, ...] = (), looks_up: bool = False) -> str:
    """The output of a Python program that is confined."""
    from sessiontap.capture.confinement import confined

    with confined(("127.0.0.1", relay.port), ports, looks_up=looks_up) as way:
        process = subprocess.Popen(
            [sys.executable, "-c", ASK + textwrap.dedent(text), *map(str, arguments)],
            preexec_fn=way.before_exec,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        way.after_start()
        return process.communicate(timeout=PATIENCE)[0]


def test_a_host_is_reached_by_a_name_that_nobody_knows(relay: Relay) -> None:
    said = run(relay, "print(ask('http://api.nowhere.invalid/').read().decode())")
    assert (said, relay.destinations) == ("hello api.nowhere.invalid\n", [f"{name_server.UNUSED_ADDRESS}:80"])


@pytest.mark.parametrize("to", [443, 5432, 22], ids=["HTTPS", "PostgreSQL", "SSH"])
def test_every_port_of_another_machine_leads_to_the_proxy(relay: Relay, to: int) -> None:
    assert run(relay, f"print(ask('http://{SERVER}:{to}/').read().decode())") == f"hello {SERVER}:{to}\n"
    assert relay.destinations == [f"{SERVER}:{to}"]


def test_loopback_is_reached_but_for_the_ports_of_recorded_calls(relay: Relay, port: int) -> None:
    text = "import sys; print(ask(f'http://127.0.0.1:{sys.argv[1]}/').read().decode())"
    assert run(relay, text, port) == f"hello 127.0.0.1:{port}\n"
    assert relay.destinations == []
    run(relay, text, port, ports=(port,))
    assert relay.destinations == [f"127.0.0.1:{port}"]


SERVES = """
from threading import Thread
with socket.create_server(("127.0.0.1", 0)) as server:
    Thread(target=lambda: server.accept()[0].sendall(b"mine")).start()
    print(socket.create_connection(server.getsockname()).recv(10))
"""


def test_a_program_reaches_its_own_server(relay: Relay) -> None:
    assert run(relay, SERVES) == "b'mine'\n"


@pytest.mark.parametrize("port", [443, 53], ids=["HTTP/3", "a name server"])
def test_datagrams_do_not_leave_this_machine(relay: Relay, port: int) -> None:
    text = f"""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    print(s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(bytes(1)))
    s.sendto(b"x", ("{SERVER}", {port}))
    """
    assert run(relay, text).startswith("b'lo'\n")


def test_a_connection_of_datagrams_is_refused(relay: Relay) -> None:
    text = f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); print(s.connect_ex(('{SERVER}', 443)))"
    assert run(relay, text) == f"{errno.ENETUNREACH}\n"


def test_datagrams_on_loopback_arrive(relay: Relay) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        run(relay, f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', {receiver.getsockname()})")
        assert receiver.recv(10) == b"x"


def test_a_raw_socket_is_refused(relay: Relay) -> None:
    text = "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)"
    assert "PermissionError" in run(relay, text)


def test_a_program_whose_calls_may_go_on_looks_names_up_itself(relay: Relay) -> None:
    text = "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', 53)); print(s.getpeername())"
    assert run(relay, text, looks_up=True) == "('127.0.0.1', 53)\n"


QUERY = bytes.fromhex("1234 0100 0001 0000 0000 0000 03617069 076578616d706c65 00 0001 0001")


def test_a_name_has_an_address_of_nobodys() -> None:
    found = name_server.answer(QUERY)
    assert found is not None
    assert (found[:4].hex(), found[6:8].hex()) == ("12348180", "0001")
    assert socket.inet_ntoa(found[-4:]) == name_server.UNUSED_ADDRESS


@pytest.mark.parametrize("kind", ["001c", "0041"], ids=["IPv6", "HTTPS"])
def test_a_name_has_nothing_else(kind: str) -> None:
    found = name_server.answer(QUERY[:-4] + bytes.fromhex(f"{kind}0001"))
    assert found is not None
    assert found[2:8].hex() == "818000010000"


@pytest.mark.parametrize("query", [b"", b"\x12\x34", QUERY[:-3], QUERY[:14]], ids=["empty", "short", "no class", "cut"])
def test_what_is_no_query_has_no_answer(query: bytes) -> None:
    assert name_server.answer(query) is None
