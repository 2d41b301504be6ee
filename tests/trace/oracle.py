"""The index's answers made of the records themselves, in memory: `ls --json` and `show --json`, as their oracle.

A session is what shares a session id. It succeeded if its last main call (by start) ended well. Its status: `failed`
where it did not, else `active` where its last call ended less than five minutes ago, else `completed`. Agents' errands
are counted by themselves. Errors are those of `outcomes.is_error`. Sums of
tokens are over the calls that reported them, None where none did; so are those of costs over the calls whose cost is
known, with the number of the others beside them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sessiontap.trace import Filters, RecordedCall, Unreadable
from sessiontap.trace.files import file_of, open_segment, segments
from sessiontap.trace.outcomes import STATEMENTS, ended_well, is_error, is_main, part, stated_success
from sessiontap.trace.values import exact, iso, seconds, tokens
from sessiontap.trace.views import (
    CallCost,
    CostOf,
    Record,
    call_row,
    cost_parts,
    is_errand,
    property_values,
    session_tree,
    unknown_cost,
)
from sessiontap.trace.walk import Trouble, walk

ACTIVE_SECONDS = 300

Pair = tuple[Record, Record | None]
"""A call's record and its caller's."""


def pair(call: RecordedCall) -> Pair:
    """A recorded call as one, with the name of its machine."""
    return {**call.record, "machine": call.machine}, call.caller


@dataclass(slots=True)
class _Totals:
    """What calls sum up to, in whatever order they come."""

    calls: int = 0
    errors: int = 0
    errands: int = 0
    started: int | None = None
    ended: int | None = None
    tokens: dict[str, int | None] = field(default_factory=lambda: {"input": None, "output": None, "cache_read": None})
    costs: list[float] = field(default_factory=list)
    """Of the calls whose cost is known."""
    parts: list[tuple[float, ...]] = field(default_factory=list)
    unpriced: int = 0

    def add(self, call: Record, cost: CallCost) -> None:
        started = int(call.get("time") or 0)
        ended = started + int(call.get("duration") or 0)
        self.started = started if self.started is None else min(started, self.started)
        self.ended = ended if self.ended is None else max(ended, self.ended)
        if is_errand(call):
            self.errands += 1
            return
        if cost.usd is not None:
            self.costs.append(cost.usd)
        if cost.parts is not None:
            self.parts.append(cost.parts)
        self.unpriced += cost.unknown is not None
        self.calls += 1
        self.errors += is_error(call)
        usage = part(part(call, "llm"), "usage")
        for key, total in self.tokens.items():
            if (value := tokens(usage.get(key))) is not None:
                self.tokens[key] = (total or 0) + value

    @property
    def cost(self) -> float | None:
        """Rounded where sums of binary fractions are no further to be trusted."""
        return round(math.fsum(self.costs), 12) if self.costs else None

    @property
    def duration(self) -> float | None:
        return seconds(self.ended - self.started) if self.started is not None and self.ended is not None else None


_LISTS = ("paths", "models", "providers", "agents", "processes", "users", "tags")


@dataclass(slots=True)
class _Session:
    id: str
    totals: _Totals = field(default_factory=_Totals)
    first: tuple[int, str | None] = (0, None)
    last: int = -1
    """Start of the last call."""
    judged: tuple[int, int, bool | None] = (-1, 0, None)
    """Of the call that tells how it ended: 2 a main one, 0 an errand; its start; whether it ended well."""
    seen: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in _LISTS})
    """Of each list the values with the start of the first call that has them."""
    properties: dict[str, tuple[int, Any]] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)

    def add(self, call: Record, caller: Record | None, cost: CallCost) -> None:
        session, llm = part(call, "session"), part(call, "llm")
        started = int(call.get("time") or 0)
        if self.totals.started is None or started < self.first[0]:
            self.first = (started, session.get("name"))
        self.last = max(self.last, started)
        rank = 0 if is_errand(call) else 2 if is_main(call) else 1
        if (rank, started) >= self.judged[:2]:
            self.judged = (rank, started, ended_well(call) if rank else None)
        self.totals.add(call, cost)
        self.machines |= {call["machine"]} if call.get("machine") else set()
        for name, value in (
            ("paths", session.get("path")),
            ("models", llm.get("response_model") or llm.get("request_model")),
            ("providers", llm.get("provider")),
            ("agents", call.get("agent")),
            ("processes", caller.get("name") if caller is not None else None),
            ("users", call.get("user")),
            *(("tags", tag) for tag in call.get("tags") or ()),
        ):
            if value is not None:
                first = self.seen[name].get(value)
                self.seen[name][value] = started if first is None else min(first, started)
        for key, value in part(call, "properties").items():
            if key not in self.properties or started >= self.properties[key][0]:
                self.properties[key] = (started, value)

    def row(self, now: int) -> dict[str, Any]:
        totals = self.totals
        stated = {key.lower(): stated_success(value) for key, (_, value) in self.properties.items()}
        known = [stated[name] for name in STATEMENTS if stated.get(name) is not None]
        success = known[0] if known else self.judged[2]
        active = now - (totals.ended or 0) < ACTIVE_SECONDS * 1_000_000_000
        return {
            "id": self.id,
            "name": self.first[1],
            "title": None,  # without a reader of bodies
            "last_reply": None,
            "started": iso(totals.started),
            "ended": iso(totals.ended),
            "duration": totals.duration,
            "calls": totals.calls,
            "calls_in_flight": 0,
            "in_flight_since": None,
            "errors": totals.errors,
            "errands": totals.errands,
            **{name: sorted(seen, key=seen.__getitem__) for name, seen in self.seen.items()},
            "machines": sorted(self.machines),
            "properties": {key: value for key, (_, value) in self.properties.items()},
            "input_tokens": exact(totals.tokens["input"]),
            "output_tokens": exact(totals.tokens["output"]),
            "cache_read_tokens": exact(totals.tokens["cache_read"]),
            "cost_usd": totals.cost,
            "cost_parts": cost_parts([math.fsum(part) for part in zip(*totals.parts, strict=True)] or None),
            "cost_unknown_calls": totals.unpriced,
            "success": success,
            "status": "failed" if success is False else "active" if active else "completed",
            "scores": {},
            "starred": False,
            "note": None,
            "call_scores": {},
        }


def session_rows(
    calls: Iterable[Pair], now: int | None = None, cost_of: CostOf = unknown_cost
) -> list[dict[str, Any]]:
    """Lines of `ls --json`, the session with the newest call first; the calls may come in any order.

    Name and order of lists follow the calls' starts; of a property the latest value counts. Calls without a session
    belong to none. `now`: Unix nanoseconds, for the status.
    """
    sessions: dict[str, _Session] = {}
    for call, caller in calls:
        session_id = part(call, "session").get("id")
        if isinstance(session_id, str):
            if (session := sessions.get(session_id)) is None:
                session = sessions[session_id] = _Session(session_id)
            session.add(call, caller, cost_of(call))
    now = time.time_ns() if now is None else now
    newest = sorted(sessions.values(), key=lambda session: session.last, reverse=True)
    return [session.row(now) for session in newest]


def session_view(calls: list[Pair], now: int | None = None, cost_of: CostOf = unknown_cost) -> dict[str, Any]:
    """`show --json` of one session's calls."""
    ordered = sorted(calls, key=lambda pair: (pair[0].get("time") or 0, str(pair[0].get("id"))))
    rows = session_rows(ordered, now, cost_of)
    unknown = Counter(why for call, _ in ordered if (why := cost_of(call).unknown) and not is_errand(call))
    return {
        "session": rows[0] if rows else None,
        "properties": property_values(call for call, _ in ordered),
        "cost_unknown": dict(unknown.most_common()),
        "tree": session_tree((call for call, _ in ordered), cost_of),
        "calls": [call_row(call, caller, cost_of) for call, caller in ordered],
    }


