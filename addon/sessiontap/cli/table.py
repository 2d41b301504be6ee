"""Tables: aligned plain text if stdout is piped, fitted and coloured on a terminal.

Columns stand two spaces apart. In a pipe nothing is cut. On a terminal that is too narrow, columns that shrink are
cut, and if that is not enough, optional ones are left out, from the right. rich's table cannot leave columns out, and
takes 80 ms to import, which a pipe does not need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sessiontap.cli.output import console, line, on_terminal, write

GAP = 2
MIN_WIDTH = 8
"""The width to which a column shrinks at most."""


@dataclass(frozen=True, slots=True)
class Column:
    """`style` is rich's."""

    title: str
    right: bool = False
    style: str = ""
    shrinks: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`style` is rich's, of the whole row."""

    cells: Sequence[str]
    style: str = ""


def show(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Print a table to stdout."""
    cleaned = [Row([line(cell) for cell in row.cells], row.style) for row in rows]
    if on_terminal():
        _coloured(columns, cleaned)
    else:
        write(plain(columns, cleaned))


def plain(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """The table as text, a line a row, under a line of titles."""
    kept = dict(enumerate(widths(columns, rows)))
    lines = [[column.title for column in columns], *(row.cells for row in rows)]
    return "".join("".join(_padded(columns, kept, cells)).rstrip() + "\n" for cells in lines)


def widths(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    """The width of each column uncut."""
    lines = [[column.title for column in columns], *(row.cells for row in rows)]
    return [max(width(cells[index]) for cells in lines) for index in range(len(columns))]


def fit(columns: Sequence[Column], natural: Sequence[int], room: int) -> dict[int, int]:
    """The columns that are shown in `room`, by their position, with their widths."""
    kept = list(range(len(columns)))

    def least(index: int) -> int:
        return min(natural[index], MIN_WIDTH) if columns[index].shrinks else natural[index]

    def gaps() -> int:
        return GAP * (len(kept) - 1)

    while sum(map(least, kept)) + gaps() > room:
        optional = [index for index in kept if columns[index].optional]
        if not optional:
            break
        kept.remove(optional[-1])
    fitted = {index: natural[index] for index in kept}
    while sum(fitted.values()) + gaps() > room:
        shrinking = [index for index in kept if fitted[index] > least(index)]
        if not shrinking:
            break
        widest = max(shrinking, key=fitted.__getitem__)
        fitted[widest] -= 1
    return fitted


def width(text: str) -> int:
    """Terminal columns that a text takes: wide characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _padded(columns: Sequence[Column], kept: Mapping[int, int], cells: Sequence[str]) -> list[str]:
    """The cells of the kept columns, each cut or filled to its width, gaps included."""
    last = max(kept)
    return [
        fill(cut(cells[index], to), to, columns[index].right) + " " * (GAP if index != last else 0)
        for index, to in kept.items()
    ]


def fill(cell: str, to: int, right: bool) -> str:
    """Spaces beside a cell, up to a width."""
    space = " " * (to - width(cell))
    return space + cell if right else cell + space


def cut(cell: str, to: int) -> str:
    """A cell of a width at most."""
    if width(cell) <= to:
        return cell
    from rich.cells import set_cell_size

    return set_cell_size(cell, max(to - 1, 0)) + "…"


def _coloured(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    from rich.text import Text

    out = console()
    kept = fit(columns, widths(columns, rows), out.width)
    shown = [columns[index] for index in kept]
    titles = Row([column.title for column in columns], "bold")
    for row in (titles, *rows):
        text = Text(style=row.style, no_wrap=True, overflow="ignore", end="\n")
        for column, cell in zip(shown, _padded(columns, kept, row.cells), strict=True):
            text.append(cell, column.style if row is not titles else "")
        text.rstrip()
        out.print(text, crop=False, soft_wrap=True)
