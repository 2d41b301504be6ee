"""The frames of a WebSocket of a replay: which recorded turn they lead to, and which of its frames come before it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.replay.recorded import live, recorded
from tests.support.gate import PATIENCE
from websockets.sync.client import connect

from sessiontap.replay.question import Answer, LiveRequest
from sessiontap.replay.replayer import LadderReplayer, open_replayer
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import HEADER, ReplayHeader
from sessiontap.trace import RecordedCall

REALTIME = "https://api.openai.com/v1/realtime"
UPGRADE = live(None, url=REALTIME, method="GET", headers=[("Upgrade", "websocket")])


def greeted(replayer: LadderReplayer) -> str:
    """The recorded turn whose server greets."""
    found = replayer.answer(UPGRADE)
    assert isinstance(found, Answer)
    return found.reply.call


def lines(*frames: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)


def update(said: str) -> dict[str, Any]:
    return {"type": "session.update", "session": {"instructions": said}}


CREATE = {"type": "response.create"}
CREATED = {"type": "session.created"}
UPDATED = {"type": "session.updated"}
DONE = {"type": "response.done"}


def socket_turn(id: str, asked: bytes, told: bytes, order: Sequence[int] = (), **more: Any) -> RecordedCall:
    call = recorded(id, asked, told, url=REALTIME, method="GET", status=101, flags=["websocket"], **more)
    call.record["llm"]["family"] = "realtime"
    call.record["response"]["order"] = list(order) or None
    return call


def so_far(*frames: dict[str, Any], socket: str = "s-1") -> LiveRequest:
    return live(lines(*frames), url=REALTIME, method="GET", socket=socket)


def test_frames_before_a_turn_are_of_the_recorded_one_that_they_lead_to() -> None:
    told, order = lines(CREATED, UPDATED, DONE), (0, 1, 1, 1, 2, 1)
    kind, brief = (lines(update(said), CREATE) for said in ("Be kind.", "Be brief."))
    calls = [socket_turn("r0", kind, told, order), socket_turn("r1", brief, told, order)]
    replayer = open_replayer(calls)
    assert [greeted(replayer) for _ in calls] == ["r0", "r1"]
    for said, call in (("Be brief.", "r1"), ("Be kind.", "r0"), ("Be bold.", "r0")):
        found = replayer.expected(so_far(update(said)), None)
        assert found is not None
        assert (found.call, found.asked_lines, found.order) == (call, 2, ((0, 1), (1, 1), (2, 1)))
    assert {one.call for one in replayer.report().unasked} == {"r0", "r1"}


def test_equal_sockets_at_a_time_are_given_a_recorded_one_each() -> None:
    asked, told = lines(update("Be kind."), CREATE), lines(UPDATED, DONE)
    replayer = open_replayer([socket_turn(id, asked, told, (1, 1, 2, 1)) for id in ("r0", "r1")])
    found = [replayer.expected(so_far(update("Be kind."), socket=socket), None) for socket in ("a", "b", "a")]
    assert [one and one.call for one in found] == ["r0", "r1", "r0"]


def test_nothing_is_expected_of_a_recording_that_has_no_turn_left() -> None:
    replayer = open_replayer([socket_turn("r0", lines(CREATE), lines(DONE))])
    assert isinstance(replayer.answer(so_far(CREATE)), Answer)
    assert replayer.expected(so_far(update("Be kind.")), None) is None


def test_a_socket_on_which_nothing_was_asked_is_asked_for_by_its_frames() -> None:
    replayer = open_replayer([socket_turn("r0", lines(update("Be kind.")), lines(UPDATED), (1, 1))])
    found = replayer.expected(so_far(update("Be kind.")), None)
    assert found is not None
    assert (found.call, found.asked_lines) == ("r0", 2)
    assert replayer.report().unasked == ()


def test_what_a_client_says_amid_a_reply_is_no_part_of_what_it_asked() -> None:
    cancelled = lines(CREATE, {"type": "response.cancel"})
    replayer = open_replayer([socket_turn("r0", cancelled, lines({"type": "response.created"}, DONE), (1, 1, 2, 1))])
    found = replayer.answer(so_far(CREATE))
    assert isinstance(found, Answer)
    assert (found.rung, found.reply.asked_lines, found.reply.order) == ("exact", 1, ((1, 1), (2, 1)))


def test_of_an_older_log_the_greeting_alone_is_known_to_come_first() -> None:
    found = open_replayer([socket_turn("r0", lines(CREATE), lines(CREATED, DONE))]).answer(so_far(CREATE))
    assert isinstance(found, Answer)
    assert found.reply.order[0] == (0, 1)


CANCEL = {"type": "response.cancel"}
BEGUN = {"type": "response.created", "response": {"id": "r1"}}
CANCELLED = [BEGUN, {"type": "response.output_item.done"}, {"type": "response.done", "response": {"id": "r1"}}]


def talk(order: Sequence[int], *said: dict[str, Any]) -> list[Any]:
    """The frames of a recorded reply that was cancelled, as a client gets them that says these."""
    replayer = open_replayer([socket_turn("r0", lines(CREATE, CANCEL), lines(*CANCELLED), order)])
    with ReplayServer() as server:
        server.load(replayer)
        header = ReplayHeader(server.address.token, "https", "api.openai.com", 443)
        url = f"ws://127.0.0.1:{server.address.port}/v1/realtime"
        with connect(url, additional_headers={HEADER: str(header)}, proxy=None) as socket:
            found: list[Any] = []
            for frame in said:
                socket.send(json.dumps(frame))
                found.append(json.loads(socket.recv(timeout=PATIENCE)))
            return found + [json.loads(socket.recv(timeout=PATIENCE)) for _ in CANCELLED[len(said) :]]


def test_a_frame_amid_a_reply_waits_for_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessiontap.replay.web_socket._PATIENCE", 1000.0)
    assert talk((1, 1, 2, 2), CREATE, CANCEL) == CANCELLED


def test_a_client_that_says_less_today_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []

    async def comes_not(socket: Any, received: int) -> bool:
        waits.append(received)
        return received <= 1

    monkeypatch.setattr("sessiontap.replay.web_socket._Socket._wait_for_client", comes_not)
    assert talk((1, 1, 2, 2), CREATE) == CANCELLED
    assert waits == [1, 2]
