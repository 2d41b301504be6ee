"""Tables: aligned plain text where it is piped, fitted and coloured on a terminal.

Rows are lists of cells, already text. Piped, nothing is cut; columns stand two spaces apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sessiontap.cli.output import console, line, on_terminal, write


@dataclass(frozen=True, slots=True)
class Column:
    """`style` is rich's; `give` says that the column is shortened first where the terminal is narrow."""

    title: str
    right: bool = False
    style: str = ""
    give: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    cells: Sequence[str]
    style: str = ""


def show(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Print a table to stdout."""
    cleaned = [Row([line(cell) for cell in row.cells], row.style) for row in rows]
    if on_terminal():
        _fitted(columns, cleaned)
    else:
        write(plain(columns, cleaned))


def plain(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """The table as text, a line a row, under a line of titles."""
    lines = [[column.title for column in columns], *(row.cells for row in rows)]
    widths = [max(width(cells[index]) for cells in lines) for index in range(len(columns))]
    text = []
    for cells in lines:
        padded = [
            _pad(cell, widths[index], columns[index].right, last=index == len(columns) - 1)
            for index, cell in enumerate(cells)
        ]
        text.append("  ".join(padded).rstrip() + "\n")
    return "".join(text)


def width(text: str) -> int:
    """Columns that a text takes: wide characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _pad(cell: str, to: int, right: bool, last: bool) -> str:
    space = " " * (to - width(cell))
    if right:
        return space + cell
    return cell if last else cell + space


def _fitted(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            style=column.style,
            overflow="ellipsis",
            no_wrap=True,
            min_width=8 if column.give else len(column.title),
            ratio=None,
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.cells), style=row.style)
    console().print(table)
