"""The content of each request in a few layers, which a picture stacks: by what it is in the turn, by kind, by the MCP
server of tools, by the tool or the file of results.

Layers stand in the order in which providers take a request in, tools first, so that what was read from the cache is
at the bottom. The total of a turn is the provider's count. Its split is estimated (`part_tokens`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from sessiontap.analysis.blocks import CATEGORIES, category
from sessiontap.analysis.new_parts import new_places
from sessiontap.analysis.tool_runs import ResultKey, ToolRun, result_key

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn

Split = Literal["turn", "kind", "server", "tool", "file"]
SPLITS: tuple[str, ...] = get_args(Split)
MOST_LAYERS = 8
"""Layers that are told apart, the last of them of others."""
MOST_COLUMNS = 100
OTHERS, REST = "(others)", "(rest)"
"""Layers of what is too small to be told apart, and of what a split does not look at. No tool has such a name."""
_BY_TURN = ("tool_definitions", "system", "history", "tool_results", "media", "current")
_BY_KIND = ("tool_definitions", "system", *(name for name in CATEGORIES if name not in ("tool_definitions", "system")))


def layers(
    turns: Sequence[Turn],
    tokens: Sequence[Sequence[float] | None],
    runs: dict[ResultKey, ToolRun],
    split: Split,
    windows: Mapping[str, int],
) -> dict[str, Any]:
    """Return the names of the layers, from the bottom, and their tokens in each turn of which the provider stated a
    count. Of a long session a column is the fullest of several turns.

    `tokens`: see `part_tokens.estimate`; `runs`: see `tool_runs.runs_by_result`; `windows`: see `context`.
    """
    counted = [at for at, numbers in enumerate(tokens) if numbers is not None]
    together = -(-len(counted) // MOST_COLUMNS) or 1
    chosen = [
        max(counted[at : at + together], key=lambda place: turns[place].call["usage"]["input"])
        for at in range(0, len(counted), together)
    ]
    name_of = _NAMES[split]
    by_id = {turn.call["id"]: turn for turn in turns}
    known: dict[int, str] = {}
    sums: list[dict[str, float]] = []
    for at in chosen:
        turn, found = turns[at], defaultdict[str, float](float)
        new = set(new_places(turn, by_id.get(turn.based_on or ""))) if split == "turn" else ()
        for place, (part, number) in enumerate(zip(turn.request, tokens[at] or (), strict=True)):
            name = known.get(id(part))
            if name is None:
                name = known[id(part)] = name_of(part, runs)
            if place in new and name not in ("tool_definitions", "system"):
                name = "current"
            found[name] += number
        sums.append(found)
    names = _ordered(sums, split)
    columns = [
        {
            "step": turns[at].call["step"],
            "call": turns[at].call["id"],
            "input_tokens": turns[at].call["usage"]["input"],
            "window_tokens": windows.get(turns[at].call["id"]),
            "cache_read_tokens": turns[at].call["usage"].get("cache_read"),
            "tokens_estimated": _layer_tokens(one, names),
        }
        for at, one in zip(chosen, sums, strict=True)
    ]
    return {"split": split, "layers": names, "turns_in_column": together, "columns": columns}


def _layer_tokens(sums: dict[str, float], names: Sequence[str]) -> list[int]:
    """The tokens of each layer; what has no layer of its own is in that of others."""
    shown = [round(sums.get(name, 0.0)) for name in names]
    if names and names[-1] == OTHERS:
        shown[-1] = round(sum(number for name, number in sums.items() if name not in names))
    return shown


def _ordered(sums: Sequence[dict[str, float]], split: Split) -> list[str]:
    """The names of the layers that there are."""
    total: defaultdict[str, float] = defaultdict(float)
    for one in sums:
        for name, number in one.items():
            total[name] += number
    if split in ("turn", "kind"):
        fixed = _BY_TURN if split == "turn" else _BY_KIND
        return [name for name in fixed if name in total]
    rest = [REST] if REST in total else []
    named = sorted((name for name in total if name not in (REST,)), key=lambda name: (-total[name], name))
    if len(rest) + len(named) > MOST_LAYERS:
        return [*rest, *named[: MOST_LAYERS - 1 - len(rest)], OTHERS]
    return [*rest, *named]


def _by_turn(part: Part, runs: dict[ResultKey, ToolRun]) -> str:
    name = category(part)
    return name if name in _BY_TURN else "history"


def _by_kind(part: Part, runs: dict[ResultKey, ToolRun]) -> str:
    return category(part)


def _by_server(part: Part, runs: dict[ResultKey, ToolRun]) -> str:
    if part.kind != "tool_definition":
        return REST
    return f"MCP server {part.server}" if part.server else "built in"


def _by_tool(part: Part, runs: dict[ResultKey, ToolRun]) -> str:
    if part.kind != "tool_result":
        return REST
    run = runs.get(result_key(part))
    return part.name or (run.tool if run else None) or "unknown tool"


def _by_file(part: Part, runs: dict[ResultKey, ToolRun]) -> str:
    if part.kind != "tool_result":
        return REST
    run = runs.get(result_key(part))
    argument = run.argument if run else None
    return f"{_by_tool(part, runs)} {argument}" if argument else _by_tool(part, runs)


_NAMES: dict[Split, Callable[[Part, dict[ResultKey, ToolRun]], str]] = {
    "turn": _by_turn,
    "kind": _by_kind,
    "server": _by_server,
    "tool": _by_tool,
    "file": _by_file,
}
