"""The order in which processes are asked for a socket."""

from __future__ import annotations

import pytest

from sessiontap.callers.scan import _by_age


@pytest.mark.parametrize(
    ("last", "order"),
    [(900, [800, 500, 20, 1]), (500, [500, 20, 1, 800]), (600, [500, 20, 1, 800]), (0, [800, 500, 20, 1])],
    ids=["numbers never ran out", "they began anew: 800 is old", "the last one has ended", "the last one is not known"],
)
def test_newest_first(last: int, order: list[int]) -> None:
    assert _by_age([1, 20, 500, 800], last) == order
