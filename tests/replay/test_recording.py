"""The reply of a recorded call: given as it was, with what must be said of it, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay.recorded import WS, asks, live, recorded, user

from sessiontap.replay.question import Answer, Miss, RecordedReply
from sessiontap.replay.replayer import open_replayer
from sessiontap.trace import BodyError, RecordedCall

ASKED = asks(user("hello"))
SSE = [("Content-Type", "text/event-stream"), ("Content-Encoding", "gzip"), ("Content-Length", "99"), ("X-Id", "7")]
MS = 1_000_000


def reply_of(call: RecordedCall) -> RecordedReply:
    found = open_replayer([call]).answer(live(ASKED))
    assert isinstance(found, Answer), found
    return found.reply


def test_a_stream_has_its_pieces_times_status_and_headers() -> None:
    body = b"data: 1\n\ndata: 2\n\n"
    call = recorded("r1", ASKED, body, status=200, headers=SSE, chunks=[5_000, 9, 3_000, 9])
    reply = reply_of(call)
    assert (reply.status, reply.headers.fields) == (200, (("Content-Type", "text/event-stream"), ("X-Id", "7")))
    assert reply.first_byte == 1 * MS
    assert [(one.delay, one.data) for one in reply.pieces] == [(4 * MS, b"data: 1\n\n"), (3 * MS, b"data: 2\n\n")]
    assert (reply.ending, reply.call) == ("whole", "r1")


def test_a_reply_without_a_stream_comes_when_the_call_ended() -> None:
    reply = reply_of(recorded("r1", ASKED, b'{"a":1}'))
    assert (reply.first_byte, [(one.delay, one.data) for one in reply.pieces]) == (1 * MS, [(2 * MS, b'{"a":1}')])


OUTCOMES: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    "an error": ({"outcome": "http_error", "status": 429}, 429, "whole", None),
    "an error within a stream": ({"outcome": "stream_error"}, 200, "whole", None),
    "a server that broke off": ({"outcome": "upstream_gone"}, 200, "cut", None),
    "a client that left": ({"outcome": "client_gone"}, 200, "cut", "its client left before the reply's end"),
    "a proxy that ended": ({"outcome": "proxy_stopped"}, 200, "cut", "the proxy ended before the reply did"),
    "a server that could not be reached": ({"outcome": "upstream_unreachable", "status": None}, 0, "unanswered", None),
    "a server that closed at once": ({"outcome": "upstream_gone", "status": None}, 0, "unanswered", None),
    "a client that left at once": (
        {"outcome": "client_gone", "status": None}, 0, "unanswered", "its client left before the reply began",
    ),
    "an empty reply": ({"answered": None, "status": 204}, 204, "whole", None),
}  # fmt: skip


@pytest.mark.parametrize(("given", "status", "ending", "mark"), OUTCOMES.values(), ids=OUTCOMES)
def test_a_replay_of(given: dict[str, Any], status: int, ending: str, mark: str | None) -> None:
    replayer = open_replayer([recorded("r1", ASKED, **given)])
    found = replayer.answer(live(ASKED))
    assert isinstance(found, Answer)
    assert (found.reply.status, found.reply.ending) == (status, ending)
    (marks,) = [one.marks for one in replayer.report().asked]
    assert [one.partition(":")[0] for one in marks] == ([mark] if mark else [])


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "withheld by a rule": ({"more_of_reply": {"enc": None}}, "was not recorded: a rule says `capture: metadata`"),
    "cut": ({"flags": ["response_cut"], "more_of_reply": {"total": 99}}, "was kept in part: 2 of 99 bytes"),
    "cut to nothing": ({"flags": ["response_cut"], "answered": None}, "was kept in part"),
    "not decodable": ({"more_of_reply": {"undecodable": True}}, "could not be decoded"),
    "withheld for a credential": ({"more_of_reply": {"enc": None, "withheld": "credential"}}, "could not be decoded"),
    "not seen": ({"flags": ["response_unseen"]}, "was not seen"),
    "missing": ({"status": None}, "has no reply in the log"),
}


@pytest.mark.parametrize(("given", "why"), REFUSALS.values(), ids=REFUSALS)
def test_a_reply_is_refused_that_is(given: dict[str, Any], why: str) -> None:
    replayer = open_replayer([recorded("r1", ASKED, **given)])
    for _ in range(2):  # a client that tries again is told the same
        found = replayer.answer(live(ASKED))
        assert isinstance(found, Miss)
        assert (
            found.reason.startswith("Call r1 would answer it, but the reply of call r1 ") or "call r1" in found.reason
        )
        assert why in found.reason
        assert found.nearest == "r1"
    assert not replayer.report().is_clean


def test_a_damaged_body_is_refused() -> None:
    whole = recorded("r1", ASKED)

    def decode(side: str, stored: Any) -> bytes | None:
        if side == "response":
            raise BodyError("the body does not fit its sha256")
        return whole.request_body()

    found = open_replayer([RecordedCall(whole.record, None, decode)]).answer(live(ASKED))
    assert isinstance(found, Miss)
    assert found.reason.endswith("cannot be read: the body does not fit its sha256.")


def test_a_reply_without_a_credential_is_given_and_marked() -> None:
    replayer = open_replayer([recorded("r1", ASKED, b'{"key":"[redacted:openai:0123456789]"}')])
    assert isinstance(replayer.answer(live(ASKED)), Answer)
    (asked,) = replayer.report().asked
    assert asked.marks == ("1 credential in the recorded reply is replaced by [redacted:...]",)


def test_a_request_with_a_credential_is_found_by_its_canonical_form() -> None:
    replayer = open_replayer([recorded("r1", asks(user("use sk-[x] [redacted:openai-key:0123456789]")))])
    secret = "sk-proj-" + "Ab1" * 16
    found = replayer.answer(live(asks(user(f"use sk-[x] {secret}"))))
    assert isinstance(found, Answer)
    assert found.rung == "canonical"


def test_no_difference_tells_a_credential() -> None:
    secret = "sk-proj-" + "Ab1" * 16
    replayer = open_replayer([recorded("r1", asks(user("Say the word that I gave you, please")))])
    found = replayer.answer(live(asks(user(f"Say the word that I gave you, please: {secret}"))))
    assert secret not in repr(found)
    assert found.difference


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"flags": ["request_cut"]}, "its request was kept in part"),
        ({"flags": ["request_unseen"]}, "its request was not seen"),
    ],
)
def test_a_call_whose_request_is_not_known_is_found_by_its_place_alone(given: dict[str, Any], why: str) -> None:
    first = asks(user("Name a town"))
    second = asks(user("Name a town"), {"role": "assistant", "content": "Rome"}, user("Another"))
    replayer = open_replayer([recorded("r1", first), recorded("r2", second, parent="r1", **given)])
    replayer.answer(live(first))
    found = replayer.answer(live(second))
    assert isinstance(found, Answer)
    assert (found.rung, found.reply.call) == ("place", "r2")
    assert found.difference[0].startswith(why)


def test_a_turn_with_audio_that_the_log_lacks_is_refused() -> None:
    frames = b'{"type":"response.audio.delta","delta":"[512 characters of base64]"}\n'
    call = recorded("r1", {"type": "response.create"}, frames, url=WS, method="GET", status=101, flags=["websocket"])
    found = open_replayer([call]).answer(live({"type": "response.create"}, url=WS, method="GET", socket="s"))
    assert isinstance(found, Miss)
    assert "audio or binary frames" in found.reason


def test_each_frame_of_a_turn_is_a_piece_and_a_closed_socket_breaks_off() -> None:
    frames = [b'{"type":"a"}\n', b'{"type":"bb"}\n']
    call = recorded(
        "r1", {"type": "response.create"}, b"".join(frames), url=WS, method="GET", status=101, flags=["websocket"],
        chunks=[7_000, 13, 2_000, 14], outcome="upstream_gone",
    )  # fmt: skip
    found = open_replayer([call]).answer(live({"type": "response.create"}, url=WS, method="GET", socket="s"))
    assert isinstance(found, Answer)
    assert [(one.delay, one.data) for one in found.reply.pieces] == [(7 * MS, frames[0]), (2 * MS, frames[1])]
    assert found.reply.ending == "cut"
