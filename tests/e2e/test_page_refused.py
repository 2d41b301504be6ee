"""The page of `sessiontap ui` behind a proxy that listens for others: no name that means this machine leads there.

Whose address a name has is known once the proxy is connected. The page hears not a byte of what a client sends.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.e2e.lab import RUN, Lab, Proxy
from tests.e2e.test_pass_through import connect, free_port, port_of, socks
from tests.support.gate import PATIENCE
from tests.support.raw_server import RawServer, read_all

from sessiontap.demo.redirect import Redirect

NAME, PORT = "page.example", 8420
GET = b"GET / HTTP/1.1\r\nHost: page.example\r\n\r\n"


@dataclass
class Page:
    """What stands for the page, and what it was sent."""

    heard: list[bytes] = field(default_factory=list)

    def answer(self, wire: socket.socket) -> None:
        while data := wire.recv(65536):
            self.heard.append(data)
            wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nthe page")


@pytest.fixture(scope="module")
def page() -> Page:
    return Page()


@pytest.fixture(scope="module", params=["mitmdump", "run"])
def proxy(
    request: pytest.FixtureRequest, shared_lab: Lab, page: Page, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy whose user has the page open, with a listener of each mode; its name is resolved to this machine."""
    home = Path(tmp_path_factory.mktemp("home"))
    pages = home / ".sessiontap" / "run" / "pages"
    pages.mkdir(parents=True)
    with RawServer(page.answer) as server:
        (pages / str(server.port)).write_text(str(os.getpid()))
        shared_lab.redirect(Redirect(NAME, None, server.port))
        reverse = f"reverse:http://{NAME}:{PORT}@{free_port()}"
        yield shared_lab.proxy(
            arguments=["--mode", "regular", "--mode", f"socks5@{free_port()}", "--mode", reverse],
            home=str(home),
            **({} if request.param == "mitmdump" else RUN),
        )


def opened(proxy: Proxy, mode: str) -> socket.socket:
    match mode:
        case "tunnel":
            return connect(proxy, NAME, PORT, port_of(proxy, "HTTP"))
        case "socks5":
            return socks(proxy, NAME, PORT)
        case "reverse":
            return socket.create_connection(("127.0.0.1", port_of(proxy, "reverse")), PATIENCE)
        case _:
            return socket.create_connection(("127.0.0.1", port_of(proxy, "HTTP")), PATIENCE)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("plain", GET.replace(b"/", b"http://page.example:8420/", 1)),
        ("tunnel", GET),
        ("tunnel", b"\x00\x01 no protocol that anybody knows"),
        ("socks5", GET),
        ("reverse", GET),
    ],
    ids=["plain", "tunnel", "bytes in a tunnel", "socks5", "reverse"],
)
def test_a_name_of_this_machine_does_not_lead_to_the_page(proxy: Proxy, page: Page, mode: str, said: bytes) -> None:
    with opened(proxy, mode) as wire:
        wire.sendall(said)
        wire.shutdown(socket.SHUT_WR)
        answer = read_all(wire)
    assert b"the page" not in answer
    assert page.heard == []


def test_it_is_said(proxy: Proxy) -> None:
    with opened(proxy, "plain") as wire:
        wire.sendall(GET.replace(b"/", b"http://page.example:8420/", 1))
        proxy.process.wait_line(lambda line: "page.example leads to the page of `sessiontap ui`" in line)
