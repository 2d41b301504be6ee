"""The arrival times and sizes of a stream's chunks, as a record holds them."""

from __future__ import annotations

from collections.abc import Sequence

MAX_CHUNKS = 1024
"""A stream of more chunks has neighbours put together until it fits."""


def pack_chunks(chunks: Sequence[tuple[int, int]]) -> list[int]:
    """[delay, size, delay, size, ...]: microseconds since the chunk before or the call's start, and bytes."""
    pairs = list(chunks)
    while len(pairs) > MAX_CHUNKS:
        pairs = [
            (pair[0][0], sum(size for _, size in pair)) for pair in (pairs[i : i + 2] for i in range(0, len(pairs), 2))
        ]
    packed: list[int] = []
    before = 0
    for arrived, size in pairs:
        micros = max(before, arrived // 1000)
        packed += (micros - before, size)
        before = micros
    return packed


def unpack_chunks(packed: Sequence[int]) -> list[tuple[int, int]]:
    """`pack_chunks` backwards: (nanoseconds since the call's start, bytes)."""
    chunks = []
    now = 0
    for delay, size in zip(packed[::2], packed[1::2], strict=False):
        now += delay
        chunks.append((now * 1000, size))
    return chunks
