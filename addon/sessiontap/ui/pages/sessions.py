"""The list of sessions: what ran, when, how long, what it cost, and what runs now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.ui.filters import FILTERS, filters_of
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading

ORDERS = ("started", "ended", "name", "duration", "calls", "errors", "tokens", "cost")
LIMIT = 100


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Sessions as `ls --json` gives them, and how many are left out since they hold nothing but agents' errands."""
    wanted = filters_of(parameters)
    rows = reading.trace.query_sessions(wanted, parameters["sort"], parameters["limit"], reading.prices)
    hidden = reading.trace.query_errands(wanted)["sessions"] if wanted.without_errands else 0
    return {"sessions": rows, "hidden_sessions": hidden}


PAGE = Page(
    path="/",
    title="Sessions",
    description="What ran: sessions with their calls, errors, tokens and cost, newest first.",
    template="sessions.html",
    data=data,
    parameters=(
        *FILTERS,
        Parameter(
            "sort", "Newest first if it is not given; names from a to z, all else from the most down.", "choice", ORDERS
        ),
        Parameter("limit", "Sessions on a page.", "integer", default=LIMIT, minimum=1),
    ),
    schema={
        "type": "object",
        "properties": {
            "sessions": {"type": "array", "items": {"type": "object"}, "description": "As `sessiontap ls --json`."},
            "hidden_sessions": {"type": "integer", "description": "Left out: they hold nothing but agents' errands."},
        },
        "required": ["sessions", "hidden_sessions"],
    },
)
