"""A dictionary of bounded size.

Whatever a client, a server or the passage of time can add keys to is kept in one of these: the least recently
used item goes first. Safe to use from several threads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import overload


class BoundedDict[K: Hashable, V]:
    """At most `most` items. `put` and `get` use an item, `peek` and `in` do not.

    `dropped(key, value)` is called for each item that had to make room for another: what refers to it has to go, too.
    """

    __slots__ = ("_dropped", "_items", "_lock", "_most")

    def __init__(self, most: int, dropped: Callable[[K, V], None] | None = None) -> None:
        self._most = most
        self._dropped = dropped
        self._items: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """Return the value of `key` and make it the most recently used; None if there is none."""
        with self._lock:
            value = self._items.get(key)
            if value is not None:
                self._items.move_to_end(key)
            return value

    def peek(self, key: K) -> V | None:
        """Return the value of `key`, which stays where it is in the order; None if there is none."""
        return self._items.get(key)

    def put(self, key: K, value: V) -> None:
        """Set the value of `key` and make it the most recently used."""
        gone: list[tuple[K, V]] = []
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > self._most:
                gone.append(self._items.popitem(last=False))
        if self._dropped is not None:
            for old in gone:
                self._dropped(*old)

    def use(self, key: K) -> None:
        """Make `key` the most recently used, if it is there."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)

    @overload
    def pop(self, key: K) -> V | None: ...
    @overload
    def pop[D](self, key: K, default: D) -> V | D: ...
    def pop[D](self, key: K, default: D | None = None) -> V | D | None:
        """Remove `key` and return its value, `default` if there is none. `dropped` is not called."""
        with self._lock:
            return self._items.pop(key, default)

    def oldest(self) -> tuple[K, V] | None:
        """Return the least recently used item; None if there is none."""
        with self._lock:
            return next(iter(self._items.items()), None)

    def newest(self, count: int) -> list[tuple[K, V]]:
        """Return up to `count` items, the most recently used first."""
        with self._lock:
            return [item for item, _ in zip(reversed(self._items.items()), range(count), strict=False)]

    def items(self) -> list[tuple[K, V]]:
        """Return all items as they are now, the least recently used first."""
        with self._lock:
            return list(self._items.items())

    def clear(self) -> None:
        """Remove all items. `dropped` is not called."""
        with self._lock:
            self._items.clear()

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)
