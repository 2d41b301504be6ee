"""Calls in time: the strip of a whole session by its lanes, the axis above rows, and the bar of each row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from sessiontap import units
from sessiontap.analysis.time_scale import Stretch, TimeScale
from sessiontap.ui.drawing.svg import boxes, colour, number, tag

WIDTH = 10_000.0
"""Units of the whole session's width."""
LANE = 16.0
"""Pixels of a lane's height."""
PIXELS = 700.0
"""A usual width of a picture: what would be narrower than one of these is drawn as wide."""
LABEL = 0.12
"""The share of the width that a label of the axis takes."""
_TIMES = [digit * 10.0**power for power in range(-6, 0) for digit in (1, 2, 5)] + [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 43_200.0,
]  # fmt: skip
_DAY = 86_400.0


class View:
    """The part of a session that is drawn, and its places."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        """`found`: an answer of `analysis.timeline`."""
        pieces = [Stretch(one["from"], one["to"], one["at"], one["size"], one["squeezed"]) for one in found["scale"]]
        self.scale = TimeScale(pieces)
        self.x = self.place(found["view"]["from"])
        self.width = max(self.place(found["view"]["to"]) - self.x, WIDTH / 100_000)

    def place(self, time: float) -> float:
        return self.scale.place(time) * WIDTH

    @property
    def box(self) -> str:
        return f"{number(self.x)} 0 {number(self.width)} 10"


def strip(found: Mapping[str, Any]) -> Markup:
    """Return the whole session, a line for each lane. What a zoom leaves out is dimmed, what rows show is marked."""
    view = View(found)
    lanes = found["lanes"]
    height = LANE * max(len(lanes), 1)
    shapes = [tag("path", class_="pauses", d=boxes(_pauses(view.scale, height)))]
    for at, lane in enumerate(lanes):
        top = at * LANE
        runs = [_box(view, start, end, top + 3, LANE - 6, WIDTH) for start, end in lane["segments"]]
        failures = [_box(view, time, time, top + 1, LANE - 2, WIDTH) for time in lane["failures"]]
        shapes.append(tag("path", class_=colour(at), d=boxes(runs)))
        if failures:
            shapes.append(tag("path", class_="failed", d=boxes(failures)))
    left = view.place(found["from"] or 0.0)
    right = WIDTH if found["to"] is None else view.place(found["to"])
    outside = [(0.0, 0.0, left, height), (right, 0.0, WIDTH - right, height)]
    shapes.append(tag("path", class_="outside", d=boxes(outside)))
    width = max(view.width, WIDTH / PIXELS)
    shapes.append(tag("rect", class_="seen", x=view.x, y=0.0, width=width, height=height))
    return tag(
        "svg",
        *shapes,
        class_="strip",
        role="img",
        aria_label=f"The whole session: {_description(found)}",
        viewBox=f"0 0 {WIDTH:.0f} {number(height)}",
        preserveAspectRatio="none",
        height=height,
    )


def _description(found: Mapping[str, Any]) -> str:
    names = [
        f"{units.plural(one['calls'], 'call')} in {units.duration(one['seconds'])}" for one in found["lanes"]
    ]
    return f"{units.duration(found['seconds'])} in {units.plural(len(names), 'lane')}: {'; '.join(names)}."


def _pauses(scale: TimeScale, height: float) -> list[tuple[float, float, float, float]]:
    return [(one.at * WIDTH, 0.0, one.size * WIDTH, height) for one in scale.pieces if one.squeezed]


def _box(
    view: View, start: float, end: float, y: float, height: float, width: float
) -> tuple[float, float, float, float]:
    """A rectangle of at least a pixel in a picture that shows `width` units."""
    x = view.place(start)
    return x, y, max(view.place(end) - x, width / PIXELS), height


def axis(found: Mapping[str, Any]) -> Markup:
    """Return the times above the bars, since the session's first call, and the length of each squeezed pause."""
    texts = [
        tag("text", label, x=f"{number(place * 100)}%", y=12, class_=name if at % 3 == 0 else f"{name} wide")
        for at, (place, label, name) in enumerate(sorted(_marks(View(found))))
    ]
    return tag("svg", *texts, class_="times", aria_hidden="true")


