"""Stacked columns: a column for each turn or call, a colour for each layer, with an axis of round numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sessiontap.ui.drawing.svg import boxes, colour, number, tag

WIDTH = 1000.0
"""Units of the picture's width, whatever the screen's."""
HEIGHT = 180.0
"""Pixels."""
FILLED = 0.84
"""The share of its room that a column takes."""
LETTER = 0.02
"""The share of the width that a letter of a label below the axis takes."""


@dataclass(frozen=True, slots=True)
class PlotColumn:
    """A column: the size of each layer from the bottom, and what stands below, at the pointer, behind a click."""

    sizes: Sequence[float]
    label: str
    title: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot without its columns. `name` makes ids of it; `text` says it to who does not see it."""

    name: str
    title: str
    text: str
    unit: Callable[[float], str]
    """A number of the axis in words."""
    top: float | None = None
    """The least that the axis reaches; the highest column if it is not given."""
    colours: Sequence[str] = ()
    """The class of each layer; by their order if there are none."""
    joined: bool = False
    """Columns touch, as an area."""
    line: Sequence[float | None] = ()
    """A level in each column; None of one without."""
    limit: Sequence[float | None] = ()
    """The same of what a column cannot go beyond."""
    chosen: int | None = None
    """The column that is shown elsewhere."""


def columns(plot: Plot, found: Sequence[PlotColumn]) -> Markup:
    """Return a figure of columns. The numbers stand in a table beside it, to which its columns lead."""
    top = max([plot.top or 0.0, *(sum(one.sizes) for one in found), *(one or 0.0 for one in (*plot.line, *plot.limit))])
    marks = ticks(top)
    scale = HEIGHT / (marks[-1] or 1.0)
    room = WIDTH / max(len(found), 1)
    shapes = [_grid(marks, scale), _chosen(plot.chosen, room), *_layers(plot, found, room, scale)]
    if plot.line:
        shapes.append(tag("path", class_="level", d=_line(plot.line, room, scale)))
    if plot.limit:
        shapes.append(tag("path", class_="limit", d=_line(plot.limit, room, scale)))
    picture = tag(
        "svg",
        tag("title", plot.title, id=f"{plot.name}-title"),
        tag("desc", plot.text, id=f"{plot.name}-text"),
        *shapes,
        class_="shapes",
        role="img",
        aria_labelledby=f"{plot.name}-title {plot.name}-text",
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        preserveAspectRatio="none",
    )
    area = tag("div", picture, _hits(found, room), class_="area")
    return tag("div", _y_axis(marks, scale, plot.unit), area, _x_axis(found), class_="plot")


def _layers(plot: Plot, found: Sequence[PlotColumn], room: float, scale: float) -> list[Markup]:
    layers = max((len(one.sizes) for one in found), default=0)
    width = room if plot.joined else room * FILLED
    bottoms = [0.0] * len(found)
    shapes = []
    for layer in range(layers):
        parts = []
        for at, one in enumerate(found):
            size = one.sizes[layer]
            if size > 0:
                bottoms[at] += size
                parts.append((at * room + (room - width) / 2, HEIGHT - bottoms[at] * scale, width, size * scale))
        name = plot.colours[layer] if plot.colours else colour(layer)
        shapes.append(tag("path", class_=name, d=boxes(parts)))
    return shapes


def _line(levels: Sequence[float | None], room: float, scale: float) -> str:
    """A path that steps from column to column, broken if a level is not known."""
    found, drawn = "", False
    for at, level in enumerate(levels):
        if level is not None:
            y = number(HEIGHT - level * scale)
            found += f"V{y}h{number(room)}" if drawn else f"M{number(at * room)} {y}h{number(room)}"
        drawn = level is not None
    return found


def _chosen(place: int | None, room: float) -> Markup:
    if place is None:
        return Markup("")
    return tag("rect", class_="chosen", x=place * room, y=0.0, width=room, height=HEIGHT)


def _grid(marks: Sequence[float], scale: float) -> Markup:
    lines = "".join(f"M0 {number(HEIGHT - one * scale)}h{WIDTH:.0f}" for one in marks)
    return tag("path", class_="grid", d=lines)


def _y_axis(marks: Sequence[float], scale: float, unit: Callable[[float], str]) -> Markup:
    texts = [
        tag("text", unit(one) if one else "0", x="100%", y=max(HEIGHT - one * scale, 8.0), text_anchor="end")
        for one in marks
    ]
    return tag("svg", *texts, class_="y-axis", aria_hidden="true")


def _x_axis(found: Sequence[PlotColumn]) -> Markup:
    texts, free = [], 0.0
    for at, one in enumerate(found):
        place, size = (at + 0.5) / len(found), LETTER * (len(one.label) + 1)
        anchor = "start" if place < size / 2 else "end" if place > 1 - size / 2 else "middle"
        begin = place - {"start": 0.0, "middle": size / 2, "end": size}[anchor]
        if begin >= free:
            texts.append(tag("text", one.label, x=f"{number(place * 100)}%", y=12, text_anchor=anchor))
            free = begin + size
    return tag("svg", *texts, class_="x-axis", aria_hidden="true")


def _hits(found: Sequence[PlotColumn], room: float) -> Markup:
    """The shapes that the pointer meets. Keyboards and readers have the table's links."""
    areas = []
    for at, one in enumerate(found):
        area = tag("rect", tag("title", one.title), x=at * room, y=0.0, width=room, height=HEIGHT)
        areas.append(tag("a", area, href=one.href, tabindex=-1) if one.href else area)
    return tag(
        "svg",
        *areas,
        class_="hits",
        aria_hidden="true",
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        preserveAspectRatio="none",
    )


def ticks(top: float, most: int = 4) -> list[float]:
    """Return round numbers from 0 to the first one that is not below `top`, `most` steps at most."""
    if top <= 0:
        return [0.0]
    step = 10.0 ** math.floor(math.log10(top / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * most >= top * (1 - 1e-9))
    return [round(step * at, 12) for at in range(math.ceil(top / step - 1e-9) + 1)]
