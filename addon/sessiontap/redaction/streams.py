"""Credentials that a stream spreads over several events.

A model that says a key says it token by token: each event holds a few of its letters in a JSON string such as
`"content":"..."`. The strings of one place are joined in the order of their events; a credential found in the joined
text that lies in more than one event is taken out of each of them, its token put at its beginning.

A place is the name of the string and the indexes in its event (choice, tool call, content block, output item), so that
choices whose events alternate do not mix. Covered: server-sent events, a JSON value a line (NDJSON, frames of a
WebSocket, payloads of AWS event streams) and arrays of events, in the fields that carry generated text (`FIELDS`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from sessiontap.redaction.patterns import Hit

FIELDS = (
    "content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning", "reasoning_content", "response",
    "input", "refusal", "tool_plan", "thought",
)  # fmt: skip
_ENDS = "|".join(sorted({field[-4:] for field in FIELDS}))
_FIELD = re.compile(rf':(?<=({_ENDS})":)\s?"((?:[^"\\]++|\\.)*+)"'.encode(), re.DOTALL)
"""From the colon on: of the bytes that such a field holds it is the rarest that the search can begin with."""
_EVENT = re.compile(rb"\s*(?:(?:event|data|id|retry)?:|\[\s*\{)")
_INDEX = re.compile(rb'ndex":\s?(\d+)')
_ALTERNATING = (b'ndex":1', b'ndex": 1')
LARGEST_PIECE = 2048
"""A longer string is a whole text, not a delta: its credentials are found in it as it stands."""

Search = Callable[[bytes], Iterable[Hit]]
Pieces = list[tuple[int, int]]


def find(body: bytes, search: Search, *, is_stream: bool | None = None) -> Iterator[Hit]:
    """The parts of each credential that lies in more than one event. The first part's hit holds the whole secret.

    `search` finds credentials in a joined text. `is_stream`: what the body is, if that is known.
    """
    if not (_is_stream(body) if is_stream is None else is_stream):
        return
    alternating = any(mark in body for mark in _ALTERNATING)
    if not alternating and not _suspicious(body, search):
        return
    for pieces in _places(body, alternating):
        if len(pieces) > 1:
            yield from _split(body, pieces, search)


def _is_stream(body: bytes) -> bool:
    if _EVENT.match(body):
        return True
    end = body.find(b"\n")
    return end > 0 and body[:1] == b"{" and body[:end].rstrip()[-1:] == b"}" and body[end + 1 : end + 2] in b"\r\n{"


def _suspicious(body: bytes, search: Search) -> bool:
    """A joined text holds a credential: where they lie in the body is worth finding out."""
    texts: dict[bytes, list[bytes]] = {}
    for field, piece in _FIELD.findall(body):
        if field in texts:
            texts[field].append(piece)
        else:
            texts[field] = [piece]
    for pieces in texts.values():
        if any(search(b"".join([piece for piece in pieces if len(piece) <= LARGEST_PIECE]))):
            return True
    return False


def _places(body: bytes, alternating: bool) -> Iterable[Pieces]:
    """The positions of the strings of each place, in order."""
    places: dict[object, Pieces] = {}
    line_end, indexes, number = -1, (), 0
    for match in _FIELD.finditer(body):
        start, end = span = match.span(2)
        if not start < end <= start + LARGEST_PIECE:
            continue
        place: object = match[1]
        if alternating:
            if start > line_end:
                begin = body.rfind(b"\n", max(line_end, 0), start) + 1
                line_end = body.find(b"\n", end)
                line_end = len(body) if line_end < 0 else line_end
                indexes, number = tuple(_INDEX.findall(body, begin, line_end)), 0
            number += 1
            place = place, indexes, number
        if place in places:
            places[place].append(span)
        else:
            places[place] = [span]
    return places.values()


def _split(body: bytes, pieces: Pieces, search: Search) -> Iterator[Hit]:
    joined = b"".join([body[start:end] for start, end in pieces])
    begins = list(accumulate((end - start for start, end in pieces), initial=0))
    for hit in search(joined):
        first = bisect_right(begins, hit.start) - 1
        last = bisect_right(begins, hit.end - 1) - 1
        secret = joined[hit.start : hit.end] if hit.secret is None else hit.secret
        for index in range(first, last + 1):
            start, end = pieces[index]
            kind = hit.kind if index == first else ""
            yield Hit(
                start + max(0, hit.start - begins[index]), min(end, start + hit.end - begins[index]), kind, secret
            )
