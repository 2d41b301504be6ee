"""The part of a session's turns that a page shows: so many behind the first `after`, else the last ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.ui.page import Parameter

ROWS = 50
PARAMETERS = (
    Parameter("after", "Skip this many turns at the beginning; the last ones are shown else.", "integer"),
    Parameter("limit", "Turns in the table, 500 at most.", "integer", default=ROWS, minimum=1, maximum=500),
)
"""Which part it is."""
HOW_FAR = {
    "complete": {"type": "boolean", "description": "False if there is more to read: ask again."},
    "calls_read": {"type": "integer", "description": "Calls whose bodies have been read; the answer is of these."},
    "calls_in_all": {"type": "integer"},
}
OF_SESSION = {"session_id": {"type": "string"}, "session_name": {"type": ["string", "null"]}, **HOW_FAR}
"""Properties of the JSON: whose turns they are, and how many of them have been read ..."""
OF_PART = {
    "first": {"type": "integer", "description": "The place of the first of these turns."},
    "matching": {"type": "integer", "description": "Turns that there are."},
}
"""... and which of them are told."""


def cut(turns: int, parameters: Mapping[str, Any]) -> tuple[slice, dict[str, int]]:
    """Return the part of so many turns that is shown; and as JSON the place of the `first` of them, and how many are
    `matching`."""
    limit, after = parameters["limit"], parameters["after"]
    first = max(turns - limit, 0) if after is None else after
    return slice(first, first + limit), {"first": first, "matching": turns}
