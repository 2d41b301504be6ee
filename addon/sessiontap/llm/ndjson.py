"""JSON lines: one JSON value a line, empty lines between them allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class JsonLine(NamedTuple):
    data: bytes
    end: int
    """Offset in the body just behind the line and its end."""
    complete: bool
    """False for a last line without its line end."""


def lines(body: bytes) -> Iterator[JsonLine]:
    """The lines of `body` that are not empty, in order."""
    start = 0
    while (found := body.find(b"\n", start)) >= 0:
        data = body[start:found].strip()
        start = found + 1
        if data:
            yield JsonLine(data, start, True)
    if data := body[start:].strip():
        yield JsonLine(data, len(body), False)
