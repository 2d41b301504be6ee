"""Values that every call is made of are as frozen dataclasses, but that only mypy keeps them from being changed."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from sessiontap.value_classes import dataclass, replaced


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    tags: tuple[str, ...] = dataclasses.field(default_factory=tuple)


def test_it_is_compared_and_hashed_by_its_fields() -> None:
    assert Point(1) == Point(1) != Point(2)
    assert {Point(1, ("a",)): "found"}[Point(1, ("a",))] == "found"


def test_it_has_no_further_attributes() -> None:
    with pytest.raises(AttributeError):
        Point(1).y = 2  # type: ignore[attr-defined]


def test_its_fields_are_set_without_a_call_for_each() -> None:
    assert "__setattr__" not in vars(Point)


@pytest.mark.parametrize("again", [dataclasses.replace, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_is_equal(again: object) -> None:
    assert callable(again)
    assert again(Point(1, ("a",))) == Point(1, ("a",))


def test_a_copy_has_the_fields_that_are_replaced() -> None:
    one = Point(1, ("a",))

    assert replaced(one, x=2) == Point(2, ("a",))
    assert one == Point(1, ("a",))


def test_what_is_no_field_cannot_be_replaced() -> None:
    with pytest.raises(AttributeError):
        replaced(Point(1), z=2)
