"""What a search for credentials takes of memory is told, however many there are."""

from __future__ import annotations

import gc
import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from sessiontap.redaction import Redactor

KEY = "sk-proj-abcdefghij0123456789ABCDEFGHIJ "


def spelled(letters: int, size: int) -> list[str]:
    """Keys in pieces of so many letters."""
    text = KEY * (size // len(KEY) + 1)
    return [text[at : at + letters] for at in range(0, size, letters)]


def lines(form: str, letters: int, size: int) -> bytes:
    return "".join(form % piece for piece in spelled(letters, size)).encode()


def frame(payload: bytes) -> bytes:
    head = struct.pack(">II", 16 + len(payload), 0)
    body = head + struct.pack(">I", zlib.crc32(head)) + payload
    return body + struct.pack(">I", zlib.crc32(body))


BODIES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"word " * 100_000,
    "variables": lambda: "".join(f"A{n}_PASSWORD=s3cr3tV{n:06d}x\n" for n in range(20_000)).encode(),
    "keys": lambda: json.dumps([f"sk-proj-{n:040d}abcDEF" for n in range(10_000)]).encode(),
    "addresses": lambda: " ".join(f"x://u:p{n}w@h" for n in range(20_000)).encode(),
    "a stream": lambda: lines('data: {"choices":[{"delta":{"content":"%s"}}]}\n\n', 4, 60_000),
    "a stream of little else": lambda: lines('{"text":"%s"}\n', 2, 60_000),
    "a stream of choices": lambda: lines('{"index":1,"text":"%s"}\n', 2, 60_000),
    "log probabilities": lambda: json.dumps(
        {"logprobs": {"content": [{"token": one, "bytes": [1], "top_logprobs": []} for one in spelled(3, 60_000)]}}
    ).encode(),
    "lists of tokens": lambda: json.dumps({"logprobs": {"tokens": spelled(1, 60_000)}}).encode(),
    "AWS's frames": lambda: b"".join(frame(b'{"text":"%s"}' % one.encode()) for one in spelled(4, 60_000)),
}


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
def test_a_search_takes_three_times_the_body_and_what_is_told(make: Callable[[], bytes]) -> None:
    body, redactor, told = make(), Redactor(b"k" * 32), [0]
    redactor.body(body[: len(body) // 100])  # its expressions are compiled

    def used(size: int) -> None:
        told[0] += size

    gc.collect()
    tracemalloc.start()
    try:
        redactor.body(body, used)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 2 * len(body) + told[0] + 100_000  # the body itself is not traced; the rest is of any search


def test_a_body_without_credentials_tells_of_nothing() -> None:
    told: list[int] = []
    Redactor(b"k" * 32).body(BODIES["nothing"](), told.append)
    assert told == []
