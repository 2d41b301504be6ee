"""The costs of a session: where the provider's cache was missed and why, and what was sent without need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.analysis.cache import cache
from sessiontap.analysis.part_tokens import estimate
from sessiontap.analysis.spending import BYS, spending
from sessiontap.analysis.tool_runs import without_errands
from sessiontap.analysis.waste import waste
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading
from sessiontap.ui.shown_turns import OF_PART, OF_SESSION, PARAMETERS, cut

MISSES = ("miss", "partly")
WASTE = ("tools_never_called", "results_not_referred_to", "repeated")
MOST_WASTE = 50
"""Lines of each kind of waste."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of `cache --json` and `waste --json`, of long lists a part, and the cost over the calls."""
    turns, of_session = reading.turns(parameters["session"])
    terms = reading.terms(of_session["session_id"])
    tokens = estimate(without_errands(turns))
    judged, wasted = cache(turns, terms, tokens), waste(turns, terms, tokens)
    rows = [row for row in judged["turns"] if not parameters["misses"] or row["verdict"] in MISSES]
    shown, which = cut(len(rows), parameters)
    session, spans = reading.trace.query_spans(of_session["session_id"], reading.prices, errands=False)
    kinds = {name: wasted[name][:MOST_WASTE] for name in WASTE}
    return {
        **of_session,
        "cost_usd": session["cost_usd"],
        "cost_unknown_calls": session["cost_unknown_calls"],
        "spending": spending(spans, parameters["by"]),
        "turns": rows[shown],
        **which,
        "sum": judged["sum"],
        "judged_by": wasted["judged_by"],
        **kinds,
        "waste_left_out": {name: len(wasted[name]) - len(kinds[name]) for name in WASTE},
    }


PAGE = Page(
    path="/sessions/{session}/cache",
    title="Cost and cache",
    description="What a session cost over its calls, why the provider's cache was missed, what was sent without need.",
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
            "judged_by": {"type": "string"},
            **{
                kind: {"type": "array", "items": {"type": "object"}, "description": "As `sessiontap waste --json`."}
                for kind in WASTE
            },
            "waste_left_out": {"type": "object", "description": "Lines of each kind that are left out."},
        },
        "required": ["session_id", "complete", "spending", "turns", "first", "matching", "sum", *WASTE],
    },
)
