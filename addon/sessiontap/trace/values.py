"""The values of records as they are told: times in ISO 8601, durations in seconds, counts and amounts, chunks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

MOST_TOKENS = 10**12
"""The largest count of tokens of a call; what is beyond is unknown."""
MOST_DOLLARS = 10**9
"""The largest cost of a call."""
LATEST = 1 << 62
"""Nanoseconds: until 2116."""
EXACT = 2**53 - 1
"""The largest sum that is told: up to it 64-bit floats, and so every reader of JSON, are exact (RFC 8259, 6)."""

MAX_CHUNKS = 1024
"""A stream of more chunks has neighbours put together until it fits."""


def iso(time: int | None) -> str | None:
    """Return a time in Unix nanoseconds as `2026-11-21T05:06:03.000001Z`."""
    if time is None:
        return None
    seconds, nanos = divmod(time, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{nanos // 1000:06}Z"


def seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1_000_000_000


def tokens(value: Any) -> int | None:
    """A count of tokens, None if it is none or out of range."""
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if known else None


def dollars(value: Any) -> float | None:
    """The cost of a call as its provider stated it; None if it is no amount or out of range."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_DOLLARS
    return float(value) if known else None


def exact(total: float | None) -> int | None:
    """A sum of counts, None beyond `EXACT`."""
    return None if total is None or total > EXACT else int(total)


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
