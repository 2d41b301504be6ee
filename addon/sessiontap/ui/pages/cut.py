"""The part of a session's turns that a page shows: so many behind the first `after`, else the last ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessiontap.ui.page import Parameter

ROWS = 50
PARAMETERS = (
    Parameter("after", "Skip this many turns at the beginning; the last ones are shown else.", "integer"),
    Parameter("limit", "Turns in the table, 500 at most.", "integer", default=ROWS, minimum=1, maximum=500),
)
"""Which part it is."""
OF_SESSION = {"session_id": {"type": "string"}, "session_name": {"type": ["string", "null"]}}
"""Properties of the JSON: whose turns they are ..."""
OF_PART = {
    "first": {"type": "integer", "description": "The place of the first of these turns."},
    "matching": {"type": "integer", "description": "Turns that there are."},
}
"""... and which of them."""


def cut(rows: Sequence[Any], parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the rows under their name, the place of the `first` of them, and how many are `matching`."""
    limit, after = parameters["limit"], parameters["after"]
    first = max(len(rows) - limit, 0) if after is None else after
    return {name: rows[first : first + limit], "first": first, "matching": len(rows)}
