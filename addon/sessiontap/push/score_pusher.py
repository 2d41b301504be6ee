"""Scores for a target: those that are new in the log or taken away, behind the calls that they are of.

Of each the value that counts now is sent, by the id of what it is of and its name, so that one that is sent twice is no
second one. A session's score waits until the session's first turn is complete: several readers know a session by the
root of a turn alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from sessiontap.push.cursor import Cursor
from sessiontap.push.target import Item, PushedScore, ScoreSender
from sessiontap.push.user_turns import UserTurns, link_of
from sessiontap.trace import RecordedCall, Trace, TraceError
from sessiontap.trace.backlog import ScoreBacklog
from sessiontap.trace.errands import is_errand
from sessiontap.trace.outcomes import end

Kind = Literal["session", "call"]
Key = tuple[Kind, str, str | None]
"""The kind and id of what a score is of, and the score's name."""
TOGETHER = 1_000
"""Scores that are read before they are sent."""
_BY_HAND = ("cli", "page")


class ScorePusher:
    """Makes items of the scores that `cursor` lacks. `turns` knows the turns of the calls that were pushed lately."""

    def __init__(
        self, log: Trace, sender: ScoreSender, cursor: Cursor, turns: UserTurns, *, content: bool, has_turns: bool
    ) -> None:
        self._log, self._sender, self._cursor, self._turns = log, sender, cursor, turns
        self._content, self._has_turns = content, has_turns
        self._backlog = ScoreBacklog(log.folder, cursor.scores_position)
        self._waiting: dict[Key, None] = {("session", str(id), name): None for id, name in cursor.scores_waiting}
        self._placed: tuple[str, dict[str, str]] = "", {}
        """The session whose turns were found last, and the turn of each of its calls."""
        self.takes = sender.takes
        """The scores that the target has a place for, in words."""
        self.left_out = 0
        """Scores that it has none for."""

    def push(self, send: Callable[[list[Item]], None]) -> bool:
        """Have `send` deliver what is new, and move the cursor behind it. Return True if there was something: the
        cursor is the caller's to write. Raises what `send` raises; then the same is new again."""
        before = self._cursor.scores_position, self._cursor.scores_waiting
        try:
            self._push(send)
        except BaseException:
            self._backlog = ScoreBacklog(self._log.folder, self._cursor.scores_position)
            raise
        return (self._cursor.scores_position, self._cursor.scores_waiting) != before

    def _push(self, send: Callable[[list[Item]], None]) -> None:
        for keys in self._new():
            waiting, items = dict.fromkeys(key for key in keys if self._waits(key)), []
            left_out = 0
            for key in keys:
                if key in waiting or (score := self._score(key)) is None:
                    continue
                if (item := self._sender.item(score)) is not None:
                    items.append(item)
                elif not score.is_withdrawn:
                    left_out += 1
            send(items)
            self._waiting = {key: None for key in self._waiting if key not in keys} | waiting
            self.left_out += left_out
            self._cursor.scores_position = self._backlog.position
            self._cursor.scores_waiting = [[id, name] for _, id, name in self._waiting]

    def _new(self) -> Iterator[dict[Key, None]]:
        """Yield what new scores are of, some at a time, and what waited and need not any more."""
        keys = {key: None for key in self._waiting if not self._waits(key)}
        for record in self._backlog:
            if (key := _key(record)) is not None:
                keys[key] = None
            if len(keys) >= TOGETHER:
                yield keys
                keys = {}
        if keys:
            yield keys

    def _waits(self, key: Key) -> bool:
        if not self._has_turns or key[0] == "call":
            return False
        first = self._first_call(key[1])
        return first is not None and self._turns.is_open(self._turn(first))

    def _score(self, key: Key) -> PushedScore | None:
        """The score as it counts now; None if its session or call was not pushed."""
        kind, id, name = key
        call = self._call(id) if kind == "call" else self._first_call(id)
        if name is None and not self._content:
            return None
        if call is None or is_errand(call.record) or int(call.record["time"]) < (self._cursor.since or 0):
            return None
        row = next((one for one in self._log.query_scores(kind, id) if one["name"] == name), None)
        return PushedScore(
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"sessiontap/1/score/{kind}/{id}/{name or ''}")),
            of=kind,
            session=call.session_id if kind == "call" else id,
            call=id if kind == "call" else None,
            turn=self._turn(call),
            record=call.record,
            name=name,
            value=row["value"] if row is not None else None,
            note=row["note"] if row is not None and self._content else None,
            time=_nanoseconds(row["time"]) if row is not None else 0,
            by=row["by"] if row is not None else None,
            is_persons=row is not None and row["source"] in _BY_HAND,
            is_withdrawn=row is None,
        )

    def _call(self, id: str) -> RecordedCall | None:
        try:
            return self._log.call(id)
        except TraceError:
            return None

    def _first_call(self, session: str) -> RecordedCall | None:
        try:
            links = self._log.query_links(session)
        except TraceError:
            return None
        first = next((row for row in links if not row["errand"]), None)
        return self._call(first["id"]) if first is not None else None

    def _turn(self, call: RecordedCall) -> str:
        """The id of the call that its turn begins with; of one that was not pushed lately as it was found then: by the
        calls of its session in the order in which they ended."""
        if (known := self._turns.place_of(call.id)) is not None:
            return known.turn
        session = call.session_id
        if session is None:
            return call.id
        if self._placed[0] != session:
            turns, found = UserTurns(lambda id: None), {}
            calls = self._log.calls_at(self._log.query_places(None, [session]))
            for one in sorted(calls, key=lambda one: end(one.record)):
                if not is_errand(one.record):
                    link = link_of(one.record)
                    turns.complete(link.begin)
                    found[one.id] = turns.add(link).turn
            self._placed = session, found
        return self._placed[1].get(call.id, call.id)


def _key(record: Mapping[str, Any]) -> Key | None:
    if record.get("call") is not None:
        return "call", str(record["call"]), record.get("name")
    if record.get("session") is not None:
        return "session", str(record["session"]), record.get("name")
    return None


def _nanoseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1_000_000) * 1_000
