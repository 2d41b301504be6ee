"""Copying streams, and which bodies stream at all."""

from __future__ import annotations

import pytest

from sessiontap.proxy import bodies
from sessiontap.proxy.bodies import BodyTap, content_length, reply_streams, upload_streams
from sessiontap.recording.budget import Budget

KIB, MIB = 1024, 1024 * 1024


def test_what_passes_is_what_came_and_what_is_kept() -> None:
    tap = BodyTap()
    assert [tap(chunk) for chunk in (b"one", b"two", b"")] == [b"one", b"two", b""]
    assert (b"".join(tap.pieces), tap.size, tap.cut, tap.ended) == (b"onetwo", 6, False, True)
    assert [size for _, size in tap.chunks] == [3, 3]
    assert tap.chunks[0][0] <= tap.chunks[1][0]


def test_a_body_beyond_the_cap_passes_whole_and_is_kept_cut() -> None:
    tap = BodyTap(budget=Budget(1 << 20, most=5))
    assert [tap(chunk) for chunk in (b"abcd", b"efgh", b"ijkl")] == [b"abcd", b"efgh", b"ijkl"]
    assert (b"".join(tap.pieces), tap.size, tap.cut) == (b"abcde", 12, True)


def test_a_body_beyond_the_memory_passes_whole_and_is_kept_as_far_as_there_was_any() -> None:
    budget = Budget(100_000)
    tap = BodyTap(budget=budget)
    chunk = bytes(10_000)
    assert all(tap(chunk) is chunk for _ in range(20))
    pieces, kept, lease = tap.settle()
    assert (tap.size, tap.cut, tap.refused) == (200_000, True, True)
    assert kept == sum(map(len, pieces))
    assert 30_000 <= kept <= 50_000  # it leaves as much for others
    assert kept <= lease.size == budget.used <= kept + len(pieces) * bodies.CHUNK_OVERHEAD


def test_the_memory_of_a_body_that_nobody_takes_is_free_again() -> None:
    budget = Budget(100_000)
    tap = BodyTap(budget=budget)
    tap(b"one")
    assert budget.used > 3
    del tap
    assert budget.used == 0


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(lambda data: data.upper(), id="bytes"),
        pytest.param(lambda data: [data.upper()], id="a list"),
        pytest.param(lambda data: (part for part in (data[:1].upper(), data[1:].upper())), id="a generator"),
    ],
)
def test_another_addons_callable_keeps_its_place(inner: bodies.Stream) -> None:
    tap = BodyTap(inner)
    passed = tap(b"abc")
    assert (passed if isinstance(passed, bytes) else b"".join(passed)) == b"ABC"
    assert b"".join(tap.pieces) == b"ABC"


def test_arrival_times_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_TIMES", 2)
    tap = BodyTap()
    for _ in range(5):
        tap(b"x")
    assert (len(tap.chunks), tap.size, b"".join(tap.pieces)) == (2, 5, b"xxxxx")


@pytest.mark.parametrize(
    ("kind", "length", "streams"),
    [
        pytest.param("text/event-stream", None, True, id="SSE"),
        pytest.param("text/event-stream; charset=utf-8", 100, True, id="SSE of known length"),
        pytest.param("application/x-ndjson", None, True, id="NDJSON"),
        pytest.param("application/stream+json", 10, True, id="Cohere's stream"),
        pytest.param("application/vnd.amazon.eventstream", None, True, id="AWS event stream"),
        pytest.param("application/json", None, True, id="JSON in chunks: it may be a streamed array"),
        pytest.param("application/json", 900, False, id="small JSON"),
        pytest.param("application/problem+json", 900, False, id="small JSON of another name"),
        pytest.param("application/json; charset=utf-8", 2 * MIB, True, id="large JSON"),
        pytest.param("audio/mpeg", 10, True, id="audio"),
        pytest.param("", 10, True, id="no type"),
    ],
)
def test_which_replies_stream(kind: str, length: int | None, streams: bool) -> None:
    assert reply_streams(kind, length) is streams


@pytest.mark.parametrize(
    ("kind", "length", "streams"),
    [
        pytest.param("application/json", 2 * MIB, False, id="an agent's request: the rules want its body"),
        pytest.param("application/json", None, False, id="JSON in chunks"),
        pytest.param("application/json", 64 * MIB, True, id="too large to wait for"),
        pytest.param("multipart/form-data; boundary=x", 5 * MIB, True, id="a file upload"),
        pytest.param("multipart/form-data; boundary=x", 5 * KIB, False, id="a small form"),
        pytest.param("audio/wav", None, True, id="audio in chunks"),
        pytest.param("", None, False, id="no type"),
        pytest.param("application/grpc", None, True, id="gRPC"),
        pytest.param("Application/gRPC-Web+proto", 5, True, id="gRPC of the web"),
        pytest.param("application/connect+proto", None, True, id="Connect in a stream"),
        pytest.param("application/proto", 5, False, id="Connect in one message"),
        pytest.param("application/vnd.amazon.eventstream", None, True, id="Bedrock's speech in both directions"),
    ],
)
def test_which_uploads_stream(kind: str, length: int | None, streams: bool) -> None:
    assert upload_streams(kind, length) is streams


@pytest.mark.parametrize(
    ("kind", "length", "streams"),
    [("application/grpc", None, False), ("application/grpc", 64 * MIB, True), ("audio/wav", None, True)],
    ids=["a call of one message", "too large to wait for", "another type"],
)
def test_a_request_that_is_whole_before_its_reply_begins_is_waited_for(
    kind: str, length: int | None, streams: bool
) -> None:
    assert upload_streams(kind, length, asks_once=True) is streams


@pytest.mark.parametrize(
    ("value", "length"), [("12", 12), (None, None), ("", None), ("-1", None), ("1e3", None), ("٣", None)]
)
def test_content_length(value: str | None, length: int | None) -> None:
    assert content_length(value) == length


def test_a_fault_in_copying_ends_the_copy_and_never_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    tap = BodyTap()
    tap(b"one")
    with monkeypatch.context() as broken:
        broken.setattr(bodies, "perf_counter_ns", None)
        assert tap(b"two") == b"two"
    assert tap(b"three") == b"three"
    assert (b"".join(tap.pieces), tap.size, tap.cut) == (b"one", 11, True)
    assert isinstance(tap.fault, TypeError)
