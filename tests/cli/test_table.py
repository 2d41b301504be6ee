"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sessiontap.cli.table import Column, Row, cut, fit, fitted, in_place, plain, show_each, width
from sessiontap.units import short_count

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


@pytest.mark.parametrize(
    ("cell", "to", "where", "expected"),
    [
        pytest.param("short", 8, "middle", "short", id="room enough"),
        pytest.param("claude-sonnet-4-5-20250929", 12, "end", "claude-sonn…", id="at the end"),
        pytest.param("claude-sonnet-4-5-20250929", 12, "middle", "claude-s…929", id="in the middle"),
        pytest.param("日本語のセッション名です", 11, "middle", "日本語 …す ", id="wide characters are not halved"),
        pytest.param("a.py, b.py, c.py, d.py", 14, "list", "a.py, b.py, +2", id="a list tells how many more there are"),
        pytest.param("agent_of_ada.py, b.py", 12, "list", "agent…py, +1", id="not even the first has room"),
        pytest.param("one item of a list", 8, "list", "one i…st", id="a list of one"),
    ],
)
def test_cut(cell: str, to: int, where: Any, expected: str) -> None:
    found = cut(cell, to, where)
    assert found.rstrip() == expected.rstrip()
    assert width(found) <= to


PRIORITIES = (
    Column("ID", most=10, cut="middle"),
    Column("ERRORS", optional=True),
    Column("IN", optional=True, spare=2, shorter=short_count),
    Column("OUT", optional=True, spare=1, shorter=short_count),
    Column("COST"),
)
LONG = Row(["an-id-of-thirty-characters-0001", "", "1,234,567", "12,345", "$0.0123"])


@pytest.mark.parametrize(
    ("room", "expected", "cells"),
    [
        pytest.param(80, {0: 31, 1: 6, 2: 9, 3: 6, 4: 7}, ["1,234,567", "12,345"], id="all in full"),
        pytest.param(40, {0: 10, 1: 6, 2: 4, 3: 3, 4: 7}, ["1.2M", "12k"], id="short forms, and the id cut"),
        pytest.param(31, {0: 10, 2: 4, 3: 3, 4: 7}, ["1.2M", "12k"], id="a column without a value goes first"),
        pytest.param(25, {0: 10, 3: 3, 4: 7}, ["1.2M", "12k"], id="then the one that is spared most easily"),
        pytest.param(15, {0: 10, 4: 7}, ["1.2M", "12k"], id="then the other; the rest stays"),
    ],
)
def test_a_table_is_fitted_into_its_room(room: int, expected: dict[int, int], cells: list[str]) -> None:
    kept, (row,) = fitted(PRIORITIES, [LONG], room)
    assert (kept, list(row.cells[2:4])) == (expected, cells)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("plain", "plain"), ("über", "über"), ("שלום", "שלום\u200e"), ("مرحبا 12", "مرحبا 12\u200e")],
    ids=["ASCII", "left to right", "Hebrew", "Arabic"],
)
def test_text_from_right_to_left_does_not_move_the_next_cell(cell: str, expected: str) -> None:
    assert in_place(cell) == expected
    assert width(in_place(cell)) == width(cell)


def test_rows_that_come_in_batches_are_written_at_once_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("NAME"), Column("CALLS", right=True))
    written: list[str] = []

    def batches() -> Iterator[list[Row]]:
        yield [Row(["short", "1"])]
        written.append(capsys.readouterr().out)
        yield [Row(["a longer one", "22"]), Row(["b", "3"])]

    show_each(columns, batches())

    assert written == ["NAME   CALLS\nshort      1\n"]
    assert capsys.readouterr().out == "a longer one     22\nb          3\n"
