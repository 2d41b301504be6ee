"""A session in time: when each call ran and what it waited for, in which lane, and which paths took the time and money.

Times are seconds since the session's first call, sums over calls that have ended. The time between a reply that asks
for tools and the request that goes on from it is taken for the tools': nobody sees a tool run, so it is inferred.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sessiontap.analysis.time_scale import TimeScale, time_scale, united
from sessiontap.trace.index.spans import CallSpan
from sessiontap.trace.values import iso

Order = Literal["time", "duration", "first_token", "tokens", "cost"]
ORDERS: tuple[str, ...] = get_args(Order)
MOST_LANES = 10
"""Lanes with a row of their own; the last one holds all others."""
MOST_PATHS = 40
"""Paths of the tree that are in the answer: those that took the most time."""
FINENESS = 500
"""A picture has so many parts. Times that are less than one part from each other are drawn as one."""
_GOES_ON = (None, "continue")
"""Kinds of calls that bring what the call before asked for."""


@dataclass(frozen=True, slots=True)
class Window:
    """The rows that are wanted: of calls that ran in these seconds, in that order, so many behind the first `after`."""

    begin: float | None = None
    end: float | None = None
    order: Order = "time"
    after: int = 0
    limit: int = 100


def timeline(
    session: Mapping[str, Any],
    spans: Sequence[CallSpan],
    window: Window,
    *,
    fitting: Collection[str] | None = None,
    squeeze: bool = True,
) -> dict[str, Any]:
    """Return a session in time, and the rows of a window of it.

    `session` is its line of `ls --json`, `spans` all of its calls by their starts. `fitting`: the ids of those that
    have rows; None for all.
    """
    begin = spans[0].start if spans else 0
    busy = united(_seconds(one, begin) for one in spans)
    scale = time_scale(busy, squeeze=squeeze)
    tools = tool_times(spans)
    lanes = _lanes(spans, begin, scale)
    lane_of = {id: number for number, lane in enumerate(lanes) for id in lane.ids}
    chosen = [one for one in spans if (fitting is None or one.id in fitting) and _runs_within(one, begin, window)]
    chosen.sort(key=_ORDER_KEYS[window.order])
    rows = chosen[window.after : window.after + window.limit]
    paths, left_out = _paths(spans, begin)
    whole = busy[-1][1] if busy else 0.0
    return {
        "session_id": session["id"],
        "session_name": session["name"],
        "started": iso(begin) if spans else None,
        "seconds": round(whole, 6),
        "calls": len(spans),
        "from": window.begin,
        "to": window.end,
        "view": _view(window, rows, len(chosen), begin, whole),
        "squeezed": squeeze,
        "scale": [piece.to_json() for piece in scale.pieces],
        "time": _time(busy, [(gap.begin, gap.end) for gap in tools.values()], begin),
        "lanes": [lane.to_json() for lane in lanes],
        "paths": paths,
        "paths_left_out": left_out,
        "order": window.order,
        "matching": len(chosen),
        "after": window.after,
        "rows": [_row(one, begin, lane_of[one.id], tools.get(one.id)) for one in rows],
    }


# Tools between two calls ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolTime:
    """The time between a reply that asks for tools and the request that goes on, Unix nanoseconds."""

    tools: tuple[str, ...]
    begin: int
    end: int
    asked_by: str


def tool_times(spans: Sequence[CallSpan]) -> dict[str, ToolTime]:
    """Return the times of tools, each by the id of the call that brought their results.

    Of several calls that go on from one reply the first brought them.
    """
    by_id = {one.id: one for one in spans}
    taken: set[str] = set()
    found: dict[str, ToolTime] = {}
    for one in spans:
        asker = by_id.get(one.parent or "")
        if (
            asker is None
            or asker.id in taken
            or not asker.tool_calls
            or one.kind not in _GOES_ON
            or one.conversation != asker.conversation
            or asker.duration is None
            or one.start < asker.end
        ):
            continue
        taken.add(asker.id)
        found[one.id] = ToolTime(asker.tool_calls, asker.end, one.start, asker.id)
    return found


def _time(
    busy: Sequence[tuple[float, float]], tools: Iterable[tuple[int, int]], begin: int
) -> dict[str, float]:
    """How the session's time is divided: calls ran, else tools (inferred), else nothing."""
    calls = sum(end - start for start, end in busy)
    both = united([*busy, *(((start - begin) / 1e9, (end - begin) / 1e9) for start, end in tools)])
    worked = sum(end - start for start, end in both)
    whole = busy[-1][1] - busy[0][0] if busy else 0.0
    return {
        "calls": round(calls, 6),
        "tools_inferred": round(worked - calls, 6),
        "idle": round(max(whole - worked, 0.0), 6),
    }


