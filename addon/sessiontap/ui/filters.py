"""The filters of lists (docs/filters.md) as the parameters of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.trace.index import scores
from sessiontap.trace.index.filters import Filters, is_path_glob, is_status
from sessiontap.ui.errors import BadParameter
from sessiontap.ui.page import Parameter

FILTERS = (
    Parameter("search", "Calls with this text in names, paths, models, prompts or replies."),
    Parameter("name", "Calls of sessions of this name, a glob."),
    Parameter("path", "Calls at this path, a glob; /course/** is /course and all below it."),
    Parameter("since", "Calls since 2h or 3d ago, or an ISO date or time.", "time"),
    Parameter("until", "Calls that began before this; a date includes its whole day.", "time", ends_day=True),
    Parameter("process", "Calls of this process, a glob."),
    Parameter("machine", "Calls that a proxy of this machine recorded, a glob of its host name."),
    Parameter("user", "Calls of this user, a glob."),
    Parameter("agent", "Calls of this agent or sub-agent, a glob."),
    Parameter("provider", "Calls of this provider, a glob."),
    Parameter("model", "Calls with this model, in the request or in the reply, a glob."),
    Parameter("tool", "Calls whose reply calls this tool, or that bring its result, a glob."),
    Parameter("tag", "Calls with this tag, a glob; with all of them if there are several.", repeated=True),
    Parameter("property", "Calls with this property: KEY, or KEY=VALUE with a glob.", repeated=True),
    Parameter("rule", "Calls for which this rule set something, a glob."),
    Parameter("status", "Calls with this HTTP status: 429, or 4xx for any of a class."),
    Parameter("outcome", "Calls with this outcome, a glob: ok, http_error, client_gone, ..."),
    Parameter(
        "score",
        "Calls with this score, of their own or of their session: helpful>0.5, grade=good, correct. With all of them "
        "if there are several.",
        repeated=True,
    ),
    Parameter("starred", "Calls with a star, or whose session has one.", "flag"),
    Parameter("session", "Calls of this session: its id, the beginning of it, or @1."),
    Parameter("error", "Calls that failed.", "flag"),
    Parameter("all", "Include agents' errands: settings, telemetry, token counts.", "flag"),
)
_SAME = (
    "search", "name", "path", "since", "until", "process", "machine", "user", "agent", "provider", "model", "tool",
    "rule",     "status", "outcome", "session",
)  # fmt: skip
"""Those that a field of `Filters` has the name of, and that are given once."""


def filters_of(parameters: Mapping[str, Any]) -> Filters:
    """The filters that the parameters ask for. Raises BadParameter."""
    status = parameters.get("status")
    if status is not None and not is_status(status):
        raise BadParameter(f"{status!r} is no HTTP status", "Write status=429 or status=4xx.")
    path = parameters.get("path")
    if path is not None and not is_path_glob(path):
        raise BadParameter("the glob of path is too long", "Write a shorter one, with fewer * and ?.")
    for one in parameters.get("property", ()):
        if not one.partition("=")[0]:
            raise BadParameter(f"property={one!r} names no property", "Write property=mode or property=mode=test.")
    for one in parameters.get("score", ()):
        if scores.parsed(one) is None:
            raise BadParameter(f"score={one!r} is no score", "Write score=helpful>0.5 or score=grade=good.")
    same: dict[str, Any] = {name: parameters.get(name) for name in _SAME}
    return Filters(
        **same,
        tags=parameters.get("tag", ()),
        properties=parameters.get("property", ()),
        scores=parameters.get("score", ()),
        starred=parameters.get("starred", False),
        error=parameters.get("error", False),
        without_errands=not parameters.get("all", False),
    )
