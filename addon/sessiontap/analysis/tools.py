"""The tools of a session: how often each was called, how often it failed, how long it took, what it brought."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.part_tokens import Tokens, estimate
from sessiontap.analysis.tool_runs import ToolRun, tool_runs

if TYPE_CHECKING:
    from sessiontap.trace.index.turns import Turn

TIME_IS = "from the end of the reply that asked for the tool to the start of the request that brought its result"


def tools(turns: Sequence[Turn]) -> dict[str, Any]:
    """Return each tool that was called, the one with the most tokens of results first.

    `errors` counts the results that state an error, by themselves or by an exit status in their text.
    """
    tokens = estimate(turns)
    by_tool: defaultdict[str | None, list[ToolRun]] = defaultdict(list)
    for run in tool_runs(turns):
        by_tool[run.tool].append(run)
    rows = [_tool(name, runs, tokens) for name, runs in by_tool.items()]
    rows.sort(key=lambda row: (-(row["result_tokens_estimated"] or 0), -row["calls"], row["tool"] or ""))
    return {"time_is": TIME_IS, "tools": rows}


def runs_of(turns: Sequence[Turn], wanted: Callable[[str], bool]) -> dict[str, Any]:
    """Return the calls of the tools whose names are `wanted`, in their order, each with arguments and result."""
    tokens = estimate(turns)
    runs = [run for run in tool_runs(turns) if run.tool is not None and wanted(run.tool)]
    return {"time_is": TIME_IS, "calls": [_run(run, turns, tokens) for run in runs]}


def _tool(name: str | None, runs: list[ToolRun], tokens: Tokens) -> dict[str, Any]:
    results = [run.result for run in runs if run.result is not None]
    seconds = sorted(run.seconds for run in runs if run.seconds is not None)
    counts = [number for run in runs if (number := result_tokens(run, tokens)) is not None]
    return {
        "tool": name,
        "server": runs[0].server,
        "calls": len(runs),
        "results": len(results),
        "errors": sum(result.error is True for result in results),
        "seconds_inferred": round(sum(seconds), 6) if seconds else None,
        "seconds_p50": seconds[(len(seconds) - 1) // 2] if seconds else None,
        "seconds_max": seconds[-1] if seconds else None,
        "result_bytes": sum(result.bytes for result in results) if results else None,
        "result_tokens_estimated": round(sum(counts)) if counts else None,
    }


def _run(run: ToolRun, turns: Sequence[Turn], tokens: Tokens) -> dict[str, Any]:
    asked = turns[run.asked].call if run.asked is not None else None
    answered = turns[run.answered].call if run.answered is not None else None
    number = result_tokens(run, tokens)
    return {
        "tool": run.tool,
        "server": run.server,
        "id": run.id,
        "asked_by": asked["id"] if asked else None,
        "answered_by": answered["id"] if answered else None,
        "asked_step": asked["step"] if asked else None,
        "answered_step": answered["step"] if answered else None,
        "path": (asked or answered or {}).get("path"),
        "time": asked["time"] if asked else None,
        "seconds_inferred": run.seconds,
        "together_with": run.beside,
        "error": run.result.error if run.result is not None else None,
        "arguments": run.arguments,
        "result": run.result.text if run.result is not None else None,
        "result_bytes": run.result.bytes if run.result is not None else None,
        "result_tokens_estimated": None if number is None else round(number),
    }


def result_tokens(run: ToolRun, tokens: Sequence[Sequence[float] | None]) -> float | None:
    """Return the tokens of a run's result, by `estimate`; None if there is none or its request's count is unknown."""
    if run.answered is None or run.place is None:
        return None
    of_request = tokens[run.answered]
    return None if of_request is None else of_request[run.place]
