"""The WebSocket of a replay: what is left to do when it closes is not done, and nothing goes wrong by that."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from tests.support.gate import PATIENCE
from tests.support.replay import FixedReplayer, recorded
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sessiontap.replay.question import Answer, LiveRequest, Miss
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import HEADER, ReplayHeader

FRAME = b'{"type": "response.completed", "response": {"id": "r-1"}}\n'


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as server:
        yield server


def opened(server: ReplayServer) -> ClientConnection:
    header = ReplayHeader(server.address.token, "https", "api.openai.com", 443)
    url = f"ws://127.0.0.1:{server.address.port}/v1/responses"
    return connect(url, additional_headers={HEADER: str(header)}, proxy=None, open_timeout=PATIENCE)


def asking(text: str) -> str:
    return json.dumps({"type": "response.create", "model": "gpt-4o", "input": text})


def test_nothing_is_said_behind_a_refusal(server: ReplayServer, caplog: pytest.LogCaptureFixture) -> None:
    """The client asks twice before it reads: the first has no answer, and closes the socket."""

    def answer(live: LiveRequest) -> Answer | Miss:
        if live.socket is None:
            return recorded(status=101)
        body = live.request.body or b""
        return Miss("no call is like it") if b"first" in body else recorded(FRAME)

    server.load(FixedReplayer(answer))
    with caplog.at_level(logging.ERROR), opened(server) as app:
        for text in ("first", "second"):
            app.send(asking(text))
        app.ping()
        assert json.loads(app.recv(PATIENCE))["type"] == "error"
        with pytest.raises(ConnectionClosed, match="replay: no call is like it"):
            app.recv(PATIENCE)
    server.close()
    assert caplog.records == []


def test_a_fault_closes_the_socket(
    server: ReplayServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*values: object) -> None:
        raise ValueError("of ours")

    server.load(FixedReplayer(lambda live: recorded(status=101) if live.socket is None else recorded(FRAME)))
    monkeypatch.setattr("sessiontap.replay.web_socket.wait", fail)
    with caplog.at_level(logging.ERROR), opened(server) as app:
        app.send(asking("a question"))
        with pytest.raises(ConnectionClosed):
            app.recv(PATIENCE)
    assert "a fault in the replay" in caplog.text
