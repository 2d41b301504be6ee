"""Tables as plain text."""

from __future__ import annotations

import pytest

from sessiontap.cli.table import Column, Row, fit, plain

COLUMNS = (Column("NAME"), Column("N", right=True), Column("LAST"))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], "NAME  N  LAST\n", id="titles alone"),
        pytest.param(
            [["a", "1", "x"], ["long name", "1,234", "y y"]],
            "NAME           N  LAST\na              1  x\nlong name  1,234  y y\n",
            id="aligned, the last not padded",
        ),
        pytest.param(
            [["日本", "1", ""], ["ab", "2", "z"]],
            "NAME  N  LAST\n日本  1\nab    2  z\n",
            id="wide characters take two columns, no blanks at the end",
        ),
    ],
)
def test_plain(rows: list[list[str]], expected: str) -> None:
    assert plain(COLUMNS, [Row(cells) for cells in rows]) == expected


FITTED = (
    Column("ID"),
    Column("NAME", shrinks=True),
    Column("N", optional=True),
    Column("TEXT", shrinks=True, optional=True),
)


@pytest.mark.parametrize(
    ("natural", "room", "expected"),
    [
        pytest.param([8, 10, 3, 20], 80, {0: 8, 1: 10, 2: 3, 3: 20}, id="room enough"),
        pytest.param([8, 10, 3, 20], 40, {0: 8, 1: 10, 2: 3, 3: 13}, id="the widest gives first"),
        pytest.param([8, 10, 3, 20], 33, {0: 8, 1: 8, 2: 3, 3: 8}, id="all give to the least"),
        pytest.param([8, 10, 3, 20], 32, {0: 8, 1: 10, 2: 3}, id="a spare one is left out"),
        pytest.param([8, 10, 3, 20], 20, {0: 8, 1: 10}, id="the next one too"),
        pytest.param([8, 10, 3, 20], 5, {0: 8, 1: 8}, id="what must be shown stays"),
        pytest.param([8, 5, 3, 4], 26, {0: 8, 1: 5, 2: 3, 3: 4}, id="short columns keep what they have"),
    ],
)
def test_fit(natural: list[int], room: int, expected: dict[int, int]) -> None:
    assert fit(FITTED, natural, room) == expected