def fits(call: Record, caller: Record | None, filters: Filters) -> bool:
    """The same as the condition of `filters` on the index, but for a search and `@N`."""
    session, llm = part(call, "session"), part(call, "llm")
    started = int(call.get("time") or 0)
    status = part(call, "response").get("status")
    names = [caller.get("name"), *(caller.get("names") or ())] if caller is not None else []
    properties = part(call, "properties")
    among = {
        "session": str(session.get("id") or "").startswith(filters.session or ""),
        "name": _any_fits(filters.name, session.get("name")),
        "path": filters.path is None or _path_fits(filters.path.lower(), str(session.get("path") or "").lower()),
        "machine": _any_fits(filters.machine, call.get("machine")),
        "process": _any_fits(filters.process, *names),
        "user": _any_fits(filters.user, call.get("user")),
        "provider": _any_fits(filters.provider, llm.get("provider")),
        "model": _any_fits(filters.model, llm.get("request_model"), llm.get("response_model")),
        "agent": _any_fits(filters.agent, call.get("agent"), call.get("subagent")),
        "tool": _any_fits(filters.tool, *(llm.get("tool_calls") or ()), *(llm.get("tool_results") or ())),
        "rule": _any_fits(filters.rule, *(call.get("rules") or ())),
        "tags": all(_any_fits(tag, *(call.get("tags") or ())) for tag in filters.tags),
        "properties": all(_has(properties, *one.partition("=")) for one in filters.properties),
        "status": filters.status is None
        or (
            status is not None
            and all(x in (y, "x") for x, y in zip(filters.status.lower(), str(status), strict=True))
        ),
        "outcome": _any_fits(filters.outcome, call.get("outcome")),
        "error": not filters.error or is_error(call),
        "since": filters.since is None or started + int(call.get("duration") or 0) >= filters.since,
        "until": filters.until is None or started < filters.until,
        "ids": not filters.ids or call.get("id") in filters.ids,
        "without_errands": not filters.without_errands or not is_errand(call),
        "scores": not filters.scores,  # no call of its logs has a score
        "starred": not filters.starred,
    }
    assert set(among) == set(Filters.__slots__) - {"search"}, "a new filter needs its line here"
    return all(among.values())


