"""The context window of a session, turn by turn, and one of its turns taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.analysis.context import context
from sessiontap.analysis.context_layers import SPLITS
from sessiontap.analysis.tool_runs import without_errands
from sessiontap.ui.errors import NotFound
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading
from sessiontap.ui.shown_turns import OF_PART, OF_SESSION, PARAMETERS, cut


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `context --json`, some of its turns, and the layers of all of them."""
    turns, session = reading.turns(parameters["session"])
    rows, which = cut(len(without_errands(turns)), parameters)
    found = context(turns, reading.terms(session["session_id"]), parameters["turn"], parameters["split"], rows)
    if parameters["turn"] is not None and found["detail"] is None and session["complete"]:
        raise NotFound(
            f"session {session['session_id']} has no step {parameters['turn']}",
            "Its context page lists the steps that it has.",
        )
    return session | found | which


PAGE = Page(
    path="/sessions/{session}/context",
    title="Context",
    description="What fills the context window in each turn. Totals are the provider's, their split is estimated.",
    template="context.html",
    data=data,
    live=True,
    is_large=True,
    parameters=(
        Parameter("turn", "Show what the request of this step holds; without it, of the fullest one.", "integer"),
        Parameter("split", "The layers of the picture.", "choice", SPLITS, default="turn"),
        *PARAMETERS,
    ),
    schema={
        "type": "object",
        "properties": {
            **OF_SESSION,
            "turns": {"type": "array", "items": {"type": "object"}, "description": "As `sessiontap context --json`."},
            **OF_PART,
            "detail": {"type": ["object", "null"], "description": "One request by kind, tool, file and MCP server."},
            "blocks": {"type": "array", "items": {"type": "object"}, "description": "What took the most tokens."},
            "layers": {"type": "object", "description": "The tokens of each layer in each turn, estimated."},
        },
        "required": ["session_id", "complete", "turns", "first", "matching", "detail", "blocks", "layers"],
    },
)
