"""Calls of tools and their results, brought together across the turns of a session.

A reply asks for a tool, and a later request of the conversation brings the result. They belong together by the call's
id; without ids (Gemini, Ollama) by the tool's name, in order. Providers and proxies see neither begin nor end of a run:
its time is from the end of the reply that asked to the start of the request that brought the result, so it includes
what the client did meanwhile, and the user, and tools that ran beside it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sessiontap.part import Part

if TYPE_CHECKING:
    from sessiontap.trace.index.turns import Turn

ARGUMENTS = (
    "file_path", "filePath", "absolute_path", "path", "notebook_path", "filename", "file", "dir_path", "command",
    "cmd", "query", "pattern", "url", "q", "description", "prompt", "input",
)  # fmt: skip
"""Arguments that tell best what a tool was asked about, the first that is there."""
SHORT = 200
"""Characters of an argument that are kept."""


@dataclass(slots=True)
class ToolRun:
    """A call of a tool, and its result as far as it came."""

    tool: str | None
    id: str | None
    arguments: str | None = None
    """JSON text as sent; None if only the result was seen."""
    asked: int | None = None
    """The turn whose reply asked for it, by its position; None if that was not recorded."""
    answered: int | None = None
    """The turn whose request first brought the result."""
    result: Part | None = None
    place: int | None = None
    """The position of the result in that request."""
    seconds: float | None = None
    """Inferred: from the reply to the request."""
    beside: int = 0
    """Other results that came in the same request: their runs share its time."""

    @property
    def server(self) -> str | None:
        """The MCP server of the tool."""
        return Part("tool_call", None, None, None, 0, self.tool).server

    @property
    def argument(self) -> str | None:
        """The argument that tells best what the tool was asked about: a path, a command, a query."""
        return main_argument(self.arguments)


@dataclass(slots=True)
class _Open:
    """The runs of one conversation."""

    by_id: dict[str, ToolRun] = field(default_factory=dict)
    by_name: defaultdict[str | None, list[ToolRun]] = field(default_factory=lambda: defaultdict(list))
    """Runs by their tool, oldest first."""


def tool_runs(turns: Sequence[Turn]) -> list[ToolRun]:
    """Return the runs of tools in these turns, in the order in which they were asked for."""
    runs: list[ToolRun] = []
    conversations: defaultdict[str | None, _Open] = defaultdict(_Open)
    by_id: dict[str, ToolRun] = {}
    for at, turn in enumerate(turns):
        known = conversations[turn.call["conversation"]]
        brought: list[ToolRun] = []
        unasked: list[ToolRun] = []
        for place, part in _new_results(turn):
            run = _asked_for(part, known, by_id)
            if run is None:
                run = ToolRun(part.name, part.id, _in_history(turn, place))
                unasked.append(run)
                _remember(run, known, by_id)
            if run.result is None:
                run.tool = run.tool or part.name
                if part.id and not run.id:
                    run.id = part.id
                    known.by_id[part.id] = by_id[part.id] = run
                run.result, run.answered, run.place = part, at, place
                brought.append(run)
        runs += reversed(unasked)
        for run in brought:
            run.beside = len(brought) - 1
            if run.asked is not None:
                run.seconds = between(turns[run.asked].call, turn.call)
        for part in turn.reply:
            if part.kind == "tool_call":
                run = ToolRun(part.name, part.id, part.text, asked=at)
                runs.append(run)
                _remember(run, known, by_id)
            elif part.kind == "tool_result" and (ran := _asked_for(part, known, by_id)) is not None:
                ran.result = part  # the provider ran the tool itself, within the reply
    return runs


ResultKey = tuple[str | None, str | None]


def result_key(part: Part) -> ResultKey:
    """Return what tells a result from others, at whatever place of whatever request it stands."""
    return part.id, part.text


def runs_by_result(turns: Sequence[Turn]) -> dict[ResultKey, ToolRun]:
    """Return the runs that have a result, by it."""
    return {result_key(run.result): run for run in tool_runs(turns) if run.result is not None}


def _remember(run: ToolRun, known: _Open, by_id: dict[str, ToolRun]) -> None:
    known.by_name[run.tool].append(run)
    if run.id:
        known.by_id[run.id] = by_id[run.id] = run


def _new_results(turn: Turn) -> Iterable[tuple[int, Part]]:
    """The results that this request brings, the newest first: ids that a server counts anew belong to the newest.

    A result without an id is new if no word of the assistant's stands behind it: only then a history that was told
    anew is not taken for new results.
    """
    last = True
    for place in range(len(turn.request) - 1, turn.first_new - 1, -1):
        part = turn.request[place]
        last = last and part.role != "assistant"
        if part.kind == "tool_result" and (last or part.id):
            yield place, part


def _asked_for(part: Part, known: _Open, by_id: dict[str, ToolRun]) -> ToolRun | None:
    """The run whose result this is; one that has a result already if it is that one again."""
    if part.id and (run := known.by_id.get(part.id) or by_id.get(part.id)) is not None:
        return run
    # Gemini's clients give ids to calls that came without one. The newest result comes first, so it belongs to the last
    # of the runs that wait.
    waiting = (run for run in reversed(known.by_name[part.name]) if run.result is None)
    return next((run for run in waiting if not (run.id and part.id)), None)


def _in_history(turn: Turn, place: int) -> str | None:
    """The arguments of the call whose result stands at `place`, if its reply was not recorded.

    Without ids the last result of a tool belongs to its last call, the one before it to the call before.
    """
    result = turn.request[place]
    calls = [part for part in turn.request if part.kind == "tool_call" and part.id == result.id]
    if result.id:
        return calls[0].text if calls else None
    calls = [part for part in calls if part.name == result.name]
    behind = turn.request[place:]
    from_end = sum(part.kind == "tool_result" and (part.id, part.name) == (None, result.name) for part in behind)
    return calls[-from_end].text if from_end <= len(calls) else None


def between(asked: dict[str, Any], answered: dict[str, Any]) -> float | None:
    """Seconds from the end of one call to the start of another; None if they are not known or overlap."""
    begin, end = started(asked), started(answered)
    if begin is None or end is None or asked["duration"] is None:
        return None
    seconds = end - begin - float(asked["duration"])
    return round(seconds, 6) if seconds >= 0 else None


def without_errands(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns that are part of a session's work, without those by which its agent looks after itself."""
    return [turn for turn in turns if not turn.call.get("errand")]


