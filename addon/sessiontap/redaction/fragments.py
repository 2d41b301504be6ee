"""Credentials that a reply says in pieces: spread over the events of a stream, or spelled out by log probabilities.

A model that says a key says it token by token. The pieces of one text are joined in their order, the joined text is
searched, and a credential that is found there is taken out of each piece that holds a part of it; its token stands in
the place of the first part.

**Streams** (`in_stream`): each event holds a few letters in a JSON string such as `"content":"..."`. A text is all
strings of one name with the same indexes in their events (choice, tool call, content block, output item), so that
choices whose events alternate do not mix. Covered: server-sent events, a JSON value a line (NDJSON, frames of a
WebSocket, payloads of AWS event streams) and arrays of events, in the fields that carry generated text (`FIELDS`).

**Log probabilities** (`in_logprobs`): the reply's text stands there a second time, a token an item, with each token's
bytes and the tokens that were nearly taken. An item that holds a part of a credential loses these, too. Covered:
OpenAI's chat (`"token"`, `"bytes"`, `"top_logprobs"`), its completions (`"tokens"`, `"top_logprobs"`), and Gemini
(`"token"`, `"tokenId"`, `"topCandidates"`), in a body as a whole and in streams.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from sessiontap.redaction.memory_in_use import PLACE, Used, told, untold
from sessiontap.redaction.shape_search import CredentialHit

Span = tuple[int, int]
FindHits = Callable[[bytes], Iterable[CredentialHit]]

FIELDS = (
    "content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning", "reasoning_content", "response",
    "input", "refusal", "tool_plan", "thought",
)  # fmt: skip
_ENDS = "|".join(sorted({field[-4:] for field in FIELDS}))
_FIELD = re.compile(rf':(?<=({_ENDS})":)\s?"((?:[^"\\]++|\\.)*+)"'.encode(), re.DOTALL)
"""From the colon on: of the bytes that such a field holds it is the rarest that the search can begin with."""
_EVENT = re.compile(rb"\s*(?:(?:event|data|id|retry)?:|\[\s*\{)")
_EVENT_INDEX = re.compile(rb'ndex":\s?(\d+)')
_ALTERNATING = (b'ndex":1', b'ndex": 1')
LARGEST_PIECE = 2048
"""A longer string is a whole text, not a delta: its credentials are found in it as it stands."""

_MARK = b"logprobs"
"""Is in every such body, in Gemini's as `logprobsResult`."""
_APART = b'"topCandidates"'
"""Gemini's list of tokens that were nearly taken: it is one list for all tokens."""

