"""xAI's chat over gRPC, as its own package writes it (make_xai_messages.py)."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tests.llm.test_grpc import framed

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Call, CallError, Reply, ToolCall, Usage
from sessiontap.llm.history import fingerprint_of, history
from sessiontap.llm.parts import request_parts
from sessiontap.llm.read import read_reply, read_request
from sessiontap.llm.routes import asks_once, endpoint_of
from sessiontap.llm.usage import cost_of

GRPC = Headers([("content-type", "application/grpc")])
WRITTEN: dict[str, str] = json.loads(Path(__file__).with_name("xai_messages.json").read_text(encoding="utf-8"))
DATA = {name: base64.b64decode(data) for name, data in WRITTEN.items()}
CHUNKS = [f"chunk {number}" for number in range(1, 6)]
CALL = ToolCall("weather", "c1", '{"city": "Oslo"}')


def call(name: str = "a question", *, method: str = "GetCompletion") -> Call:
    path = f"/xai_api.Chat/{method}"
    asked = Request("POST", "api.x.ai", path, GRPC, framed(DATA[name]))
    return read_request(asked, endpoint_of("POST", asked.host, path, "xai"))


def reply(*chunks: str, asked: str = "a question", status: str | None = "0", complete: bool = True) -> Reply:
    method = "GetCompletionChunk" if chunks[:1] == ("chunk 1",) else "GetCompletion"
    understood = call(asked, method=method)
    trailers = Headers([("grpc-status", status)] if status else [])
    body = b"".join(framed(DATA[name]) for name in chunks)
    sent = Request("POST", "api.x.ai", understood.endpoint.route, GRPC)
    return read_reply(understood, sent, Response(200, GRPC, body, complete, trailers))


def test_a_question() -> None:
    found = call()
    assert (found.endpoint.provider, found.endpoint.family, found.endpoint.operation) == ("xai", "xai-grpc", "chat")
    assert (found.asked.model, found.asked.stream, found.asked.user) == ("grok-4", False, "ann")
    assert (found.asked.message, found.asked.prompt) == ("Oslo?", "Be brief.")
    assert found.asked.tools_offered == ("weather", "web_search", "files")
    assert [(part.kind, part.name) for part in request_parts(found)] == [
        ("tool_definition", "weather"),
        ("tool_definition", "web_search"),
        ("tool_definition", "files"),
        ("system", None),
        ("text", None),
        ("media", None),
    ]


def test_a_tool_s_result() -> None:
    asked = call("a result").asked
    assert (asked.tool_results, asked.answered, asked.previous) == (("weather",), ("c1",), ("r0",))


def test_a_request_is_whole_before_its_reply_begins() -> None:
    assert asks_once("POST", "/xai_api.Chat/GetCompletionChunk")


def test_an_answer() -> None:
    found = reply("an answer")
    assert (found.response_id, found.response_model, found.service_tier) == ("r1", "grok-4-0709", "priority")
    assert (found.text, found.reasoning, found.finish_reason) == ("It rains.", "So it is.", "REASON_STOP")
    assert found.usage == Usage(9, 12, 0, None, 7)
    assert (found.cost_reported, found.stream, found.error) == (0.00125, False, None)


def test_a_tool_call() -> None:
    found = reply("a tool call")
    assert (found.text, found.tool_calls, found.finish_reason) == (None, (CALL,), "REASON_TOOL_CALLS")
    assert found.usage == Usage(9, 5, 4, None, 0)


def test_of_tools_that_xai_ran_the_last_output_is_the_answer() -> None:
    found = reply("tools that xAI ran")
    assert (found.text, found.tool_calls, found.builtin_tool_calls) == ("It rains.", (), ("web_search",))


def test_of_several_choices_the_first_is_the_answer() -> None:
    assert reply("two answers", asked="two choices").text == "Rain."


def test_a_stream() -> None:
    found = reply(*CHUNKS)
    assert (found.stream, found.text, found.reasoning) == (True, "It rains.", "So it is.")
    assert (found.tool_calls, found.finish_reason, found.usage) == ((CALL,), "REASON_STOP", Usage(9, 12, 0, None, 7))
    assert found.first_token == len(framed(DATA["chunk 1"]) + framed(DATA["chunk 2"]))


@pytest.mark.parametrize("chunks", range(1, 6))
def test_a_stream_that_breaks_off_has_no_usage(chunks: int) -> None:
    found = reply(*CHUNKS[:chunks], status=None, complete=False)
    assert (found.usage, found.cost_reported) == (None, None)
    assert "It rains.".startswith(found.text or "")


def test_an_error() -> None:
    found = reply("chunk 1", "chunk 3", status="8")
    assert (found.text, found.usage) == ("It ", None)
    assert found.error == CallError("RESOURCE_EXHAUSTED", None)


def test_damage_is_told() -> None:
    asked = call()
    body = framed(b"\xff\xff")
    found = read_reply(asked, Request("POST", "api.x.ai", asked.endpoint.route, GRPC), Response(200, GRPC, body))
    assert len(found.problems) == 1


def test_the_history_of_the_next_request_holds_the_reply() -> None:
    first = call("two choices")
    key = fingerprint_of(history(first), reply("a tool call"), 200).key
    assert key in history(call("a result")).chain


@pytest.mark.parametrize(
    ("usage", "cost"),
    [({"cost_in_usd_ticks": 12_500_000}, 0.00125), ({"cost_in_usd_ticks": -1}, None), ({"cost": 2.0}, 2.0)],
    ids=["ticks", "less than nothing", "dollars"],
)
def test_what_xai_says_it_cost(usage: dict[str, object], cost: float | None) -> None:
    assert cost_of(usage) == cost
