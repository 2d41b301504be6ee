"""Labels and scores go with what they are for.

A pruning takes calls; whatever it takes the last call of, its scores and its labels go, too. A label for several calls
or sessions stays while one of them does. Segments of annotations never go by age or size: a label may be of last year
and its calls of today.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sessiontap.trace.annotations import annotations_in
from sessiontap.trace.files import closed_name, exclusive_lock, holds_annotations, segments
from sessiontap.trace.rewriting import remove_records

if TYPE_CHECKING:
    from sessiontap.trace.reader import Trace

Record = dict[str, Any]


class AnnotationTargets(NamedTuple):
    """Ids of calls and sessions."""

    calls: frozenset[str]
    sessions: frozenset[str]

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return the targets of a label or score."""
        if record["type"] == "label":
            return cls(frozenset(record.get("calls") or ()), frozenset(record.get("sessions") or ()))
        call, session = record.get("call"), record.get("session")
        return cls(frozenset([call] if call else ()), frozenset([session] if session and not call else ()))

    def meets(self, other: AnnotationTargets) -> bool:
        """Return True if one of them is in `other`."""
        return not (self.calls.isdisjoint(other.calls) and self.sessions.isdisjoint(other.sessions))


class AnnotationPruning:
    """Made before a pruning, `run` after it."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        found = [AnnotationTargets.of(record) for path in _paths(trace.folder) for record in _records(path)]
        self._before = AnnotationTargets(
            frozenset().union(*(one.calls for one in found)), frozenset().union(*(one.sessions for one in found))
        )
        if found:
            self._before = AnnotationTargets(*trace.query_present(*self._before))

    def run(self) -> None:
        """Take away what is for nothing but calls and sessions that have gone since. Raises OSError."""
        if not any(self._before):
            return
        after = AnnotationTargets(*self._trace.query_present(*self._before))
        gone = AnnotationTargets(self._before.calls - after.calls, self._before.sessions - after.sessions)
        if not any(gone):
            return
        with exclusive_lock(self._trace.folder):
            records = {path: list(_records(path)) for path in _paths(self._trace.folder)}
            going = _going([record for some in records.values() for record in some], gone, after)
            for path, some in records.items():
                if some and all(record["id"] in going for record in some):  # one that cannot be read stays
                    for file in (path, closed_name(path)):
                        file.unlink(missing_ok=True)
                elif any(record["id"] in going for record in some):
                    remove_records(path, going, dry_run=False)


def _going(records: list[Record], gone: AnnotationTargets, left: AnnotationTargets) -> frozenset[str]:
    """The ids of those that go; what undoes one that goes, goes with it."""
    targets = {record["id"]: AnnotationTargets.of(record) for record in records}
    going = {id for id, own in targets.items() if own.meets(gone) and not own.meets(left)}
    undoing = {record["id"]: record["undoes"] for record in records if record.get("undoes")}
    while more := {id for id, undone in undoing.items() if undone in going and not any(targets[id])} - going:
        going |= more
    return frozenset(going)


def _paths(folder: Path) -> list[Path]:
    return [path for path in segments(folder) if holds_annotations(path)]


def _records(path: Path) -> Iterable[Record]:
    with contextlib.suppress(OSError):
        yield from annotations_in(path)
