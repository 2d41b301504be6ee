"""Questions to a proxy: its answer is JSON with status 200, and everything else is none."""

from __future__ import annotations

import socket
from threading import Thread
from typing import Any

import pytest

from sessiontap.cli.local_proxies import Asking

JSON = b'HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"calls": []}'


def asked(*pieces: bytes) -> tuple[Any, bytes]:
    """The answer of a proxy that sends `pieces` and closes, and the request that it got."""
    got = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                got.append(connection.recv(4096))
                for piece in pieces:
                    connection.sendall(piece)

        proxy = Thread(target=serve)
        proxy.start()
        answer = Asking("127.0.0.1", listening.getsockname()[1], "http://sessiontap.invalid/health", 30).answer(30)
        proxy.join()
    return answer, got[0]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([JSON], {"calls": []}, id="an answer"),
        pytest.param([JSON[:5], JSON[5:40], JSON[40:]], {"calls": []}, id="in pieces"),
        pytest.param([JSON.replace(b"200 OK", b"407 Proxy Authentication Required")], None, id="a password is asked"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\n<html>"], None, id="no JSON"),
        pytest.param([JSON[:-3]], None, id="cut"),
        pytest.param([b"SSH-2.0-x\r\n"], None, id="no HTTP"),
        pytest.param([], None, id="closed at once"),
    ],
)
def test_answers(pieces: list[bytes], expected: Any) -> None:
    assert asked(*pieces)[0] == expected


def test_the_request_is_a_proxys() -> None:
    first, host, *_ = asked(JSON)[1].split(b"\r\n")
    assert (first, host) == (b"GET http://sessiontap.invalid/health HTTP/1.1", b"Host: sessiontap.invalid")


def test_who_does_not_answer_in_time_has_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert Asking("127.0.0.1", listening.getsockname()[1], "http://sessiontap.invalid/health", 30).answer(0) is None


def test_a_proxy_that_is_gone_cannot_be_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        Asking("127.0.0.1", port, "http://sessiontap.invalid/health", 30)
