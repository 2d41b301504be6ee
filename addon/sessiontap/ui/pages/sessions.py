"""The list of sessions: what ran, when, how long, what it cost, and what runs now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from sessiontap.trace.index.answers import SCORE
from sessiontap.trace.index.filters import Filters, given
from sessiontap.trace.values import iso
from sessiontap.ui.errors import BadParameter
from sessiontap.ui.filters import FILTERS, filters_of
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.pages.scores import WRITABLE
from sessiontap.ui.reading import Reading

ORDERS = ("started", "ended", "name", "duration", "calls", "errors", "tokens", "cost")
LIMIT = 100
MOST = 1000
"""Sessions on one page, at most."""
MOST_SCORES = 6
"""Columns of scores."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Some sessions as `ls --json` gives them, what follows them, and what is not among them."""
    wanted, sort = filters_of(parameters), parameters["sort"]
    if sort is not None and sort not in ORDERS and not (sort.startswith(SCORE) and sort != SCORE):
        raise BadParameter(f"there is no sort {sort!r}", f"Choose one of {', '.join(ORDERS)}, or {SCORE}NAME.")
    after, limit = parameters["after"], min(parameters["limit"], MOST)
    log = reading.trace
    if after is None:
        rows = log.query_sessions(wanted, sort, limit + 1, reading.prices)
    else:
        rows = reading.sessions_after(after, wanted, sort, limit + 1, reading.prices)
    shown = rows[:limit]
    return {
        "sessions": shown,
        "score_names": sorted({name for row in shown for name in (*row["scores"], *row["call_scores"])})[:MOST_SCORES],
        "writable": reading.writable,
        "after": shown[-1]["id"] if len(rows) > limit else None,
        "hidden_sessions": log.query_errands(wanted)["sessions"] if wanted.without_errands else 0,
        "unsearched": _unsearched(reading, wanted),
        "unmatched": _unmatched(reading, wanted) if not rows and after is None else [],
    }


def _unsearched(reading: Reading, wanted: Filters) -> dict[str, Any] | None:
    """The calls that a search for a text has not looked through yet; asked again, it goes on."""
    left = reading.trace.query_unread() if wanted.search is not None else None
    return {"calls": left.calls, "newest": iso(left.newest)} if left else None


def _unmatched(reading: Reading, wanted: Filters) -> list[dict[str, Any]]:
    """The filters that fit no call by themselves."""
    asked = replace(wanted, without_errands=False)
    return [asdict(one) for one in reading.trace.query_unmatched(asked)] if given(asked) else []


PAGE = Page(
    path="/",
    title="Sessions",
    description="What ran: sessions with their calls, errors, tokens and cost, newest first.",
    template="sessions.html",
    data=data,
    live=True,
    parameters=(
        *FILTERS,
        Parameter(
            "sort",
            f"{', '.join(ORDERS)}, or {SCORE}NAME. Newest first if it is not given; names from a to z, all else from "
            "the most down.",
        ),
        Parameter("limit", f"Sessions on a page, {MOST} at most.", "integer", default=LIMIT, minimum=1),
        Parameter("after", "The id of a session: those that follow it in the list, as `after` of a page names it."),
    ),
    schema={
        "type": "object",
        "properties": {
            "sessions": {"type": "array", "items": {"type": "object"}, "description": "As `sessiontap ls --json`."},
            "score_names": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The scores that these sessions or their calls have; the first few.",
            },
            "writable": WRITABLE,
            "after": {"type": ["string", "null"], "description": "What `after` is on the next page; null on the last."},
            "hidden_sessions": {
                "type": "integer",
                "description": "Sessions that are left out: they hold nothing but agents' errands.",
            },
            "unsearched": {
                "type": ["object", "null"],
                "description": "Calls that `search` has not looked through yet, and the start of the newest of them.",
            },
            "unmatched": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Filters that fit no call by themselves, with values that would.",
            },
        },
        "required": ["sessions", "score_names", "writable", "after", "hidden_sessions", "unsearched", "unmatched"],
    },
)
