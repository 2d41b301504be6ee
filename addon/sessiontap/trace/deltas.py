"""Credentials that a stream spreads over several events.

A model that says a key says it token by token: each event holds a few of its letters in a JSON string such as
`"content":"..."`. The strings of one name are joined in the order of their events; a credential found in the joined
text that lies in more than one event is taken out of each of them, its token put where it began.

Covered: server-sent events and NDJSON, in the string fields that carry generated text (`FIELDS`). Not covered: several
choices or tool calls whose events alternate (their texts mix), and text in AWS event-stream frames (base64 there).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from sessiontap.trace import shapes

FIELDS = (
    "content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning", "reasoning_content", "response",
)  # fmt: skip
_FIELD = re.compile(rf'"({"|".join(FIELDS)})"\s?:\s?"([^"\\]*+(?:\\.[^"\\]*+)*+)"'.encode(), re.DOTALL)
_LOOKS_STREAMED = re.compile(rb"(?:\s*(?:event|data|id|retry)?:|\s*\{[^\n]{0,4096}\}\r?\n\s*\{)")
LARGEST_PIECE = 2048
"""A longer string is a whole text, not a delta: its credentials are found in it as it stands."""


def find(body: bytes) -> Iterator[shapes.Hit]:
    """The parts of each credential that lies in more than one event. The first part's hit holds the whole secret."""
    if not _LOOKS_STREAMED.match(body):
        return
    runs: dict[bytes, list[tuple[int, int]]] = {}
    for match in _FIELD.finditer(body):
        start, end = match.span(2)
        if start < end <= start + LARGEST_PIECE:
            runs.setdefault(match[1], []).append((start, end))
    for pieces in runs.values():
        if len(pieces) > 1:
            yield from _split(body, pieces)


def _split(body: bytes, pieces: list[tuple[int, int]]) -> Iterator[shapes.Hit]:
    joined = b"".join([body[start:end] for start, end in pieces])
    begins = list(accumulate((end - start for start, end in pieces), initial=0))
    for hit in shapes.find(joined, 0, len(joined), len(joined)):
        first = bisect_right(begins, hit.start) - 1
        last = bisect_right(begins, hit.end - 1) - 1
        if first == last:
            continue
        secret = joined[hit.start : hit.end]
        for index in range(first, last + 1):
            start, end = pieces[index]
            kind = hit.kind if index == first else ""
            yield shapes.Hit(
                start + max(0, hit.start - begins[index]), min(end, start + hit.end - begins[index]), kind, secret
            )
