"""The scores of a log that a reader has not taken yet, and its position, which another process goes on from.

The position is the end of the last record of each segment. A segment that was written anew meanwhile (`trace prune`)
is read again: a reader asks what counts now, so a score that comes twice is no second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sessiontap.trace.files import holds_annotations, open_segment, segments, unreadable
from sessiontap.trace.folders import name_in
from sessiontap.trace.walk import StoredRecord, header_of, walk

Record = dict[str, Any]


class ScoreBacklog:
    """Iterate over it for the scores that are new; again, for those that were written meanwhile."""

    def __init__(self, folder: Path, position: Mapping[str, Any] | None = None) -> None:
        """`position` as another one gave it."""
        self._folder = folder
        self._read: dict[str, tuple[str, int]] = {name: (id, end) for name, (id, end) in (position or {}).items()}

    @property
    def position(self) -> dict[str, Any]:
        """How far it has read, in values that JSON takes: the segment's name, its id, the end of its last record."""
        return {name: list(read) for name, read in self._read.items()}

    def __iter__(self) -> Iterator[Record]:
        """Raises TraceError if the folder cannot be read."""
        try:
            listed = [path for path in segments(self._folder) if holds_annotations(path)]
        except OSError as error:
            raise unreadable(self._folder, error) from None
        names = {name_in(self._folder, path) for path in listed}
        self._read = {name: read for name, read in self._read.items() if name in names}
        for path in listed:
            yield from self._new(path)

    def _new(self, path: Path) -> Iterator[Record]:
        name = name_in(self._folder, path)
        try:
            with open_segment(path) as file:
                header = header_of(file)
                if header is None:
                    return
                id, end = self._read.get(name, ("", 0))
                if id != header["id"]:
                    id, end = str(header["id"]), 0
                for found in walk(file, end):
                    if isinstance(found, StoredRecord):
                        self._read[name] = id, found.end
                        if found.kind == "score":
                            yield found.record
        except OSError:  # pruned meanwhile, or not ours
            return
