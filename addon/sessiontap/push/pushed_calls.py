"""Calls and turns as a sender gets them: with their parts, the session's title, and how much of a call is new.

The calls of a turn are mostly among the latest that were read; the others are read again. What is held is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sessiontap.bounded_dict import BoundedDict
from sessiontap.export.exported_call import ExportedBody, ExportedCall, export_call
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.part import CallParts
from sessiontap.push.target import PushedCall, UserTurn
from sessiontap.push.user_turns import CallLink, OpenTurn, TurnPlace, link_of
from sessiontap.trace import RecordedCall, Trace, TraceError
from sessiontap.trace.backlog import Backlog, CallOrigin
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.index.turns import answered
from sessiontap.trace.views import CostOf

TURN_BYTES = 16 << 20
"""Bodies of a turn's calls that are held together: the first and the last ones have theirs."""
RECENT_BYTES = 16 << 20
"""Bodies of the latest calls, which need not be read again for their turn."""
_RECENT = 2_000
_LEFT_OUT = "left out: the turn is very long"


class PushedCalls:
    """Makes `PushedCall`s and `UserTurn`s of what a log holds."""

    def __init__(self, log: Trace, backlog: Backlog, cost_of: CostOf, *, bodies: bool, content: bool) -> None:
        """`bodies`: read them. `content`: tell parts and titles, too."""
        self._log, self._backlog, self._cost_of = log, backlog, cost_of
        self._reads_bodies, self._content = bodies, content
        self._recent = _RecentCalls()
        self._titles: BoundedDict[str, tuple[str, str | None]] = BoundedDict(_RECENT)
        """Session -> the turn in which it had this title."""

    def call(self, recorded: RecordedCall, place: TurnPlace) -> PushedCall:
        """Return a call, and remember it for its turn. Raises as `turn` does."""
        call = self._read(recorded, place)
        self._recent.put(call)
        return call

    def turn(self, turn: OpenTurn) -> UserTurn | None:
        """Return a turn with its calls, with the bodies of the first and last ones; None if none of them can be read.

        Raises TraceError, OSError, and whatever odd bodies bring.
        """
        ordered = sorted(turn.calls)
        found: dict[int, PushedCall] = {}
        left = TURN_BYTES
        for at in _from_both_ends(len(ordered)):
            one = ordered[at]
            call = self._recent.get(one.id) or self._read_again(one.id, one.origin, TurnPlace(turn.id, turn.number))
            if call is None:
                continue
            left -= _bytes(call)
            found[at] = call if left > 0 or at in (0, len(ordered) - 1) else _bare(call)
        calls = tuple(found[at] for at in sorted(found))
        return UserTurn(turn.id, calls) if calls else None

    def link(self, id: str) -> CallLink | None:
        """Return the facts by which the turn of an earlier call is known; None if the log has no such call."""
        try:
            return link_of(self._log.call(id).record)
        except TraceError:
            return None

    def _read(self, recorded: RecordedCall, place: TurnPlace) -> PushedCall:
        exported = export_call(recorded, self._cost_of, bodies=self._reads_bodies)
        parts = _parts(exported) if self._content else None
        return PushedCall(
            call=exported,
            turn=place.turn,
            number=place.number,
            parts=parts,
            first_new=self._first_new(recorded.record.get("parent"), parts),
            title=self._title(recorded.session_id, place.turn) if self._content else None,
        )

    def _first_new(self, parent: str | None, parts: CallParts | None) -> int:
        before = self._parts_of(parent) if parts is not None and parent is not None else None
        if parts is None or before is None:
            return 0
        first = 0
        for one, other in zip(parts.request, before.request, strict=False):
            if one != other:
                break
            first += 1
        return first + answered(parts.request[first:], before.reply) if first == len(before.request) else first

    def _parts_of(self, id: str) -> CallParts | None:
        known = self._recent.get(id)
        if known is not None:
            return known.parts
        try:
            return _parts(export_call(self._log.call(id)))
        except TraceError:
            return None

    def _title(self, session: str | None, turn: str) -> str | None:
        if session is None:
            return None
        known = self._titles.get(session)
        if known is None or known[0] != turn:  # a session gets another title now and then
            try:
                found = self._log.query_sessions(Filters(session=session), limit=1)
            except TraceError:
                found = []
            known = turn, found[0].get("title") if found else None
            self._titles.put(session, known)
        return known[1]

    def _read_again(self, id: str, origin: Any, place: TurnPlace) -> PushedCall | None:
        recorded = self._backlog.at(CallOrigin(*origin), id)
        if recorded is None:
            try:
                recorded = self._log.call(id)
            except TraceError:
                return None
        return self._read(recorded, place)


class _RecentCalls:
    """The latest calls, of bounded size."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, PushedCall] = OrderedDict()
        self._bytes = 0

    def get(self, id: str) -> PushedCall | None:
        return self._calls.get(id)

    def put(self, call: PushedCall) -> None:
        old = self._calls.pop(call.call.id, None)
        self._bytes += _bytes(call) - (_bytes(old) if old is not None else 0)
        self._calls[call.call.id] = call
        while self._calls and (self._bytes > RECENT_BYTES or len(self._calls) > _RECENT):
            self._bytes -= _bytes(self._calls.popitem(last=False)[1])


def _parts(call: ExportedCall) -> CallParts | None:
    try:
        return recorded_parts(call.record, call.request_body.data, call.response_body.data)
    except (ValueError, LookupError, RecursionError):
        return None


def _bytes(call: PushedCall) -> int:
    return len(call.call.request_body.data or b"") + len(call.call.response_body.data or b"")


def _bare(call: PushedCall) -> PushedCall:
    """The call without its bodies."""
    bodies = [_bare_body(one) for one in (call.call.request_body, call.call.response_body)]
    exported = replace(call.call, request_body=bodies[0], response_body=bodies[1])
    return replace(call, call=exported, parts=None, first_new=0)


def _bare_body(body: ExportedBody) -> ExportedBody:
    return body if body.data is None else replace(body, data=None, missing=_LEFT_OUT)


def _from_both_ends(count: int) -> Iterable[int]:
    for step in range((count + 1) // 2):
        yield step
        if count - 1 - step != step:
            yield count - 1 - step
