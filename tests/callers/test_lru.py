"""The bounded memory."""

from __future__ import annotations

from sessiontap.callers.lru import Lru


def test_what_was_used_least_recently_goes_first() -> None:
    memory: Lru[str, int] = Lru(2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.get("a")
    memory.put("c", 3)
    assert memory.newest(9) == [("c", 3), ("a", 1)]
    assert memory.get("b") is None


def test_newest_is_bounded() -> None:
    memory: Lru[int, int] = Lru(10)
    for number in range(5):
        memory.put(number, number)
    assert [key for key, _ in memory.newest(2)] == [4, 3]


def test_drop_and_clear() -> None:
    memory: Lru[str, int] = Lru(2)
    memory.put("a", 1)
    memory.drop("a")
    memory.drop("never there")
    memory.put("b", 2)
    memory.clear()
    assert len(memory) == 0
