"""One session: its facts and sums, and the tree of its paths with their calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The session as `show --json` gives it."""
    return reading.trace.query_session(parameters["session"], reading.prices, errands=parameters["all"])


PAGE = Page(
    path="/sessions/{session}",
    title="Session",
    description="A session: facts, sums, and the tree of its paths with their calls.",
    template="session.html",
    data=data,
    parameters=(Parameter("all", "With agents' errands: settings, telemetry, token counts.", "flag"),),
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
                "description": "Rows of `sessiontap calls --json`.",
            },
        },
        "required": ["session", "tree", "calls"],
    },
)
