"""The tools of a session: calls, errors, time and results of each; of one all calls with arguments and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.analysis.tools import runs_of, tools
from sessiontap.trace.index.filters import glob
from sessiontap.ui.errors import NotFound
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading
from sessiontap.ui.shown_turns import OF_SESSION

ROWS = 30
MOST_TEXT = 20_000
"""Characters of arguments or of a result; the page of the call has all of it."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `tools --json`, and with a name some of the calls of `tools --name --json`."""
    turns, session = reading.turns(parameters["session"])
    found = session | tools(turns)
    if parameters["name"] is None:
        return found | {"name": None, "calls": [], "after": 0, "matching": 0, "cut": False}
    calls = runs_of(turns, glob(parameters["name"]))["calls"]
    if not calls and session["complete"]:
        names = ", ".join(row["tool"] or "?" for row in found["tools"]) or "none"
        raise NotFound(
            f"session {found['session_id']} calls no tool {parameters['name']}", f"It calls {names}."
        )
    after = parameters["after"]
    shown = calls[after : after + parameters["limit"]]
    is_cut = any(len(run[key] or "") > MOST_TEXT for run in shown for key in ("arguments", "result"))
    return found | {
        "name": parameters["name"],
        "calls": [_cut(run) for run in shown],
        "after": after,
        "matching": len(calls),
        "cut": is_cut,
    }


def _cut(run: dict[str, Any]) -> dict[str, Any]:
    return run | {key: run[key][:MOST_TEXT] for key in ("arguments", "result") if run[key] is not None}


PAGE = Page(
    path="/sessions/{session}/tools",
    title="Tools",
    description="What tools did: calls, errors, time, results; with a name each call with arguments and result.",
    template="tools.html",
    data=data,
    live=True,
    is_large=True,
    parameters=(
        Parameter("name", "Show the calls of the tools of this name, a glob."),
        Parameter("after", "Skip this many calls at the beginning.", "integer", default=0),
        Parameter("limit", "Calls on a page, 200 at most.", "integer", default=ROWS, minimum=1, maximum=200),
    ),
    schema={
        "type": "object",
        "properties": {
            **OF_SESSION,
            "time_is": {"type": "string", "description": "How the time of a tool is inferred."},
            "tools": {"type": "array", "items": {"type": "object"}, "description": "As `sessiontap tools --json`."},
            "name": {"type": ["string", "null"]},
            "calls": {"type": "array", "items": {"type": "object"}, "description": "Calls of the tools of that name."},
            "after": {"type": "integer"},
            "matching": {"type": "integer", "description": "Calls of the tools of that name that there are."},
            "cut": {"type": "boolean", "description": f"A text was longer than {MOST_TEXT:,} characters and is cut."},
        },
        "required": ["session_id", "complete", "time_is", "tools", "name", "calls", "matching", "cut"],
    },
)
