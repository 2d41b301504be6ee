"""The one dictionary of bounded size."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from sessiontap.bounded_dict import BoundedDict


def filled(most: int, count: int) -> BoundedDict[int, str]:
    items: BoundedDict[int, str] = BoundedDict(most)
    for number in range(count):
        items.put(number, str(number))
    return items


@pytest.mark.parametrize(
    ("most", "count", "left"),
    [(3, 2, [0, 1]), (3, 3, [0, 1, 2]), (3, 5, [2, 3, 4]), (1, 9, [8]), (0, 2, [])],
    ids=["not full", "full", "two too many", "one only", "none at all"],
)
def test_the_oldest_go_first(most: int, count: int, left: list[int]) -> None:
    assert [key for key, _ in filled(most, count).items()] == left


@pytest.mark.parametrize(
    ("how", "goes"),
    [
        (lambda items: items.get(0), 1),
        (lambda items: items.use(0), 1),
        (lambda items: items.put(0, "again"), 1),
        (lambda items: items.peek(0), 0),
        (lambda items: 0 in items, 0),
    ],
    ids=["get", "use", "put", "peek", "in"],
)
def test_what_was_used_last_goes_last(how: Callable[[BoundedDict[int, str]], object], goes: int) -> None:
    gone: list[int] = []
    items: BoundedDict[int, str] = BoundedDict(3, lambda key, _: gone.append(key))
    for number in range(3):
        items.put(number, str(number))
    how(items)
    items.put(3, "3")
    assert gone == [goes]


def test_what_is_taken_out_was_not_dropped() -> None:
    gone: list[int] = []
    items: BoundedDict[int, str] = BoundedDict(3, lambda key, _: gone.append(key))
    items.put(1, "one")
    assert items.pop(1) == "one"
    assert items.pop(1) is None
    assert items.pop(1, "never there") == "never there"
    items.put(2, "two")
    items.clear()
    assert (gone, len(items), items.oldest()) == ([], 0, None)


def test_newest_first_and_no_more_than_asked_for() -> None:
    items = filled(9, 5)
    items.get(1)
    assert items.newest(2) == [(1, "1"), (4, "4")]


def test_several_threads_keep_the_bound() -> None:
    items: BoundedDict[int, int] = BoundedDict(8)

    def work(first: int) -> None:
        for number in range(first, first + 2000):
            items.put(number % 40, number)
            items.get(number % 7)
            items.pop(number % 11)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(items) <= 8
