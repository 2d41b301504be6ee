"""The blocks of content that took the most tokens over a session: how often each was sent, and what that cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.part_costs import UNKNOWN, Terms, part_costs
from sessiontap.analysis.tool_runs import ResultKey, ToolRun, result_key

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn

TITLES = {
    "system": "system", "tool_definitions": "tools", "user": "user", "assistant": "assistant",
    "reasoning": "reasoning", "tool_calls": "calls", "tool_results": "results", "media": "media", "other": "other",
}  # fmt: skip
"""What a part counts as -> the word for it; every part is in one of them."""
CATEGORIES = tuple(TITLES)
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
    opened: int
    """The turn that sent it first, by its position."""
    bytes: int = 0
    at: int = -1
    """The turn that sent it last."""
    turns: int = 0
    counted: int = 0
    """Of those, the turns whose tokens are known."""
    tokens: float = 0.0
    """In the last of them."""
    total: float = 0.0
    cost: float = 0.0
    unpriced: int = 0
    """Turns in which the price of a part of it is not known."""
    unpriced_at: int = -1


def blocks(
    turns: Sequence[Turn],
    tokens: Sequence[Sequence[float] | None],
    terms: Terms,
    runs: dict[ResultKey, ToolRun],
) -> list[dict[str, Any]]:
    """The content that took the most tokens over all turns. Definitions of one MCP server are one block.

    A session of a thousand turns has millions of parts, nearly all of them seen before: for these the loop does little.
    """
    found: dict[tuple[Any, ...], _Block] = {}
    of_part: dict[int, _Block] = {}
    for at, turn in enumerate(turns):
        numbers = tokens[at]
        costs = part_costs(turn.call["usage"], numbers, terms.get(turn.call["id"], UNKNOWN)) if numbers else ()
        for place, part in enumerate(turn.request):
            block = of_part.get(id(part))
            if block is None:
                key = _block_key(part)
                block = found.get(key) or found.setdefault(key, _new_block(part, at, runs))
                of_part[id(part)] = block
            if block.at != at:
                block.at = at
                block.turns += 1
                block.counted += numbers is not None
                block.tokens = 0.0
            if block.opened == at:
                block.bytes += part.bytes
            if numbers is None:
                continue
            number, cost = numbers[place], costs[place]
            block.tokens += number
            block.total += number
            if cost is not None:
                block.cost += cost
            elif block.unpriced_at != at:
                block.unpriced_at = at
                block.unpriced += 1
    rows = [_told(block, turns) for block in found.values()]
    rows.sort(key=lambda row: (-(row["tokens_sent_estimated"] or 0), -row["bytes"] * row["turns"]))
    return rows[:MOST]


def _block_key(part: Part) -> tuple[Any, ...]:
    if part.kind == "tool_definition":
        return ("tool_definition", part.server)
    if part.kind == "media" or part.text is None:
        return (part.kind, part.role, part.name, part.bytes, part.message)
    return (part.kind, part.role, part.id, part.text)


def _new_block(part: Part, at: int, runs: dict[ResultKey, ToolRun]) -> _Block:
    kind = category(part)
    if part.kind == "tool_definition":
        return _Block(kind, part.server, None, None, at)
    run = runs.get(result_key(part)) if part.kind == "tool_result" else None
    name = part.name or (run.tool if run else None)
    return _Block(kind, name, run.argument if run else None, excerpt(part.text), at)


def _told(block: _Block, turns: Sequence[Turn]) -> dict[str, Any]:
    return {
        "kind": block.kind,
        "name": block.name,
        "argument": block.argument,
        "excerpt": block.excerpt,
        "bytes": block.bytes,
        "first_step": turns[block.opened].call["step"],
        "last_step": turns[block.at].call["step"],
        "turns": block.turns,
        "tokens_estimated": round(block.tokens) if block.counted else None,
        "tokens_sent_estimated": round(block.total) if block.counted else None,
        "cost_usd_estimated": round(block.cost, 9) if block.counted > block.unpriced else None,
        "cost_unknown_turns": block.turns - block.counted + block.unpriced,
    }


def excerpt(text: str | None) -> str | None:
    """Return the beginning of a text, its blanks made one."""
    if text is None:
        return None
    short = " ".join(text[: 4 * EXCERPT].split())
    return short if len(short) <= EXCERPT and len(text) <= 4 * EXCERPT else short[: EXCERPT - 1] + "…"


def block_name(block: Mapping[str, Any]) -> str:
    """Return a block, as `blocks` gives it, in a few words: what it is, and what it begins with."""
    kind = TITLES.get(block["kind"], block["kind"])
    if block["kind"] == "tool_definitions":
        return f"tools of MCP server {block['name']}" if block["name"] else "tools, built in"
    named = " ".join(filter(None, (kind, block["name"], block["argument"])))
    return named if block["argument"] else f"{named}: {block['excerpt']}" if block["excerpt"] else named
