"""Gemini over gRPC through the proxy: what is asked, what comes back, and how it ends."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tests.e2e.lab import Lab, Proxy
from tests.support.dialogue import Request, Respond
from tests.support.h2_client import H2Client

from sessiontap.replay.replayer import open_replayer
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import VARIABLE

HOST = "us-central1-aiplatform.googleapis.com"
SERVICE = "google.cloud.aiplatform.v1beta1.PredictionService"
MESSAGES = Path(__file__).parents[1] / "llm" / "grpc_messages.json"
WRITTEN = {one["id"]: base64.b64decode(one["data"]) for one in json.loads(MESSAGES.read_text(encoding="utf-8"))}


def framed(name: str) -> bytes:
    data = WRITTEN[f"{SERVICE} {name}"]
    return b"\0" + len(data).to_bytes(4) + data


async def answer(request: Request, respond: Respond) -> None:
    """Answer a question with a reply, and everything else with an error."""
    asked = await request.body()
    if asked != framed("a question"):
        await respond.start(200, [("content-type", "application/grpc")])
        await respond.end([("grpc-status", "8"), ("grpc-message", "Quota%20exceeded")])
        return
    await respond.start(200, [("content-type", "application/grpc")])
    await respond.send(framed("nothing"))
    await respond.send(framed("a reply"))
    await respond.end([("grpc-status", "0")])


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab) -> Proxy:
    shared_lab.upstream(answer, [HOST], alpn=["h2"])
    return shared_lab.proxy({"version": 1, "rules": [{"match": {"model": "gemini-*"}, "session": {"name": "Vertex"}}]})


def ask(proxy: Proxy, method: str, body: bytes) -> dict[str, str]:
    with H2Client(proxy.url, proxy.ca, HOST) as client:
        client.begin(f"/{SERVICE}/{method}", [("content-type", "application/grpc"), ("te", "trailers")])
        client.send(body)
        client.end([])
        client.read_until(None)
        return client.trailers


def test_a_stream_is_read_and_a_rule_finds_its_model(proxy: Proxy) -> None:
    assert ask(proxy, "StreamGenerateContent", framed("a question"))["grpc-status"] == "0"
    (call,) = proxy.take()
    llm = call.record["llm"]
    assert (llm["family"], llm["operation"], llm["request_model"]) == ("gemini-grpc", "chat", "gemini-2.5-pro")
    assert (llm["usage"]["input"], llm["usage"]["output"], llm["finish_reason"]) == (20, 12, "STOP")
    assert (call.record["outcome"], call.record["session"]["name"]) == ("ok", "Vertex")
    assert "streamed_request" not in call.record["flags"]


def test_calls_are_replayed_with_their_trailers(shared_lab: Lab) -> None:
    shared_lab.upstream(answer, [HOST], alpn=["h2"])
    asked = [("StreamGenerateContent", framed("a question")), ("GenerateContent", framed("a tool's result"))]
    first = shared_lab.proxy({"version": 1, "rules": [{"session": {"name": "Vertex"}}]})
    said = [ask(first, *one) for one in asked]
    first.wait_calls(2)
    with ReplayServer() as server:
        replayer = open_replayer(first.stop())
        server.load(replayer)
        again = shared_lab.proxy(None, environment={VARIABLE: str(server.address)})
        assert [ask(again, *one) for one in asked] == said
    assert (replayer.report().rungs, replayer.report().is_clean) == ({"exact": 2}, True)
    assert [one["grpc-status"] for one in said] == ["0", "8"]


def test_an_error_stands_in_the_trailers(proxy: Proxy) -> None:
    assert ask(proxy, "GenerateContent", framed("a tool's result"))["grpc-status"] == "8"
    (call,) = proxy.take()
    error = call.record["llm"]["error"]
    assert (error["type"], error["message"]) == ("RESOURCE_EXHAUSTED", "Quota exceeded")
