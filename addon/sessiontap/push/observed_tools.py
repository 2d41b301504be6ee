"""Tools of a turn as the proxy observed them: a reply asked for one, and a later request brought its result.

Neither begin nor end of a run is seen: both are inferred (`analysis/tool_runs.py`). Without content there are no parts:
names and ids of the records stand in for them, and arguments, results and stated errors are unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sessiontap.analysis.tool_runs import tool_runs
from sessiontap.part import Part
from sessiontap.push.target import PushedCall
from sessiontap.trace.index.turns import Turn
from sessiontap.trace.outcomes import end, part


@dataclass(frozen=True, slots=True)
class ObservedTool:
    """A tool that ran between two calls."""

    name: str
    id: str | None
    """As the reply named the run."""
    number: int
    """Its place among the tools that the reply asked for, from 0."""
    asked: PushedCall
    """The call whose reply asked for it."""
    answered: PushedCall
    """The call whose request brought the result."""
    arguments: str | None
    """JSON text; None if unknown."""
    result: str | None
    error: bool | None
    """The result states that it is an error, or that it is none; None if it states neither, and if it is unknown."""
    beside: int
    """Other results that came in the same request: they share the time."""

    @property
    def start(self) -> int:
        """Inferred, Unix nanoseconds: the end of the reply that asked."""
        return end(self.asked.call.record)

    @property
    def end(self) -> int:
        """Inferred: the begin of the request with the result."""
        return max(self.start, int(self.answered.call.record["time"]))


def observed_tools(calls: Sequence[PushedCall]) -> list[ObservedTool]:
    """Return the tools that were asked for and answered within these calls, in the order in which they were asked for.

    `calls` are those of a turn by the time at which they began.
    """
    records = {call.call.id: call for call in calls}
    found: list[ObservedTool] = []
    numbers: Counter[int] = Counter()
    for run in tool_runs([_indexed(call, records) for call in calls]):
        if run.asked is None:
            continue
        number = numbers[run.asked]
        numbers[run.asked] += 1
        if run.answered is None or run.tool is None:
            continue
        result = run.result
        known = calls[run.answered].parts is not None and result is not None
        found.append(
            ObservedTool(
                run.tool,
                run.id,
                number,
                calls[run.asked],
                calls[run.answered],
                run.arguments,
                result.text if known and result else None,
                result.error if known and result else None,
                run.beside,
            )
        )
    return found


def _indexed(call: PushedCall, calls: Mapping[str, PushedCall]) -> Turn:
    row, parts = call.call.row, call.parts
    if parts is not None:
        return Turn(row, tuple(parts.request), call.first_new, tuple(parts.reply), row["parent"])
    return Turn(row, tuple(_results(call, calls)), 0, tuple(_tool_calls(call)), row["parent"])


def _tool_calls(call: PushedCall) -> Iterator[Part]:
    llm = part(call.call.record, "llm")
    names, ids = llm.get("tool_calls") or (), llm.get("tool_call_ids") or ()
    for at, name in enumerate(names):
        yield Part("tool_call", "assistant", None, None, 0, name, ids[at] if len(ids) == len(names) else None)


def _results(call: PushedCall, calls: Mapping[str, PushedCall]) -> Iterator[Part]:
    """The results that the record names: each tool once, so that it answers all calls of it that its parent made."""
    brought = part(call.call.record, "llm").get("tool_results") or ()
    parent = calls.get(str(call.call.row["parent"]))
    if not brought or parent is None or call.call.row["conversation"] != parent.call.row["conversation"]:
        return
    for asked in _tool_calls(parent):
        if asked.name in brought or None in brought:
            yield Part("tool_result", "tool", None, None, 0, asked.name, asked.id)
