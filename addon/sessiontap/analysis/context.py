"""The content of each request: how many tokens are the system prompt, tool definitions, history, results of tools.

The total is the provider's own count. Its split is estimated (`part_tokens`). The context window of a turn's model, of
which the input takes a share, is the price list's (`prices.window_of`). A model of which any call takes more than the
list says has another window, which nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.blocks import CATEGORIES, block_key, blocks, category
from sessiontap.analysis.context_layers import Split, layers
from sessiontap.analysis.new_parts import new_places
from sessiontap.analysis.part_costs import UNKNOWN, Terms, range_cost
from sessiontap.analysis.part_tokens import estimate
from sessiontap.analysis.sent_parts import sent_parts
from sessiontap.analysis.tool_runs import ResultKey, ToolRun, result_key, runs_by_result, without_errands

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn


ALL = slice(None)
"""Rows of all turns."""
_Model = tuple[str | None, str | None, str | None]


def context(
    turns: Sequence[Turn], terms: Terms, step: int | None = None, split: Split | None = None, rows: slice = ALL
) -> dict[str, Any]:
    """Return what fills the context in these turns, in more detail that of one: of this step, else the fullest.

    `blocks` are those that took the most tokens over all turns. The answer has no detail if there is no such step, or
    no turn has a count. `split`: it has the `layers` of a picture, too. `rows`: of these turns alone it has a row.
    """
    turns = without_errands(turns)
    tokens = estimate(turns)
    runs = runs_by_result(turns)
    by_id = {turn.call["id"]: turn for turn in turns}
    held = windows([turn.call for turn in turns], terms)
    if step is None:
        counted = [at for at, numbers in enumerate(tokens) if numbers is not None]
        chosen = max(counted, key=lambda at: turns[at].call["usage"]["input"], default=None)
    else:
        chosen = next((at for at, turn in enumerate(turns) if turn.call["step"] == step), None)
    return {
        "turns": [
            _row(turn, by_id.get(turn.based_on or ""), numbers, terms, held.get(turn.call["id"]))
            for turn, numbers in zip(turns[rows], tokens[rows], strict=True)
        ],
        "detail": None if chosen is None else _detail(turns[chosen], tokens[chosen], runs, held),
        "blocks": blocks(sent_parts(turns, tokens, terms, block_key), turns, runs),
    } | ({} if split is None else {"layers": layers(turns, tokens, runs, split, held)})


def _row(
    turn: Turn, base: Turn | None, tokens: Sequence[float] | None, terms: Terms, window: int | None
) -> dict[str, Any]:
    call, usage = turn.call, turn.call["usage"] or {}
    split: dict[str, float] | None = None
    new: float | None = None
    if tokens is not None:
        new = sum(tokens[place] for place in new_places(turn, base))
        split = dict.fromkeys(CATEGORIES, 0.0)
        for part, number in zip(turn.request, tokens, strict=True):
            split[category(part)] += number
    return {
        "step": call["step"],
        "call": call["id"],
        "time": call["time"],
        "path": call["path"],
        "model": call["response_model"] or call["request_model"],
        "input_tokens": usage.get("input"),
        "window_tokens": window,
        "window_share": window_share(usage, window),
        "cache_read_tokens": usage.get("cache_read"),
        "new_tokens_estimated": None if new is None else round(new),
        "input_cost_usd": range_cost(usage, 0, usage.get("input") or 0, terms.get(call["id"], UNKNOWN)),
        "split_estimated": None if split is None else {name: round(number) for name, number in split.items()},
    }


# One request ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Group:
    """Parts that are told together, and what is within them."""

    parts: int = 0
    bytes: int = 0
    tokens: float = 0.0
    within: dict[str, _Group] = field(default_factory=dict)

    def add(self, part: Part, tokens: float, path: Sequence[str]) -> None:
        self.parts += 1
        self.bytes += part.bytes
        self.tokens += tokens
        if path:
            self.within.setdefault(path[0], _Group()).add(part, tokens, path[1:])

    def to_json(self, name: str, total: float) -> dict[str, Any]:
        within = sorted(self.within.items(), key=lambda item: -item[1].tokens)
        return {
            "name": name,
            "parts": self.parts,
            "bytes": self.bytes,
            "tokens_estimated": round(self.tokens),
            "share_estimated": round(self.tokens / total, 4) if total else None,
            "within": [group.to_json(key, total) for key, group in within],
        }


def _detail(
    turn: Turn, tokens: Sequence[float] | None, runs: dict[ResultKey, ToolRun], held: Mapping[str, int]
) -> dict[str, Any]:
    window = held.get(turn.call["id"])
    usage, whole = turn.call["usage"] or {}, _Group()
    if tokens is not None:
        for part, number in zip(turn.request, tokens, strict=True):
            whole.add(part, number, (category(part), *_place(part, runs)))
    return {
        "step": turn.call["step"],
        "call": turn.call["id"],
        "input_tokens": usage.get("input"),
        "window_tokens": window,
        "window_share": window_share(usage, window),
        "cache_read_tokens": usage.get("cache_read"),
        "categories": whole.to_json("request", usage.get("input") or 0)["within"],
    }


def _place(part: Part, runs: dict[ResultKey, ToolRun]) -> tuple[str, ...]:
    """The names under which a part is told within its category."""
    if part.kind == "tool_definition":
        return (f"MCP server {part.server}" if part.server else "built in", part.name or "unnamed")
    if part.kind == "tool_result":
        run = runs.get(result_key(part))
        tool = part.name or (run.tool if run else None) or "unknown tool"
        argument = run.argument if run else None
        return (tool, argument) if argument else (tool,)
    if part.kind == "tool_call":
        return (part.name or "unknown tool",)
    if part.kind == "media":
        return (part.name or "media",)
    return ()


def windows(calls: Sequence[Mapping[str, Any]], terms: Terms) -> dict[str, int]:
    """Return the tokens that the window of each call's model holds, by the call's id; of the known ones.

    `calls`: their `id`, `usage`, `provider` and models. Those that take more than the windows of others must be there.
    """
    exceeded: set[_Model] = set()
    found: dict[str, int] = {}
    for call in calls:
        window = terms.get(call["id"], UNKNOWN).window
        if window is None:
            continue
        found[call["id"]] = window
        if ((call["usage"] or {}).get("input") or 0) > window:
            exceeded.add(_model(call))
    if not exceeded:
        return found
    return {call["id"]: found[call["id"]] for call in calls if call["id"] in found and _model(call) not in exceeded}


def window_share(usage: Mapping[str, Any] | None, window: int | None) -> float | None:
    """Return the share of the window that the input takes, what was read from the cache and written to it included.

    None if one of both is not known.
    """
    tokens = (usage or {}).get("input")
    return None if window is None or not tokens else round(tokens / window, 6)


def _model(call: Mapping[str, Any]) -> _Model:
    return call["provider"], call["response_model"], call["request_model"]
