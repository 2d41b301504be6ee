"""Two calls, or two sessions, beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sessiontap.analysis.compare_recorded import (
    RequestDifferences,
    as_json,
    asked,
    compare_recorded_sessions,
    differences,
)
from sessiontap.analysis.compare_sessions import CallPair, NotComparedError
from sessiontap.analysis.compare_words import WordAligner, WordLine
from sessiontap.llm.compare import Difference
from sessiontap.trace import BodyError, RecordedCall, TraceError, call_row
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.index.turns import BodiesRead
from sessiontap.trace.views import unknown_cost
from sessiontap.ui.errors import BadParameter, NotFound
from sessiontap.ui.page import Page, Parameter
from sessiontap.ui.reading import Reading, how_far
from sessiontap.ui.shown_turns import HOW_FAR

SECONDS = 1.5
"""Time for the requests of two sessions."""
MOST_CALLS = 1_500
"""Calls of each of two sessions."""
MOST_LINES, MOST_IN_ALL = 160, 600
"""Lines of a change that are told, and of all changes."""
MOST_MARKED = 600
"""Stretches of lines that are marked as changed; behind them lines are told as changed as a whole."""
MOST_CHANGES = 100
"""Messages and tools that are told."""
LONGEST = 4_000
"""Characters of a line that are told."""
MOST_PAIRS = 300
CHOICES = 30
"""Sessions that one can choose among."""


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison of `a`, the earlier one, and `b`; with `b` alone, of that call and the one that it continues."""
    a, b, kind = parameters["a"], parameters["b"], parameters["kind"]
    found: dict[str, Any] = {"a": a, "b": b, "kind": None, "sessions": None, "calls": None, "choices": []}
    found |= how_far(BodiesRead(0, 0))
    if b is None and a is None:
        rows = reading.trace.query_sessions(Filters(without_errands=True), limit=CHOICES, prices=reading.prices)
        return found | {"choices": rows}
    if b is None:
        raise BadParameter("there is nothing to compare with", "Give b, too: the later call or session.")
    sessions = None if a is None or kind == "calls" else _sessions(reading, a, b)
    if sessions is not None:
        bodies = _read_bodies(reading, *sessions)
        compared = _compared_sessions(reading, *sessions) if bodies.is_complete else None
        return found | {"kind": "sessions", "sessions": compared} | how_far(bodies)
    if kind == "sessions":
        raise NotFound(f"{a} and {b} do not both name a session", "The list of sessions is at /.")
    return found | {"kind": "calls", "calls": _compared_calls(reading, *_calls(reading, a, b))}


def _sessions(reading: Reading, a: str, b: str) -> tuple[str, str] | None:
    """The ids of two sessions; None if both names are calls', or one of them nothing's. Raises BadParameter."""
    found = [_session(reading, name) for name in (a, b)]
    before, after = found
    if before is not None and after is not None:
        return before, after
    for session, name, other in ((before, a, b), (after, b, a)):
        is_session = session is not None and (name.startswith("@") or not _is_call(reading, name))
        if is_session and _is_call(reading, other):
            raise BadParameter(
                f"{name} is a session, and {other} is a call",
                f"Compare {other} with a call of that session, such as {name}/0; or two sessions. "
                "With kind=calls @1 is the newest call.",
            )
    return None


def _session(reading: Reading, name: str) -> str | None:
    """The id of a session; None if this is no session's name."""
    try:
        return reading.trace.query_session_id(name)
    except TraceError:
        return None


def _is_call(reading: Reading, name: str) -> bool:
    """Return True if this is a call's name."""
    try:
        reading.trace.place(name)
    except TraceError:
        return False
    return True


def _calls(reading: Reading, a: str | None, b: str) -> tuple[RecordedCall, RecordedCall]:
    """Two calls. Raises NotFound, TraceError."""
    after = reading.trace.call(b)
    before = a or after.record.get("parent")
    if not before:
        raise NotFound(f"call {after.id} goes on from no other call", "Give a, too: the call to compare it with.")
    return reading.trace.call(before), after


def _compared_calls(reading: Reading, before: RecordedCall, after: RecordedCall) -> dict[str, Any]:
    cost_of = reading.prices.cost_of if reading.prices is not None else unknown_cost
    rows = [call_row(one.record | {"machine": one.machine}, one.caller, cost_of) for one in (before, after)]
    found: dict[str, Any] = {"before": rows[0], "after": rows[1], "sums": _sums(*rows), "not_compared": None}
    try:
        compared = differences(asked(before), asked(after))
    except (NotComparedError, BodyError) as error:
        return found | {"difference": None, "not_compared": str(error)}
    told = _Told()
    difference = as_json(compared) | told.difference(compared.body)
    return found | {"difference": difference, "not_aligned": told.not_aligned, "left": told.left,
                    "changes_left": told.changes_left, "bytes_alone": _bytes_alone(compared)}  # fmt: skip


def _bytes_alone(found: RequestDifferences) -> bool:
    """Return True if the bodies differ, and say the same."""
    return not found.identical and found.body is not None and found.body.is_empty


