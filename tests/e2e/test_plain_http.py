"""Plain HTTP to hosts that nothing names: LLM calls are recognised and recorded, all else passes as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.lab import RUN, Lab, Proxy, Stage
from tests.e2e.test_pass_through import asked, connect
from tests.support.dialogue import Request, Respond
from tests.support.gate import Gate
from tests.support.http_server import Server
from tests.support.llm_server import LlmService
from tests.support.raw_server import read_all

from sessiontap.demo.redirect import Redirect

PORT = 8000
HOSTS = ("10.99.0.2", "vllm", "llm.corp.example")
QUESTION: Any = {"model": "llama", "messages": [{"role": "user", "content": "Why?"}]}
KEY = {"authorization": "Bearer sk-test"}


class Net:
    """Hosts that nothing names, at which one server answers, and a proxy."""

    def __init__(self, lab: Lab, program: dict[str, Any]) -> None:
        self.stage = Stage()
        self.server: Server = lab.upstream(self.stage, [], tls=False)
        lab.redirect(*(Redirect(host, PORT, self.server.port) for host in HOSTS))
        self.proxy: Proxy = lab.proxy(**program)


@pytest.fixture(scope="module", params=["mitmdump", "run"])
def net(request: pytest.FixtureRequest, shared_lab: Lab) -> Net:
    program = {} if request.param == "mitmdump" else RUN
    return Net(shared_lab, program)


@pytest.fixture(autouse=True)
def fresh(net: Net) -> None:
    net.proxy.pass_over()
    net.server.requests.clear()
    net.stage.act = LlmService()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_llm_call_is_recorded_without_a_rule(net: Net, host: str, stream: bool) -> None:
    url = f"http://{host}:{PORT}/v1/chat/completions"
    with net.proxy.client() as app:
        assert app.post(url, json={**QUESTION, "stream": stream}, headers=KEY).status_code == 200
    (call,) = net.proxy.take()
    llm = call.record["llm"]
    assert (call.record["host"], call.record["request"]["url"], call.record["outcome"]) == (host, url, "ok")
    assert (llm["family"], llm["request_model"], llm["stream"]) == ("openai-chat", "llama", stream)


def test_one_in_a_tunnel_is_recorded_too(net: Net) -> None:
    body = json.dumps(QUESTION).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: vllm:{PORT}\r\nAuthorization: Bearer sk-test\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with connect(net.proxy, "vllm", PORT) as wire:
        wire.sendall(head.encode() + body)
        assert read_all(wire).startswith(b"HTTP/1.1 200")
    (call,) = net.proxy.take()
    assert (call.record["host"], call.record["llm"]["request_model"]) == ("vllm", "llama")


def test_what_is_no_llm_call_passes_unaltered_and_is_listed(net: Net) -> None:
    async def greet(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.whole(200, b"hello", [("content-type", "text/html"), ("X-Own", "1")])

    net.stage.act = greet
    survey = b'{"survey": 5,  "input": "yes"}'
    with net.proxy.client() as app:
        home = app.get(f"http://vllm:{PORT}/", headers={"X-Odd-Case": "1"})
        answered = app.post(
            f"http://vllm:{PORT}/v1/responses", content=survey, headers={"content-type": "application/json"}
        )
        posted = app.post(f"http://vllm:{PORT}/upload", content=b"12345")
    assert [one.content for one in (home, answered, posted)] == [b"hello"] * 3
    assert [one.seen for one in net.server.requests] == [b"", survey, b"12345"]
    assert ("X-Odd-Case", "1") in list(net.server.requests[0].headers)
    found = {
        (one["why"], one["requests"], one["connections"], one["sent"], one["received"])
        for one in asked(net.proxy)
        if one["host"] == "vllm"
    }
    assert found == {("path", 2, 1, 5, 10), ("body", 1, 1, len(survey), 5)}
    with net.proxy.client() as app:
        net.stage.act = LlmService()
        app.post(f"http://vllm:{PORT}/v1/chat/completions", json=QUESTION, headers=KEY)
    assert len(net.proxy.take()) == 1  # of the others there is no record


def test_what_cannot_be_an_llm_call_streams_both_ways(net: Net) -> None:
    received, gate = Gate(), Gate()

    async def in_two_parts(request: Request, respond: Respond) -> None:
        await received.passed()
        await request.body()
        await respond.start(200, [("content-type", "application/json"), ("content-length", "10")])
        await respond.send(b"first")
        await gate.passed()
        await respond.send(b" last")
        await respond.end()

    def upload() -> Iterator[bytes]:
        yield b'{"one": '
        received.wait_reached()  # the upstream has the request before it is whole
        received.open()
        yield b'"two"}'

    net.stage.act = in_two_parts
    url, kind = f"http://vllm:{PORT}/v1/models/load", {"content-type": "application/json"}
    with net.proxy.client() as app, app.stream("POST", url, content=upload(), headers=kind) as reply:
        pieces = reply.iter_raw()
        assert next(pieces) == b"first"
        gate.open()
        assert b"".join(pieces) == b" last"
    assert net.server.requests[0].seen == b'{"one": "two"}'


def test_a_rule_that_ignores_holds_for_them(lab: Lab) -> None:
    server = lab.upstream(LlmService(), [], tls=False)
    lab.redirect(Redirect("vllm", PORT, server.port))
    proxy = lab.proxy({"version": 1, "rules": [{"rule": "mine", "match": {"route": "/private/**"}, "ignore": True}]})
    with proxy.client() as app:
        for path in ("/private/v1/chat/completions", "/v1/chat/completions"):
            app.post(f"http://vllm:{PORT}{path}", json=QUESTION, headers=KEY)
    (listed,) = asked(proxy)
    assert (listed["host"], listed["why"], listed["requests"]) == ("vllm", "ignore", 1)
    (call,) = proxy.stop()
    assert call.record["request"]["url"].endswith(f":{PORT}/v1/chat/completions")
    assert len(server.requests) == 2
