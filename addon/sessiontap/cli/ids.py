"""Ids cut to what still tells them apart, so that a listed one can be typed back."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST = 8
"""Characters that are shown of an id at least."""
CALL = 18
"""Characters of a call's UUIDv7 that tell it apart without knowing the others: milliseconds and 12 bits more."""


def shortest(ids: Iterable[str]) -> dict[str, str]:
    """Each id -> its shortest prefix that no other has, but never under eight characters."""
    ordered = sorted(set(ids))
    cut = {}
    for index, one in enumerate(ordered):
        neighbours = ordered[max(0, index - 1) : index] + ordered[index + 1 : index + 2]
        needed = max((_common(one, other) + 1 for other in neighbours), default=0)
        cut[one] = one[: max(SHORTEST, needed)]
    return cut


def _common(one: str, other: str) -> int:
    """How many characters two strings begin with in common."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