# Lanes ---------------------------------------------------------------------------------------------------------------


_Key = tuple[str | None, str | None, str | None]
"""Agent, sub-agent and process."""


@dataclass(slots=True)
class _Lane:
    """The calls of one agent in one process."""

    agent: str | None
    subagent: str | None
    process: str | None
    others: int = 0
    """Further lanes that this one stands for."""
    calls: int = 0
    errors: int = 0
    costs: list[float] = field(default_factory=list)
    unpriced: int = 0
    seconds: float = 0.0
    segments: list[tuple[float, float]] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "subagent": self.subagent,
            "process": self.process,
            "others": self.others,
            "calls": self.calls,
            "errors": self.errors,
            "seconds": round(self.seconds, 6),
            "cost_usd": round(math.fsum(self.costs), 12) if self.costs else None,
            "cost_unknown_calls": self.unpriced,
            "segments": [[round(start, 6), round(end, 6)] for start, end in self.segments],
            "failures": [round(time, 6) for time in self.failures],
        }


def _lanes(spans: Sequence[CallSpan], begin: int, scale: TimeScale) -> list[_Lane]:
    """The lanes in the order of their first calls, with the times in which calls ran, as far as they can be seen."""
    by_key: dict[_Key, list[CallSpan]] = {}
    for one in spans:
        by_key.setdefault((one.agent, one.subagent, one.process), []).append(one)
    groups: list[tuple[_Key, list[CallSpan], int]] = [(key, found, 0) for key, found in by_key.items()]
    if len(groups) > MOST_LANES:
        rest = groups[MOST_LANES - 1 :]
        together = sorted((one for _, found, _ in rest for one in found), key=lambda one: one.start)
        groups = [*groups[: MOST_LANES - 1], ((None, None, None), together, len(rest))]
    return [_lane(key, found, others, begin, scale) for key, found, others in groups]


def _lane(key: _Key, spans: Sequence[CallSpan], others: int, begin: int, scale: TimeScale) -> _Lane:
    agent, subagent, process = key
    lane = _Lane(agent, subagent, process, others, ids=[one.id for one in spans])
    for one in spans:
        if one.in_flight:
            continue
        lane.calls += 1
        lane.errors += one.failed
        lane.unpriced += one.cost_unknown
        if one.cost_usd is not None:
            lane.costs.append(one.cost_usd)
    busy = united(_seconds(one, begin) for one in spans)
    lane.seconds = sum(end - start for start, end in busy)
    lane.segments = _as_seen(busy, scale)
    failed = sorted(_seconds(one, begin)[0] for one in spans if one.failed)
    lane.failures = [start for start, _ in _as_seen([(time, time) for time in failed], scale)]
    return lane


def _as_seen(times: Iterable[tuple[float, float]], scale: TimeScale) -> list[tuple[float, float]]:
    """Times with those put together that no eye can tell apart in a picture of the whole session."""
    found: list[tuple[float, float]] = []
    last = -1.0
    for start, end in times:
        if found and scale.place(start) - last < 1 / FINENESS:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
        last = scale.place(end)
    return found


# Paths ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Path:
    """The calls at a path and below."""

    levels: tuple[str, ...]
    times: list[tuple[float, float]] = field(default_factory=list)
    calls: int = 0
    errors: int = 0
    costs: list[float] = field(default_factory=list)
    unpriced: int = 0
    seconds: float = 0.0

    @property
    def cost(self) -> float | None:
        return round(math.fsum(self.costs), 12) if self.costs else None

    def to_json(self) -> dict[str, Any]:
        return {
            "path": "/" + "/".join(self.levels),
            "depth": max(len(self.levels) - 1, 0),
            "calls": self.calls,
            "errors": self.errors,
            "seconds": round(self.seconds, 6),
            "cost_usd": self.cost,
            "cost_unknown_calls": self.unpriced,
        }


