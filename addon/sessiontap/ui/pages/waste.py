"""The content that a session sent without need. The page of its costs shows it below, as soon as it is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.analysis.waste import waste
from sessiontap.ui.page import Page
from sessiontap.ui.reading import Reading
from sessiontap.ui.shown_turns import OF_SESSION

KINDS = ("tools_never_called", "results_not_referred_to", "repeated")
MOST = 50
"""Lines of each kind."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `waste --json`, the first lines of each kind."""
    turns, session = reading.turns(parameters["session"])
    found = waste(turns, reading.terms(session["session_id"]))
    kinds = {name: found[name][:MOST] for name in KINDS}
    left_out = {name: len(found[name]) - len(kinds[name]) for name in KINDS}
    return {**session, "judged_by": found["judged_by"], **kinds, "waste_left_out": left_out}


PAGE = Page(
    path="/sessions/{session}/waste",
    title="Sent without need",
    description="Tools that were never called, results that nothing refers to, and what stands twice in a request.",
    template="waste.html",
    data=data,
    live=True,
    is_large=True,
    schema={
        "type": "object",
        "properties": {
            **OF_SESSION,
            "judged_by": {"type": "string"},
            **{
                kind: {"type": "array", "items": {"type": "object"}, "description": "As `sessiontap waste --json`."}
                for kind in KINDS
            },
            "waste_left_out": {"type": "object", "description": "Lines of each kind that are left out."},
        },
        "required": ["session_id", "complete", "judged_by", *KINDS, "waste_left_out"],
    },
)
