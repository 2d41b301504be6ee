"""A unified diff of two texts, also of long ones, for which difflib alone takes too long."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

CONTEXT = 2
"""Lines around a change."""
_SHORT = 1_000
"""Lines of two texts together that are aligned by difflib alone."""


def unified(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """A unified diff without its head. Long texts are aligned by the lines that each has once, and between those."""
    if len(before) + len(after) <= _SHORT:
        return tuple(difflib.unified_diff(before, after, n=CONTEXT, lineterm=""))[2:]
    aligned: Any = difflib.SequenceMatcher(None, "", "")
    aligned.opcodes = list(_opcodes(before, after))
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


def _opcodes(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[Any, int, int, int, int]]:
    """As difflib's opcodes. Between the lines that stand once in each text, in the same order, few are left."""
    blocks: list[tuple[int, int, int]] = []

    def add(i: int, j: int, size: int) -> None:
        if blocks and blocks[-1][0] + blocks[-1][2] == i and blocks[-1][1] + blocks[-1][2] == j:
            i, j, known = blocks.pop()
            size += known
        blocks.append((i, j, size))

    i = j = 0
    for i2, j2 in (*_anchors(before, after), (len(before), len(after))):
        if i < i2 and j < j2:
            for a, b, size in difflib.SequenceMatcher(None, before[i:i2], after[j:j2]).get_matching_blocks():
                add(i + a, j + b, size)
        if i2 < len(before):
            add(i2, j2, 1)
        i, j = i2 + 1, j2 + 1
    i = j = 0
    for i2, j2, size in (*blocks, (len(before), len(after), 0)):
        if i < i2 or j < j2:
            yield ("replace" if i < i2 and j < j2 else "delete" if i < i2 else "insert"), i, i2, j, j2
        if size:
            yield "equal", i2, i2 + size, j2, j2 + size
        i, j = i2 + size, j2 + size


def _anchors(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """The places of lines that stand once in each text: the longest run of them that is in the same order in both."""
    old, new = Counter(before), Counter(after)
    place = {line: j for j, line in enumerate(after) if new[line] == 1}
    pairs = [(i, place[line]) for i, line in enumerate(before) if old[line] == 1 and line in place]
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
