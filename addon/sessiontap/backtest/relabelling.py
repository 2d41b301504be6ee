"""Find the labels by which recorded calls are seen as other rules would have decided them.

Labels move calls to sessions, name and place them, and add properties and tags. All else that would be another stays as
it was recorded, and is counted: a user, a state, what was sent, properties and tags that a rule no longer sets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sessiontap.backtest.outcome import Change, Outcome
from sessiontap.backtest.redecide import Redecided
from sessiontap.backtest.sessions import SessionComparison

MOST_CALLS = 1_000
"""Calls of one label."""
_MOVES = ("split", "merged", "regrouped")
"""Kinds of session changes in which calls go to other sessions; a session that is renamed keeps its id."""


@dataclass(frozen=True, slots=True)
class Relabelling:
    """The changes of some calls; a field that does not change is None or empty."""

    session: str | None = None
    name: str | None = None
    path: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Changed:
    call: str
    before: str | None
    after: str | None
    name: str | None
    relabelling: Relabelling


@dataclass(slots=True)
class Relabellings:
    """Gathers what changes, call by call."""

    left: Counter[str] = field(default_factory=Counter)
    """Fields that labels do not change -> calls of which they would be others."""
    _changed: list[_Changed] = field(default_factory=list)

    def add(self, found: Redecided, after: Outcome, changes: tuple[Change, ...] | None) -> None:
        """Take in a call: see `report.ComparedCall`. One of which something is unknown stays as it is."""
        before = found.call.session_id
        if changes is None or (not changes and before == after.session):
            return
        name = path = None
        properties: dict[str, str] = {}
        tags: tuple[str, ...] = ()
        for change in changes:
            section, _, key = change.field.partition(".")
            if change.field == "session.name":
                name = change.after
            elif change.field == "session.path":
                path = change.after
            elif section == "properties" and change.after is not None:
                properties[key] = change.after
            elif change.field == "tags":
                known = found.call.record.get("tags") or ()
                tags = tuple(tag for tag in after.tags if tag not in known)
                self.left["tags"] += any(tag not in after.tags for tag in known)
            else:
                self.left[section] += 1
        relabelling = Relabelling(None, name, path, tuple(properties.items()), tags)
        self._changed.append(_Changed(found.call.id, before, after.session, after.name, relabelling))

    def groups(self, sessions: SessionComparison) -> Iterator[tuple[Relabelling, list[str]]]:
        """Yield what changes, each with the calls that it is for."""
        moved = {side.id for one in sessions.changes() if one.kind in _MOVES for side in one.before}
        calls: dict[Relabelling, list[str]] = {}
        for one in self._changed:
            into = one.relabelling
            if one.before in moved and one.after != one.before and one.after is not None:
                into = Relabelling(one.after, one.name, into.path, into.properties, into.tags)
            if into != Relabelling():
                calls.setdefault(into, []).append(one.call)
        for relabelling, ids in calls.items():
            for start in range(0, len(ids), MOST_CALLS):
                yield relabelling, ids[start : start + MOST_CALLS]
