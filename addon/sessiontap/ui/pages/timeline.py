"""A session in time: when each call ran, in which lane, and which paths took the time and money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sessiontap.analysis.timeline import ORDERS, Window, timeline
from sessiontap.trace.index.filters import given
from sessiontap.ui.errors import BadParameter
from sessiontap.ui.filters import FILTERS, filters_of
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading

ROWS = 60
"""Rows on a page: its elements stay far below 2,000."""
OF_SESSIONS = ("session", "name", "search")
"""Filters that do not tell calls of one session apart, or that cost a search through its bodies."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The timeline; filters choose among its rows, and leave the picture of the session whole."""
    begin, end = (_seconds(parameters, name) for name in ("from", "to"))
    if begin is not None and end is not None and end <= begin:
        raise BadParameter(f"to={parameters['to']} is not after from={parameters['from']}", "Give to a larger number.")
    wanted = replace(filters_of(parameters), without_errands=False)
    of, errands = parameters["session"], parameters["all"]
    session, spans = reading.trace.query_spans(of, reading.prices, errands)
    fitting = None
    if given(wanted):
        fitting = {one.id for one in reading.trace.query_spans(session["id"], None, errands, wanted)[1]}
    window = Window(begin, end, parameters["order"], parameters["after"], parameters["limit"])
    return timeline(session, spans, window, fitting=fitting, squeeze=parameters["idle"] == "squeezed")


def _seconds(parameters: Mapping[str, Any], name: str) -> float | None:
    """A number of seconds since the session's begin. Raises BadParameter."""
    text = parameters[name]
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12:
        raise BadParameter(
            f"{name}={text!r} is no number of seconds", f"Write the seconds since the session's begin: {name}=12.5."
        )
    return value


_NUMBER, _COUNT, _TEXT = {"type": ["number", "null"]}, {"type": "integer"}, {"type": ["string", "null"]}

PAGE = Page(
    path="/sessions/{session}/timeline",
    title="Timeline",
    description="A session in time: its calls to scale, by lane, and which paths took the time and money.",
    template="timeline.html",
    data=data,
    live=True,
    parameters=(
        Parameter("from", "Calls that ran at or after so many seconds since the session's begin: 12.5."),
        Parameter("to", "Calls that began at or before so many seconds since the session's begin."),
        Parameter("idle", "Long pauses squeezed, or to scale.", "choice", ("squeezed", "whole"), default="squeezed"),
        Parameter("order", "Rows by time, or by another figure from the most down.", "choice", ORDERS, default="time"),
        *(one for one in FILTERS if one.name not in OF_SESSIONS),
        Parameter("after", "Skip this many rows at the beginning.", "integer", default=0),
        Parameter("limit", "Rows on a page, 500 at most.", "integer", default=ROWS, minimum=1, maximum=500),
    ),
    schema={
        "type": "object",
        "properties": {
            "session_id": {"type": "string"},
            "session_name": _TEXT,
            "started": {**_TEXT, "description": "The start of the first call; all other times are seconds since then."},
            "seconds": {"type": "number", "description": "From the first start to the last end."},
            "calls": _COUNT,
            "from": _NUMBER,
            "to": _NUMBER,
            "view": {
                "type": "object",
                "description": "The time that the rows' bars show.",
                "properties": {name: {"type": "number"} for name in ("from", "to")},
            },
            "squeezed": {"type": "boolean"},
            "scale": {
                "type": "array",
                "description": "Times and their places in the picture, 0 to 1; squeezed ones are pauses.",
                "items": {
                    "type": "object",
                    "properties": {
                        **{name: {"type": "number"} for name in ("from", "to", "at", "size")},
                        "squeezed": {"type": "boolean"},
                    },
                },
            },
            "time": {
                "type": "object",
                "description": "Seconds in which calls ran, else tools (inferred), else nothing.",
                "properties": {name: {"type": "number"} for name in ("calls", "tools_inferred", "idle")},
            },
            "lanes": {"type": "array", "items": {"type": "object"}, "description": "Agents by their processes."},
            "paths": {"type": "array", "items": {"type": "object"}, "description": "Paths, those below behind theirs."},
            "paths_left_out": _COUNT,
            "order": {"type": "string", "enum": list(ORDERS)},
            "matching": {**_COUNT, "description": "Calls that fit range and filters."},
            "after": _COUNT,
            "rows": {"type": "array", "items": {"type": "object"}, "description": "Calls, of those that fit."},
        },
        "required": ["session_id", "started", "seconds", "scale", "lanes", "paths", "matching", "rows"],
    },
)
