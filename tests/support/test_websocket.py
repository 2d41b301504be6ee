"""The local LLM server's WebSockets, as a real client sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import websockets.sync.client as websockets
from tests.support.gate import PATIENCE
from tests.support.http_server import Server
from tests.support.llm_server import LlmService
from websockets.exceptions import InvalidStatus

KEY = {"Authorization": "Bearer any"}


@pytest.fixture
def url() -> Iterator[str]:
    with Server(LlmService(websockets=True)) as server:
        yield f"ws://127.0.0.1:{server.port}"
    assert server.faults == []


def ask(socket: websockets.ClientConnection, frame: dict[str, Any], last: str) -> list[dict[str, Any]]:
    socket.send(json.dumps(frame))
    events = [json.loads(socket.recv(timeout=PATIENCE))]
    while events[-1]["type"] not in (last, "error"):
        events.append(json.loads(socket.recv(timeout=PATIENCE)))
    return events


@pytest.mark.parametrize("compression", ["deflate", None])
def test_responses(url: str, compression: str | None) -> None:
    with websockets.connect(f"{url}/v1/responses", additional_headers=KEY, compression=compression) as socket:
        create = {"type": "response.create", "model": "gpt-4o"}
        warm = ask(socket, create | {"generate": False, "instructions": "Be brief."}, "response.completed")
        assert [event["type"] for event in warm] == ["response.created", "response.completed"]
        first = ask(
            socket, create | {"input": "hello", "previous_response_id": warm[0]["response"]["id"]}, "response.completed"
        )
        text = "".join(event["delta"] for event in first if event["type"] == "response.output_text.delta")
        assert text.startswith("You asked: hello")
        second = ask(
            socket,
            create | {"input": "again", "previous_response_id": first[0]["response"]["id"]},
            "response.completed",
        )
        usage = [events[-1]["response"]["usage"]["input_tokens"] for events in (first, second)]
        assert usage[0] < usage[1]
        (error,) = ask(socket, create | {"input": "x", "previous_response_id": "resp_0"}, "response.completed")
        assert error["error"]["code"] == "previous_response_not_found"


def test_realtime(url: str) -> None:
    with websockets.connect(f"{url}/v1/realtime?model=gpt-realtime", additional_headers=KEY) as socket:
        assert json.loads(socket.recv(timeout=PATIENCE))["session"]["model"] == "gpt-realtime"
        said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
        ask(socket, {"type": "conversation.item.create", "item": said}, "conversation.item.added")
        events = ask(socket, {"type": "response.create"}, "response.done")
        assert events[-1]["response"]["output"][0]["content"][0]["text"].startswith("You asked: hello")


def test_a_server_that_speaks_none_says_so() -> None:
    with Server(LlmService()) as server, pytest.raises(InvalidStatus) as refused:
        websockets.connect(f"ws://127.0.0.1:{server.port}/v1/responses", additional_headers=KEY)
    assert refused.value.response.status_code == 426
