"""A socket's frames, written one a line: `>` the client's, `<` the server's. What turns come of them?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sessiontap.exchange import Headers, Request
from sessiontap.llm import socket_turns
from sessiontap.llm.call import Endpoint
from sessiontap.llm.families import BY_NAME
from sessiontap.llm.family import SocketGrammar
from sessiontap.llm.read import read_request
from sessiontap.llm.socket_frames import SocketFrame
from sessiontap.llm.socket_turns import SETTINGS_CAP, SocketTurn, SocketTurns

RESPONSES: str = "openai-responses"
REALTIME: str = "realtime"

CREATE = '>{"type": "response.create"}'
CREATED = '<{"type": "response.created", "response": {"id": "r1"}}'
DELTA = '<{"type": "response.output_text.delta", "delta": "Hi"}'
COMPLETED = '<{"type": "response.completed", "response": {"id": "r1"}}'
DONE = '<{"type": "response.done", "response": {"id": "r1"}}'
ERROR = '<{"type": "error", "error": {"code": "server_error"}}'
LIMITS = '<{"type": "rate_limits.updated"}'
UPDATE = '>{"type": "session.update", "session": {"instructions": "Be brief."}}'
ITEM = '>{"type": "conversation.item.create", "item": {"role": "user"}}'


def created(id: str) -> str:
    return CREATED.replace("r1", id)


def feed(socket: SocketTurns, *lines: str) -> list[SocketTurn]:
    """The turns that are over after the frames; a frame's time is its number."""
    over: list[SocketTurn] = []
    for number, line in enumerate(lines):
        frame = SocketFrame(number, line[0] == ">", line[1:].encode())
        over += [turn for what, turn in socket.frame(frame) if what == "over"]
    return over


def shown(turn: SocketTurn) -> tuple[str, str]:
    """Request and reply of a turn, each frame by the last word of its type."""
    return tuple(
        " ".join(str(json.loads(line)["type"]).rpartition(".")[2] for line in lines.data.splitlines())
        for lines in (turn.request, turn.reply)
    )  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("family", "frames", "over", "left"),
    [
        (RESPONSES, [CREATE, CREATED, DELTA, COMPLETED], [("create", "created delta completed")], []),
        (RESPONSES, [CREATE, CREATED, DELTA], [], [("create", "created delta")]),
        (RESPONSES, [CREATE], [], [("create", "")]),
        (RESPONSES, [CREATE, ERROR], [("create", "error")], []),
        (
            RESPONSES,
            [CREATE, CREATED, ERROR, '<{"type": "response.failed", "response": {"id": "r1"}}'],
            [("create", "created error failed")],
            [],
        ),
        (RESPONSES, [CREATE, CREATED, ERROR, CREATE], [("create", "created error")], [("create", "")]),
        (
            RESPONSES,
            [CREATE, CREATE, CREATED, COMPLETED, created("r2"), DELTA],
            [("create", "created completed")],
            [("create", "created delta")],
        ),
        (
            RESPONSES,
            [CREATE, CREATED, '>{"type": "response.cancel"}', '<{"type": "response.cancelled", "response_id": "r1"}'],
            [("create cancel", "created cancelled")],
            [],
        ),
        (RESPONSES, [CREATE, LIMITS, CREATED, COMPLETED], [("create", "updated created completed")], []),
        (
            RESPONSES,
            [LIMITS, CREATE, CREATED, COMPLETED, LIMITS],
            [("create", "updated created completed")],
            [],
        ),
        (RESPONSES, [ERROR, DELTA, COMPLETED, "<not JSON", '<"text"', "<[1]"], [], []),
        (RESPONSES, ['>{"type": 7}', '>{"type": "response.append"}'], [], [("7 append", "")]),
        (REALTIME, [CREATE, ERROR], [("create", "error")], []),
        (REALTIME, [UPDATE, ITEM, CREATE, CREATED, DONE], [("update create create", "created done")], []),
        (REALTIME, [ITEM, CREATED, DONE], [("create", "created done")], []),
        (
            REALTIME,
            [CREATE, CREATED, CREATE, created("r2"), DONE, DONE.replace("r1", "r2")],
            [("create", "created done"), ("create", "created done")],
            [],
        ),
        (
            REALTIME,
            [CREATE, CREATED, CREATE, ERROR.replace("server_error", "conversation_already_has_active_response"), DONE],
            [("create", "error"), ("create", "created done")],
            [],
        ),
        (
            REALTIME,
            ['>{"type": "response.create", "event_id": "e1"}', ERROR.replace('"code"', '"event_id": "e0", "code"')],
            [],
            [("create", "error")],
        ),
        (
            REALTIME,
            ['>{"type": "response.create", "event_id": "e1"}', ERROR.replace('"code"', '"event_id": "e1", "code"')],
            [("create", "error")],
            [],
        ),
        (REALTIME, [CREATE, CREATED, ERROR, DONE], [("create", "created error done")], []),
        (REALTIME, [CREATE, CREATED, ITEM, DONE, CREATE], [("create", "created done")], [("create create", "")]),
        ("other", [CREATE, CREATED, DONE], [], []),
    ],
    ids=[
        "a turn",
        "cut amid its reply",
        "not answered",
        "refused",
        "failed, then its end",
        "failed, then the next turn",
        "two asked for at once",
        "cancelled",
        "a frame of no turn amid one",
        "frames of no turn between",
        "answers to nothing",
        "an odd type, and the older way to go on",
        "realtime: refused",
        "realtime: settings and items before it are its request",
        "realtime: the server begins",
        "realtime: two under way",
        "realtime: one too many",
        "realtime: an error about another frame",
        "realtime: an error about this one",
        "realtime: an error amid a reply",
        "realtime: an item amid a reply is the next one's",
        "a family that is not taken apart",
    ],
)
def test_turns(family: str, frames: list[str], over: list[tuple[str, str]], left: list[tuple[str, str]]) -> None:
    socket = SocketTurns(family)
    ended = feed(socket, *frames)
    remaining = socket.close()
    assert [shown(turn) for turn in ended] == over
    assert [shown(turn) for turn in remaining] == left
    assert all(turn.ended for turn in ended)


