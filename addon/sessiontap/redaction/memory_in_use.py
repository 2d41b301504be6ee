"""The memory that a search for credentials takes beside the body, told while it grows.

A body has few credentials, and none of this matters. One that is full of them becomes many times its size in hits and
places, which whoever keeps account of memory has to know of before it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

Used = Callable[[int], object]
"""Told of bytes of memory that are in use from now on."""

HIT = 700
"""Bytes that a credential takes at most: its hit, also as it is remembered, its token, and the text before it."""
PLACE = 256
"""Bytes that the place of a string takes at most, with what is made of it."""
_STEP = 128
"""Items of which is told at a time."""


def untold(size: int) -> None:
    """Tell nobody."""


def told[T](items: Iterable[T], size: int, used: Used) -> Iterator[T]:
    """Yield the items, each of which takes so many bytes from then on."""
    for number, item in enumerate(items):
        if number % _STEP == 0:
            used(_STEP * size)
        yield item
