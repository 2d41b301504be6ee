"""SVG and HTML elements out of plain values: names, numbers and texts, escaped.

Sizes and places stand in attributes, colours and strokes in the style sheet: the pages allow no inline style.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

COLOURS = 8
"""Classes `c0` to `c7` of the style sheet: colours that most eyes tell apart, on a light ground and on a dark one."""


def tag(name: str, *inside: Any, **attributes: Any) -> Markup:
    """Return an element. `class_` is `class`, `data_row` is `data-row`; attributes that are None are left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(number(value) if isinstance(value, float) else value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(map(escape, inside))}</{name}>")


def number(value: float) -> str:
    """Return a place with three digits behind the point, which is what browsers tell apart of 10,000, shortened."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if value else "0"


def boxes(found: Iterable[tuple[float, float, float, float]]) -> str:
    """Return one path of many rectangles: x, y, width and height of each."""
    return "".join(
        f"M{number(x)} {number(y)}h{number(width)}v{number(height)}h{number(-width)}z" for x, y, width, height in found
    )


def colour(place: int) -> str:
    """Return the class of the colour at this place; all behind the last have one."""
    return f"c{min(place, COLOURS - 1)}"