def test_times() -> None:
    (turn,) = feed(SocketTurns(RESPONSES), LIMITS, CREATE, LIMITS, CREATED, DELTA, COMPLETED)
    assert (turn.began, turn.first, turn.last) == (1, 3, 5)
    assert [at for at, _ in turn.reply.arrivals] == [0, 2, 3, 4, 5]


GREETING = '<{"type": "session.created"}'
ACKNOWLEDGED = '<{"type": "conversation.item.added"}'


@pytest.mark.parametrize(
    ("frames", "order"),
    [
        (
            [GREETING, UPDATE, ACKNOWLEDGED, ITEM, ACKNOWLEDGED, CREATE, CREATED, DONE],
            [[(0, 1), (1, 1), (2, 1), (3, 2)]],
        ),
        ([UPDATE, ITEM, CREATE, CREATED, DONE], [[]]),
        ([CREATE, CREATED, ITEM, ACKNOWLEDGED, DONE, CREATE, CREATED, DONE], [[(1, 1), (2, 2)], []]),
        ([UPDATE, CREATE, CREATED, DONE, ITEM, ACKNOWLEDGED, CREATE, CREATED, DONE], [[], [(2, 1), (3, 2)]]),
    ],
    ids=["step by step", "all at once", "the next item amid a reply", "behind settings"],
)
def test_the_order_of_both_sides_frames(frames: list[str], order: list[list[tuple[int, int]]]) -> None:
    assert [turn.order for turn in feed(SocketTurns(REALTIME), *frames)] == order


def test_the_order_of_very_many_frames_is_kept_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessiontap.llm.socket_frames._MOST_ORDERED", 2)
    (turn,) = feed(SocketTurns(REALTIME), *[ITEM, ACKNOWLEDGED] * 5, CREATE, CREATED, DONE)
    assert turn.order == [(1, 1), (2, 6)]


