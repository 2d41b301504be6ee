"""Tables as plain text."""

from __future__ import annotations

import pytest

from sessiontap.cli.output import line, safe
from sessiontap.cli.table import Column, Row, plain

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


@pytest.mark.parametrize(
    ("text", "on_lines", "on_one"),
    [
        ("plain ✓ ü", "plain ✓ ü", "plain ✓ ü"),
        ("a\nb\tc", "a\nb\tc", "a\\nb\\tc"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07", "\\x1b[2J\\x07"),
        ("\x9b31m", "\\x9b31m", "\\x9b31m"),
        ("a\r\x00", "a\\x0d\\x00", "a\\x0d\\x00"),
        ("\u202eevil", "\\u202eevil", "\\u202eevil"),
    ],
)
def test_control_characters_are_spelled_out(text: str, on_lines: str, on_one: str) -> None:
    assert (safe(text), line(text)) == (on_lines, on_one)
