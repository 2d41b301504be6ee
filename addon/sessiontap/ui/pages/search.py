"""Search: the places of a text in all that was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.trace.values import iso
from sessiontap.ui.filters import FILTERS, filters_of
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading

SECONDS = 0.5
"""Seconds for which calls that nobody has read yet are read, before the answer."""
LIMIT, MOST = 40, 200
FURTHEST = 5_000
"""Places up to which one can page."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The places of a text, those in the latest calls first."""
    text, start = parameters["q"] or "", min(parameters["after"], FURTHEST)
    limit = min(parameters["limit"], MOST)
    hits: list[dict[str, Any]] = []
    unread: dict[str, Any] = {"calls": 0, "newest": None, "behind": False}
    if text.strip():
        found, left = reading.trace.query_hits(text, filters_of(parameters), start + limit + 1, SECONDS)
        hits = [hit.row() | {"where": hit.where} for hit in found[start:]]
        unread = {"calls": left.calls, "newest": iso(left.newest), "behind": left.behind}
    more = len(hits) > limit
    return {
        "q": text,
        "hits": hits[:limit],
        "after": start,
        "next": start + limit if more and start + limit <= FURTHEST else None,
        "unread": unread,
    }


PAGE = Page(
    path="/search",
    title="Search",
    description="Where a text stands: in prompts, replies, reasoning, tools and their results, names.",
    template="search.html",
    data=data,
    parameters=(
        Parameter("q", "The text, in any case."),
        Parameter("after", "Skip this many places.", "integer", default=0),
        Parameter("limit", f"Places at most, up to {MOST}.", "integer", default=LIMIT, minimum=1),
        *(one for one in FILTERS if one.name != "search"),
    ),
    schema={
        "type": "object",
        "properties": {
            "q": {"type": "string"},
            "hits": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Lines of `sessiontap search --json`, and `where` in words.",
            },
            "after": {"type": "integer"},
            "next": {"type": ["integer", "null"], "description": "`after` of the next page."},
            "unread": {
                "type": "object",
                "description": "Calls that have not been searched yet: how many, the newest, and if the log has more.",
            },
        },
        "required": ["q", "hits", "after", "next", "unread"],
    },
)