@pytest.mark.parametrize(
    ("frame", "warm_up", "apart"),
    [
        ({"generate": False}, True, False),
        ({"generate": True}, False, False),
        ({"response": {"conversation": "none"}}, False, True),
        ({"response": {"conversation": "auto"}}, False, False),
        ({"response": "nonsense", "generate": False}, True, False),
        ({"response_id": 7, "generate": 0}, False, False),
    ],
    ids=["warm-up", "none", "apart", "in the conversation", "one key is odd", "two are"],
)
def test_what_a_turn_is(frame: dict[str, Any], warm_up: bool, apart: bool) -> None:
    socket = SocketTurns(REALTIME)
    feed(socket, ">" + json.dumps({"type": "response.create", **frame}))
    (turn,) = socket.close()
    assert (turn.warm_up, turn.apart, turn.asked) == (warm_up, apart, True)


def test_settings_hold_for_later_turns() -> None:
    socket = SocketTurns(REALTIME)
    later = '>{"type": "session.update", "session": {"tools": [{"name": "f"}], "audio": {"voice": "b"}}}'
    first = '>{"type": "session.update", "session": {"instructions": "Be kind.", "audio": {"rate": 1}}}'
    done = feed(socket, UPDATE, first, CREATE, CREATED, DONE, later, CREATE, CREATED, DONE, CREATE, CREATED, DONE)
    assert [shown(turn)[0] for turn in done] == ["update update create", "update update create", "update create"]
    before, now = {"instructions": "Be kind.", "audio": {"rate": 1}}, {"rate": 1, "voice": "b"}
    in_force = [settings_of(turn) for turn in done]
    assert in_force == [(before, False), *[({**before, "tools": [{"name": "f"}], "audio": now}, False)] * 2]


def settings_of(turn: SocketTurn) -> tuple[Any, bool]:
    """The settings of a turn's request, and whether it may lack some."""
    request = Request("GET", "api.openai.com", "/v1/realtime", Headers(), bytes(turn.request.data))
    call = read_request(request, Endpoint("openai", REALTIME, "realtime", "/v1/realtime"))
    return call.json["session"], call.partial


UNREAD = {
    "damaged": '>{"type": "session.update", "session": {"instr',
    "no settings in it": '>{"type": "session.update", "session": "Be kind."}',
    "without a session": '>{"type": "session.update"}',
}


@pytest.mark.parametrize("frame", UNREAD.values(), ids=UNREAD)
def test_settings_that_could_not_be_read_are_unknown_from_then_on(frame: str) -> None:
    good = '>{"type": "session.update", "session": {"instructions": "Be kind."}}'
    socket = SocketTurns(REALTIME)
    done = feed(socket, good, CREATE, CREATED, DONE, frame, CREATE, CREATED, DONE, good, CREATE, CREATED, DONE)
    assert [settings_of(turn)[1] for turn in done] == [False, True, True]


def test_settings_beyond_the_cap_are_unknown_in_later_turns() -> None:
    large = ">" + json.dumps({"type": "session.update", "session": {"instructions": "x" * SETTINGS_CAP}})
    done = feed(SocketTurns(REALTIME), large, CREATE, CREATED, DONE, CREATE, CREATED, DONE)
    assert [settings_of(turn)[1] for turn in done] == [False, True]


def test_settings_beside_an_odd_key_are_read() -> None:
    odd = '>{"type": "session.update", "event_id": 7, "session": {"instructions": "Be kind."}}'
    done = feed(SocketTurns(REALTIME), odd, CREATE, CREATED, DONE, CREATE, CREATED, DONE)
    assert [settings_of(turn) for turn in done] == [({"instructions": "Be kind."}, False)] * 2


def test_a_made_up_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = SocketGrammar(
        starts=frozenset({"speak"}), begins="curtain.up", answers="line.", ends=frozenset({"line.last"}),
        cancels="stop", fails="boo", busy="occupied", settings="stage", items="prop",
    )  # fmt: skip
    theatre = replace(BY_NAME["other"], name="theatre", socket=grammar)
    monkeypatch.setitem(BY_NAME, "theatre", theatre)
    socket = SocketTurns("theatre")
    done = feed(
        socket,
        '>{"type": "stage", "session": {"light": "dim"}}',
        '>{"type": "prop", "item": "skull"}',
        '>{"type": "speak"}',
        '<{"type": "curtain.up", "response": {"id": "r1"}}',
        '<{"type": "line.one"}',
        '>{"type": "stop"}',
        '<{"type": "line.last", "response": {"id": "r1"}}',
        '>{"type": "speak"}',
        '<{"type": "boo", "error": {"code": "forgot"}}',
    )
    assert [(turn.response_id, turn.failed) for turn in done] == [("r1", False), (None, True)]
    request = Request("GET", "stage.example", "/stage", Headers(), bytes(done[0].request.data))
    call = read_request(request, Endpoint(None, "theatre", "realtime", "/stage"))
    assert (call.json["session"], call.json["input"]) == ({"light": "dim"}, ["skull"])


