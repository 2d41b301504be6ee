"""Bars within the cells of a table: a share of the largest, and percentiles on one logarithmic axis of times."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from sessiontap import units
from sessiontap.ui.drawing.svg import number, tag

LABEL = 0.32
"""The share of a cell's width that a label of its axis takes."""
_LOGARITHMIC = (
    0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10_800.0, 36_000.0,
    108_000.0, 360_000.0,
)  # fmt: skip
"""Marks on a logarithmic axis of times."""


def share(value: float | None, top: float, name: str = "c0") -> Markup:
    """Return a bar of this share of `top`; nothing for what is unknown or nothing."""
    if not value or top <= 0:
        return Markup("")
    width = f"{number(max(100 * min(value / top, 1.0), 0.5))}%"
    return tag("svg", tag("rect", class_=name, width=width, height="100%"), class_="share", aria_hidden="true")


class Times:
    """A logarithmic axis of times that has room for all values of a column."""

    def __init__(self, values: Sequence[float | None]) -> None:
        self._marks = log_ticks([one for one in values if one])

    def axis(self) -> Markup:
        """Return the marks, as far as there is room for them; nothing if no time is known."""
        if not self._marks:
            return Markup("")
        texts, free = [], 0.0
        last = len(self._marks) - 1
        for at, mark in enumerate(self._marks):
            place = log_place(mark, self._marks)
            if at not in (0, last) and (place < free or place > 1 - 1.5 * LABEL):
                continue
            anchor, name = ("start", None) if at == 0 else ("end", None) if at == last else ("middle", "between")
            x = f"{number(place * 100)}%"
            texts.append(tag("text", units.duration(mark), class_=name, x=x, y=10, text_anchor=anchor))
            free = place + (1.5 * LABEL if at == 0 else LABEL)  # the first one stands wholly behind its place
        return tag("svg", *texts, class_="axis", aria_hidden="true")

    def range(self, percentiles: Sequence[float | None]) -> Markup:
        """Return a line from the first percentile to the last, with a mark at each; nothing if they are unknown."""
        known = [one for one in percentiles if one is not None]
        if not known or not self._marks:
            return Markup("")
        places = [100 * log_place(one, self._marks) for one in known]
        shapes = [tag("line", class_="span", x1=_percent(places[0]), x2=_percent(places[-1]), y1="50%", y2="50%")]
        for at, place in enumerate(places):
            name = "middle" if at == 0 else "mark"
            shapes.append(tag("line", class_=name, x1=_percent(place), x2=_percent(place), y1="15%", y2="85%"))
        return tag("svg", *shapes, class_="range", aria_hidden="true")


def _percent(place: float) -> str:
    return f"{number(min(max(place, 0.5), 99.5))}%"


def log_ticks(values: Sequence[float]) -> list[float]:
    """Return the times between which all of these (more than 0 seconds) lie, each mark a round one; none of none."""
    if not values:
        return []
    first = max((at for at, one in enumerate(_LOGARITHMIC) if one <= min(values)), default=0)
    last = next((at for at, one in enumerate(_LOGARITHMIC) if one >= max(values)), len(_LOGARITHMIC) - 1)
    return list(_LOGARITHMIC[first : max(last, first + 1) + 1])


def log_place(value: float, marks: Sequence[float]) -> float:
    """Return the place of a value between the first and the last mark, 0 to 1."""
    low, high = math.log(marks[0]), math.log(marks[-1])
    return min(max((math.log(max(value, marks[0])) - low) / (high - low), 0.0), 1.0)
