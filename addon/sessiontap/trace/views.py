"""Call records as people and programs are shown them: the JSON of `calls --json`, and the `tree` of `show --json`.

Times become ISO 8601 UTC with microseconds, durations seconds; unknown stays None. Sums of tokens are over the calls
that reported them, None if none did; sums of costs over the calls whose cost is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from sessiontap.trace.errands import is_errand
from sessiontap.trace.outcomes import end, is_error, part
from sessiontap.trace.values import exact, iso, seconds, tokens

Record = Mapping[str, Any]
COST_PARTS = ("input", "cache_read", "cache_write", "output", "other")
"""The things that a cost is made of."""
STAR = "star"
"""The name of the score that a star is; its value is True."""
NO_SCORES: Record = MappingProxyType({"scores": {}, "starred": False, "note": None})
"""The keys of a row that tell its scores, of one that has none."""


class CallCost(NamedTuple):
    """The cost of a call in US dollars. It is the reader's opinion, so views are given it."""

    usd: float | None = None
    """None: unknown, or, if `unknown` does not say why, the call has no price."""
    parts: tuple[float, ...] | None = None
    """By `COST_PARTS`; together they are `usd`. None if there is nothing to tell apart: it is 0, or not known."""
    unknown: str | None = None


CostOf = Callable[[Record], CallCost]

UNPRICED = CallCost(None, unknown="no prices are at hand")


def unknown_cost(call: Record) -> CallCost:
    """Return that the cost of a call is unknown: a `CostOf` for readers without prices."""
    return UNPRICED


def cost_parts(parts: Sequence[float | None] | None) -> dict[str, float] | None:
    """Sums of `COST_PARTS` as they are told, rounded where binary fractions are no further to be trusted."""
    if parts is None or all(part is None for part in parts):
        return None
    return {name: round(part or 0.0, 12) for name, part in zip(COST_PARTS, parts, strict=True)}


def call_row(call: Record, caller: Record | None, cost_of: CostOf = unknown_cost) -> dict[str, Any]:
    """A line of `calls --json`. `scored` in `call`: its scores as `index.scores.scores_of` gives them; `machine`: the
    name of the machine whose proxy recorded it."""
    session, llm = part(call, "session"), part(call, "llm")
    request, response = part(call, "request"), part(call, "response")
    cost = cost_of(call)
    return {
        "id": call.get("id"),
        "time": iso(call.get("time")),
        "session_id": session.get("id"),
        "session_name": session.get("name"),
        "path": session.get("path"),
        "step": session.get("step"),
        "source": session.get("source"),
        "evidence": call.get("evidence"),
        "conversation": call.get("conversation"),
        "parent": call.get("parent"),
        "kind": part(call, "link").get("kind"),
        "errand": is_errand(call),
        "machine": call.get("machine"),
        "process": {key: caller.get(key) for key in ("pid", "name", "cwd")} if caller is not None else None,
        "agent": call.get("agent"),
        "subagent": call.get("subagent"),
        "provider": llm.get("provider"),
        "family": llm.get("family"),
        "operation": llm.get("operation"),
        "host": call.get("host"),
        "forwarded_host": call.get("forwarded_host"),
        "method": request.get("method"),
        "route": call.get("route"),
        "request_model": llm.get("request_model"),
        "response_model": llm.get("response_model"),
        "stream": llm.get("stream"),
        "status": response.get("status"),
        "outcome": call.get("outcome"),
        "in_flight": bool(call.get("in_flight")),
        "error": llm.get("error") or None,
        "finish_reason": llm.get("finish_reason"),
        "tools_offered": list(llm.get("tools_offered") or ()),
        "tool_calls": list(llm.get("tool_calls") or ()),
        "usage": llm.get("usage"),
        "cost_usd": cost.usd,
        "cost_parts": cost_parts(cost.parts),
        "cost_unknown": cost.unknown,
        "duration": seconds(call.get("duration")),
        "time_to_first_byte": seconds(call.get("time_to_first_byte")),
        "time_to_first_token": seconds(call.get("time_to_first_token")),
        "request_bytes": body_size(request),
        "response_bytes": body_size(response),
        "rules": list(call.get("rules") or ()),
        **(call.get("scored") or NO_SCORES),
    }