_BESIDE = re.compile(rb"\"(?:top_logprobs|topCandidates)\"\s?:\s?(?=\[)")
_TEXT = rb"\"(?:[^\"\\]|\\.)*+\""
_BRACKET = re.compile(_TEXT + rb"|[\[\]]", re.DOTALL)
_TOKEN = re.compile(rb"\"token\"\s?:\s?\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
_TOKENS = re.compile(rb"\"tokens\"\s?:\s?(\[(?:[\s,]|" + _TEXT + rb")*+\])", re.DOTALL)
_ITEM = re.compile(rb"\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
_BYTES = re.compile(rb"\"bytes\"\s?:\s?\[([\d,\s]*+)\]")
_NUMBER = re.compile(rb"\"tokenId\"\s?:\s?(\d++)")
_CHOICE_INDEX = re.compile(rb"\"index\"\s?:\s?(\d+)")


def in_stream(
    body: bytes, find: FindHits, *, is_stream: bool | None = None, used: Used = untold
) -> Iterator[CredentialHit]:
    """The parts of each credential that lies in more than one event. The first part's hit holds the whole secret.

    `find` finds credentials in a joined text. `is_stream`: what the body is, if that is known. `used` is told of the
    memory that it takes beside three times the body.
    """
    if not (_is_stream(body) if is_stream is None else is_stream):
        return
    alternating = any(mark in body for mark in _ALTERNATING)
    if not alternating and not _suspicious(body, find):
        return
    for pieces in _places(body, alternating, used):
        if len(pieces) > 1:
            for _, _, hits in _parts(body, pieces, find):
                yield from hits


def _is_stream(body: bytes) -> bool:
    if _EVENT.match(body):
        return True
    end = body.find(b"\n")
    return end > 0 and body[:1] == b"{" and body[:end].rstrip()[-1:] == b"}" and body[end + 1 : end + 2] in b"\r\n{"


def _suspicious(body: bytes, find: FindHits) -> bool:
    """Return True if a joined text holds a credential: then its places in the body are worth finding out."""
    texts: dict[bytes, bytearray] = {}
    for match in _FIELD.finditer(body):
        field, piece = match.groups()
        if len(piece) <= LARGEST_PIECE:
            if field in texts:
                texts[field] += piece
            else:
                texts[field] = bytearray(piece)
    return any(any(find(bytes(joined))) for joined in texts.values())


def _places(body: bytes, alternating: bool, used: Used) -> Iterable[list[Span]]:
    """The positions of the strings of each place, in order."""
    places: dict[object, list[Span]] = {}
    line_end, indexes, number = -1, (), 0
    for match in told(_FIELD.finditer(body), PLACE, used):
        start, end = span = match.span(2)
        if not start < end <= start + LARGEST_PIECE:
            continue
        place: object = match[1]
        if alternating:
            if start > line_end:
                begin = body.rfind(b"\n", max(line_end, 0), start) + 1
                line_end = body.find(b"\n", end)
                line_end = len(body) if line_end < 0 else line_end
                indexes, number = tuple(_EVENT_INDEX.findall(body, begin, line_end)), 0
            number += 1
            place = place, indexes, number
        if place in places:
            places[place].append(span)
        else:
            places[place] = [span]
    return places.values()


def in_logprobs(body: bytes, find: FindHits, used: Used = untold) -> Iterator[CredentialHit]:
    """The parts that go for each credential that is spelled out. The first part's hit holds the whole secret.

    `used` is told of the memory that it takes beside three times the body.
    """
    if _MARK not in body:
        return
    beside = _lists_beside(body, used)
    begins = [start for start, _ in beside]
    texts, tokens = _tokens(body, beside, begins, used)
    is_found = False
    for text in texts:
        for first, last, hits in _parts(body, text, find):
            is_found = True
            yield from hits
            for token in text[first : last + 1]:
                # The rest of its item stands between the token before it and the one behind.
                at = bisect_left(tokens, token)
                before = tokens[at - 1][1] if at else 0
                behind = tokens[at + 1][0] if at + 1 < len(tokens) else len(body)
                yield from _rest_of_item(body, before, behind)
                for start, end in beside[bisect_left(begins, before) : bisect_left(begins, behind)]:
                    yield CredentialHit(start + 1, end - 1, "", b"")
    in_lists = [
        item.span(1)
        for match in _TOKENS.finditer(body)
        for item in told(_ITEM.finditer(body, match.start(1), match.end(1)), PLACE, used)
    ]
    in_lists_found = False
    for _, _, hits in _parts(body, in_lists, find):
        in_lists_found = True
        yield from hits
    if in_lists_found:
        yield from _rest_of_item(body, 0, len(body))
    if in_lists_found or (is_found and _APART in body):
        for start, end in beside:
            yield CredentialHit(start + 1, end - 1, "", b"")


def _lists_beside(body: bytes, used: Used) -> list[Span]:
    """The positions of the lists of tokens that were nearly taken. One that does not end goes on to the body's end."""
    found: list[Span] = []
    for match in told(_BESIDE.finditer(body), PLACE, used):
        start, end = match.end(), len(body)
        if found and start < found[-1][1]:
            continue
        depth = 0
        for bracket in _BRACKET.finditer(body, start):
            depth += {b"[": 1, b"]": -1}.get(bracket[0], 0)
            if depth == 0:
                end = bracket.end()
                break
        if end - start > 2:
            found.append((start, end))
    return found


def _tokens(
    body: bytes, beside: list[Span], begins: list[int], used: Used
) -> tuple[Iterable[list[Span]], list[Span]]:
    """The positions of the tokens of each text, in order, and of all: choices of a stream are told by their index."""
    texts: dict[object, list[Span]] = {}
    tokens: list[Span] = []
    line_end, choice = -1, b""
    for match in told(_TOKEN.finditer(body), PLACE, used):
        span = match.span(1)
        before = bisect_right(begins, span[0]) - 1
        if before >= 0 and span[0] < beside[before][1]:
            continue
        if span[0] > line_end:
            begin = body.rfind(b"\n", max(line_end, 0), span[0]) + 1
            line_end = body.find(b"\n", span[1])
            line_end = len(body) if line_end < 0 else line_end
            choice = b",".join(_CHOICE_INDEX.findall(body, begin, line_end)) if line_end < len(body) or begin else b""
        if span[1] - span[0] <= LARGEST_PIECE:
            texts.setdefault(choice, []).append(span)
            tokens.append(span)
    return texts.values(), tokens


def _rest_of_item(body: bytes, start: int, end: int) -> Iterator[CredentialHit]:
    """Bytes and numbers of tokens in body[start:end]."""
    for match in _BYTES.finditer(body, start, end):
        if match.end(1) > match.start(1):
            yield CredentialHit(match.start(1), match.end(1), "", b"")
    for match in _NUMBER.finditer(body, start, end):
        yield CredentialHit(match.start(1), match.end(1), "", b"", instead=b"null")


def _parts(body: bytes, pieces: list[Span], find: FindHits) -> Iterator[tuple[int, int, list[CredentialHit]]]:
    """Of each credential in the joined pieces: the first piece that holds a part, the last one, and all its parts."""
    joined = b"".join([body[start:end] for start, end in pieces])
    offsets = list(accumulate((end - start for start, end in pieces), initial=0))
    for hit in find(joined):
        first = bisect_right(offsets, hit.start) - 1
        last = bisect_right(offsets, hit.end - 1) - 1
        secret = joined[hit.start : hit.end] if hit.secret is None else hit.secret
        parts = []
        for index in range(first, last + 1):
            start, end = pieces[index]
            part = max(start, start + hit.start - offsets[index]), min(end, start + hit.end - offsets[index])
            parts.append(CredentialHit(*part, hit.kind if index == first else "", secret))
        yield first, last, parts
