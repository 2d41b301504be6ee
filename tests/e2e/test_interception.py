"""What is looked into and what passes by; and that all of HTTP goes through what is looked into."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import PYTHON, SCRIPTS, Lab, Proxy, Stage
from tests.support.coding import CODINGS, Coding, encode
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE, Gate
from tests.support.http_server import Server

from sessiontap.demo.certs import Authority

OPENAI = "https://api.openai.com"
CHAT = f"{OPENAI}/v1/chat/completions"
JSON = [("content-type", "application/json")]
VERSIONS = pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
ADDRESS = "203.0.113.7"  # for documentation (RFC 5737): nobody's
TLS_HOSTS = ("api.openai.com", "llm.example", "other.example", "named.example", "wild.example", ADDRESS)
PLAIN_HOSTS = ("llm.example", "other.example")
RULES: Any = {
    "version": 1,
    "hosts": [{"host": "llm.example", "provider": "vllm"}],
    "rules": [
        {"rule": "private", "match": {"process": {"env": {"PRIVATE": "yes"}}}, "ignore": True},
        {"rule": "named", "match": {"host": "named.example"}, "session": {"name": "Named"}},
        {"rule": "wildcard", "match": {"host": "*.example"}, "session": {"name": "Any example"}},
        {"rule": "all", "session": {"name": "All"}},
    ],
}


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def upstream(shared_lab: Lab, stage: Stage) -> Server:
    return shared_lab.upstream(stage, TLS_HOSTS)


@pytest.fixture(scope="module")
def plain(shared_lab: Lab, stage: Stage) -> Server:
    return shared_lab.upstream(stage, PLAIN_HOSTS, tls=False)


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, upstream: Server, plain: Server) -> Proxy:
    return shared_lab.proxy(RULES)


@pytest.fixture(autouse=True)
def fresh(stage: Stage, upstream: Server, plain: Server, proxy: Proxy) -> None:
    proxy.pass_over()
    stage.act = greet
    upstream.requests.clear()
    plain.requests.clear()


async def greet(request: Request, respond: Respond) -> None:
    await request.body()
    await respond.whole(200, b'{"hello": true}', JSON)


def outsider(proxy: Proxy, authority: Authority) -> httpx2.Client:
    """A client that trusts the upstreams' own CA and not the proxy's: only what passes undecrypted succeeds."""
    context = ssl.create_default_context(cafile=authority.pem)
    return httpx2.Client(proxy=proxy.url, verify=context, trust_env=False, timeout=PATIENCE)


# -- what passes by ---------------------------------------------------------------------------------------------------


def test_other_hosts_pass_undecrypted(proxy: Proxy, authority: Authority, upstream: Server) -> None:
    with outsider(proxy, authority) as app, app.stream("GET", "https://other.example/") as reply:
        tls = reply.extensions["network_stream"].get_extra_info("ssl_object")
        issuer = dict(pair for part in tls.getpeercert()["issuer"] for pair in part)
        assert json.loads(reply.read()) == {"hello": True}
    assert issuer["commonName"] == "Upstream test CA"
    with proxy.client() as app:
        assert app.post(CHAT, json={}).status_code == 200
    (call,) = proxy.take()  # the first call went by unrecorded
    assert call.record["host"] == "api.openai.com"


def test_plain_http_of_others_streams_through_untouched(proxy: Proxy, stage: Stage, plain: Server) -> None:
    received, gate = Gate(), Gate()

    async def in_two_parts(request: Request, respond: Respond) -> None:
        await received.passed()
        await request.body()
        await respond.start(200, [("content-type", "text/plain"), ("x-custom", "1")])
        await respond.send(b"first ")
        await gate.passed()
        await respond.send(b"last")
        await respond.end()

    def upload() -> Iterator[bytes]:
        yield b"one "
        received.wait_reached()  # the upstream has the request before it is whole
        received.open()
        yield b"two"

    stage.act = in_two_parts
    with proxy.client() as app, app.stream("POST", "http://other.example/x?a=b", content=upload()) as reply:
        pieces = reply.iter_raw()
        assert next(pieces) == b"first "
        gate.open()
        assert b"".join(pieces) == b"last"
    (request,) = plain.requests
    assert (request.target, request.seen) == ("/x?a=b", b"one two")
    sent = {name.lower() for name, _ in request.headers}
    assert not [name for name in sent if name.startswith(("helicone", "proxy-"))]


def test_a_process_that_a_rule_ignores_is_not_decrypted(lab: Lab, proxy: Proxy, authority: Authority) -> None:
    app = lab.folder / "private.py"
    app.write_text(
        """
