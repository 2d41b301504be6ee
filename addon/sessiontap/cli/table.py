"""Tables: aligned plain text if stdout is piped, fitted and coloured on a terminal.

Columns stand two spaces apart. In a pipe nothing is cut. On a terminal that is too narrow, titles and cells take their
short forms, long ids are cut, and columns that shrink are cut to the width that they wish for. Optional columns for
which there is no room then are left out, those first that tell no row from another. If that is not enough, the others
shrink further. rich's table cannot do that, and takes 80 ms to import, which a pipe does not need.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sessiontap.cli.characters import ellipsis, shown
from sessiontap.cli.output import console, line, on_terminal, write

GAP = 2
MIN_WIDTH = 8
"""The width to which a column shrinks at most."""
_RIGHT_TO_LEFT = ("R", "AL", "RLE", "RLO", "RLI")
_LEFT_TO_RIGHT_MARK = "\u200e"
"""It takes no column. Behind text that is written from right to left it keeps the next cell in its place."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `style` is rich's."""

    title: str
    right: bool = False
    style: str = ""
    shrinks: bool = False
    optional: bool = False
    spare: int = 0
    """Of the optional columns that with the smallest number comes first; of equal ones each only with those before."""
    least: int = MIN_WIDTH
    """The width to which it shrinks at most."""
    wish: int = 0
    """The width for the sake of which optional columns are left out."""
    short_title: str | None = None
    """Its title where cells take their short forms."""
    most: int | None = None
    """The width of a column that does not shrink, if there is no room for all."""
    cut: Literal["end", "middle", "list"] = "end"
    """The place where a cell is cut. Of a list (`a, b, c`) the last items go: `a, +2`."""
    shorter: Callable[[str], str] | None = None
    """Returns a cell's short form."""


@dataclass(frozen=True, slots=True)
class Row:
    """`style` is rich's, of the whole row."""

    cells: Sequence[str]
    style: str = ""


