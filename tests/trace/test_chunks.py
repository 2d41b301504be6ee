"""A stream's chunks are packed small, and come back."""

import pytest

from sessiontap.trace.values import MAX_CHUNKS, pack_chunks, unpack_chunks


@pytest.mark.parametrize(
    ("chunks", "packed"),
    [
        ([], []),
        ([(1_500, 10)], [1, 10]),
        ([(1_000_000, 10), (1_002_999, 20), (5_000_000, 30)], [1000, 10, 2, 20, 3998, 30]),
        ([(5_000, 1), (4_000, 1)], [5, 1, 0, 1]),
    ],
    ids=["none", "one", "several", "a clock that goes back"],
)
def test_chunks_are_packed_as_differences(chunks, packed):
    assert pack_chunks(chunks) == packed


def test_chunks_come_back_in_microseconds():
    chunks = [(1_000, 5), (7_000, 6), (7_000, 7)]

    assert unpack_chunks(pack_chunks(chunks)) == chunks


def test_many_chunks_are_put_together_but_no_byte_is_lost():
    chunks = [(number * 1000, number % 7) for number in range(10_001)]

    found = unpack_chunks(pack_chunks(chunks))

    assert len(found) <= MAX_CHUNKS
    assert sum(size for _, size in found) == sum(size for _, size in chunks)
    assert {time for time, _ in found} <= {time for time, _ in chunks}
