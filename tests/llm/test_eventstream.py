from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.llm.llm_frames import EVENTSTREAM, Typed, error, event, exception, frame

from sessiontap.exchange import Headers, Response
from sessiontap.llm.eventstream import EventStreamMessage, events, frames


def read_all(body: bytes, complete: bool = True) -> tuple[list[EventStreamMessage], list[str]]:
    problems: list[str] = []
    response = Response(200, Headers([("content-type", EVENTSTREAM)]), body, complete)
    return list(events(response, problems)), problems


def test_a_frame_of_the_specification() -> None:
    # "An empty message", and one with a header and a payload, from the test vectors of the AWS SDKs.
    assert [tuple(found) for found in frames(bytes.fromhex("000000100000000005c248eb7d98c8ff"))] == [
        ({}, b"", 16, None, False)
    ]
    with_header = bytes.fromhex(
        "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1"
    )
    assert [(found.headers, found.payload) for found in frames(with_header)] == [
        ({"content-type": "application/json"}, b"{'foo':'bar'}")
    ]


def test_every_type_of_header() -> None:
    headers: dict[str, Typed] = {
        "true": (0, True),
        "false": (1, False),
        "byte": (2, -1),
        "short": (3, -300),
        "int": (4, 70000),
        "long": (5, -(2**40)),
        "bytes": (6, b"\x00\xff"),
        "text": (7, "gr\u00fc\u00df"),
        "time": (8, 1_700_000_000_000),
        "id": (9, "123e4567-e89b-12d3-a456-426614174000"),
    }
    (found,) = frames(frame(headers, b"x"))
    assert found.headers == {name: value for name, (_, value) in headers.items()}


def test_events_exceptions_and_errors() -> None:
    body = event("a", {"x": 1}) + exception("throttlingException", "slow") + error("InternalError", "oops")
    found, problems = read_all(body)
    assert [(one.kind, one.value, one.failed) for one in found] == [
        ("a", {"x": 1}, False),
        ("throttlingException", {"message": "slow"}, True),
        ("InternalError", {"message": "oops"}, True),
    ]
    assert [one.end for one in found][-1] == len(body)
    assert problems == []


def test_a_damaged_frame_is_told_and_stepped_over() -> None:
    first, second, third = event("a", {}), bytearray(event("b", {})), event("c", {})
    second[-8] ^= 1
    found, problems = read_all(first + bytes(second) + third)
    assert [one.kind for one in found] == ["a", "c"]
    assert problems == [f"the frame at byte {len(first)} is damaged (its checksum is wrong)"]


def test_behind_a_damaged_length_nothing_is_read() -> None:
    first = event("a", {})
    found, problems = read_all(first + b"\x00" * 40)
    assert [one.kind for one in found] == ["a"]
    assert problems == [f"the frame at byte {len(first)} has no valid length; what follows is lost"]


def test_a_payload_that_is_no_json_is_told() -> None:
    found, problems = read_all(event("a", b"{") + event("b", {}))
    assert [one.kind for one in found] == ["b"]
    assert problems[0].startswith("the event that ends at byte ")


def test_headers_of_an_unknown_type_are_told() -> None:
    raw = frame({"x": (7, "y")}, b"")
    unknown = frame({"x": (6, b"y")}, b"").replace(b"x\x06", b"x\x0a")
    assert next(iter(frames(raw))).fault is None
    found = next(iter(frames(_signed(unknown))))
    assert (found.headers, found.fault) == ({}, "the headers of the frame at byte 0 are not understood")


def _signed(raw: bytes) -> bytes:
    return raw[:-4] + zlib.crc32(raw[:-4]).to_bytes(4)


def test_an_end_in_the_middle_is_a_fault_only_of_a_body_that_claims_to_be_whole() -> None:
    part = event("a", {}) + event("b", {})[:-1]
    assert read_all(part, complete=False)[1] == []
    assert read_all(part, complete=True)[1] == ["the stream ends in the middle of a frame"]


NAMES = st.text("abc:-", min_size=1, max_size=5)
HEADERS: st.SearchStrategy[dict[str, Typed]] = st.dictionaries(
    NAMES,
    st.one_of(
        st.tuples(st.just(0), st.just(True)),
        st.tuples(st.just(1), st.just(False)),
        st.tuples(st.just(2), st.integers(-128, 127)),
        st.tuples(st.just(5), st.integers(-(2**63), 2**63 - 1)),
        st.tuples(st.just(6), st.binary(max_size=5)),
        st.tuples(st.just(7), st.text(max_size=5)),
    ),
    max_size=3,
)
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=30)), max_size=5)


def written(parts: list[tuple[dict[str, Typed], bytes]]) -> tuple[bytes, list[tuple[dict[str, Any], bytes]]]:
    body = b"".join(frame(headers, payload) for headers, payload in parts)
    return body, [({name: value for name, (_, value) in headers.items()}, payload) for headers, payload in parts]


@given(FRAMES)
def test_whatever_is_written_is_read(parts: list[tuple[dict[str, Typed], bytes]]) -> None:
    body, expected = written(parts)
    assert [(found.headers, found.payload) for found in frames(body)] == expected


@given(FRAMES, st.data())
def test_however_it_arrives_the_frames_grow_to_the_truth(parts: list[Any], data: st.DataObject) -> None:
    body, expected = written(parts)
    ends = [*sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6))), len(body)]
    seen = [[(one.headers, one.payload) for one in frames(body[:end]) if one.fault is None] for end in ends]
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(seen))
    assert seen[-1] == expected


@given(FRAMES.filter(bool), st.data())
def test_a_flipped_bit_never_makes_a_frame_that_was_not_sent(parts: list[Any], data: st.DataObject) -> None:
    body, expected = written(parts)
    at = data.draw(st.integers(0, len(body) * 8 - 1))
    damaged = bytearray(body)
    damaged[at // 8] ^= 1 << at % 8
    found = list(frames(bytes(damaged)))
    assert any(one.fault for one in found)
    assert all((one.headers, one.payload) in expected for one in found if one.fault is None)


@given(st.binary(max_size=100))
def test_no_bytes_raise_and_ends_grow(body: bytes) -> None:
    ends = [found.end for found in frames(body)]
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(body) for end in ends)


@given(st.binary(max_size=40), st.integers(0, 40))
def test_no_headers_raise(raw: bytes, length: int) -> None:
    whole = frame({}, raw)
    prelude = whole[:4] + min(length, len(raw)).to_bytes(4)
    body = prelude + zlib.crc32(prelude).to_bytes(4) + raw
    (found,) = frames(body + zlib.crc32(body).to_bytes(4))
    assert found.fault is None or found.headers == {}