def _sums(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Numbers of both calls."""
    rows: list[dict[str, Any]] = [
        {"name": name, "before": before[name], "after": after[name]}
        for name in ("duration", "time_to_first_token", "request_bytes", "response_bytes")
    ]
    usages = before["usage"] or {}, after["usage"] or {}
    names = dict.fromkeys((*usages[0], *usages[1]))
    rows += [{"name": f"{name}_tokens", "before": usages[0].get(name), "after": usages[1].get(name)} for name in names]
    rows.append({"name": "cost_usd", "before": before["cost_usd"], "after": after["cost_usd"]})
    return [row for row in rows if row["before"] is not None or row["after"] is not None]


def _read_bodies(reading: Reading, before: str, after: str) -> BodiesRead:
    """Read the bodies of two sessions, and return how far that is. Raises BadParameter."""
    for one in (before, after):
        calls = len(reading.trace.query_links(one))
        if calls > MOST_CALLS:
            raise BadParameter(
                f"session {one} has {calls:,} calls, too many to compare on a page",
                f"`sessiontap diff {before} {after}` compares them; here compare two of their calls.",
            )
    bodies = [reading.trace.read_session(one) for one in (before, after)]
    return BodiesRead(sum(one.read for one in bodies), sum(one.calls for one in bodies))


def _compared_sessions(reading: Reading, before: str, after: str) -> dict[str, Any]:
    found = compare_recorded_sessions(reading.trace, before, after, reading.prices, SECONDS)
    told = _Told()
    return {
        "before": found.before,
        "after": found.after,
        **{name: [asdict(one) for one in getattr(found, name)]
           for name in ("sums", "models", "tools", "properties", "labels", "paths")},
        "calls": [_pair(pair, told) for pair in found.calls[:MOST_PAIRS]],
        "calls_in_all": len(found.calls),
        "not_compared": sum(pair.not_compared is not None for pair in found.calls),
        "not_aligned": told.not_aligned,
        "left": told.left,
        "changes_left": told.changes_left,
    }  # fmt: skip


def _pair(pair: CallPair, told: _Told) -> dict[str, Any]:
    return {
        "path": pair.path,
        "before": pair.before,
        "after": pair.after,
        "asked": None if pair.asked is None else told.difference(pair.asked),
        "differs": pair.asked is not None and (bool(pair.repeated) or not pair.asked.is_empty),
        "repeated": pair.repeated,
        "not_compared": pair.not_compared,
    }


class _Told:
    """The changes of a page as plain values: word by word, within its bounds."""

    def __init__(self) -> None:
        self._aligner = WordAligner()
        self._room = MOST_IN_ALL
        self._marks = MOST_MARKED
        self._changes = MOST_CHANGES
        self.left = 0
        """Lines that are not told."""
        self.changes_left = 0
        """Messages and tools that are not told."""

    @property
    def not_aligned(self) -> int:
        return self._aligner.not_aligned

    def difference(self, found: Difference | None) -> dict[str, Any]:
        if found is None:
            return {}
        return {
            "messages": [asdict(one) | self._lines(one.change, one.lines) for one in self._first(found.messages)],
            "system": found.system and asdict(found.system) | self._lines(found.system.change, found.system.lines),
            "tools": [asdict(one) | self._lines(one.change, one.lines) for one in self._first(found.tools)],
            "tools_same": found.tools_same,
            "parameters": [asdict(one) for one in found.parameters],
        }

    def _first[T](self, changes: Sequence[T]) -> Sequence[T]:
        """As many of these as there is room for."""
        told = changes[: self._changes]
        self._changes -= len(told)
        self.changes_left += len(changes) - len(told)
        return told

    def _lines(self, change: str, lines: Sequence[str]) -> dict[str, Any]:
        told = list(lines[: min(MOST_LINES, self._room)])
        self._room -= len(told)
        left = len(lines) - len(told)
        self.left += left
        if change == "changed":
            pieces = self._aligner.lines(told)
        else:
            pieces = [WordLine("+" if change == "added" else "-", ((one, False),)) for one in told]
        return {"lines": [{"mark": one.mark, "pieces": _cut(self._marked(one.pieces))} for one in pieces], "left": left}

    def _marked(self, pieces: Sequence[tuple[str, bool]]) -> Sequence[tuple[str, bool]]:
        """The pieces of a line, or the line as one if there are too many."""
        marks = sum(changed for _, changed in pieces)
        if marks > self._marks:
            return (("".join(text for text, _ in pieces), False),)
        self._marks -= marks
        return pieces


def _cut(pieces: Sequence[tuple[str, bool]]) -> list[list[Any]]:
    """The pieces of a line up to `LONGEST` characters: long ones in the middle are told by their ends."""
    told: list[list[Any]] = []
    most = max(200, LONGEST // max(1, len(pieces)))
    for text, changed in pieces:
        half, left = most // 2, len(text) - most
        shown = text if left <= 0 else f"{text[:half]} … {left:,} characters … {text[-half:]}"
        told.append([shown, changed])
    return told


_SIDE = {"type": ["object", "null"]}
PAGE = Page(
    path="/compare",
    title="Compare",
    description="Two calls by messages, system prompt, tools and parameters; or two sessions by paths, tools and sums.",
    template="compare.html",
    data=data,
    parameters=(
        Parameter("a", "The earlier session or call: its id, the beginning of it, @2, SESSION/STEP."),
        Parameter("b", "The later one; of a call, alone: it is compared with the call that it continues."),
        Parameter("kind", "What the names mean, if they mean both.", "choice", ("sessions", "calls")),
    ),
    schema={
        "type": "object",
        "properties": {
            "kind": {"enum": ["sessions", "calls", None]},
            "sessions": _SIDE
            | {
                "description": "As `sessiontap diff SESSION SESSION --json`, changes word by word; null until all of "
                "their bodies have been read."
            },
            "calls": _SIDE | {"description": "Both rows, sums, and `difference`: as `diff CALL CALL --json`."},
            "choices": {"type": "array", "items": {"type": "object"}, "description": "Sessions to choose among."},
            **HOW_FAR,
        },
        "required": ["a", "b", "kind", "sessions", "calls", "choices", "complete"],
    },
)
