"""The pieces of a reply, and their times."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.exchange import Headers
from sessiontap.replay.pacing import paced, pieces_of
from sessiontap.replay.question import Piece, RecordedReply

SSE = Headers([("content-type", "text/event-stream")])
JSON = Headers([("content-type", "application/json")])
EVENTS = [b"data: %d\n\n" % number * (number % 3 + 1) for number in range(9)]
BODY = b"".join(EVENTS)
MS = 1_000_000


def data(pieces: tuple[Piece, ...]) -> list[bytes]:
    return [one.data for one in pieces]


def test_chunks_of_an_unchanged_body_are_given_as_they_came() -> None:
    chunks = [(5 * MS, 4), (7 * MS, len(BODY) - 4)]
    found = pieces_of(BODY, chunks, SSE, 3 * MS)
    assert found == (Piece(2 * MS, BODY[:4]), Piece(2 * MS, BODY[4:]))


def test_chunks_of_a_compressed_stream_end_where_an_event_ends() -> None:
    chunks = [(number * MS, 7) for number in range(1, 5)]
    found = pieces_of(BODY, chunks, SSE, 0)
    assert b"".join(data(found)) == BODY
    assert all(one.endswith(b"\n\n") for one in data(found))
    assert [one.delay for one in found] == [MS] * 4


def test_frames_of_a_websocket_are_pieces_of_their_own() -> None:
    frames = [b'{"n":1}\n', b'{"n":22}\n', b'{"n":"[redacted]"}\n']
    found = pieces_of(b"".join(frames), [(MS, 8), (2 * MS, 9), (4 * MS, 90)], Headers(), 0, is_socket=True)
    assert found == (Piece(MS, frames[0]), Piece(MS, frames[1]), Piece(2 * MS, frames[2]))


def test_a_part_that_is_empty_waits_for_the_next_one() -> None:
    found = pieces_of(BODY, [(MS, 1), (2 * MS, 1), (9 * MS, 98)], SSE, 0)
    assert sum(one.delay for one in found) == 9 * MS
    assert b"".join(data(found)) == BODY


def test_a_reply_that_is_no_stream_is_one_piece() -> None:
    assert pieces_of(b"{}", [(5 * MS, 2)], JSON, 3 * MS) == (Piece(2 * MS, b"{}"),)
    assert pieces_of(b"", [], JSON, 0) == ()


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 99)), max_size=12), st.integers(0, 10**9), st.booleans()
)
def test_no_byte_is_lost_and_no_delay_is_negative(
    sizes: list[tuple[int, int]], first_byte: int, is_socket: bool
) -> None:
    chunks = sorted(sizes)
    found = pieces_of(BODY, chunks, SSE, first_byte, is_socket=is_socket)
    assert b"".join(data(found)) == BODY
    assert all(one.data and one.delay >= 0 for one in found)
    assert first_byte + sum(one.delay for one in found) <= max([first_byte, *(at for at, _ in chunks)])


REPLY = RecordedReply("r1", 200, SSE, (Piece(4 * MS, b"a"), Piece(2 * MS, b"b")), first_byte=8 * MS)


@pytest.mark.parametrize(
    ("speed", "times"),
    [(1, [8 * MS, 4 * MS, 2 * MS]), (2, [4 * MS, 2 * MS, MS]), (0.5, [16 * MS, 8 * MS, 4 * MS]), (math.inf, [0, 0, 0])],
)
def test_a_reply_comes_faster_or_slower(speed: float, times: list[int]) -> None:
    found = paced(REPLY, speed)
    assert [found.first_byte, *(one.delay for one in found.pieces)] == times
    assert data(found.pieces) == [b"a", b"b"]
    assert REPLY.first_byte == 8 * MS


def test_a_speed_is_greater_than_nothing() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        paced(REPLY, 0)
