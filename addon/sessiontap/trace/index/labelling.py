"""Calls in the index as labels have them.

A row of `calls` holds what labels make of a call, and so do the sums. `recorded` keeps the facts of the calls that
labels change, so that a label that goes leaves the row as it was. Labels are read before calls; if they change later,
the calls that they are for are labelled again, all of it in the transaction that takes the labels in.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from sessiontap.trace.index.packed_ids import unpack_id
from sessiontap.trace.index.rows import JSONS, PLAIN, SHARED, TEXTS, Strings, json_of
from sessiontap.trace.labels import LabelFacts, Labels, Touched, touched

Record = dict[str, Any]
Stored = tuple[str | None, str | None, str | None, str | None, str | None, int | None]
"""Of a call as it was recorded: id of the session, its name, path; properties and tags as JSON; its step."""

_ID, _STEP = PLAIN.index("id"), PLAIN.index("step")
_NAME, _PATH = TEXTS.index("session_name"), TEXTS.index("path")
_PROPERTIES, _TAGS = JSONS.index("properties"), JSONS.index("tags")
_TEXTS = ("session_name", "path", "properties", "tags")
_PLACES = [SHARED.index(name) for name in _TEXTS]
_OWN = ", ".join(f"(SELECT text FROM strings WHERE strings.n = calls.{name})" for name in _TEXTS)
_CALLS = f"""
SELECT calls.n, calls.id, calls.segment, calls.session, calls.alike, sessions.id, {_OWN}, calls.step,
    recorded.call NOT NULL, recorded.session, recorded.name, recorded.path, recorded.properties, recorded.tags,
    recorded.step
