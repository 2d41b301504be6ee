"""Pictures in SVG, made on the server out of plain numbers by pure functions.

    svg.py      elements, colours, many rectangles as one path
    columns.py  stacked columns with axes
    plots.py    the columns of each page
    runs.py     calls in time: strip, axis, a bar for each row
    ranges.py   bars and percentiles within the cells of a table

A picture fills the width that it is given, at any width of the screen: shapes are stretched, texts are not. Each has a
title and a description, and its numbers stand in a table beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sessiontap.ui.drawing import plots, ranges, runs

DRAWINGS: dict[str, Callable[..., Any]] = {
    "context_plot": plots.context_plot,
    "is_near_window": plots.is_near,
    "layer_classes": plots.layer_classes,
    "spending_plot": plots.spending_plot,
    "group_classes": plots.group_classes,
    "steps_plot": plots.steps_plot,
    "share": ranges.share,
    "times_of": ranges.Times,
    "strip": runs.strip,
    "times_axis": runs.axis,
    "run_bars": runs.bars,
    "phases": runs.phases,
    "shares": runs.shares,
}
"""The drawings of templates, by name."""
