"""Frames: every intact record is found and none is misread, whatever happened to the file."""

import io
import os
import zlib
from itertools import pairwise
from types import SimpleNamespace

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiontap.trace import body, frame
from sessiontap.trace.frame import FRAME_SIZE, MARK, Damage, Frame, FrameError


def record(number: int, size: int = 40) -> dict[str, object]:
    return {"type": "call", "id": f"call-{number}", "time": number, "data": os.urandom(size)}


def spans(records: list[bytes]) -> list[tuple[int, int]]:
    ends = [0]
    for one in records:
        ends.append(ends[-1] + len(one))
    return list(pairwise(ends))


def intact(data: bytes) -> list[tuple[int, bytes]]:
    return [(one.offset, one.payload) for one in frame.scan(io.BytesIO(data)) if isinstance(one, Frame)]


def damage(data: bytes) -> list[tuple[int, int, str]]:
    return [(one.offset, one.size, one.kind) for one in frame.scan(io.BytesIO(data)) if isinstance(one, Damage)]


def test_a_frame_is_an_ext_value_that_any_msgpack_reader_skips():
    encoded = frame.encode({"type": "note"})

    values = list(msgpack.Unpacker(io.BytesIO(encoded)))

    assert values[0].code == 83
    assert values[0].data[:4] == b"STAP"
    assert len(values[0].data) == 12
    assert values[1:] == [{"type": "note"}]


def test_records_come_back_in_order_with_their_offsets():
    records = [frame.encode(record(n)) for n in range(5)]

    found = list(frame.scan(io.BytesIO(b"".join(records))))

    assert [(one.offset, one.offset + one.size) for one in found] == spans(records)


A, B, C = (frame.encode(record(n)) for n in range(3))
HUGE = MARK + b"\xff\xff\xff\xff" + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(A + B[:-1], [(len(A), len(B) - 1, "torn")], id="torn in the map"),
        pytest.param(A + B[:9], [(len(A), 9, "torn")], id="torn in the frame"),
        pytest.param(A + B[:3], [(len(A), 3, "torn")], id="torn in the mark"),
        pytest.param(A + B[:-1] + C, [(len(A), len(B) - 1, "bad")], id="torn, then written on"),
        pytest.param(A + B[:-1] + b"X" + C, [(len(A), len(B), "bad")], id="bad CRC"),
        pytest.param(A + b"some text" + B, [(len(A), 9, "foreign")], id="foreign bytes"),
        pytest.param(b"some text", [(0, 9, "foreign")], id="a foreign file"),
        pytest.param(A + HUGE + B, [(len(A), len(HUGE), "bad")], id="an absurd length"),
        pytest.param(b"\0" * 600_000 + A, [(0, 600_000, "foreign")], id="a long hole"),
    ],
)
def test_damage_is_reported_with_its_place(data, expected):
    assert damage(data) == expected


class Counted(io.BytesIO):
    """A file that counts the bytes that are read."""

    counted = 0

    def read(self, size=-1):
        data = super().read(size)
        self.counted += len(data)
        return data


def stated(length: int) -> bytes:
    """A frame of no record that says it is of `length`."""
    return MARK + length.to_bytes(4, "big") + b"\0\0\0\0"


@pytest.mark.parametrize("between", [b"", frame.encode({"type": "note"})], ids=["side by side", "between records"])
def test_records_that_state_more_than_they_have_are_passed_in_linear_time(between, monkeypatch):
    """A million bytes of frames, each of which says that the next 200,000 are its record."""
    monkeypatch.setattr(frame, "_PATIENCE", 1 << 20)
    compared = []

    def crc32(data):
        compared.append(len(data))
        return zlib.crc32(data)

    monkeypatch.setattr(frame, "zlib", SimpleNamespace(crc32=crc32))
    data = (stated(200_000) + between) * (1_000_000 // len(stated(0) + between)) + A
    file = Counted(data)

    found = [one.offset for one in frame.scan(file) if isinstance(one, Frame)]

    assert found[-1] == len(data) - len(A)
    assert len(found) == data.count(A) + (data.count(between) if between else 0)
    assert sum(compared) < 3_000_000
    assert file.counted < 10 * len(data)


def test_a_mark_across_two_blocks_is_found():
    hole = b"\0" * (frame._BLOCK - 2)

    assert [offset for offset, _ in intact(hole + A)] == [len(hole)]


def test_a_trace_within_a_body_is_never_taken_for_records_of_its_own():
    """Somebody sends a segment to a model, and the record that holds it is damaged."""
    inner = frame.encode({"type": "call", "id": "not ours", "time": 1})
    for filler in (b"", os.urandom(2000)):
        stored = body.encode(filler + inner + inner)
        outer = bytearray(frame.encode({"type": "call", "id": "ours", "body": stored}))
        assert body.decode(stored) == filler + inner + inner
        outer[9] ^= 0x40  # the length

        assert intact(bytes(outer) + A) == [(len(outer), A[FRAME_SIZE:])]


@settings(max_examples=300, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=8),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), max_size=4),
    cut=st.floats(0, 1),
)
def test_whatever_is_flipped_or_cut_the_untouched_records_are_read_and_nothing_else(sizes, flips, cut):
    records = [frame.encode(record(number, size)) for number, size in enumerate(sizes)]
    data = bytearray(b"".join(records))
    touched = set()
    for place, bit in flips:
        at = int(place * len(data))
        data[at] ^= 1 << bit
        touched ^= {(at, bit)}
    del data[int(cut * len(data)) :]

    expected = [
        (start, bytes(data[start + FRAME_SIZE : end]))
        for start, end in spans(records)
        if end <= len(data) and not any(start <= at < end for at, _ in touched)
    ]
    assert intact(bytes(data)) == expected
    covered = sorted(
        [(start, start + FRAME_SIZE + len(payload)) for start, payload in intact(bytes(data))]
        + [(start, start + size) for start, size, _ in damage(bytes(data))]
    )
    assert [start for start, _ in covered] == [0, *(end for _, end in covered)][: len(covered)], (
        "a stretch is unaccounted"
    )


@pytest.mark.parametrize(
    ("text", "stored"),
    [("caf\xe9", "caf\xe9"), ("caf\udce9", "caf\xe9"), ("\ud83d", "�")],
    ids=["text", "an undecodable byte", "half a pair"],
)
def test_what_is_written_is_valid_utf8(text, stored):
    payload = frame.encode({"type": "note", "text": text})[FRAME_SIZE:]

    assert msgpack.unpackb(payload)["text"] == stored


@pytest.mark.parametrize(
    "value", [object(), 1 << 70, ["\ud83d", 1 << 70]], ids=["an object", "a number too big", "beside half a pair"]
)
def test_what_msgpack_does_not_know_is_refused(value):
    with pytest.raises(FrameError):
        frame.encode({"type": "note", "value": value})
