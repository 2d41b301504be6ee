"""Credentials that lists of log probabilities spell out: a token of the text an item.

The reply's text stands there a second time, cut into tokens, with each token's bytes and the tokens that were nearly
taken. The tokens are joined and searched as streams are (streams.py); what holds a part of a credential loses its
bytes, its number and the tokens beside it, too.

Covered: OpenAI's chat (`"token"`, `"bytes"`, `"top_logprobs"`), its completions (`"tokens"`, `"top_logprobs"`), and
Gemini (`"token"`, `"tokenId"`, `"topCandidates"`), in a body as a whole and in streams.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from sessiontap.redaction.patterns import Hit

MARK = b"logprobs"
"""Is in every such body, in Gemini's as `logprobsResult`."""

_TEXT = rb"\"(?:[^\"\\]|\\.)*+\""
_INNER = rb"\[(?:[^\[\]\"]|" + _TEXT + rb")*+\]"
_LIST = rb"\[(?:[^\[\]\"]|" + _TEXT + rb"|" + _INNER + rb")*+\]"
_BESIDE = re.compile(rb"\"(?:top_logprobs|topCandidates)\"\s?:\s?(" + _LIST + rb")", re.DOTALL)
_TOKEN = re.compile(rb"\"token\"\s?:\s?\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
_TOKENS = re.compile(rb"\"tokens\"\s?:\s?(\[(?:[\s,]|" + _TEXT + rb")*+\])", re.DOTALL)
_ITEM = re.compile(rb"\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
_BYTES = re.compile(rb"\"bytes\"\s?:\s?\[([\d,\s]*+)\]")
_NUMBER = re.compile(rb"\"tokenId\"\s?:\s?(\d++)")
_INDEX = re.compile(rb"\"index\"\s?:\s?(\d+)")

Span = tuple[int, int]
Search = Callable[[bytes], Iterable[Hit]]


def find(body: bytes, search: Search) -> Iterator[Hit]:
    """The parts that go for each credential that is spelled out. The first part's hit holds the whole secret."""
    if MARK not in body:
        return
    beside = [match.span(1) for match in _BESIDE.finditer(body)]
    begins = [start for start, _ in beside]
    for tokens in _chosen(body, beside, begins):
        yield from _spelled(body, tokens, beside, search)
    if legacy := [
        (item.start(1), item.end(1))
        for match in _TOKENS.finditer(body)
        for item in _ITEM.finditer(body, match.start(1), match.end(1))
    ]:
        hits = list(_spelled(body, legacy, [], search))
        yield from hits
        if hits:  # what was nearly taken stands in a list of its own
            yield from _telling(body, (0, len(body)), beside)


def _chosen(body: bytes, beside: list[Span], begins: list[int]) -> Iterator[list[Span]]:
    """The places of the tokens of each text, in order: choices of a stream by their index."""
    chosen: dict[object, list[Span]] = {}
    line_end, choice = -1, b""
    for match in _TOKEN.finditer(body):
        span = match.span(1)
        before = bisect_right(begins, span[0]) - 1
        if before >= 0 and span[0] < beside[before][1]:
            continue
        if span[0] > line_end:
            begin = body.rfind(b"\n", max(line_end, 0), span[0]) + 1
            line_end = body.find(b"\n", span[1])
            line_end = len(body) if line_end < 0 else line_end
            choice = b",".join(_INDEX.findall(body, begin, line_end)) if line_end < len(body) or begin else b""
        chosen.setdefault(choice, []).append(span)
    yield from chosen.values()


def _spelled(body: bytes, tokens: list[Span], beside: list[Span], search: Search) -> Iterator[Hit]:
    joined = b"".join([body[start:end] for start, end in tokens])
    offsets = list(accumulate((end - start for start, end in tokens), initial=0))
    for hit in search(joined):
        first = bisect_right(offsets, hit.start) - 1
        last = bisect_right(offsets, hit.end - 1) - 1
        secret = joined[hit.start : hit.end] if hit.secret is None else hit.secret
        for index in range(first, last + 1):
            start, end = tokens[index]
            part = max(start, start + hit.start - offsets[index]), min(end, start + hit.end - offsets[index])
            yield Hit(*part, hit.kind if index == first else "", secret)
        # What tells of these tokens stands between the one before and the one behind.
        around = tokens[first - 1][1] if first else 0, tokens[last + 1][0] if last + 1 < len(tokens) else len(body)
        yield from _telling(body, around, beside)


def _telling(body: bytes, around: Span, beside: list[Span]) -> Iterator[Hit]:
    for match in _BYTES.finditer(body, *around):
        if match.end(1) > match.start(1):
            yield Hit(match.start(1), match.end(1), "", b"")
    for match in _NUMBER.finditer(body, *around):
        yield Hit(match.start(1), match.end(1), "", b"", instead=b"null")
    for start, end in beside:
        if around[0] <= start < around[1] and end - start > 2:
            yield Hit(start + 1, end - 1, "", b"")
