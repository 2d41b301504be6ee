"""The costs of a session: how they came to be, and where the provider's cache was missed and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.analysis.cache import cache
from sessiontap.analysis.spending import BYS, spending
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading
from sessiontap.ui.shown_turns import OF_PART, OF_SESSION, PARAMETERS, cut

MISSES = ("miss", "partly")


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `cache --json`, some of its turns, and the cost over the calls."""
    turns, of_session = reading.turns(parameters["session"])
    judged = cache(turns, reading.terms(of_session["session_id"]))
    rows = [row for row in judged["turns"] if not parameters["misses"] or row["verdict"] in MISSES]
    shown, which = cut(len(rows), parameters)
    session, spans = reading.trace.query_spans(of_session["session_id"], reading.prices, errands=False)
    return {
        **of_session,
        "cost_usd": session["cost_usd"],
        "cost_unknown_calls": session["cost_unknown_calls"],
        "spending": spending(spans, parameters["by"]),
        "turns": rows[shown],
        **which,
        "sum": judged["sum"],
    }


PAGE = Page(
    path="/sessions/{session}/cache",
    title="Cost and cache",
    description="What a session cost over its calls, and why the provider's cache was missed.",
    template="cache.html",
    data=data,
    live=True,
    is_large=True,
    parameters=(
        Parameter("by", "Costs by model, agent, path or by what was paid for.", "choice", BYS, default="model"),
        Parameter("misses", "The turns that did not read all that they could have.", "flag"),
        *PARAMETERS,
    ),
    schema={
        "type": "object",
        "properties": {
            **OF_SESSION,
            "cost_usd": {"type": ["number", "null"], "description": "Of the session."},
            "cost_unknown_calls": {"type": "integer"},
            "spending": {"type": "object", "description": "The cost of each group, and over the calls."},
            "turns": {"type": "array", "items": {"type": "object"}, "description": "As `sessiontap cache --json`."},
            **OF_PART,
            "sum": {"type": "object", "description": "Of all turns."},
        },
        "required": ["session_id", "complete", "spending", "turns", "first", "matching", "sum"],
    },
)
