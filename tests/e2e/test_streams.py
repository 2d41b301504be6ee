"""Streams stay streams: each event reaches the app before the next one is sent, and the log holds all that was seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.e2e.lab import Lab, Proxy, Stage
from tests.support.coding import CODINGS, Coding
from tests.support.decoding import decoder
from tests.support.dialogue import Request, Respond
from tests.support.gate import Gate
from tests.support.http_server import Server

from sessiontap.demo.openai_wire import chat
from sessiontap.demo.provider_replies import Ids, StreamedReply

URL = "https://api.openai.com/v1/chat/completions"
ONE_VERSION = {
    "http/1.1": "https://api.mistral.ai/v1/chat/completions",
    "h2": "https://api.groq.com/openai/v1/chat/completions",
}
"""Where the upstream speaks but one version of HTTP."""
QUESTION: Any = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
VERSIONS = pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
SSE = [("content-type", "text/event-stream")]


def events() -> list[bytes]:
    reply = chat(QUESTION, Ids())
    assert isinstance(reply, StreamedReply)
    return list(reply.events)


EVENTS = events()


class Script:
    """Sends the events one by one, each when the test lets it, and breaks off after `break_after` of them."""

    def __init__(self, coding: Coding | None = None, break_after: int | None = None, ending: str = "end") -> None:
        self.coding = coding
        self.sent = EVENTS[:break_after]
        self.gates = [Gate() for _ in self.sent]
        self.ending = ending
        self.last = Gate()

    async def __call__(self, request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, SSE, coding=self.coding)
        for gate, event in zip(self.gates, self.sent, strict=True):
            await gate.passed()
            await respond.send(event)
        await self.last.passed()
        match self.ending:
            case "end":
                await respond.end()
            case "reset":
                await respond.reset()
            case "close":
                await respond.close()
            case "wait":
                await respond.gone.wait()


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def server(shared_lab: Lab, stage: Stage) -> Server:
    return shared_lab.upstream(stage, ["api.openai.com"])


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, stage: Stage, server: Server) -> Proxy:
    for alpn, url in ONE_VERSION.items():
        shared_lab.upstream(stage, [urlsplit(url).netloc], alpn=[alpn])
    return shared_lab.proxy()


@pytest.fixture(autouse=True)
def fresh(proxy: Proxy, server: Server) -> None:
    proxy.pass_over()
    server.requests.clear()


def read_in_step(reply: httpx2.Response, script: Script) -> tuple[bytes, Iterator[bytes]]:
    """Let the events through one by one, each when all earlier ones have arrived; what came, and what else comes."""
    wire = reply.iter_raw()
    decode = decoder(script.coding)
    seen = b""
    for number, gate in enumerate(script.gates, 1):
        gate.open()
        while len(seen) < len(b"".join(script.sent[:number])):
            seen += decode(next(wire))
    script.last.open()
    return seen, map(decode, wire)


@VERSIONS
@pytest.mark.parametrize("coding", [None, *CODINGS])
def test_every_event_arrives_before_the_next_is_sent(
    proxy: Proxy, stage: Stage, server: Server, version: str, coding: Coding | None
) -> None:
    script = stage.act = Script(coding)
    with proxy.client(version) as app, app.stream("POST", URL, json=QUESTION) as reply:
        seen, rest = read_in_step(reply, script)
        assert b"".join(rest) == b""
    assert seen == b"".join(EVENTS)
    assert reply.http_version == version
    assert reply.headers.get("content-encoding") == coding
    assert json.loads(server.requests[0].seen) == QUESTION

    (call,) = proxy.take()
    assert call.record["outcome"] == "ok"
    assert call.response_body() == b"".join(EVENTS)
    assert call.request_body() == server.requests[0].seen
    llm = call.record["llm"]
    assert (llm["stream"], llm["finish_reason"], llm["response_model"]) == (True, "stop", "gpt-4o")
    assert llm["usage"]["input"] > 0


@VERSIONS
@pytest.mark.parametrize("upstream", ["http/1.1", "h2"])
def test_either_version_may_meet_the_other_upstream(proxy: Proxy, stage: Stage, version: str, upstream: str) -> None:
    script = stage.act = Script()
    with proxy.client(version) as app, app.stream("POST", ONE_VERSION[upstream], json=QUESTION) as reply:
        seen, rest = read_in_step(reply, script)
        assert b"".join(rest) == b""
    assert seen == b"".join(EVENTS)
    assert [call.record["outcome"] for call in proxy.take()] == ["ok"]


@VERSIONS
@pytest.mark.parametrize("coding", [None, "gzip", "zstd"])
def test_a_client_that_hangs_up_leaves_what_it_saw(
    proxy: Proxy, stage: Stage, version: str, coding: Coding | None
) -> None:
    script = stage.act = Script(coding, break_after=4, ending="wait")
    with proxy.client(version) as app, app.stream("POST", URL, json=QUESTION) as reply:
        seen, _ = read_in_step(reply, script)
    (call,) = proxy.take()
    assert seen == b"".join(EVENTS[:4])
    assert call.record["outcome"] == "client_gone"
    assert call.response_body() == seen
    assert call.record["llm"]["finish_reason"] is None
    assert call.record["llm"]["usage"] is None


@VERSIONS
@pytest.mark.parametrize("ending", ["reset", "close"])
@pytest.mark.parametrize("coding", [None, "br"])
def test_an_upstream_that_breaks_off_leaves_what_came(
    proxy: Proxy, stage: Stage, version: str, ending: str, coding: Coding | None
) -> None:
    script = stage.act = Script(coding, break_after=4, ending=ending)
    with proxy.client(version) as app, app.stream("POST", URL, json=QUESTION) as reply:
        seen, rest = read_in_step(reply, script)
        with pytest.raises(httpx2.TransportError):
            b"".join(rest)
    (call,) = proxy.take()
    assert seen == b"".join(EVENTS[:4])
    assert call.record["outcome"] == "upstream_gone"
    assert call.response_body() == seen
    assert call.record["llm"]["usage"] is None


def test_an_upstream_that_is_not_there(lab: Lab) -> None:
    server = lab.upstream(Script())
    proxy = lab.proxy()
    server.__exit__(None, None, None)
    with proxy.client() as app:
        reply = app.post(URL, json=QUESTION)
    (call,) = proxy.stop()
    assert reply.status_code == 502
    assert call.record["outcome"] == "upstream_unreachable"
    assert call.record["response"] is None or call.record["response"]["status"] == 502


def test_a_proxy_that_stops_mid_stream_leaves_the_part_that_was_seen(lab: Lab) -> None:
    sent = Gate()

    async def handle(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, [("content-type", "text/event-stream")])
        await respond.send(b"data: first\n\n")
        await sent.passed()

    lab.upstream(handle)
    proxy = lab.proxy()
    with proxy.client() as app, app.stream("POST", "https://api.openai.com/v1/chat/completions", json={}) as reply:
        pieces = reply.iter_raw()  # held: one that is let go hangs up
        assert next(pieces) == b"data: first\n\n"
        (call,) = proxy.stop()
        sent.open()
    assert call.record["outcome"] == "proxy_stopped"
    assert call.response_body() == b"data: first\n\n"