AUDIO = "UklGR" * 100


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (SocketFrame(0, True, b'{\r\n"a": "\\n"\n}'), b'{  "a": "\\n" }'),
        (SocketFrame(0, True, b"\0" * 700, is_text=False), b'{"type":"binary","bytes":700}'),
        (
            SocketFrame(0, True, f'{{"type": "input_audio_buffer.append", "audio": "{AUDIO}"}}'.encode()),
            b'{"type": "input_audio_buffer.append", "audio": "[500 characters of base64]"}',
        ),
        (
            SocketFrame(0, False, f'{{"type":"response.output_audio.delta","delta":"{AUDIO}"}}'.encode()),
            b'{"type":"response.output_audio.delta","delta":"[500 characters of base64]"}',
        ),
        (
            SocketFrame(0, False, f'{{"type":"response.output_text.delta","delta":"{AUDIO}"}}'.encode()),
            f'{{"type":"response.output_text.delta","delta":"{AUDIO}"}}'.encode(),
        ),
    ],
    ids=["line ends", "binary", "audio asked", "audio answered", "text stays"],
)
def test_what_is_kept_of_a_frame(frame: SocketFrame, line: bytes) -> None:
    socket = SocketTurns(REALTIME)
    list(socket.frame(frame))
    lines = socket.client_lines if frame.from_client else socket.server_lines
    assert bytes(lines.data) == line + b"\n"
    assert lines.size == len(frame.data)
    assert lines.by_size == (b"characters" in line or b"binary" in line)


def test_a_socket_without_memory_keeps_nothing_more_and_says_that_it_is_cut() -> None:
    socket = SocketTurns(RESPONSES)
    feed(socket, CREATE, CREATED)
    held = socket.held
    socket.cap = 0
    (turn,) = feed(socket, DELTA, COMPLETED)
    assert held > len(CREATE) + len(CREATED) - 2  # what a frame takes beside its line is counted, too
    assert (shown(turn), turn.reply.cut, turn.reply.frames) == (("create", "created"), True, 3)
    assert socket.held == 0


def test_one_cap_for_all_that_a_socket_holds() -> None:
    socket = SocketTurns(REALTIME, cap=400)
    feed(socket, CREATE, CREATED, CREATE, created("r2"), *[DELTA.replace("Hi", "x" * 100)] * 3)
    first, second = socket.close()
    assert first.held + second.held == 400
    assert not first.reply.cut
    assert second.reply.cut
    assert second.reply.size > len(second.reply.data)


def test_a_turn_that_is_over_leaves_nothing_behind() -> None:
    socket = SocketTurns(RESPONSES, cap=400)
    done = [feed(socket, CREATE, created(f"r{n}"), DELTA, COMPLETED.replace("r1", f"r{n}"))[0] for n in range(50)]
    assert not any(turn.reply.cut for turn in done)
    assert (socket.close(), len(socket.client_lines.data), len(socket.server_lines.data)) == ([], 0, 0)


def test_what_stands_between_turns_is_bounded() -> None:
    socket = SocketTurns("other")
    frame = SocketFrame(0, True, b'"' + b"x" * 100_000 + b'"')
    for _ in range(30):
        list(socket.frame(frame))
    lines = socket.client_lines
    assert len(lines.data) == socket_turns.BETWEEN_CAP
    assert (lines.cut, lines.frames, lines.size) == (True, 30, 30 * len(frame.data))


def test_turns_that_are_never_answered_are_bounded() -> None:
    socket = SocketTurns(RESPONSES)
    given_up = feed(socket, *[CREATE] * (socket_turns.MOST_TURNS + 2))
    assert [turn.began for turn in given_up] == [0, 1]
    assert not any(turn.ended for turn in given_up)
    assert len(socket.close()) == socket_turns.MOST_TURNS