def _any_fits(glob: str | None, *texts: str | None) -> bool:
    return glob is None or any(fnmatchcase(text.lower(), glob.lower()) for text in texts if text is not None)


def _has(properties: Record, key: str, equals: str, value: str) -> bool:
    return key in properties and (not equals or _any_fits(value, str(properties[key])))


def _path_fits(glob: str, path: str) -> bool:
    """By levels: `*` and `?` are within one, `**` as a level is any number of them."""
    return _levels_fit(glob.split("/"), path.split("/"))


def _levels_fit(glob: list[str], path: list[str]) -> bool:
    if not glob:
        return not path
    if glob[0] == "**":
        return any(_levels_fit(glob[1:], path[at:]) for at in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], glob[0]) and _levels_fit(glob[1:], path[1:])


def cost_of(usd: Callable[[Record], float | None]) -> CostOf:
    """A reader's opinion: these dollars, a quarter of them for what a cache gave, or unknown."""

    def opinion(call: Record) -> CallCost:
        known = usd(call)
        if known is None:
            return CallCost(None, unknown="it was not told")
        return CallCost(known, (known * 0.75, known * 0.25, 0.0, 0.0, 0.0))

    return opinion


def unreadable(folder: Path) -> list[Unreadable]:
    """All that cannot be read, by walking through the segments."""
    found: dict[tuple[Path, int], Unreadable] = {}
    for path in segments(folder):
        with open_segment(path) as file:
            for one in walk(file):
                if isinstance(one, Trouble) and not one.growing:
                    found[path, one.offset] = Unreadable(file_of(path), one.offset, one.size, one.text)
    return [found[place] for place in sorted(found)]
