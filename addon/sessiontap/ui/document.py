"""Exported calls as one document: by session, each call with what is new in it, as on the page of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from sessiontap.analysis.conversation import ConversationOrder
from sessiontap.analysis.conversation_page import lanes, page
from sessiontap.analysis.timeline import Window, timeline
from sessiontap.export.exported_call import ExportedCall
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.part import CallParts, Part
from sessiontap.trace.index.shared_list import common
from sessiontap.trace.index.spans import span_of
from sessiontap.trace.index.turns import Turn, answered
from sessiontap.trace.outcomes import ERRORS

LONGEST, MOST_TEXT = 1_000_000, 200_000_000
"""Characters of a text, and of all texts of a session, that a document holds."""
Scores = tuple[dict[str, Any], ...]
_ODD = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class DocumentSession:
    """A session, or the calls without one: `calls` and `lanes` are those of the page of a conversation."""

    id: str | None
    name: str | None
    started: str | None
    calls: list[dict[str, Any]]
    lanes: list[dict[str, Any]]
    errors: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    scores: Scores
    """Its scores, star and note, as `ExportedCall.session_scores` has them."""
    call_scores: dict[str, Scores]
    """The same of all calls of the document that have some, by their ids."""
    in_time: dict[str, Any]
    """The session in time as the page of its timeline has it, without rows: `time`, `lanes`, `paths` and more."""


def sessions(calls: Iterable[ExportedCall]) -> list[DocumentSession]:
    """The sessions of calls, oldest first, by their first calls. All of their parts are held, each text once."""
    reader = _Reader()
    groups: dict[str | None, list[Turn]] = {}
    scores: dict[str | None, Scores] = {}
    call_scores: dict[str, Scores] = {}
    for call in calls:
        id = call.row["session_id"]
        groups.setdefault(id, []).append(reader.turn(call))
        scores[id] = call.session_scores
        if call.scores:
            call_scores[call.id] = call.scores
    return [_session(id, turns, scores[id], call_scores) for id, turns in groups.items()]


def _session(id: str | None, turns: list[Turn], scores: Scores, call_scores: dict[str, Scores]) -> DocumentSession:
    order = ConversationOrder(turn.call for turn in turns)
    agents, places = lanes(order)
    rows = [turn.call for turn in turns if not turn.call["errand"]]
    usages = [row["usage"] or {} for row in rows]
    return DocumentSession(
        id=id,
        name=next((row["session_name"] for row in rows if row["session_name"]), None),
        started=rows[0]["time"] if rows else None,
        calls=page(order, places, turns, "everything", LONGEST, MOST_TEXT),
        lanes=[asdict(lane) for lane in agents],
        errors=sum(row["outcome"] in ERRORS or bool(row["error"]) for row in rows),
        input_tokens=_sum(usage.get("input") for usage in usages),
        output_tokens=_sum(usage.get("output") for usage in usages),
        cost_usd=_sum(row["cost_usd"] for row in rows),
        scores=scores,
        call_scores=call_scores,
        in_time=timeline({"id": id, "name": None}, [span_of(row, 0) for row in rows], Window(limit=0)),
    )


def _sum(numbers: Iterable[Any]) -> Any:
    known = [one for one in numbers if one is not None]
    return sum(known) if known else None


class _Reader:
    """Makes turns of exported calls, oldest first."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._parts: dict[Part, Part] = {}

    def turn(self, call: ExportedCall) -> Turn:
        try:
            found = recorded_parts(call.record, call.request_body.data, call.response_body.data)
        except _ODD:
            found = CallParts([], [])
        request, reply = (tuple(self._shared(part, call.redact) for part in parts) for parts in found)
        base = self._turns.get(call.row["parent"] or "")
        first = 0
        if base is not None:
            first = common(request, base.request)
            if first == len(base.request):
                first += answered(request[first:], base.reply)
        turn = Turn(call.row, request, first, reply, base.call["id"] if base is not None else None)
        self._turns[call.id] = turn
        return turn

    def _shared(self, part: Part, redact: Callable[[str], str] | None) -> Part:
        if redact is not None and part.text is not None:
            part = replace(part, text=redact(part.text))
        return self._parts.setdefault(part, part)
