"""Labels: how calls are seen from now on, though their records stay as they were written.

A label says which calls it is for: all calls of its sessions, also later ones, and single calls. It gives them another
session, name or path, further properties and tags; or, of a store, calls with local steps their shared ones. Labels are
applied one after the other, by time: the sessions of a label are those that calls are in by then, so that what is moved
to a session follows what is said of it later.

A label is in force unless one that is in force undoes it. So an undoing can be undone, too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """The facts of a call that labels may change."""

    session: str | None
    """The session's id; without one a call has no name, no path and no step."""
    name: str | None = None
    path: str | None = None
    properties: dict[str, str] | None = None
    tags: list[str] | None = None
    step: int | None = None

    def labelled(self, call: str, label: Record) -> LabelFacts:
        """The facts of a call as `label` changes them."""
        session = label.get("session") or self.session
        name, path = (self.name, self.path) if session is None else (label.get("name"), label.get("path"))
        return LabelFacts(
            session,
            self.name if name is None else name,
            self.path if path is None else path,
            {**(self.properties or {}), **given} if (given := label.get("properties")) else self.properties,
            list(dict.fromkeys((*(self.tags or ()), *more))) if (more := label.get("tags")) else self.tags,
            self.step if session is None else (label.get("steps") or {}).get(call, self.step),
        )


class Touched(NamedTuple):
    """The calls that some labels are for: by their ids, and by the ids of the sessions that they were recorded in."""

    calls: frozenset[str]
    sessions: frozenset[str]


class Labels:
    """The labels of a log, in whatever order they are given. It is false if none is in force."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.all = list({record["id"]: record for record in records}.values())
        self._counting = _counting(self.all)
        found = [one for one in self.all if self.counts(one) and (one.get("sessions") or one.get("calls"))]
        self.in_force = sorted(found, key=lambda label: (label["time"], label["id"]))
        """Those that change calls, by time."""
        self._by_call, self._by_session = _positions(self.in_force, "calls"), _positions(self.in_force, "sessions")

    def __bool__(self) -> bool:
        return bool(self.in_force)

    def counts(self, label: Record) -> bool:
        """Return True if nothing that counts undoes the label."""
        return label["id"] in self._counting

    def concern(self, call: str, session: str | None) -> bool:
        """Return True if a label may be for this call; `session`: the id of the one that it was recorded in."""
        return call in self._by_call or session in self._by_session

    def of(self, call: str, session: str | None) -> list[Record]:
        """The labels for a call, in the order in which they are applied; `session`: that it was recorded in."""
        found: list[Record] = []
        own, at = self._by_call.get(call, ()), -1
        while True:
            following = [_after(one, at) for one in (own, self._by_session.get(session or "", ()))]
            if (at := min(following)) == _NONE:
                return found
            found.append(self.in_force[at])
            session = self.in_force[at].get("session") or session

    def facts(self, call: str, recorded: LabelFacts) -> LabelFacts:
        """The facts of a call as it is seen."""
        for label in self.of(call, recorded.session):
            recorded = recorded.labelled(call, label)
        return recorded

    def labelled(self, record: Record) -> Record:
        """The record of a call as it is seen: itself if no label is for it, else a copy."""
        session = record.get("session") or {}
        if not self.concern(record["id"], session.get("id")):
            return record
        recorded = LabelFacts(
            session.get("id"),
            session.get("name"),
            session.get("path"),
            record.get("properties"),
            record.get("tags"),
            session.get("step"),
        )
        facts = self.facts(record["id"], recorded)
        if facts == recorded:
            return record
        changed: Record = {"properties": facts.properties or {}, "tags": facts.tags or []}
        if facts.session is not None:
            own = {"id": facts.session, "name": facts.name, "path": facts.path}
            changed["session"] = {**session, **own, **({} if facts.step is None else {"step": facts.step})}
        return {**record, **changed}

    def differing(self, other: Labels) -> list[Record]:
        """The labels that are in force in one of the two alone."""
        own, others = ({label["id"]: label for label in one.in_force} for one in (self, other))
        return [label for id, label in (own | others).items() if id not in own or id not in others]


def touched(changed: Sequence[Record], known: Sequence[Record]) -> Touched:
    """The calls that labels which came or went, `changed`, are for, given all that were or are in force.

    A session that a label is for may hold calls that others have moved there.
    """
    calls: set[str] = set()
    sessions: set[str] = set()
    into: defaultdict[str, list[Record]] = defaultdict(list)
    for label in known:
        if label.get("session"):
            into[label["session"]].append(label)
    left = list(changed)
    while left:
        label = left.pop()
        calls.update(label.get("calls") or ())
        for session in label.get("sessions") or ():
            if session not in sessions:
                sessions.add(session)
                left += into[session]
    return Touched(frozenset(calls), frozenset(sessions))


_NONE = 1 << 62


def _after(positions: Sequence[int], at: int) -> int:
    """The first of `positions` behind `at`."""
    place = bisect_right(positions, at)
    return positions[place] if place < len(positions) else _NONE


def _positions(labels: Sequence[Record], key: str) -> dict[str, list[int]]:
    """Id of a call or session -> the places of the labels that name it."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for position, label in enumerate(labels):
        for id in dict.fromkeys(label.get(key) or ()):
            found[id].append(position)
    return dict(found)


def _counting(labels: list[Record]) -> frozenset[str]:
    """The ids of the labels that nothing that counts undoes. Of labels that undo each other in a circle none counts."""
    undoing: defaultdict[str, list[str]] = defaultdict(list)
    waiting: dict[str, int] = {label["id"]: 0 for label in labels}
    undoes = {label["id"]: label.get("undoes") for label in labels}
    for id, undone in undoes.items():
        if undone in waiting:
            undoing[undone].append(id)
            waiting[undone] += 1
    known: dict[str, bool] = {}
    ready = [id for id, number in waiting.items() if not number]
    while ready:
        id = ready.pop()
        known[id] = not any(known[one] for one in undoing[id])
        if (undone := undoes[id]) in waiting:
            waiting[undone] -= 1
            if not waiting[undone]:
                ready.append(undone)
    return frozenset(id for id, counts in known.items() if counts)