def _marks(view: View) -> list[tuple[float, str, str]]:
    """Places from 0 to 1, labels, and the class of the label of a squeezed pause, which stands in its middle."""
    pieces = [
        one
        for one in view.scale.pieces
        if (one.at + one.size) * WIDTH > view.x and one.at * WIDTH < view.x + view.width
    ]
    drawn = [one for one in pieces if not one.squeezed and one.size > 0]
    seconds = sum(one.end - one.begin for one in drawn) or 1.0
    share = sum(one.size for one in drawn) * WIDTH / view.width or 1.0
    step = time_step(LABEL * seconds / share)
    found: list[tuple[float, str, str]] = []
    taken: list[tuple[float, float]] = []

    def add(begin: float, at: float, label: str, name: str) -> None:
        """Add a label from `begin` on if it has room."""
        end = begin + LABEL
        if begin >= 0 and end <= 1 + LABEL / 2 and all(end <= one or begin >= other for one, other in taken):
            taken.append((begin, end))
            found.append((at, label, name))

    for piece in sorted(pieces, key=lambda one: not one.squeezed):  # the lengths of pauses come first
        if piece.squeezed:
            middle = ((piece.at + piece.size / 2) * WIDTH - view.x) / view.width
            add(middle - LABEL / 2, middle, f"┊ {units.duration(piece.end - piece.begin)}", "cut")
            continue
        first = -(-piece.begin // step)
        for time in (piece.begin, *(step * at for at in range(int(first), int(piece.end // step) + 1))):
            place = (view.place(time) - view.x) / view.width
            add(place, place, mark(time, step), "clock")
    return found


def mark(seconds: float, step: float) -> str:
    """Return a mark of an axis with so many seconds between two: `250ms`, `12.5s`, `7:16`, `14:21:30`."""
    digits = 0 if step >= 1 else 1 if step >= 0.1 else 2 if step >= 0.01 else 3
    if round(seconds, 6) <= 0:
        return "0"
    if seconds < 1:
        return f"{seconds * 1000:.{0 if step >= 0.001 else 2}f}ms"
    if round(seconds, digits) < 60:
        return f"{seconds:.{digits}f}s"
    minutes, rest = divmod(round(seconds, digits), 60)
    hours, minutes = divmod(int(minutes), 60)
    clock = f"{rest:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02}:{clock}" if hours else f"{minutes}:{clock}"


def bar(found: Mapping[str, Any], row: Mapping[str, Any], view: View) -> Markup:
    """Return the bar of a call: tools before it, the wait for the first byte, for the first token, and the stream."""
    start, took = row["start"], row["duration"]
    end = start + (took or 0.0)
    name = "failed" if row["failed"] else colour(row["lane"])
    shapes: list[Markup] = []
    if (tools := row["tools_before"]) is not None:
        asked = view.place(start - tools["seconds_inferred"])
        shapes.append(tag("rect", class_="tools", x=asked, y=4, width=view.place(start) - asked, height=2))
    borders = [start]
    for key in ("time_to_first_byte", "time_to_first_token"):
        after = row[key]
        borders.append(borders[-1] if after is None else min(max(start + after, borders[-1]), end))
    borders.append(end)
    phases = ("wait", "first", "receives")
    for phase, (begins, ends) in zip(phases, pairwise(borders), strict=True):
        if ends > begins:
            x, y, width, height = _box(view, begins, ends, 1, 8, view.width)
            shapes.append(tag("rect", class_=f"{name} {phase}", x=x, y=y, width=width, height=height))
    if end <= start:
        x, y, width, height = _box(view, start, start, 1, 8, view.width)
        shapes.append(tag("rect", class_=f"{name} {'open' if took is None else 'receives'}", x=x, y=y, width=width,
                          height=height))  # fmt: skip
    return tag("svg", *shapes, class_="run", aria_hidden="true", viewBox=view.box, preserveAspectRatio="none")


def bars(found: Mapping[str, Any]) -> list[Markup]:
    """Return the bar of each row."""
    view = View(found)
    return [bar(found, row, view) for row in found["rows"]]


def phases(row: Mapping[str, Any]) -> str:
    """Return the times of a call in words, in the order in which they passed."""
    parts = []
    if (tools := row["tools_before"]) is not None:
        parts.append(f"{', '.join(tools['tools'])} {units.duration(tools['seconds_inferred'])} before (inferred)")
    parts.append(f"begins at {mark(row['start'], 0.1)}")
    for key, words in (("time_to_first_byte", "first byte after"), ("time_to_first_token", "first token after")):
        if row[key] is not None:
            parts.append(f"{words} {units.duration(row[key])}")
    parts.append(f"runs since {units.duration(row['duration'])}" if row["in_flight"] else _ended(row))
    return "; ".join(parts)


def _ended(row: Mapping[str, Any]) -> str:
    return "its end is not known" if row["duration"] is None else f"ends after {units.duration(row['duration'])}"


def shares(values: Sequence[tuple[str, float]]) -> Markup:
    """Return one bar of parts that make up a whole: a class and a size of each."""
    whole = sum(size for _, size in values) or 1.0
    at, shapes = 0.0, []
    for name, size in values:
        width = 100 * size / whole
        if width > 0:
            shapes.append(tag("rect", class_=name, x=f"{number(at)}%", y=0, width=f"{number(width)}%", height="100%"))
        at += width
    return tag("svg", *shapes, class_="shares", aria_hidden="true")


def time_step(least: float) -> float:
    """Return the shortest usual time between two marks that is `least` seconds or longer."""
    return next((one for one in _TIMES if one >= least), _DAY * math.ceil(least / _DAY))