FROM calls LEFT JOIN sessions ON sessions.n = calls.session LEFT JOIN recorded ON recorded.call = calls.n
WHERE calls.n IN (
    SELECT n FROM calls WHERE packed_id IN (SELECT pack_id(value) FROM json_each(:calls))
    UNION SELECT n FROM calls WHERE session IN (
        SELECT +n FROM sessions WHERE id IN (SELECT value FROM json_each(:sessions))
    ) AND n NOT IN (SELECT call FROM recorded)
    UNION SELECT call FROM recorded WHERE session IN (SELECT value FROM json_each(:sessions))
)
"""
_WARM_UPS = """
SELECT rowid, id, segment, session, recorded FROM warm_ups
WHERE id IN (SELECT value FROM json_each(:calls)) OR recorded IN (SELECT value FROM json_each(:sessions))
"""
_MOVE = """
INSERT INTO session_segments VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, warm_ups = warm_ups + excluded.warm_ups
"""


class Labelling:
    """The labels that an index knows, and the calls that are labelled by them. For the transaction of its caller."""

    def __init__(self, database: sqlite3.Connection, strings: Strings) -> None:
        self._database, self._strings = database, strings
        self._known: Labels | None = None
        self._is_stale = False

    def forget(self) -> None:
        """After a transaction that was taken back, or another process's."""
        self._known, self._is_stale = None, False

    @property
    def labels(self) -> Labels:
        """Those by which the calls of the index are labelled."""
        if self._known is None:
            self._known = self._read()
        return self._known

    def add(self, segment: int, record: Record) -> None:
        """A label that stands in a segment: `relabel` applies it."""
        self._begin_change()
        self._database.execute("INSERT INTO labels(segment, record) VALUES (?, ?)", (segment, json.dumps(record)))

    def remove(self, segments: str) -> None:
        """Forget the labels of segments (their numbers as JSON)."""
        within = "segment IN (SELECT value FROM json_each(?))"
        if self._database.execute(f"SELECT 1 FROM labels WHERE {within}", (segments,)).fetchone() is not None:
            self._begin_change()
            self._database.execute(f"DELETE FROM labels WHERE {within}", (segments,))

    def _begin_change(self) -> None:
        """The labels that calls are labelled by are read before the table changes."""
        _ = self.labels
        self._is_stale = True

    def labelled(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], Stored | None]:
        """The values of a call (`rows.CallValues`) as labels have them, and what was recorded if they differ."""
        plain, texts, jsons, session, caller = values
        id = unpack_id(plain[_ID]) or ""
        if not self.labels.concern(id, session):
            return values, None
        stored = session, texts[_NAME], texts[_PATH], jsons[_PROPERTIES], jsons[_TAGS], plain[_STEP]
        before = _facts(stored)
        facts = self.labels.facts(id, before)
        if facts == before:
            return values, None
        plain, texts, jsons = list(plain), list(texts), list(jsons)
        _, texts[_NAME], texts[_PATH], jsons[_PROPERTIES], jsons[_TAGS], plain[_STEP] = _stored(facts)
        return (tuple(plain), tuple(texts), tuple(jsons), facts.session, caller), stored

    def add_warm_up(self, id: str, segment: int, offset: int, recorded: str | None) -> int | None:
        """Take in a warm-up. The number of the session that it is in, as labels have it."""
        seen = self._session_of(id, recorded) if self.labels else recorded
        session = self._strings.session(seen) if seen is not None else None
        self._database.execute("INSERT INTO warm_ups VALUES (?, ?, ?, ?, ?)", (id, segment, offset, session, recorded))
        return session

    def _session_of(self, id: str, session: str | None) -> str | None:
        """The id of the session that a warm-up is in, which was recorded in `session`."""
        return self.labels.facts(id, LabelFacts(session)).session

    def keep(self, recorded: Iterable[tuple[int, Stored]]) -> None:
        """Keep the recorded facts of calls, by their numbers, that are in the index as labels have them."""
        rows = [(call, *stored) for call, stored in recorded]
        self._database.executemany("INSERT OR REPLACE INTO recorded VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def relabel(self) -> list[int]:
        """Label the calls again that labels are for which came or went. The numbers of the sessions that change."""
        if not self._is_stale:
            return []
        old, new = self.labels, self._read()
        self._known, self._is_stale = new, False
        changed = old.differing(new)
        if not changed:
            return []
        concerned = touched(changed, [*old.in_force, *new.in_force])
        moves: Counter[tuple[int | None, int, bool]] = Counter()
        sessions: set[int | None] = set()
        for session, seen, segment, is_warm_up in (*self._calls(concerned), *self._warm_ups(concerned)):
            sessions |= {session, seen}
            if session != seen:
                moves[session, segment, is_warm_up] -= 1
                moves[seen, segment, is_warm_up] += 1
        counts = [
            (session, segment, 0 if warm_up else number, number if warm_up else 0)
            for (session, segment, warm_up), number in moves.items()
            if session is not None and number
        ]
        self._database.executemany(_MOVE, counts)
        self._database.execute("DELETE FROM session_segments WHERE calls = 0 AND warm_ups = 0")
        return [session for session in sessions if session is not None]

    def _calls(self, concerned: Touched) -> Iterator[tuple[int | None, int | None, int, bool]]:
        """Label calls. Of those that change: the session that each was in, the one that it is in, and its segment."""
        changed, kept, restored = [], [], []
        rows = self._database.execute(_CALLS, _named(concerned)).fetchall()
        for n, id, segment, session, alike, session_id, *rest in rows:
            now: Stored = (session_id, *rest[:5])
            is_kept = rest[5]
            stored: Stored = tuple(rest[6:]) if is_kept else now
            before = _facts(stored)
            facts = self.labels.facts(id, before)
            seen = stored if facts == before else _stored(facts)
            if seen == now:
                continue
            if seen == stored:
                restored.append((n,))
            elif not is_kept:
                kept.append((n, stored))
            number = None if seen[0] is None else self._strings.session(seen[0])
            shared = list(self._strings.shared(alike))
            for at, column, text in zip(_PLACES, _TEXTS, seen[1:5], strict=True):
                shared[at] = None if text is None else self._strings.number(column, text)
            alike = self._strings.alike_of(shared)
            changed.append((number, alike, seen[5], n))
            self._database.execute("INSERT OR IGNORE INTO segment_alike VALUES (?, ?)", (segment, alike))
            yield session, number, segment, False
        self._database.executemany("UPDATE call_rows SET session = ?, alike = ?, step = ? WHERE n = ?", changed)
        self._database.executemany("DELETE FROM recorded WHERE call = ?", restored)
        self.keep(kept)

    def _warm_ups(self, concerned: Touched) -> Iterator[tuple[int | None, int | None, int, bool]]:
        """The same of warm-ups, which are in no sum."""
        for row, id, segment, session, recorded in self._database.execute(_WARM_UPS, _named(concerned)).fetchall():
            seen = self._session_of(id, recorded)
            number = None if seen is None else self._strings.session(seen)
            if number != session:
                self._database.execute("UPDATE warm_ups SET session = ? WHERE rowid = ?", (number, row))
                yield session, number, segment, True

    def _read(self) -> Labels:
        return Labels(json.loads(record) for (record,) in self._database.execute("SELECT record FROM labels"))


def _named(concerned: Touched) -> dict[str, str]:
    return {"calls": json.dumps(sorted(concerned.calls)), "sessions": json.dumps(sorted(concerned.sessions))}


def _facts(stored: Stored) -> LabelFacts:
    session, name, path, properties, tags, step = stored
    return LabelFacts(session, name, path, json.loads(properties or "{}"), json.loads(tags or "[]"), step)


def _stored(facts: LabelFacts) -> Stored:
    return facts.session, facts.name, facts.path, json_of(facts.properties), json_of(facts.tags), facts.step