def scored(scores: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The keys of a row that tell the scores of a session or call: those that count, by `name`, `value` and `note`."""
    row: dict[str, Any] = {**NO_SCORES, "scores": {}}
    for one in scores:
        if one["name"] is None:
            row["note"] = one["note"]
        elif one["name"] == STAR:
            row["starred"] = bool(one["value"])
        else:
            row["scores"][one["name"]] = one["value"]
    return row


def body_size(message: Record) -> int | None:
    """Bytes of a body as it went by; a message without one has none, a message that never came is unknown."""
    if not message:
        return None
    stored = message.get("body")
    size: int | None = stored.get("total", stored.get("size", 0)) if stored else 0
    return size


def property_values(calls: Iterable[Record]) -> dict[str, list[Any]]:
    """The `properties` of `show --json`: each property of the calls with all of its values, in the calls' order."""
    found: dict[str, list[Any]] = {}
    for call in calls:
        for key, value in part(call, "properties").items():
            values = found.setdefault(key, [])
            if value not in values:
                values.append(value)
    return found


def session_tree(calls: Iterable[Record], cost_of: CostOf = unknown_cost) -> list[dict[str, Any]]:
    """The `tree` of `show --json`: a node for every level of every path, in the order of their first calls.

    A node counts the calls at its path and below; its duration is the last end minus the first start of all of them.
    Calls at the path `/` have a node of their own beside the others.
    """
    totals: dict[str, Totals] = {}
    for call in calls:
        totals.setdefault(str(part(call, "session").get("path") or "/"), Totals()).add(call, cost_of(call))
    return tree(totals)


def tree(totals: Mapping[str, Totals]) -> list[dict[str, Any]]:
    """The same of the sums over the calls at each path."""
    nodes: dict[tuple[str, ...], Totals] = {}
    for path, own in totals.items():
        levels = tuple(level for level in path.split("/") if level)
        for depth in range(1, len(levels) + 1) if levels else (0,):
            nodes.setdefault(levels[:depth], Totals()).include(own)
    return _children(nodes, (), include_root=True)


@dataclass(slots=True)
class Totals:
    """The sums over calls, in whatever order they come."""

    calls: int = 0
    in_flight: int = 0
    """Calls that have not ended, which are in no sum."""
    errors: int = 0
    started: int | None = None
    ended: int | None = None
    tokens: dict[str, int | None] = field(default_factory=lambda: {"input": None, "output": None, "cache_read": None})
    costs: list[float] = field(default_factory=list)
    """Of the calls whose cost is known."""
    parts: list[tuple[float, ...]] = field(default_factory=list)
    unpriced: int = 0
    """Calls whose cost is unknown."""

    def add(self, call: Record, cost: CallCost) -> None:
        if call.get("in_flight"):
            self.in_flight += 1
            self.started = min(call["time"], self.started or call["time"])
            return
        if cost.usd is not None:
            self.costs.append(cost.usd)
        if cost.parts is not None:
            self.parts.append(cost.parts)
        self.unpriced += cost.unknown is not None
        self.calls += 1
        self.errors += is_error(call)
        started, ended = int(call.get("time") or 0), end(call)
        self.started = started if self.started is None else min(started, self.started)
        self.ended = ended if self.ended is None else max(ended, self.ended)
        usage = part(part(call, "llm"), "usage")
        for key, total in self.tokens.items():
            if (value := tokens(usage.get(key))) is not None:
                self.tokens[key] = (total or 0) + value

    def include(self, other: Totals) -> None:
        """The sums over further calls."""
        self.calls += other.calls
        self.in_flight += other.in_flight
        self.errors += other.errors
        self.costs += other.costs
        self.parts += other.parts
        self.unpriced += other.unpriced
        if other.started is not None:
            self.started = other.started if self.started is None else min(other.started, self.started)
        if other.ended is not None:
            self.ended = other.ended if self.ended is None else max(other.ended, self.ended)
        for key, value in other.tokens.items():
            if value is not None:
                self.tokens[key] = (self.tokens[key] or 0) + value

    @property
    def cost(self) -> float | None:
        """Rounded where sums of binary fractions are no further to be trusted."""
        return round(math.fsum(self.costs), 12) if self.costs else None

    @property
    def duration(self) -> float | None:
        return seconds(self.ended - self.started) if self.started is not None and self.ended is not None else None


def _children(
    nodes: dict[tuple[str, ...], Totals], parent: tuple[str, ...], include_root: bool = False
) -> list[dict[str, Any]]:
    depth = len(parent) + 1
    found = [
        levels
        for levels in nodes
        if (len(levels) == depth and levels[: depth - 1] == parent) or (include_root and not levels)
    ]
    found.sort(key=lambda levels: (nodes[levels].started or 0, levels))
    return [_node(nodes, levels) for levels in found]


def _node(nodes: dict[tuple[str, ...], Totals], levels: tuple[str, ...]) -> dict[str, Any]:
    totals = nodes[levels]
    return {
        "path": "/" + "/".join(levels),
        "calls": totals.calls,
        "calls_in_flight": totals.in_flight,
        "errors": totals.errors,
        "started": iso(totals.started),
        "duration": totals.duration,
        "input_tokens": exact(totals.tokens["input"]),
        "output_tokens": exact(totals.tokens["output"]),
        "cost_usd": totals.cost,
        "cost_parts": cost_parts([math.fsum(part) for part in zip(*totals.parts, strict=True)] or None),
        "cost_unknown_calls": totals.unpriced,
        "children": _children(nodes, levels) if levels else [],
    }


def changes_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the changes that were made to a call on its way, each with its parts by name."""
    keys = ("action", "header", "old", "new", "rule")
    return [dict(zip(keys, change, strict=False)) for change in record.get("changes") or ()]


def process_of(caller: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a caller's record with its times in ISO 8601."""
    if caller is None:
        return None
    known = {key: value for key, value in caller.items() if key != "type"} | {"started": iso(caller.get("started"))}
    ancestors = [{**one, "started": iso(one.get("started"))} for one in caller.get("ancestors") or ()]
    return known | {"ancestors": ancestors}
