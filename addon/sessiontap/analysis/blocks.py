"""The blocks of content that took the most tokens over a session: how often each was sent, and what that cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.tool_runs import ResultKey, ToolRun, result_key

if TYPE_CHECKING:
    from sessiontap.analysis.sent_parts import SentPart
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn

TITLES = {
    "system": "system", "tool_definitions": "tools", "user": "user", "assistant": "assistant",
    "reasoning": "reasoning", "tool_calls": "calls", "tool_results": "results", "media": "media", "other": "other",
}  # fmt: skip
"""The category of a part -> the word for it; every part is in one of them."""
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


def blocks(sent: Sequence[SentPart], turns: Sequence[Turn], runs: dict[ResultKey, ToolRun]) -> list[dict[str, Any]]:
    """The content that took the most tokens over all turns. Definitions of one MCP server are one block.

    `sent`: the parts of the turns, of which `block_key` tells copies.
    """
    found: dict[tuple[Any, ...], list[SentPart]] = {}
    for one in sent:
        found.setdefault(block_key(one.part), []).append(one)
    biggest = sorted(found.values(), key=_size, reverse=True)[:MOST]
    return [_block(parts, turns, runs) for parts in biggest]


def _size(parts: Sequence[SentPart]) -> tuple[int, int]:
    """The tokens of a block over all turns, and its bytes."""
    return round(sum(one.total for one in parts)), sum(one.part.bytes * one.turns for one in parts)


def block_key(part: Part) -> tuple[Any, ...]:
    """Return what parts of one block have in common."""
    if part.kind == "tool_definition":
        return ("tool_definition", part.server)
    if part.kind == "media" or part.text is None:
        return (part.kind, part.role, part.name, part.bytes, part.message)
    return (part.kind, part.role, part.id, part.text)


def _block(parts: Sequence[SentPart], turns: Sequence[Turn], runs: dict[ResultKey, ToolRun]) -> dict[str, Any]:
    opened, last = parts[0].turn, max(one.last for one in parts)
    part = parts[0].part
    run = runs.get(result_key(part)) if part.kind == "tool_result" else None
    is_tools = part.kind == "tool_definition"
    firsts = [one for one in parts if not one.copies_before]
    counted = sum(one.counted for one in firsts)
    unpriced: dict[int, int] = {one.turn: 0 for one in firsts}
    for one in parts:
        if one.turn in unpriced:  # those that a turn brings together are sent together
            unpriced[one.turn] = max(one.unpriced, unpriced[one.turn])
    sent, unknown = sum(one.turns for one in firsts), sum(unpriced.values())
    return {
        "kind": category(part),
        "name": part.server if is_tools else part.name or (run.tool if run else None),
        "argument": run.argument if run else None,
        "excerpt": None if is_tools else excerpt(part.text),
        "bytes": sum(one.part.bytes for one in parts if one.turn == opened),
        "first_step": turns[opened].call["step"],
        "last_step": turns[last].call["step"],
        "turns": sent,
        "tokens_estimated": round(sum(one.tokens for one in parts if one.last == last)) if counted else None,
        "tokens_sent_estimated": round(sum(one.total for one in parts)) if counted else None,
        "cost_usd_estimated": round(sum(one.cost for one in parts), 9) if counted > unknown else None,
        "cost_unknown_turns": sent - counted + unknown,
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