def started(call: dict[str, Any]) -> float | None:
    """Unix seconds of a call's start."""
    return datetime.fromisoformat(call["time"]).timestamp() if call["time"] else None


def main_argument(arguments: str | None) -> str | None:
    """Return the argument that tells best what a tool was asked about, shortened; None if there is none."""
    try:
        given = json.loads(arguments or "")
    except ValueError:
        return _shortened(arguments) if arguments else None
    if not isinstance(given, dict):
        return _shortened(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))
    for name in ARGUMENTS:
        if isinstance(value := given.get(name), str) and value:
            return _shortened(value)
        if isinstance(value, list) and value:  # a command as its words
            return _shortened(" ".join(map(str, value)))
    texts = [value for value in given.values() if isinstance(value, str) and value]
    if texts:
        return _shortened(texts[0])
    return _shortened(json.dumps(given, ensure_ascii=False)) if given else None


def argument_lines(text: str | None) -> str | None:
    """Return arguments in JSON as lines, one for each, texts as they are; what is no JSON as it is."""
    try:
        given = json.loads(text or "")
    except ValueError:
        return text
    if not isinstance(given, dict):
        return text
    pairs = (
        (name, one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)) for name, one in given.items()
    )
    return "\n".join(f"{name}: {value}" for name, value in pairs)


def _shortened(text: str) -> str:
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"
