"""Content sent without need: tools that were never called, results that nothing refers to, repetitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.blocks import excerpt
from sessiontap.analysis.part_costs import Terms
from sessiontap.analysis.part_tokens import Tokens, estimate
from sessiontap.analysis.references import LEAST_WORDS, references
from sessiontap.analysis.sent_parts import SentPart, sent_parts
from sessiontap.analysis.tool_runs import ToolRun, tool_runs, without_errands

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn

LEAST_BYTES = 200
"""Bytes of a content whose repetition is told."""
JUDGED_BY = (
    f"of the words that the result brought ({LEAST_WORDS} or more) later replies of its conversation have none of the "
    "names, and of the others one at most; it may have helped all the same"
)


def waste(turns: Sequence[Turn], terms: Terms, tokens: Tokens | None = None) -> dict[str, Any]:
    """Return the three kinds of waste of a session, in each what took the most tokens first.

    `tokens`: those of the turns without errands, if they have been estimated.
    """
    turns = without_errands(turns)
    sent = sent_parts(turns, estimate(turns) if tokens is None else tokens, terms, _content)
    runs = tool_runs(turns)
    return {
        "judged_by": JUDGED_BY,
        "tools_never_called": _never_called(sent, {run.tool for run in runs}),
        "results_not_referred_to": _not_referred_to(turns, sent, runs),
        "repeated": _repeated(sent, runs),
    }


def _content(part: Part) -> tuple[Any, ...]:
    """The common key of repeated content."""
    return (part.kind, part.text) if part.text else (part.kind, part.role, part.name, part.id, part.bytes)


def _sums(parts: Sequence[SentPart]) -> dict[str, Any]:
    """The sums over parts of one content; each is sent by other turns."""
    sent, counted = sum(one.turns for one in parts), sum(one.counted for one in parts)
    priced = counted - sum(one.unpriced for one in parts)
    return {
        "turns": sent,
        "tokens_sent_estimated": round(sum(one.total for one in parts)) if counted else None,
        "cost_usd_estimated": round(sum(one.cost for one in parts), 9) if priced else None,
        "cost_unknown_turns": sent - priced,
    }


def _never_called(sent: Sequence[SentPart], called: set[str | None]) -> list[dict[str, Any]]:
    """Tools that were offered and never called in the session."""
    offered: defaultdict[tuple[str, str | None], list[SentPart]] = defaultdict(list)
    for one in sent:
        if one.part.kind == "tool_definition" and one.part.name and one.part.name not in called:
            offered[one.part.name, one.part.server].append(one)
    return _most_first([{"tool": name, "server": server} | _sums(parts) for (name, server), parts in offered.items()])


def _not_referred_to(
    turns: Sequence[Turn], sent: Sequence[SentPart], runs: Sequence[ToolRun]
) -> list[dict[str, Any]]:
    """Results to which nothing refers. Each is counted from the request that brought it."""
    by_result = {(run.answered, run.place): run for run in runs}
    judged = {
        (turns[one.turn].call["conversation"], one.part.id, one.part.text): one
        for one in references(turns)
        if one.referred is False
    }
    brought: defaultdict[tuple[str | None, str | None, str | None], list[SentPart]] = defaultdict(list)
    for each in sent:
        if each.part.kind == "tool_result":
            brought[turns[each.turn].call["conversation"], each.part.id, each.part.text].append(each)
    rows = []
    for key, one in judged.items():
        run = by_result.get((one.turn, one.place))
        rows.append(
            {
                "tool": one.part.name or (run.tool if run else None),
                "argument": run.argument if run else None,
                "brought_by": turns[one.turn].call["id"],
                "first_step": turns[one.turn].call["step"],
                "later_replies": one.replies,
                "words": one.words,
                "examples": one.examples,
                "excerpt": excerpt(one.part.text),
            }
            | _sums(brought[key])
        )
    return _most_first(rows)


def _repeated(sent: Sequence[SentPart], runs: Sequence[ToolRun]) -> list[dict[str, Any]]:
    """Content that stands more than once in one request; the tokens are those of the copies behind the first."""
    by_result = {(run.result.id, run.result.text): run for run in runs if run.result is not None}
    copies: defaultdict[tuple[Any, ...], list[SentPart]] = defaultdict(list)
    for one in sent:
        if one.copies_before and one.part.bytes >= LEAST_BYTES and one.part.text and one.part.kind != "tool_definition":
            copies[_content(one.part)].append(one)
    rows = []
    for found in copies.values():
        part = found[0].part
        run = by_result.get((part.id, part.text))
        rows.append(
            {
                "kind": part.kind,
                "tool": part.name or (run.tool if run else None),
                "argument": run.argument if run else None,
                "copies": max(one.copies_before for one in found) + 1,
                "bytes": part.bytes,
                "excerpt": excerpt(part.text),
            }
            | _sums(found)
            | {"turns": sum(one.turns for one in found if one.copies_before == 1)}
        )
    return _most_first(rows)


def _most_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-(row["tokens_sent_estimated"] or 0), -row["turns"]))