import os, ssl, sys
import httpx2
trust = ssl.create_default_context(cafile=sys.argv[1])
print(httpx2.post(sys.argv[2], json={}, verify=trust, timeout=None).status_code)
""",
        encoding="utf-8",
    )
    assert proxy.run([PYTHON, app, authority.pem, CHAT], {"PRIVATE": "yes"}).stdout == "200\n"
    assert proxy.run([PYTHON, app, proxy.ca, CHAT], {"PRIVATE": "no"}).stdout == "200\n"
    (call,) = proxy.take()
    assert call.caller is not None
    assert call.caller["env"] == {"PRIVATE": "no"}


def test_a_client_that_distrusts_the_proxy_passes_after_its_alert(
    proxy: Proxy, authority: Authority, upstream: Server
) -> None:
    before = len(proxy.notes("not_captured"))
    words = "does not trust the proxy's certificate, so a call to named.example failed."
    with outsider(proxy, authority) as app, pytest.raises(httpx2.ConnectError):
        app.get("https://named.example/")
    said = proxy.process.wait_line(lambda line: words in line)
    assert "for 10 minutes or longer" in said
    assert "sessiontap env" in said
    for _ in range(2):
        with outsider(proxy, authority) as app:
            assert app.get("https://named.example/").status_code == 200
    first, *later = proxy.wait_notes("not_captured", before + 3)[before:]
    assert first["text"].startswith("it does not trust the proxy's certificate: ")
    assert "unknown ca" in first["text"]
    assert {note["text"] for note in later} == {"it did not trust the proxy's certificate before"}
    assert {note["host"] for note in (first, *later)} == {"named.example"}
    assert sum(words in line for line in proxy.process.lines) == 1
    assert len(upstream.requests) == 2


def test_one_refused_certificate_between_calls_that_work_costs_nothing(proxy: Proxy, authority: Authority) -> None:
    refused = len(proxy.notes("handshake"))
    for _ in range(3):
        with proxy.client() as app:
            assert app.post(CHAT, json={}).status_code == 200
        with outsider(proxy, authority) as app, pytest.raises(httpx2.ConnectError):
            app.post(CHAT, json={})
    with proxy.client() as app:
        assert app.post(CHAT, json={}).status_code == 200
    assert len(proxy.take(4)) == 4
    first = proxy.wait_notes("handshake", refused + 3)[refused]
    assert first["text"].startswith("the proxy's certificate was refused, once so far: ")


def cancel(proxy: Proxy, host: str) -> None:
    """Ask for a host, begin TLS and hang up: what an app does whose request is cancelled."""
    port = int(proxy.url.rpartition(":")[2])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.sendall(outgoing.read())
        assert connection.recv(1)  # the server's hello: the handshake is under way


def test_a_client_whose_requests_are_cancelled_is_still_looked_into(proxy: Proxy) -> None:
    before = len(proxy.notes("not_captured"))
    for _ in range(4):
        cancel(proxy, "api.openai.com")
    told = "has closed 3 connections to api.openai.com in a row before TLS was set up"
    proxy.process.wait_line(lambda line: told in line)
    with proxy.client() as app:
        assert app.post(CHAT, json={}).status_code == 200
    (call,) = proxy.take()
    assert call.record["host"] == "api.openai.com"
    assert len(proxy.notes("not_captured")) == before


# -- what is looked into ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "provider", "name"),
    [
        pytest.param(CHAT, "openai", "All", id="the table of LLM hosts"),
        pytest.param("https://llm.example/v1/chat/completions", "vllm", "Any example", id="the rules' hosts"),
        pytest.param("http://llm.example/v1/chat/completions", "vllm", "Any example", id="in plain HTTP too"),
    ],
)
def test_llm_hosts_are_looked_into(proxy: Proxy, url: str, provider: str, name: str) -> None:
    with proxy.client() as app:
        assert app.post(url, json={"model": "gpt-4o", "messages": []}).status_code == 200
    (call,) = proxy.take()
    assert call.record["request"]["url"] == url
    assert (call.record["llm"]["provider"], call.record["session"]["name"]) == (provider, name)


def test_a_host_that_a_rule_names_is_looked_into(lab: Lab) -> None:
    lab.upstream(greet, ["named.example", "wild.example"])
    proxy = lab.proxy(RULES)
    with proxy.client() as app:
        app.post("https://named.example/v1/chat/completions", json={"model": "m"})
    (call,) = proxy.stop()
    assert (call.record["host"], call.record["session"]["name"]) == ("named.example", "Named")


def test_a_wildcard_in_a_rule_names_no_host(proxy: Proxy, authority: Authority) -> None:
    with outsider(proxy, authority) as app:
        assert app.get("https://wild.example/").status_code == 200


def test_a_connect_to_an_address_is_known_by_its_server_name(proxy: Proxy, curl: str) -> None:
    there = f"api.openai.com:443:{ADDRESS}:443"
    done = proxy.run([curl, "--silent", "--fail", "--connect-to", there, "-H", JSON[0][0], "-d", "{}", CHAT])
    assert json.loads(done.stdout) == {"hello": True}
    (call,) = proxy.take()
    assert (call.record["host"], call.record["llm"]["provider"]) == ("api.openai.com", "openai")


# -- the proxy's user -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        pytest.param(CHAT, True, id="CONNECT"),
        pytest.param("http://llm.example/v1/chat/completions", True, id="plain HTTP"),
        pytest.param("http://other.example/", False, id="plain HTTP of others"),
    ],
)
def test_the_proxys_user_is_taken_off_and_recorded(
    proxy: Proxy, upstream: Server, plain: Server, url: str, recorded: bool
) -> None:
    own = proxy.url.replace("//", "//team-a:x@")
    trust = ssl.create_default_context(cafile=proxy.ca)
    with httpx2.Client(proxy=own, verify=trust, trust_env=False, timeout=PATIENCE) as app:
        assert app.post(url, json={}).status_code == 200
    (request,) = [*upstream.requests, *plain.requests]
    assert "proxy-authorization" not in request.headers
    if recorded:
        (call,) = proxy.take()
        assert call.record["proxy_user"] == "team-a"
        assert "proxy-authorization" not in str(call.record["request"]["headers"]).lower()


def test_what_is_said_to_a_server_in_a_tunnel_does_not_change_the_proxys_user(proxy: Proxy, upstream: Server) -> None:
    own = proxy.url.replace("//", "//team-a:x@")
    said = "Basic " + base64.b64encode(b"team-b:y").decode()
    trust = ssl.create_default_context(cafile=proxy.ca)
    with httpx2.Client(proxy=own, verify=trust, trust_env=False, timeout=PATIENCE) as app:
        for headers in ({"Proxy-Authorization": said}, {}):
            assert app.post(CHAT, json={}, headers=headers).status_code == 200
    assert [request.headers.get("proxy-authorization") for request in upstream.requests] == [said, None]
    assert [call.record["proxy_user"] for call in proxy.take(2)] == ["team-a", "team-a"]


def test_a_user_that_answers_the_proxys_challenge_is_recorded(shared_lab: Lab, upstream: Server) -> None:
    """A refused CONNECT, and the granted one on the same connection."""
    proxy = shared_lab.proxy(RULES, options={"proxyauth": "team-a:x"})
    connect = "CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n"
    said = base64.b64encode(b"team-a:x").decode()
    body = b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_connection(("127.0.0.1", proxy.process.port), PATIENCE) as wire:
        wire.sendall(f"{connect}\r\n".encode())
        refused = http.client.HTTPResponse(wire)
        refused.begin()
        refused.read()
        wire.sendall(f"{connect}Proxy-Authorization: Basic {said}\r\n\r\n".encode())
        granted = http.client.HTTPResponse(wire, method="CONNECT")
        granted.begin()
        assert (refused.status, granted.status) == (407, 200)
        with ssl.create_default_context(cafile=proxy.ca).wrap_socket(wire, server_hostname="api.openai.com") as tunnel:
            tunnel.sendall(body)
            assert tunnel.recv(12) == b"HTTP/1.1 200"
    assert [call.record["proxy_user"] for call in proxy.stop()] == ["team-a"]


# -- all of HTTP ------------------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("length", [20, 5_000_000])
def test_head(proxy: Proxy, stage: Stage, version: str, length: int) -> None:
    async def head(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, [*JSON, ("content-length", str(length))])
        await respond.end()

    stage.act = head
    with proxy.client(version) as app:
        reply = app.head(f"{OPENAI}/v1/models")
        assert (reply.status_code, reply.headers["content-length"], reply.content) == (200, str(length), b"")
        assert app.head(f"{OPENAI}/v1/models").status_code == 200  # the connection is as it was
    for call in proxy.take(2):
        assert (call.record["outcome"], call.record["response"]["body"]) == ("ok", None)


@VERSIONS
def test_a_reply_without_content(proxy: Proxy, stage: Stage, version: str) -> None:
    async def no_content(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(204)
        await respond.end()

    stage.act = no_content
    with proxy.client(version) as app:
        for _ in range(2):
            assert app.delete(f"{OPENAI}/v1/files/file-1").status_code == 204
    for call in proxy.take(2):
        assert (call.record["outcome"], call.record["response"]["status"]) == ("ok", 204)
        assert call.record["response"]["body"] is None


def test_trailers_reach_the_client_and_the_log(proxy: Proxy, stage: Stage, curl: str, tmp_path: Path) -> None:
    async def with_trailers(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, [("content-type", "text/event-stream")])
        await respond.send(b"data: {}\n\n")
        await respond.end([("x-checksum", "abc")])

    stage.act = with_trailers
    head = tmp_path / "head"
    proxy.run([curl, "--silent", "--fail", "--http2", "--dump-header", head, "-d", "{}", CHAT])
    assert "x-checksum: abc" in head.read_text()
    (call,) = proxy.take()
    assert call.record["response"]["trailers"] == [["x-checksum", "abc"]]


@VERSIONS
def test_large_uploads_stream_and_are_recorded_whole(
    proxy: Proxy, stage: Stage, upstream: Server, version: str
) -> None:
    reached = Gate()
    parts = [bytes([65 + number]) * 1024 * 1024 for number in range(5)]

    async def take_in(request: Request, respond: Respond) -> None:
        await anext(request.pieces())
        await reached.passed()  # the first of it is here
        body = await request.body()
        await respond.whole(200, json.dumps({"size": len(body)}).encode(), JSON)

    def upload() -> Iterator[bytes]:
        yield from parts[:-1]
        reached.wait_reached()
        reached.open()
        yield parts[-1]

    stage.act = take_in
    headers = {"content-type": "multipart/form-data; boundary=x"}
    with proxy.client(version) as app:
        reply = app.post(f"{OPENAI}/v1/files", content=upload(), headers=headers)
    whole = b"".join(parts)
    assert reply.json() == {"size": len(whole)}
    (request,) = upstream.requests
    assert request.seen == whole
    assert request.headers.get("helicone-session-name") == "All"  # decided without the body
    (call,) = proxy.take()
    assert call.request_body() == whole
    assert "streamed_request" in call.record["flags"]


@VERSIONS
def test_an_upload_of_nothing(proxy: Proxy, stage: Stage, upstream: Server, version: str) -> None:
    """HTTP/2 need not say that there is no body: this one looks like the head of an upload."""
    headers = {"content-type": "multipart/form-data; boundary=x"}
    with proxy.client(version) as app:
        request = app.build_request("POST", f"{OPENAI}/v1/files", headers=headers)
        del request.headers["content-length"]
        assert app.send(request).json() == {"hello": True}
    assert upstream.requests[0].seen == b""
    (call,) = proxy.take()
    assert (call.record["outcome"], call.record["request"]["body"]) == ("ok", None)


@pytest.mark.parametrize("coding", CODINGS)
def test_an_encoded_request_passes_as_it_is_and_is_understood(proxy: Proxy, upstream: Server, coding: Coding) -> None:
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "a" * 1000}]}).encode()
    wire = encode(body, coding)
    with proxy.client() as app:
        app.post(CHAT, content=wire, headers={"content-type": "application/json", "content-encoding": coding})
    (request,) = upstream.requests
    assert (request.seen, request.headers.get("content-encoding")) == (wire, coding)
    (call,) = proxy.take()
    assert call.request_body() == body
    assert call.record["llm"]["request_model"] == "gpt-4o"
    assert call.record["request"]["body"]["wire"] == coding


@VERSIONS
def test_an_answer_may_come_before_the_upload_is_whole(proxy: Proxy, stage: Stage, version: str) -> None:
    answered = threading.Event()

    async def refuse(request: Request, respond: Respond) -> None:
        await anext(request.pieces())
        await respond.start(413, [("content-type", "application/json"), ("content-length", "2")])
        await respond.send(b"{}")
        answered.set()
        await request.body()
        await respond.end()

    def upload() -> Iterator[bytes]:
        yield b"a" * 1000
        assert answered.wait(PATIENCE)
        yield b"b" * 1000

    stage.act = refuse
    headers = {"content-type": "multipart/form-data; boundary=x"}
    with proxy.client(version) as app:
        reply = app.post(f"{OPENAI}/v1/files", content=upload(), headers=headers)
    assert (reply.status_code, reply.content) == (413, b"{}")
    (call,) = proxy.take()
    assert call.record["outcome"] == "http_error"
    seen, whole = call.request_body() or b"", b"a" * 1000 + b"b" * 1000
    assert whole.startswith(seen)
    assert seen == whole or "request_cut" in call.record["flags"]


def test_a_client_that_waits_to_be_told_to_go_on(proxy: Proxy, upstream: Server, curl: str, tmp_path: Path) -> None:
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "a" * 2_000_000}]}).encode()
    path = tmp_path / "body.json"
    path.write_bytes(body)
    headers = ["-H", "Expect: 100-continue", "-H", "Content-Type: application/json"]
    proxy.run([curl, "--silent", "--fail", "--http1.1", "--expect100-timeout", "20", *headers, "-d", f"@{path}", CHAT])
    (request,) = upstream.requests
    assert request.seen == body
    (call,) = proxy.take()
    assert call.request_body() == body
    assert call.record["llm"]["request_model"] == "gpt-4o"


# -- what is too large to keep ----------------------------------------------------------------------------------------

CAP = 20_000  # of scripts/small_cap.py
LARGE = b'{"text": "' + b"0123456789" * 5_000 + b'"}'


@pytest.mark.parametrize(
    ("url", "content_type", "reply_type"),
    [
        pytest.param(CHAT, "application/json", "application/json", id="held whole"),
        pytest.param(f"{OPENAI}/v1/files", "application/octet-stream", "text/event-stream", id="streamed"),
    ],
)
def test_a_body_over_the_cap_passes_whole_and_is_recorded_cut(
    lab: Lab, url: str, content_type: str, reply_type: str
) -> None:
    async def echo(request: Request, respond: Respond) -> None:
        await respond.whole(200, await request.body(), [("content-type", reply_type)])

    def upload() -> Iterator[bytes]:
        yield LARGE  # of no stated length

    server = lab.upstream(echo)
    proxy = lab.proxy(scripts=[SCRIPTS / "small_cap.py"])
    with proxy.client() as app:
        reply = app.post(url, content=upload(), headers={"content-type": content_type})
    assert reply.content == LARGE
    assert server.requests[0].seen == LARGE
    (call,) = proxy.stop()
    assert {"request_cut", "response_cut"} <= set(call.record["flags"])
    assert call.record["outcome"] == "ok"
    for side, kept in (("request", call.request_body()), ("response", call.response_body())):
        assert kept == LARGE[:CAP]
        stored = call.record[side]["body"]
        assert (stored["size"], stored["total"]) == (CAP, len(LARGE))
        assert stored["sha256"] == hashlib.sha256(LARGE[:CAP]).digest()
