"""The plots of pages, out of the data of each: what fills the context, what was spent, statistics by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from sessiontap import units
from sessiontap.analysis.blocks import TITLES
from sessiontap.analysis.context_layers import OTHERS, REST
from sessiontap.ui.drawing.columns import Plot, PlotColumn, columns
from sessiontap.ui.drawing.svg import colour

NEAR = 0.4
"""The share of its window that a turn takes, from which on the picture has a line at the window."""
Href = Callable[..., str]
"""The address of the present page with other parameters."""
_COLOURS = {
    "tool_definitions": "c0", "system": "c1", "history": "c2", "tool_results": "c3", "media": "c5", "current": "c4",
    "user": "c4", "assistant": "c2", "reasoning": "c6", "tool_calls": "c5", "other": "rest",
    OTHERS: "rest", REST: "rest",
}  # fmt: skip
"""The colour of each layer that is known by its name, the same in each picture."""
LAYERS = {
    **TITLES, "tool_definitions": "tools", "history": "history", "tool_results": "tool results", "current": "current",
    "tool_calls": "tool calls", REST: "all else", OTHERS: "others",
}  # fmt: skip
"""The words for layers."""


def layer_classes(names: Sequence[str], split: str) -> list[str]:
    """Return the class of each layer, from the bottom."""
    if split in ("turn", "kind"):
        classes = [_COLOURS.get(name, "rest") for name in names]
        return ["c7" if name == "media" and split == "kind" else one for name, one in zip(names, classes, strict=True)]
    free = (colour(at) for at in range(len(names)))
    return [_COLOURS[name] if name in (REST, OTHERS) else next(free) for name in names]


def context_plot(layers: Mapping[str, Any], chosen: int | None, here: Href) -> Markup:
    """Return the layers of each turn; across them the level up to which the request was read from the cache."""
    rows = layers["columns"]
    found = [
        PlotColumn(
            one["tokens_estimated"],
            _step(one["step"]),
            _context_title(one, layers["layers"]),
            None if one["step"] is None else here(turn=one["step"]),
        )
        for one in rows
    ]
    levels = [one["cache_read_tokens"] for one in rows]
    most = max((one["input_tokens"] for one in rows), default=0)
    windows = [one["window_tokens"] for one in rows]
    plot = Plot(
        name="context",
        title="What fills the context window in each turn",
        text=f"{units.plural(len(rows), 'column')}, {units.count(most)} tokens at most. The table has the numbers.",
        unit=_short,
        colours=layer_classes(layers["layers"], layers["split"]),
        line=levels if any(levels) else (),
        limit=windows if is_near(layers) else (),
        chosen=next((at for at, one in enumerate(rows) if one["step"] == chosen), None),
    )
    return columns(plot, found)


def is_near(layers: Mapping[str, Any]) -> bool:
    """Return True if a turn takes so much of its window that the picture has a line at the window."""
    return any(one["input_tokens"] >= NEAR * (one["window_tokens"] or math.inf) for one in layers["columns"])


def _context_title(one: Mapping[str, Any], names: Sequence[str]) -> str:
    parts = [
        f"{LAYERS.get(name, name)} ~{number:,}"
        for name, number in zip(names, one["tokens_estimated"], strict=True)
        if number
    ]
    read = one["cache_read_tokens"]
    cached = "" if read is None else f", {read:,} read from the cache"
    window = one["window_tokens"]
    held = "" if window is None else f", {one['input_tokens'] / window:.0%} of the window"
    return f"step {_step(one['step'])}: {one['input_tokens']:,} tokens{held}{cached}\n" + "\n".join(reversed(parts))


def spending_plot(spending: Mapping[str, Any], link: Href, *, cumulative: bool) -> Markup:
    """Return what each call cost, or all calls up to it, by group."""
    key = "cumulative_usd" if cumulative else "cost_usd"
    rows = spending["columns"]
    found = [
        PlotColumn(one[key], _step(one["step"]), _cost_title(one, spending["groups"], key), link("calls", one["call"]))
        for one in rows
    ]
    what = "What the calls cost up to each" if cumulative else "What each call cost"
    total = sum(rows[-1]["cumulative_usd"]) if rows else 0.0
    plot = Plot(
        name="sum" if cumulative else "costs",
        title=f"{what}, by {spending['by']}",
        text=f"{units.plural(len(rows), 'column')}; {units.dollars(total)} together. The table beside has the groups.",
        unit=money,
        colours=group_classes(spending),
        joined=cumulative,
    )
    return columns(plot, found)


def group_classes(spending: Mapping[str, Any]) -> list[str]:
    """Return the class of each group."""
    return ["rest" if one["name"] == OTHERS else colour(at) for at, one in enumerate(spending["groups"])]


def _cost_title(one: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], key: str) -> str:
    begin = f"step {_step(one['step'])}"
    which = begin if one["calls"] == 1 else f"{one['calls']} calls from {begin}"
    parts = [f"{group['name']} {units.dollars(usd)}" for group, usd in zip(groups, one[key], strict=True) if usd]
    return "\n".join([f"{which}: {units.dollars(sum(one[key]))}", *parts])


def steps_plot(rows: Sequence[Mapping[str, Any]], key: str) -> Markup:
    """Return statistics by step: `error_rate`, or a duration."""
    known = [row for row in rows if row["step"] is not None and row[key] is not None]
    ordered = sorted(known, key=lambda row: row["step"])
    is_rate = key == "error_rate"
    found = [
        PlotColumn([row[key]], str(row["step"]), f"step {row['step']}: {_mark(row[key], is_rate)}") for row in ordered
    ]
    plot = Plot(
        name=key,
        title="Error rate by step" if is_rate else "Duration by step, half of the calls are quicker",
        text=f"{units.plural(len(ordered), 'step')}. The table below has the numbers.",
        unit=lambda value: _mark(value, is_rate),
        top=0.01 if is_rate else None,
        colours=["failed"] if is_rate else ["c0"],
    )
    return columns(plot, found)


def _mark(value: float, is_rate: bool) -> str:
    return f"{value * 100:g}%" if is_rate else units.duration(value)


def money(usd: float) -> str:
    """Return a mark of an axis of costs, without zeros behind it."""
    return f"${usd:,.6f}".rstrip("0").rstrip(".")


def _short(value: float) -> str:
    return units.short_count(f"{value:,.0f}") if value >= 1 else f"{value:g}"


def _step(step: int | None) -> str:
    return units.UNKNOWN if step is None else str(step)
