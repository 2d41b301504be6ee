"""One session: its facts and sums, and the tree of its paths with their calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.trace.index.filters import Filters
from sessiontap.ui.errors import BadParameter
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.pages.scores import SCORES, WRITABLE
from sessiontap.ui.reading import Reading
from sessiontap.ui.tree_lines import tree_lines

LIMIT = 120
"""Calls on a page: with its paths they are fewer than 2,000 elements."""
MOST = 1000


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The session as `show --json` gives it, with some of its calls, in the order of its tree."""
    log = reading.trace
    shown = log.query_overview(parameters["session"], reading.prices, errands=parameters["all"])
    calls = [line.call for line in tree_lines(shown["tree"], shown["calls"]) if line.call is not None]
    first, limit = 0, min(parameters["limit"], MOST)
    if (after := parameters["after"]) is not None:
        first = next((number for number, call in enumerate(calls, 1) if call["id"] == after), 0)
        if not first:
            raise BadParameter(f"session {shown['session']['id']} has no call {after!r}", "Leave `after` out.")
    ids = [call["id"] for call in calls[first : first + limit]]
    rows = {row["id"]: row for row in log.query_calls(Filters(ids=tuple(ids)), prices=reading.prices)} if ids else {}
    some = [rows[id] for id in ids if id in rows]
    return shown | {
        "calls": some,
        "scores": log.query_scores("session", shown["session"]["id"]),
        "writable": reading.writable,
        "after": ids[-1] if first + limit < len(calls) else None,
    }


PAGE = Page(
    path="/sessions/{session}",
    title="Session",
    description="A session: facts, sums, and the tree of its paths with their calls.",
    template="session.html",
    data=data,
    live=True,
    parameters=(
        Parameter("all", "Include agents' errands: settings, telemetry, token counts.", "flag"),
        Parameter("limit", f"Calls on a page, {MOST} at most.", "integer", default=LIMIT, minimum=1),
        Parameter("after", "The id of a call: those that follow it in the tree, as `after` of a page names it."),
    ),
    schema={
        "type": "object",
        "properties": {
            "session": {"type": "object", "description": "A row of `sessiontap ls --json`."},
            "properties": {"type": "object", "description": "Each property of the calls with all of its values."},
            "cost_unknown": {"type": "object", "description": "Why costs are unknown, with the number of calls."},
            "tree": {"type": "array", "items": {"type": "object"}, "description": "A node for each path."},
            "calls": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Some calls in the order of the tree, as `sessiontap calls --json`.",
            },
            "scores": SCORES,
            "writable": WRITABLE,
            "after": {"type": ["string", "null"], "description": "What `after` is on the next page; null on the last."},
        },
        "required": ["session", "tree", "calls", "scores", "writable", "after"],
    },
)