def show(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Print a table to stdout."""
    show_each(columns, [rows])


def show_each(columns: Sequence[Column], batches: Iterable[Iterable[Row]]) -> None:
    """Print a table whose rows come in batches, each as soon as it is there.

    The first batch tells the widths. A cell of a later one that is wider is cut on a terminal; elsewhere it stands out.
    """
    titles = Row(_titles(columns), "bold")
    layout: _Layout | None = None
    for rows in batches:
        cleaned = [Row([shown(line(cell)) for cell in row.cells], row.style) for row in rows]
        first = layout is None
        if layout is None:
            layout = _layout(columns, cleaned) if on_terminal() else _Layout(dict(enumerate(widths(columns, cleaned))))
        if on_terminal():
            _coloured(columns, layout, cleaned, titles if first else None)
        else:
            write(_plain_lines(columns, layout.kept, [titles, *cleaned] if first else cleaned))


def plain(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """The table as text, a line a row, under a line of titles."""
    kept = dict(enumerate(widths(columns, rows)))
    return _plain_lines(columns, kept, [Row(_titles(columns)), *rows])


def text(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """The table as text within other text: fitted to the terminal, if stdout is one."""
    if not on_terminal():
        return plain(columns, rows)
    kept, found = fitted(columns, rows, console().width)
    lines = [Row(_titles(columns, short=found is not rows)), *found]
    return "".join("".join(_padded(columns, kept, row.cells)).rstrip() + "\n" for row in lines)


def _titles(columns: Sequence[Column], *, short: bool = False) -> list[str]:
    return [(short and column.short_title) or column.title for column in columns]


def _plain_lines(columns: Sequence[Column], kept: Mapping[int, int], rows: Sequence[Row]) -> str:
    """Lines in which no cell is cut."""
    return "".join(
        (" " * GAP).join(fill(row.cells[index], to, columns[index].right) for index, to in kept.items()).rstrip() + "\n"
        for row in rows
    )


def widths(columns: Sequence[Column], rows: Sequence[Row], *, short: bool = False) -> list[int]:
    """The width of each column uncut. `short`: its title is, as the cells are."""
    lines = [_titles(columns, short=short), *(row.cells for row in rows)]
    return [max(width(cells[index]) for cells in lines) for index in range(len(columns))]


def fitted(columns: Sequence[Column], rows: Sequence[Row], room: int) -> tuple[dict[int, int], Sequence[Row]]:
    """The columns that are shown in `room`, by their position, with their widths; and the rows in the form for that."""
    natural = widths(columns, rows)
    if sum(natural) + GAP * (len(columns) - 1) <= room:
        return dict(enumerate(natural)), rows
    short = [_shorter(columns, row) for row in rows]
    wide = widths(columns, short, short=True)
    natural = [min(one, column.most or one) for one, column in zip(wide, columns, strict=True)]
    empty = {index for index, column in enumerate(columns) if column.optional and _tells_nothing(rows, index)}
    return fit(columns, natural, room, empty), short


def _tells_nothing(rows: Sequence[Row], index: int) -> bool:
    """No row has a value there, or all have the same."""
    values = {row.cells[index] for row in rows}
    return not any(value.strip("-") for value in values) or (len(rows) > 1 and len(values) == 1)


def _shorter(columns: Sequence[Column], row: Row) -> Row:
    """The row in short forms."""
    pairs = zip(columns, row.cells, strict=True)
    return replace(row, cells=[column.shorter(cell) if column.shorter else cell for column, cell in pairs])


def fit(
    columns: Sequence[Column], natural: Sequence[int], room: int, empty: Iterable[int] = ()
) -> dict[int, int]:
    """The columns that are shown in `room`, by their position, with their widths; those of `empty` come last."""
    without_value = set(empty)
    least = [min(one, column.least) if column.shrinks else one for one, column in zip(natural, columns, strict=True)]
    wished = [
        min(one, max(column.wish, column.least)) if column.shrinks else one
        for one, column in zip(natural, columns, strict=True)
    ]

    def size(of: Mapping[int, int]) -> int:
        return sum(of.values()) + GAP * (len(of) - 1)

    kept = {index: wished[index] for index, column in enumerate(columns) if not column.optional}
    ranks = {index: (index in without_value, column.spare) for index, column in enumerate(columns) if column.optional}
    full: set[tuple[bool, int]] = set()
    for index in sorted(ranks, key=lambda index: (*ranks[index], index)):
        if ranks[index] not in full and size(kept | {index: wished[index]}) <= room:
            kept[index] = wished[index]
        else:
            full.add(ranks[index])
    found = {index: natural[index] for index in sorted(kept)}
    for bound in (wished, least):
        while size(found) > room:
            shrinking = [index for index in found if found[index] > bound[index]]
            if not shrinking:
                break
            widest = max(shrinking, key=found.__getitem__)
            found[widest] -= 1
    return found


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
        fill(cut(cells[index], to, columns[index].cut), to, columns[index].right) + " " * (GAP if index != last else 0)
        for index, to in kept.items()
    ]


def fill(cell: str, to: int, right: bool) -> str:
    """Spaces beside a cell, up to a width."""
    space = " " * (to - width(cell))
    return space + cell if right else cell + space


def cut(cell: str, to: int, where: Literal["end", "middle", "list"] = "end") -> str:
    """A cell of a width at most."""
    if width(cell) <= to:
        return cell
    from rich.cells import set_cell_size

    items = cell.split(", ") if where == "list" else [cell]
    if len(items) > 1:
        return _fewer(items, to)
    mark = ellipsis()
    room = max(to - len(mark), 0)
    tail = room // 3 if where != "end" else 0
    return set_cell_size(cell, room - tail) + mark + _end(cell, tail)


def _fewer(items: Sequence[str], to: int) -> str:
    """As many items as there is room for, one at least, and how many more there are."""
    for number in range(len(items) - 1, 0, -1):
        text = f"{', '.join(items[:number])}, +{len(items) - number}"
        if width(text) <= to:
            return text
    more = f", +{len(items) - 1}"
    return cut(items[0], max(to - len(more), 0), "middle") + more


def _end(cell: str, size: int) -> str:
    """The end of a text, of a width at most."""
    start = len(cell)
    while start and width(cell[start - 1 :]) <= size:
        start -= 1
    return cell[start:]


def in_place(cell: str) -> str:
    """A cell that does not move the next one on a terminal that turns right-to-left text round."""
    if cell.isascii() or not any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in cell):
        return cell
    return cell + _LEFT_TO_RIGHT_MARK


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns that are shown, by their position, with their widths; and whether cells are shown in short forms."""

    kept: dict[int, int]
    short: bool = False


def _layout(columns: Sequence[Column], rows: Sequence[Row]) -> _Layout:
    kept, shortened = fitted(columns, rows, console().width)
    return _Layout(kept, shortened is not rows)


def _coloured(columns: Sequence[Column], layout: _Layout, rows: Sequence[Row], titles: Row | None) -> None:
    from rich.text import Text

    out = console()
    chosen = [columns[index] for index in layout.kept]
    if titles is not None:
        titles = Row(_titles(columns, short=layout.short), titles.style)
    for row in (*([titles] if titles else ()), *rows):
        cells = _shorter(columns, row).cells if layout.short and row is not titles else row.cells
        text = Text(style=row.style, no_wrap=True, overflow="ignore", end="\n")
        for column, cell in zip(chosen, _padded(columns, layout.kept, cells), strict=True):
            text.append(in_place(cell), column.style if row is not titles else "")
        text.rstrip()
        out.print(text, crop=False, soft_wrap=True)
