"""The server of a replay by itself: a reply goes out as it was recorded, and another recording is one call away."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Mapping

import httpx2
import pytest
from tests.support.gate import PATIENCE
from tests.support.replay import FixedReplayer, recorded

from sessiontap.exchange import Headers
from sessiontap.replay import playing
from sessiontap.replay.question import Answer, LiveRequest, Miss, Piece, RecordedReply
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import HEADER, ReplayHeader

STREAM = Answer(
    "exact",
    RecordedReply(
        "01a2",
        200,
        Headers([("content-type", "text/event-stream")]),
        (Piece(0, b"data: 1\n\n"), Piece(2_000_000, b"data: 2\n\n"), Piece(6_000_000, b"data: 3\n\n")),
        first_byte=10_000_000,
    ),
)


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as server:
        yield server


def ask(server: ReplayServer, method: str = "GET", headers: Mapping[str, str] | None = None) -> httpx2.Response:
    header = ReplayHeader(server.address.token, "https", "api.openai.com", 443)
    url = f"http://127.0.0.1:{server.address.port}/v1/models"
    with httpx2.Client(trust_env=False, timeout=PATIENCE) as client:
        return client.request(method, url, headers={HEADER: str(header), **(headers or {})})


@pytest.mark.parametrize(
    ("speed", "waits"),
    [(1.0, [10_000_000, 2_000_000, 6_000_000]), (2.0, [5_000_000, 1_000_000, 3_000_000]), (math.inf, [0])],
    ids=["recorded", "twice as fast", "at once"],
)
def test_pieces_go_out_at_the_wished_pace(monkeypatch: pytest.MonkeyPatch, speed: float, waits: list[int]) -> None:
    waited: list[int] = []

    async def wait(nanoseconds: int) -> None:
        waited.append(nanoseconds)

    monkeypatch.setattr(playing, "wait", wait)
    with ReplayServer(speed=speed) as server:
        server.load(FixedReplayer(lambda live: STREAM))
        assert ask(server).content == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
    assert waited == waits


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        (recorded(b"{}"), "2"),
        (recorded(), "0"),
        (recorded(b"[1,", b"2]"), None),
        (recorded(b"data: 1\n\n", headers=[("content-type", "text/event-stream")]), None),
    ],
    ids=["one piece", "no body", "two pieces", "a stream"],
)
def test_a_body_is_framed_as_servers_do(server: ReplayServer, answer: Answer, length: str | None) -> None:
    server.load(FixedReplayer(lambda live: answer))
    reply = ask(server)
    assert reply.headers.get("content-length") == length
    assert reply.headers.get("transfer-encoding") == ("chunked" if length is None else None)
    assert reply.content == b"".join(piece.data for piece in answer.reply.pieces)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_some_replies_have_no_body(server: ReplayServer, method: str, status: int) -> None:
    server.load(FixedReplayer(lambda live: recorded(b"{}", status=status)))
    reply = ask(server, method)
    assert (reply.status_code, reply.content) == (status, b"")


def test_headers_of_the_recorded_connection_are_left_out(server: ReplayServer) -> None:
    given = [("Connection", "close"), ("Content-Encoding", "gzip"), ("X-Odd", "a\r\nb"), ("X-Request-Id", "r-1")]
    server.load(FixedReplayer(lambda live: recorded(b"{}", headers=given)))
    reply = ask(server)
    assert {name: reply.headers.get(name) for name in ("connection", "content-encoding", "x-odd", "x-request-id")} == {
        "connection": None,
        "content-encoding": None,
        "x-odd": "a  b",
        "x-request-id": "r-1",
    }


def test_another_recording_takes_the_place_of_the_one_before(server: ReplayServer) -> None:
    for number in (b"1", b"2"):
        server.load(FixedReplayer(lambda live, number=number: recorded(number)))  # type: ignore[misc]
        assert ask(server).content == number
        assert [one.url for one in server.served()] == ["https://api.openai.com/v1/models"]


def test_without_a_recording_all_requests_miss(server: ReplayServer) -> None:
    reply = ask(server)
    assert (reply.status_code, reply.json()["replay"]["reason"]) == (501, "no recording is loaded")


def test_a_fault_is_an_error_that_says_so(server: ReplayServer) -> None:
    def fail(live: LiveRequest) -> Answer | Miss:
        raise RuntimeError("oh")

    server.load(FixedReplayer(fail))
    reply = ask(server)
    assert reply.status_code == 501
    assert reply.json()["replay"]["reason"] == "a fault of the replay itself: RuntimeError: oh"


def test_a_compressed_request_is_compared_as_it_reads(server: ReplayServer) -> None:
    replayer = FixedReplayer(lambda live: recorded(b"{}"))
    server.load(replayer)
    header = ReplayHeader(server.address.token, "https", "api.openai.com", 443)
    with httpx2.Client(trust_env=False, timeout=PATIENCE) as client:
        client.post(
            f"http://127.0.0.1:{server.address.port}/",
            content=gzip.compress(b'{"a": 1}'),
            headers={HEADER: str(header), "content-encoding": "gzip"},
        )
    assert replayer.asked[0].request.body == b'{"a": 1}'


def test_a_request_to_another_host_is_refused_unasked(server: ReplayServer) -> None:
    replayer = FixedReplayer(lambda live: recorded(b"{}"))
    server.load(replayer, is_call=lambda request: False)
    reply = ask(server)
    assert reply.status_code == 501
    assert reply.json()["replay"]["reason"] == "it goes to no host of the recording, and is no call to an LLM API"
    assert replayer.asked == []
    assert [one.is_other for one in server.served()] == [True]
