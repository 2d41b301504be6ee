"""Statistics of calls by what they have in common, and the sessions behind each line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sessiontap.trace.index.statistics import BYS, ORDERS, PROPERTY, is_known
from sessiontap.ui.errors import BadParameter
from sessiontap.ui.filters import FILTERS, filters_of
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading

ROWS = 100
_FILTERS = ("name", "path", "model", "process", "machine", "provider", "agent", "user", "outcome", "tool")
"""The groups that are a filter of the same name."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of `stats --json`, each with the filter of the sessions that it is of."""
    by = parameters["by"]
    if not is_known(by):
        known = ", ".join((*BYS, "property:KEY", "score:NAME"))
        raise BadParameter(f"there are no statistics by {by!r}", f"Choose one of {known}.")
    order = parameters["sort"] or ("value" if by == "step" else None)
    after = parameters["after"]
    found = reading.trace.query_statistics(
        by, filters_of(parameters), reading.prices, order, after + parameters["limit"]
    )
    return {
        "by": by,
        "rows": [row | {"filter": filter_of(by, row[by])} for row in found.rows[after:]],
        "after": after,
        "matching": found.matching,
    }


def filter_of(by: str, value: Any) -> dict[str, str] | None:
    """Return the filter that keeps the calls of a line; None if there is no such filter."""
    if value is None:
        return None
    if by.startswith(PROPERTY):
        return {"property": f"{by.removeprefix(PROPERTY)}={_literal(str(value))}"}
    if by == "property":
        name, _, found = str(value).partition("=")
        return {"property": f"{name}={_literal(found)}"}
    if by == "path":
        return {"path": str(value)}
    if by == "session":
        return {"session": str(value)}
    return {by: _literal(str(value))} if by in _FILTERS else None


def _literal(text: str) -> str:
    """A glob that this text alone fits."""
    return re.sub(r"([*?\[])", r"[\1]", text)


PAGE = Page(
    path="/stats",
    title="Statistics",
    description="Calls, errors, tokens, cost and durations by what calls have in common.",
    template="stats.html",
    data=data,
    live=True,
    parameters=(
        Parameter("by", f"{', '.join(BYS)}, or property:KEY.", default="name"),
        *FILTERS,
        Parameter("sort", "Most calls first if it is not given, steps in their order.", "choice", ORDERS),
        Parameter("after", "Skip this many lines at the beginning.", "integer", default=0),
        Parameter("limit", "Lines on a page, 1000 at most.", "integer", default=ROWS, minimum=1, maximum=1000),
    ),
    schema={
        "type": "object",
        "properties": {
            "by": {"type": "string"},
            "rows": {
                "type": "array",
                "items": {"type": "object"},
                "description": "As `sessiontap stats --json`; `filter` has the parameters of the sessions' page.",
            },
            "after": {"type": "integer"},
            "matching": {"type": "integer", "description": "Lines that there are."},
        },
        "required": ["by", "rows", "after", "matching"],
    },
)
