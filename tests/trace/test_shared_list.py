"""Lists that begin alike, held once."""

from __future__ import annotations

import pytest

from sessiontap.trace.index.shared_list import SharedList

FIRST = SharedList("abc")


@pytest.mark.parametrize(
    ("made", "items"),
    [
        (lambda: SharedList("abc").followed_by("de"), "abcde"),
        (lambda: SharedList("abc").followed_by("de", 1), "ade"),
        (lambda: SharedList("abc").followed_by("de", 9), "abcde"),
        (lambda: SharedList("abc").followed_by("", 2).followed_by("x"), "abx"),
        (lambda: SharedList("abc").followed_by("d").followed_by("e"), "abcde"),
        (lambda: SharedList("").followed_by("a"), "a"),
    ],
    ids=["behind all", "behind some", "behind more than there are", "behind a shorter one", "twice", "behind none"],
)
def test_a_list_goes_on_from_another(made: object, items: str) -> None:
    assert list(made()) == list(items)  # type: ignore[operator]


def test_two_lists_that_go_on_from_one_do_not_see_each_other() -> None:
    first = SharedList("abc")
    one, other = first.followed_by("1"), first.followed_by("2")
    assert ["".join(made) for made in (first, one, other, one.followed_by("3"))] == ["abc", "abc1", "abc2", "abc13"]


def test_a_conversation_takes_the_room_of_its_longest_list() -> None:
    items = [object() for _ in range(1_000)]
    made, lists = SharedList[object](), []
    for item in items:
        lists.append(made := made.followed_by([item]))
    assert len({id(one._items) for one in lists}) == 1
    assert [len(one) for one in lists] == list(range(1, 1_001))


@pytest.mark.parametrize(
    "place",
    [0, 4, -1, -5, slice(2), slice(3, None), slice(-2, None), slice(1, 9), slice(4, 1), slice(None, None, -1),
     slice(0, 5, 2)],
    ids=str,
)  # fmt: skip
def test_items_are_those_of_a_list(place: int | slice) -> None:
    shorter = SharedList("abcde")
    shorter.followed_by("xyz")
    assert shorter[place] == list("abcde")[place]


@pytest.mark.parametrize("place", [5, -6, 7], ids=str)
def test_there_is_no_item_behind_the_end(place: int) -> None:
    shorter = SharedList("abcde")
    shorter.followed_by("xyz")
    with pytest.raises(IndexError, match="of 5"):
        shorter[place]


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (FIRST, FIRST.followed_by("d"), 3),
        (FIRST.followed_by("d"), FIRST.followed_by("e"), 3),
        (FIRST, SharedList("abd"), 2),
        (FIRST, SharedList("abc"), 3),
        (FIRST, SharedList(""), 0),
        (SharedList("x"), FIRST, 0),
    ],
    ids=["longer", "two that go on", "made apart", "equal", "empty", "another"],
)
def test_what_two_begin_with_in_common(one: SharedList[str], other: SharedList[str], common: int) -> None:
    assert (one.common(other), other.common(one)) == (common, common)
    assert (one == other) == (one == list(other)) == (list(one) == list(other))
