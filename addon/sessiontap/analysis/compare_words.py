"""The words that changed in the lines of a unified diff: lines that went are paired with those that came instead.

Aligning words takes the product of their numbers in the worst case, so that much alone is done: a pair of lines that is
too long, and what comes behind a budget, is told as changed as a whole, and counted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

Piece = tuple[str, bool]
"""A stretch of a line, and if it changed."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_WITHIN = re.compile(r"\w\w")
MOST_WORDS = 400
"""Words of a line that are aligned, behind what both lines begin and end with."""
LONGEST = 8_000
"""Characters of such a line."""
BUDGET = 500_000
"""Pairs of words that one comparison looks at."""
_ALIKE = 0.25
"""Share of the characters that two lines have in common, below which neither is shown word by word."""


@dataclass(frozen=True, slots=True)
class WordLine:
    """A line of a diff in pieces."""

    mark: Literal["+", "-", " ", "@"]
    pieces: tuple[Piece, ...]


@dataclass(slots=True)
class WordAligner:
    """Aligns the lines of one comparison within its budget."""

    budget: int = BUDGET
    not_aligned: int = field(default=0, init=False)
    """Pairs of lines that were too long, or came when the budget was spent."""

    def lines(self, diff: Sequence[str]) -> list[WordLine]:
        """The lines of a unified diff."""
        found: list[WordLine] = []
        removed: list[str] = []
        added: list[str] = []
        for one in (*diff, "@"):
            mark, text = one[:1], one[1:]
            if mark == "-" and not added:
                removed.append(text)
            elif mark == "+":
                added.append(text)
            else:
                found += self._block(removed, added)
                removed, added = ([text], []) if mark == "-" else ([], [])
                if mark in "@ ":
                    found.append(WordLine("@" if mark == "@" else " ", ((one if mark == "@" else text, False),)))
        return found[:-1]

    def _block(self, removed: list[str], added: list[str]) -> Iterator[WordLine]:
        pairs = [self._pair(old, new) for old, new in zip(removed, added, strict=False)]
        for at, text in enumerate(removed):
            yield WordLine("-", pairs[at][0] if at < len(pairs) else ((text, False),))
        for at, text in enumerate(added):
            yield WordLine("+", pairs[at][1] if at < len(pairs) else ((text, False),))

    def _pair(self, old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        whole = ((old, False),), ((new, False),)
        most = min(len(old), len(new))
        first = _common(old, new, most)
        last = _common(old[::-1], new[::-1], most - first)
        if max(len(old), len(new)) - first - last > LONGEST:
            self.not_aligned += 1
            return _changed(old, first, last), _changed(new, first, last)
        a = _WORD.findall(old[first : len(old) - last])
        b = _WORD.findall(new[first : len(new) - last])
        if len(a) > MOST_WORDS or len(b) > MOST_WORDS or len(a) * len(b) > self.budget:
            self.not_aligned += 1
            return _changed(old, first, last), _changed(new, first, last)
        self.budget -= len(a) * len(b)
        codes = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
        same = first + last + sum(len("".join(a[i1:i2])) for tag, i1, i2, _, _ in codes if tag == "equal")
        if same < _ALIKE * max(len(old), len(new)):
            return whole
        before = [("".join(a[i1:i2]), tag != "equal") for tag, i1, i2, _, _ in codes if i1 < i2]
        after = [("".join(b[j1:j2]), tag != "equal") for tag, _, _, j1, j2 in codes if j1 < j2]
        return _framed(old, first, last, before), _framed(new, first, last, after)


def _changed(text: str, first: int, last: int) -> tuple[Piece, ...]:
    """A line of which all is changed but what it begins and ends with in common with the other, if that is much."""
    inner = text[first : len(text) - last]
    return _framed(text, first, last, [(inner, first + last >= _ALIKE * len(text))])


def _framed(text: str, first: int, last: int, inner: list[Piece]) -> tuple[Piece, ...]:
    """The pieces between what two lines begin and end with."""
    outer: list[Piece] = [(text[:first], False), *inner, (text[len(text) - last :] if last else "", False)]
    merged: list[Piece] = []
    for piece, changed in outer:
        if not piece:
            continue
        if merged and merged[-1][1] == changed:
            merged[-1] = merged[-1][0] + piece, changed
        else:
            merged.append((piece, changed))
    return tuple(merged)


def _common(one: str, other: str, most: int) -> int:
    """The number of characters, `most` at most, that two lines begin with in common, without a part of a word."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[:middle]):
            low = middle
        else:
            high = middle - 1
    while low and (_WITHIN.match(one, low - 1) or _WITHIN.match(other, low - 1)):
        low -= 1
    return low
