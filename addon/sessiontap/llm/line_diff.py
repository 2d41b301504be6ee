"""A unified diff of two texts, also of long ones, for which difflib alone takes too long.

Long texts are aligned by the lines that each has once, then by runs of lines that each has once, and between those by
difflib, for so many pairs of equal lines as the budget has. What is left is told as another text: the work grows with
the length of the texts, never with its square.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

CONTEXT = 2
"""Lines around a change."""
_SHORT = 1_000
"""Lines of two texts together that are aligned by difflib alone."""
PAIRS = 200_000
"""Pairs of equal lines that difflib looks at in one comparison of long texts."""
WIDTHS = (1, 8, 32)
"""Lines of a run by which long texts are aligned."""
DEEPEST = 8
"""Times that what stands between two runs is aligned by runs in its turn."""

_CHUNK = 64
"""Items that are compared at once."""

_Block = tuple[int, int, int]
"""The beginning of what is the same in both texts, and its lines."""


def unified(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """A unified diff without its head. Long texts are aligned by the lines that each has once, and between those."""
    if len(before) + len(after) <= _SHORT:
        return tuple(difflib.unified_diff(before, after, n=CONTEXT, lineterm=""))[2:]
    aligned: Any = difflib.SequenceMatcher(None, "", "")
    aligned.opcodes = list(opcodes(before, after))
    lines: list[str] = []
    for group in aligned.get_grouped_opcodes(CONTEXT):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = group[0], group[-1]
        lines.append(f"@@ -{_range(i1, i2)} +{_range(j1, j2)} @@")
        for tag, from_old, to_old, from_new, to_new in group:
            if tag == "equal":
                lines += [f" {one}" for one in before[from_old:to_old]]
            else:
                lines += [f"-{one}" for one in before[from_old:to_old]]
                lines += [f"+{one}" for one in after[from_new:to_new]]
    return tuple(lines)


def _range(start: int, stop: int) -> str:
    """Lines from `start` to before `stop`, as the head of a part of a unified diff writes them."""
    if stop - start == 1:
        return str(start + 1)
    return f"{start + (stop > start)},{stop - start}"


def opcodes(before: Sequence[Hashable], after: Sequence[Hashable]) -> Iterator[tuple[Any, int, int, int, int]]:
    """As difflib's opcodes, of sequences of any length."""
    numbers: dict[Hashable, int] = {}
    old, new = ([numbers.setdefault(one, len(numbers)) for one in items] for items in (before, after))
    blocks = _Aligner(old, new).blocks()
    i = j = 0
    for i2, j2, size in (*blocks, (len(before), len(after), 0)):
        if i < i2 or j < j2:
            yield ("replace" if i < i2 and j < j2 else "delete" if i < i2 else "insert"), i, i2, j, j2
        if size:
            yield "equal", i2, i2 + size, j2, j2 + size
        i, j = i2 + size, j2 + size


@dataclass(slots=True)
class _Aligner:
    """Aligns two sequences, items told apart by numbers, within its budget."""

    before: list[int]
    after: list[int]
    left: int = PAIRS

    def blocks(self) -> list[_Block]:
        """Stretches that are the same, in order; those that touch are one."""
        found: list[_Block] = []
        for i, j, size in self._within(0, len(self.before), 0, len(self.after), 0):
            if found and found[-1][0] + found[-1][2] == i and found[-1][1] + found[-1][2] == j:
                i, j, known = found.pop()
                size += known
            found.append((i, j, size))
        return found

    def _within(self, i: int, i2: int, j: int, j2: int, depth: int) -> Iterator[_Block]:
        """Stretches that are the same in `before[i:i2]` and `after[j:j2]`."""
        first = self._alike(i, j, min(i2 - i, j2 - j))
        if first:
            yield i, j, first
        i, j = i + first, j + first
        last = self._alike_behind(i2, j2, min(i2 - i, j2 - j))
        i2, j2 = i2 - last, j2 - last
        if i < i2 and j < j2:
            yield from self._between(i, i2, j, j2, depth)
        if last:
            yield i2, j2, last

    def _between(self, i: int, i2: int, j: int, j2: int, depth: int) -> Iterator[_Block]:
        old, new = self.before[i:i2], self.after[j:j2]
        known = Counter(new)
        pairs = sum(known[one] for one in old)
        anchors: list[tuple[int, int]] = []
        if pairs and depth < DEEPEST and (pairs > self.left or len(old) + len(new) > _SHORT):
            anchors = next(filter(None, (_anchors(old, new, width) for width in WIDTHS)), [])
        if not anchors and pairs <= self.left:
            self.left -= pairs
            for a, b, size in difflib.SequenceMatcher(None, old, new).get_matching_blocks():
                if size:
                    yield i + a, j + b, size
            return
        end = i, j
        for a, b in ((i + a, j + b) for a, b in anchors):
            if a < end[0] or b < end[1]:
                continue  # within a run that has been told
            yield from self._within(end[0], a, end[1], b, depth + 1)
            size = self._alike(a, b, min(i2 - a, j2 - b))
            yield a, b, size
            end = a + size, b + size
        if anchors:
            yield from self._within(end[0], i2, end[1], j2, depth + 1)

    def _alike(self, i: int, j: int, most: int) -> int:
        """The number of items, `most` at most, that are the same from these places on."""
        before, after, at = self.before, self.after, 0
        while at < most and before[i + at : i + at + _CHUNK] == after[j + at : j + at + _CHUNK]:
            at += _CHUNK
        return next((at for at in range(at, most) if before[i + at] != after[j + at]), most)

    def _alike_behind(self, i2: int, j2: int, most: int) -> int:
        """The same up to these places."""
        before, after, at = self.before, self.after, 0
        while at + _CHUNK < most and before[i2 - at - _CHUNK : i2 - at] == after[j2 - at - _CHUNK : j2 - at]:
            at += _CHUNK
        return next((at for at in range(at, most) if before[i2 - 1 - at] != after[j2 - 1 - at]), most)


def _anchors(items_before: list[int], items_after: list[int], width: int) -> list[tuple[int, int]]:
    """The places of runs of so many items that stand once in each: the most of them that are in the same order."""
    before: list[Any] = items_before
    after: list[Any] = items_after
    if width > 1:
        before, after = (list(zip(*(one[at:] for at in range(width)), strict=False)) for one in (before, after))
    old, new = Counter(before), Counter(after)
    place = {one: j for j, one in enumerate(after) if new[one] == 1}
    pairs = [(i, place[one]) for i, one in enumerate(before) if old[one] == 1 and one in place]
    if all(one[1] < other[1] for one, other in pairwise(pairs)):
        return pairs
    piles: list[int] = []  # the least last place of runs of each length
    tops: list[int] = []
    behind: list[int | None] = []
    for at, (_, j) in enumerate(pairs):
        pile = bisect_left(piles, j)
        piles[pile : pile + 1] = [j]
        tops[pile : pile + 1] = [at]
        behind.append(tops[pile - 1] if pile else None)
    found: list[tuple[int, int]] = []
    next_one = tops[-1] if tops else None
    while next_one is not None:
        found.append(pairs[next_one])
        next_one = behind[next_one]
    return found[::-1]
