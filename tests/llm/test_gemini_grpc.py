"""Gemini over gRPC, as Google's own packages write it (make_grpc_messages.py)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.llm.test_grpc import framed

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Billed, Call, CallError, Reply, ToolCall, Usage
from sessiontap.llm.history import history
from sessiontap.llm.read import read_reply, read_request
from sessiontap.llm.routes import asks_once, endpoint_of

GRPC = Headers([("content-type", "application/grpc")])
WRITTEN: list[dict[str, Any]] = json.loads(Path(__file__).with_name("grpc_messages.json").read_text(encoding="utf-8"))
SERVICES = sorted({one["service"] for one in WRITTEN})
DATA = {one["id"]: base64.b64decode(one["data"]) for one in WRITTEN}
METHODS = {"request": "GenerateContent", "response": "GenerateContent", "count": "CountTokens"}
LEFT_OUT = {"thoughtSignature", "safetyRatings", "avgLogprobs", "score"}


def call(service: str, method: str, data: bytes | None) -> Call:
    path = f"/{service}/{method}"
    body = None if data is None else framed(data)
    asked = Request("POST", "us-central1-aiplatform.googleapis.com", path, GRPC, body)
    return read_request(asked, endpoint_of("POST", asked.host, path, "vertex"))


def reply(service: str, method: str, *data: bytes, status: str | None = "0", complete: bool = True) -> Reply:
    understood = call(service, method, b"")
    trailers = Headers([("grpc-status", status)] if status else [])
    body = b"".join(map(framed, data))
    asked = Request("POST", "us-central1-aiplatform.googleapis.com", f"/{service}/{method}", GRPC)
    return read_reply(understood, asked, Response(200, GRPC, body, complete, trailers))


@pytest.mark.parametrize("written", [one for one in WRITTEN if one["kind"] != "response"], ids=lambda one: one["id"])
def test_a_request_is_the_json_that_protobuf_makes_of_it(written: dict[str, Any]) -> None:
    found = call(written["service"], METHODS[written["kind"]], base64.b64decode(written["data"]))
    assert found.json == written["json"]
    assert (found.partial, found.asked.problems) == (False, ())


@pytest.mark.parametrize("service", SERVICES)
def test_a_question(service: str) -> None:
    found = call(service, "GenerateContent", DATA[f"{service} a question"])
    assert (found.endpoint.family, found.endpoint.operation) == ("gemini-grpc", "chat")
    assert found.endpoint.route == f"/{service}/GenerateContent"
    assert (found.asked.model, found.asked.stream) == ("gemini-2.5-pro", False)
    assert found.asked.message == "Wie ist das Wetter in Zürich? ☀"
    assert history(found).choices


@pytest.mark.parametrize(
    "service", [one for one in SERVICES if one != "google.ai.generativelanguage.v1.GenerativeService"]
)
def test_a_tools_result(service: str) -> None:
    asked = call(service, "StreamGenerateContent", DATA[f"{service} a tool's result"]).asked
    assert (asked.stream, asked.tools_offered, asked.prompt) == (True, ("weather", "googleSearch"), "Be brief.")
    assert (asked.tool_results, asked.message) == (("weather",), "Wie ist das Wetter in Zürich? ☀")


@pytest.mark.parametrize("service", SERVICES)
def test_a_conversation_has_the_same_digests_as_over_http(service: str) -> None:
    by_grpc = call(service, "GenerateContent", DATA[f"{service} a tool's result"])
    path = "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent"
    asked = Request("POST", "x", path, Headers(), json.dumps(by_grpc.json).encode())
    assert history(read_request(asked, endpoint_of("POST", "x", path, "vertex"))).chain == history(by_grpc).chain


@pytest.mark.parametrize("service", SERVICES)
def test_a_reply(service: str) -> None:
    found = reply(service, "GenerateContent", DATA[f"{service} a reply"])
    cached = None if service == "google.ai.generativelanguage.v1.GenerativeService" else 8  # v1 has no such field
    assert found == Reply(
        stream=False,
        response_model="gemini-2.5-pro",
        response_id="r1",
        text="Sunny.",
        finish_reason="STOP",
        usage=Usage(input=20, output=12, cache_read=cached, reasoning=7),
        billed=Billed(audio_input=8),
    )


@pytest.mark.parametrize(
    "service", [one for one in SERVICES if one != "google.ai.generativelanguage.v1.GenerativeService"]
)
def test_a_call_of_a_tool(service: str) -> None:
    found = reply(service, "GenerateContent", DATA[f"{service} a call"])
    (tool,) = found.tool_calls
    assert tool == ToolCall("weather", None, tool.arguments)
    assert json.loads(tool.arguments or "") == {
        "city": "Zürich", "days": 2, "units": None, "deep": {"a": [1, True, "x", {}]},
    }  # fmt: skip
    assert found.billed == Billed(tools=("google_search",))


@pytest.mark.parametrize("service", SERVICES)
def test_a_prompt_that_is_blocked(service: str) -> None:
    found = reply(service, "GenerateContent", DATA[f"{service} blocked"])
    assert (found.finish_reason, found.usage) == ("PROHIBITED_CONTENT", Usage(input=4))


@pytest.mark.parametrize("service", SERVICES)
def test_a_stream(service: str) -> None:
    nothing, last = DATA[f"{service} nothing"], DATA[f"{service} a reply"]
    found = reply(service, "StreamGenerateContent", nothing, last)
    assert (found.stream, found.text, found.first_token) == (True, "Sunny.", 5 + 5 + len(last))


def test_the_tokens_that_tools_put_into_a_prompt_at_vertex() -> None:
    # candidates[0].finishReason STOP; usage: 20 in, 5 out, and by kind 4 of tools' text
    data = bytes.fromhex("12021801" + "220a" + "0814" + "1005" + "6204" + "08011004")
    found = reply("google.cloud.aiplatform.v1.PredictionService", "GenerateContent", data)
    assert found.usage == Usage(input=24, output=5)


ONE = "google.cloud.aiplatform.v1.PredictionService"


def test_an_error() -> None:
    found = reply(ONE, "GenerateContent", status="8")
    assert (found.error, found.text, found.problems) == (CallError("RESOURCE_EXHAUSTED", None), None, ())


def test_a_stream_that_breaks_off() -> None:
    first = DATA[f"{ONE} a reply"]
    found = reply(ONE, "StreamGenerateContent", first, status="14")
    assert (found.text, found.error) == ("Sunny.", CallError("UNAVAILABLE", None))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(framed(b"\xff\xff\xff"), "is no message that is known", id="no protobuf"),
        pytest.param(framed(b"abc")[:-1], "in the middle of a message", id="cut"),
        pytest.param(framed(b"abc", 1), "does not say how", id="compressed, but not how"),
    ],
)
def test_a_request_that_cannot_be_read_is_unknown(data: bytes, said: str) -> None:
    path = f"/{ONE}/GenerateContent"
    found = read_request(Request("POST", "x", path, GRPC, data), endpoint_of("POST", "x", path, "vertex"))
    assert found.partial
    assert said in found.asked.problems[0]


def test_a_reply_that_cannot_be_read_says_so() -> None:
    found = reply(ONE, "StreamGenerateContent", DATA[f"{ONE} a reply"], b"\xff\xff")
    assert "is none that is known" in found.problems[0]
    assert found.text == "Sunny."


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/{ONE}/GenerateContent", True),
        (f"/{ONE}/StreamGenerateContent", True),
        (f"/{ONE}/StreamRawPredict", False),
        ("/google.ai.generativelanguage.v1beta.GenerativeService/BidiGenerateContent", False),
        ("/helloworld.Greeter/SayHello", False),
    ],
)
def test_which_requests_are_whole_before_the_reply_begins(path: str, expected: bool) -> None:
    assert asks_once("POST", path) is expected
