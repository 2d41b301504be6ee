"""What a session sent without need: tools that were never called, results that nothing refers to, repeated content."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.blocks import excerpt
from sessiontap.analysis.part_costs import UNKNOWN, Terms, part_costs
from sessiontap.analysis.part_tokens import estimate
from sessiontap.analysis.references import LEAST_WORDS, references
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


@dataclass(slots=True)
class _Sent:
    """Tokens that were sent, over several requests."""

    turns: int = 0
    tokens: float = 0.0
    cost: float = 0.0
    counted: int = 0
    priced: int = 0

    def add(self, places: Iterable[int], tokens: Sequence[float] | None, costs: Sequence[float | None] | None) -> None:
        """Add one request's parts."""
        self.turns += 1
        if tokens is None or costs is None:
            return
        self.counted += 1
        chosen = list(places)
        self.tokens += sum(tokens[place] for place in chosen)
        known = [cost for place in chosen if (cost := costs[place]) is not None]
        if len(known) == len(chosen):
            self.priced += 1
            self.cost += sum(known)

    def told(self) -> dict[str, Any]:
        return {
            "turns": self.turns,
            "tokens_sent_estimated": round(self.tokens) if self.counted else None,
            "cost_usd_estimated": round(self.cost, 9) if self.priced else None,
            "cost_unknown_turns": self.turns - self.priced,
        }


class _Session:
    """Turns with their tokens and costs."""

    def __init__(self, turns: Sequence[Turn], terms: Terms) -> None:
        self.turns = turns
        self.tokens = estimate(turns)
        self.costs = [
            None if numbers is None else part_costs(turn.call["usage"], numbers, terms.get(turn.call["id"], UNKNOWN))
            for turn, numbers in zip(turns, self.tokens, strict=True)
        ]

    def add(self, sent: _Sent, at: int, places: Iterable[int]) -> None:
        sent.add(places, self.tokens[at], self.costs[at])


def waste(turns: Sequence[Turn], terms: Terms) -> dict[str, Any]:
    """Return the three kinds of waste of a session, in each what took the most tokens first."""
    turns = without_errands(turns)
    session = _Session(turns, terms)
    runs = tool_runs(turns)
    return {
        "judged_by": JUDGED_BY,
        "tools_never_called": _never_called(session, {run.tool for run in runs}),
        "results_not_referred_to": _not_referred_to(session, runs),
        "repeated": _repeated(session, runs),
    }


def _never_called(session: _Session, called: set[str | None]) -> list[dict[str, Any]]:
    """Tools that were offered and never called in the session."""
    sent: defaultdict[tuple[str, str | None], _Sent] = defaultdict(_Sent)
    for at, turn in enumerate(session.turns):
        for place, part in enumerate(turn.request):
            if part.kind == "tool_definition" and part.name and part.name not in called:
                session.add(sent[part.name, part.server], at, [place])
    rows = [{"tool": name, "server": server} | one.told() for (name, server), one in sent.items()]
    return _most_first(rows)


def _not_referred_to(session: _Session, runs: Sequence[ToolRun]) -> list[dict[str, Any]]:
    """Results to which nothing refers. Each is counted from the request that brought it."""
    by_result = {(run.answered, run.place): run for run in runs}
    judged = {
        (session.turns[one.turn].call["conversation"], one.part.id, one.part.text): one
        for one in references(session.turns)
        if one.referred is False
    }
    sent: defaultdict[tuple[str | None, str | None, str | None], _Sent] = defaultdict(_Sent)
    for at, turn in enumerate(session.turns):
        for place, part in enumerate(turn.request):
            if part.kind == "tool_result":
                key = (turn.call["conversation"], part.id, part.text)
                if key in judged:
                    session.add(sent[key], at, [place])
    rows = []
    for key, one in judged.items():
        run = by_result.get((one.turn, one.place))
        rows.append(
            {
                "tool": one.part.name or (run.tool if run else None),
                "argument": run.argument if run else None,
                "brought_by": session.turns[one.turn].call["id"],
                "first_step": session.turns[one.turn].call["step"],
                "later_replies": one.replies,
                "words": one.words,
                "examples": one.examples,
                "excerpt": excerpt(one.part.text),
            }
            | sent[key].told()
        )
    return _most_first(rows)


def _repeated(session: _Session, runs: Sequence[ToolRun]) -> list[dict[str, Any]]:
    """Content that stands more than once in one request; the tokens are those of the copies behind the first."""
    by_result = {(run.result.id, run.result.text): run for run in runs if run.result is not None}
    sent: defaultdict[tuple[str, str], _Sent] = defaultdict(_Sent)
    copies: dict[tuple[str, str], list[Part]] = {}
    for at, turn in enumerate(session.turns):
        places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for place, part in enumerate(turn.request):
            if part.bytes >= LEAST_BYTES and part.text and part.kind != "tool_definition":
                places[part.kind, part.text].append(place)
        for key, found in places.items():
            if len(found) > 1:
                session.add(sent[key], at, found[1:])
                if len(found) > len(copies.get(key, ())):
                    copies[key] = [turn.request[place] for place in found]
    rows = []
    for (kind, text), one in sent.items():
        parts = copies[kind, text]
        run = by_result.get((parts[0].id, text))
        rows.append(
            {
                "kind": kind,
                "tool": parts[0].name or (run.tool if run else None),
                "argument": run.argument if run else None,
                "copies": len(parts),
                "bytes": parts[0].bytes,
                "excerpt": excerpt(text),
            }
            | one.told()
        )
    return _most_first(rows)


def _most_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-(row["tokens_sent_estimated"] or 0), -row["turns"]))
