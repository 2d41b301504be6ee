"""The cost of a session over its calls, by model, agent, path or by what was paid for."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from sessiontap.trace.index.spans import CallSpan
from sessiontap.trace.values import iso
from sessiontap.trace.views import COST_PARTS

By = Literal["model", "agent", "path", "part"]
BYS: tuple[str, ...] = get_args(By)
MOST_GROUPS = 8
"""Groups that are told apart, the last of them of others."""
OTHERS = "(others)"
MOST_COLUMNS = 120
"""Of a longer session several calls are one column."""


def spending(spans: Sequence[CallSpan], by: By) -> dict[str, Any]:
    """Return what each group of calls cost, the most first, and how that came to be, in the order of the calls.

    A column is a call, or several that follow each other. Calls of unknown cost are counted, and in no sum.
    """
    costs: defaultdict[str, list[float]] = defaultdict(list)
    calls: defaultdict[str, int] = defaultdict(int)
    unpriced: defaultdict[str, int] = defaultdict(int)
    shares = [_shares(one, by) for one in spans]
    for one, found in zip(spans, shares, strict=True):
        for name, usd in found.items():
            calls[name] += 1
            if usd is not None:
                costs[name].append(usd)
            else:
                unpriced[name] += one.cost_unknown
    names = sorted(calls, key=lambda name: (-sum(costs[name]), name))
    shown = names if len(names) <= MOST_GROUPS else [*names[: MOST_GROUPS - 1], OTHERS]
    merged = names[len(shown) - 1 :] if shown != names else []
    groups = [_group(name, merged if name == OTHERS else [name], calls, costs, unpriced) for name in shown]
    place = {name: at for at, name in enumerate(shown)} | dict.fromkeys(merged, len(shown) - 1)
    return {"by": by, "groups": groups, "columns": _columns(spans, shares, place, len(shown))}


def _group(
    name: str,
    names: Sequence[str],
    calls: dict[str, int],
    costs: dict[str, list[float]],
    unpriced: dict[str, int],
) -> dict[str, Any]:
    known = [usd for one in names for usd in costs[one]]
    return {
        "name": name,
        "calls": sum(calls[one] for one in names),
        "cost_usd": round(math.fsum(known), 12) if known else None,
        "cost_unknown_calls": sum(unpriced[one] for one in names),
    }


def _columns(
    spans: Sequence[CallSpan], shares: Sequence[dict[str, float | None]], place: dict[str, int], groups: int
) -> list[dict[str, Any]]:
    together = -(-len(spans) // MOST_COLUMNS) or 1
    found = []
    total = [0.0] * groups
    for at in range(0, len(spans), together):
        some = spans[at : at + together]
        column = [0.0] * groups
        for share in shares[at : at + together]:
            for name, usd in share.items():
                column[place[name]] += usd or 0.0
        total = [before + more for before, more in zip(total, column, strict=True)]
        found.append(
            {
                "call": some[0].id,
                "calls": len(some),
                "step": some[0].step,
                "time": iso(some[0].start),
                "cost_usd": [round(usd, 12) for usd in column],
                "cumulative_usd": [round(usd, 12) for usd in total],
            }
        )
    return found


def _shares(one: CallSpan, by: By) -> dict[str, float | None]:
    """The groups of a call, with its cost in each."""
    if by != "part":
        return {_NAMES[by](one): one.cost_usd}
    if one.cost_parts is None:
        return {"other": one.cost_usd}
    return {name: usd for name, usd in zip(COST_PARTS, one.cost_parts, strict=True) if usd} or {"other": 0.0}


_NAMES: dict[str, Callable[[CallSpan], str]] = {
    "model": lambda one: one.model or "unknown model",
    "agent": lambda one: one.subagent or one.agent or one.process or "unknown agent",
    "path": lambda one: one.path or "/",
}
