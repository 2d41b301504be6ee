"""Lists that begin alike, such as the requests of a conversation, in the memory of the longest of them.

An agent sends all that was said with every request: a conversation of 200 calls has 200 lists of up to thousands of
parts. Each is the one before it, and a few items more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload


def common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The number of items that two lists begin with in common."""
    least = min(len(one), len(other))
    if one[:least] == other[:least]:
        return least
    return next(at for at in range(least) if one[at] != other[at])


class SharedList[T](Sequence[T]):
    """A list that does not change. `followed_by` makes one that begins as it does; both hold the same items once."""

    __slots__ = ("_items", "_size")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items = list(items)
        self._size = len(self._items)

    def followed_by(self, more: Iterable[T], behind: int | None = None) -> SharedList[T]:
        """The list of the first `behind` items, None for all, and then these."""
        size = self._size if behind is None else min(behind, self._size)
        made = SharedList[T]()
        # Nobody sees what stands behind the end of a list, so the first that goes on from there writes it there.
        made._items = self._items if size == len(self._items) else self._items[:size]
        made._items.extend(more)
        made._size = len(made._items)
        return made

    def common(self, other: SharedList[T]) -> int:
        """The number of items that both begin with in common."""
        least = min(self._size, other._size)
        return least if self._items is other._items else common(self._items[:least], other._items[:least])

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        return islice(self._items, self._size)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            start, stop, step = place.indices(self._size)
            return self._items[start:stop] if step == 1 else [self._items[at] for at in range(start, stop, step)]
        if not -self._size <= place < self._size:
            raise IndexError(f"there is no item {place} of {self._size}")
        return self._items[place if place >= 0 else place + self._size]

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, SharedList):
            return self[:] == other if isinstance(other, list) else NotImplemented
        return self._size == other._size and self.common(other) == self._size

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self[:])
