"""Connections that begin with a destination line are tunnels as CONNECT makes them, without an answer."""

from __future__ import annotations

import json
import os
import socket
import ssl
from typing import Any

import pytest
from tests.e2e.lab import RUN, Lab, Proxy
from tests.support.gate import PATIENCE
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

from sessiontap import destination_line

ADDRESS = "203.0.113.7"  # for documentation (RFC 5737): nobody's
TLS_HOSTS = ("api.openai.com", "other.example", ADDRESS)
RULES: Any = {"version": 1, "rules": [{"rule": "all", "session": {"name": "${process.name}"}}]}
QUESTION = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}).encode()


@pytest.fixture(scope="module")
def upstream(shared_lab: Lab) -> Server:
    return shared_lab.upstream(LlmService(), TLS_HOSTS)


@pytest.fixture(scope="module")
def plain(shared_lab: Lab) -> Server:
    return shared_lab.upstream(LlmService(), ("api.openai.com",), tls=False)


@pytest.fixture(scope="module", params=[{}, RUN], ids=["mitmdump", "run"])
def proxy(shared_lab: Lab, upstream: Server, plain: Server, request: pytest.FixtureRequest) -> Proxy:
    return shared_lab.proxy(RULES, **request.param)


def connect(proxy: Proxy, *first: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.process.port), PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in first:
        connection.sendall(part)
    return connection


def ask(connection: socket.socket, host: str) -> tuple[int, Any]:
    """POST a chat on an open connection; the status and the reply."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sk-test\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(QUESTION)}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode() + QUESTION)
    reply = b""
    while more := connection.recv(65536):
        reply += more
    above, _, body = reply.partition(b"\r\n\r\n")
    return int(above.split()[1]), json.loads(body)


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other end closes; False if it says something."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def trusting(cafile: Any) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cafile)


@pytest.mark.parametrize("to", ["api.openai.com", ADDRESS], ids=["by name", "by address"])
def test_a_call_to_an_llm_is_recorded(proxy: Proxy, to: str) -> None:
    raw = connect(proxy, destination_line.write(to, 443))
    with trusting(proxy.ca).wrap_socket(raw, server_hostname="api.openai.com") as tls:
        status, reply = ask(tls, "api.openai.com")
    assert (status, reply["object"]) == (200, "chat.completion")
    (call,) = proxy.take()
    assert call.record["request"]["url"] == "https://api.openai.com/v1/chat/completions"
    assert call.record["llm"]["request_model"] == "gpt-4o"
    assert call.caller is not None
    assert call.caller["pid"] == os.getpid()


def test_a_call_in_plain_http_is_recorded(proxy: Proxy) -> None:
    with connect(proxy, destination_line.write("api.openai.com", 80)) as raw:
        assert ask(raw, "api.openai.com")[0] == 200
    (call,) = proxy.take()
    assert call.record["request"]["url"] == "http://api.openai.com/v1/chat/completions"


def test_other_hosts_pass_with_their_own_certificate(proxy: Proxy, shared_lab: Lab) -> None:
    raw = connect(proxy, destination_line.write("other.example", 443))
    with trusting(shared_lab.authority.pem).wrap_socket(raw, server_hostname="other.example") as tls:
        assert ask(tls, "other.example")[0] == 200


def test_the_line_may_come_in_parts_and_with_more_behind_it(proxy: Proxy) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk-test\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(QUESTION)}\r\nConnection: close\r\n\r\n"
    whole = destination_line.write("api.openai.com", 80) + head.encode() + QUESTION
    with connect(proxy, whole[:20], whole[20:40], whole[40:]) as raw:
        assert raw.recv(12) == b"HTTP/1.1 200"
    proxy.take()


@pytest.mark.parametrize(
    "line",
    [b"SESSIONTAP-TO nowhere\r\n", destination_line.BEGIN + b"x" * 400, destination_line.write("nobody.example", 22)],
    ids=["no destination", "endless", "nobody answers there"],
)
def test_the_connection_is_closed_if_there_is_no_way_on(proxy: Proxy, line: bytes) -> None:
    with connect(proxy, line, b"hello") as raw:
        assert is_closed(raw)


def test_a_proxy_that_asks_for_a_password_lets_nothing_through(shared_lab: Lab, upstream: Server) -> None:
    proxy = shared_lab.proxy(RULES, options={"proxyauth": "me:secret"})
    before = upstream.connections
    with connect(proxy, destination_line.write("api.openai.com", 443), b"\x16\x03\x01") as raw:
        assert is_closed(raw)
    assert upstream.connections == before


def test_behind_another_proxy_the_way_on_is_through_that(shared_lab: Lab, proxy: Proxy) -> None:
    behind = shared_lab.proxy(RULES, arguments=["--mode", f"upstream:{proxy.url}"], options={"ssl_insecure": "true"})
    raw = connect(behind, destination_line.write("api.openai.com", 443))
    with trusting(behind.ca).wrap_socket(raw, server_hostname="api.openai.com") as tls:
        assert ask(tls, "api.openai.com")[0] == 200
    (first,), (second,) = behind.take(), proxy.take()
    assert first.record["request"]["url"] == second.record["request"]["url"]