def _paths(spans: Sequence[CallSpan], begin: int) -> tuple[list[dict[str, Any]], int]:
    """The tree of paths in lines, each with the time in which calls at it or below ran; and how many are left out."""
    nodes: dict[tuple[str, ...], _Path] = {}
    levels_of: dict[str, tuple[str, ...]] = {}
    for one in spans:
        path = one.path or "/"
        levels = levels_of.get(path)
        if levels is None:
            levels = levels_of[path] = tuple(level for level in path.split("/") if level)
        for depth in range(1, len(levels) + 1) if levels else (0,):
            node = nodes.setdefault(levels[:depth], _Path(levels[:depth]))
            node.times.append(_seconds(one, begin))
            if not one.in_flight:
                node.calls += 1
                node.errors += one.failed
                node.unpriced += one.cost_unknown
                if one.cost_usd is not None:
                    node.costs.append(one.cost_usd)
    for node in nodes.values():
        node.seconds = sum(end - start for start, end in united(node.times))
    # A path took at least as much as one below it, so that each line that is told has those above it.
    most = sorted(nodes.values(), key=lambda node: (-node.seconds, -(node.cost or 0), len(node.levels)))
    shown = {node.levels for node in most[:MOST_PATHS]}
    children: dict[tuple[str, ...], list[_Path]] = {}
    for node in nodes.values():
        if node.levels in shown:
            children.setdefault(node.levels[:-1], []).append(node)
    found: list[dict[str, Any]] = []

    def add(node: _Path) -> None:
        found.append(node.to_json())
        if node.levels:
            for child in children.get(node.levels, ()):
                add(child)

    for node in children.get((), ()):
        add(node)
    return found, len(nodes) - len(found)


# Rows ----------------------------------------------------------------------------------------------------------------

_ORDER_KEYS: dict[str, Any] = {
    "time": lambda one: (one.start, one.id),
    "duration": lambda one: (-(one.duration or 0), one.start),
    "first_token": lambda one: (-(one.first_token or 0), one.start),
    "tokens": lambda one: (-((one.input or 0) + (one.output or 0)), one.start),
    "cost": lambda one: (-(one.cost_usd or 0), one.start),
}


def _row(one: CallSpan, begin: int, lane: int, tools: ToolTime | None) -> dict[str, Any]:
    return {
        "call": one.id,
        "step": one.step,
        "time": iso(one.start),
        "start": round((one.start - begin) / 1e9, 6),
        "duration": _of_nanoseconds(one.duration),
        "time_to_first_byte": _of_nanoseconds(one.first_byte),
        "time_to_first_token": _of_nanoseconds(one.first_token),
        "lane": lane,
        "path": one.path,
        "operation": one.operation,
        "model": one.model,
        "kind": one.kind,
        "outcome": one.outcome,
        "failed": one.failed,
        "in_flight": one.in_flight,
        "finish_reason": one.finish_reason,
        "tool_calls": list(one.tool_calls),
        "input_tokens": one.input,
        "output_tokens": one.output,
        "cost_usd": one.cost_usd,
        "tools_before": None
        if tools is None
        else {
            "tools": list(tools.tools),
            "seconds_inferred": round((tools.end - tools.begin) / 1e9, 6),
            "asked_by": tools.asked_by,
        },
    }


def _view(
    window: Window, rows: Sequence[CallSpan], matching: int, begin: int, whole: float
) -> dict[str, float]:
    """The time that the bars of the rows show: that of the window, or of the rows if they are some of many."""
    first, last = window.begin or 0.0, whole if window.end is None else window.end
    if rows and window.order == "time" and len(rows) < matching:
        first = max(first, _seconds(rows[0], begin)[0])
        last = min(last, max(_seconds(one, begin)[1] for one in rows))
    return {"from": round(first, 6), "to": round(last, 6)}


def _of_nanoseconds(duration: int | None) -> float | None:
    return None if duration is None else duration / 1e9


def _seconds(one: CallSpan, begin: int) -> tuple[float, float]:
    return (one.start - begin) / 1e9, (one.end - begin) / 1e9


def _runs_within(one: CallSpan, begin: int, window: Window) -> bool:
    start, end = _seconds(one, begin)
    return (window.end is None or start <= window.end) and (window.begin is None or end >= window.begin)
