"""The blocks of content that took the most tokens over a session: how often each was sent, and what that cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.part_costs import UNKNOWN, Terms, part_costs
from sessiontap.analysis.tool_runs import ResultKey, ToolRun, result_key

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn

CATEGORIES = (
    "system", "tool_definitions", "user", "assistant", "reasoning", "tool_calls", "tool_results", "media", "other",
)  # fmt: skip
"""What a part counts as; every part is in one of them."""
MOST = 20
EXCERPT = 120
"""Characters of a block's text that are shown."""


def category(part: Part) -> str:
    """Return the category of a part."""
    if part.kind == "text":
        return "assistant" if part.role == "assistant" else "system" if part.role == "system" else "user"
    plural = {"tool_definition": "tool_definitions", "tool_call": "tool_calls", "tool_result": "tool_results"}
    return plural.get(part.kind, part.kind)


@dataclass(slots=True)
class _Block:
    """Content that is sent again and again."""

    kind: str
    name: str | None
    argument: str | None
    excerpt: str | None
    first: int | None
    """The step that sent it first."""
    bytes: int
    last: int | None = None
    sent: int = 0
    tokens: float = 0.0
    total: float = 0.0
    counted: int = 0
    cost: float = 0.0
    unpriced: int = 0


def blocks(
    turns: Sequence[Turn],
    tokens: Sequence[Sequence[float] | None],
    terms: Terms,
    runs: dict[ResultKey, ToolRun],
) -> list[dict[str, Any]]:
    """The content that took the most tokens over all turns. Definitions of one MCP server are one block."""
    found: dict[tuple[Any, ...], _Block] = {}
    for at, turn in enumerate(turns):
        numbers = tokens[at]
        costs = (
            None
            if numbers is None
            else part_costs(turn.call["usage"], numbers, terms.get(turn.call["id"], UNKNOWN))
        )
        in_turn: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
        for place, part in enumerate(turn.request):
            in_turn[_block_key(part)].append(place)
        for key, places in in_turn.items():
            block = found.get(key)
            if block is None:
                block = found[key] = _new_block(turn, places, runs)
            block.sent += 1
            block.last = turn.call["step"]
            if numbers is not None and costs is not None:
                block.tokens = sum(numbers[place] for place in places)
                block.total += block.tokens
                block.counted += 1
                _add_costs(block, (costs[place] for place in places))
    rows = [_told(block) for block in found.values()]
    rows.sort(key=lambda row: (-(row["tokens_sent_estimated"] or 0), -row["bytes"] * row["turns"]))
    return rows[:MOST]


def _block_key(part: Part) -> tuple[Any, ...]:
    if part.kind == "tool_definition":
        return ("tool_definition", part.server)
    if part.kind == "media" or part.text is None:
        return (part.kind, part.role, part.name, part.bytes, part.message)
    return (part.kind, part.role, part.id, part.text)


def _new_block(
    turn: Turn,
    places: Sequence[int],
    runs: dict[ResultKey, ToolRun],
) -> _Block:
    part, first = turn.request[places[0]], turn.call["step"]
    size = sum(turn.request[place].bytes for place in places)
    kind = category(part)
    if part.kind == "tool_definition":
        return _Block(kind, part.server, None, None, first, size)
    run = runs.get(result_key(part)) if part.kind == "tool_result" else None
    name = part.name or (run.tool if run else None)
    return _Block(kind, name, run.argument if run else None, excerpt(part.text), first, size)


def _add_costs(block: _Block, costs: Iterable[float | None]) -> None:
    known = list(costs)
    if None in known:
        block.unpriced += 1
    else:
        block.cost += sum(cost for cost in known if cost is not None)


def _told(block: _Block) -> dict[str, Any]:
    return {
        "kind": block.kind,
        "name": block.name,
        "argument": block.argument,
        "excerpt": block.excerpt,
        "bytes": block.bytes,
        "first_step": block.first,
        "last_step": block.last,
        "turns": block.sent,
        "tokens_estimated": round(block.tokens) if block.counted else None,
        "tokens_sent_estimated": round(block.total) if block.counted else None,
        "cost_usd_estimated": round(block.cost, 9) if block.counted > block.unpriced else None,
        "cost_unknown_turns": block.sent - block.counted + block.unpriced,
    }


def excerpt(text: str | None) -> str | None:
    """Return the beginning of a text, its blanks made one."""
    if text is None:
        return None
    short = " ".join(text[: 4 * EXCERPT].split())
    return short if len(short) <= EXCERPT and len(text) <= 4 * EXCERPT else short[: EXCERPT - 1] + "…"
