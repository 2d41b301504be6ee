"""Labels and scores: records of the log that say more of calls and sessions, afterwards.

They stand in segments of their own, whose names end in `-annotations.mpk`. One that is plain and small is gone on
with, so that a thousand scores are not a thousand files. Whoever writes holds the folder's lock, so that nobody closes
or prunes the segment meanwhile; the proxy, which writes segments of its own, waits for nothing.

    annotate(folder, [score_record(session=ID, name="helpful", value=0.8)])
"""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sessiontap import __version__, private
from sessiontap.trace import frame
from sessiontap.trace.files import (
    ANNOTATIONS_SUFFIX,
    FileStatus,
    TraceError,
    exclusive_lock,
    holds_annotations,
    open_segment,
    segments,
)
from sessiontap.trace.folders import are_several, shown
from sessiontap.trace.labels import Labels
from sessiontap.trace.rotation import OpenSegment
from sessiontap.trace.views import STAR
from sessiontap.trace.walk import StoredRecord, header_of, refusal, walk

__all__ = ["STAR", "Annotations", "annotate", "annotations_in", "label_record", "new_session_id", "score_record"]

Record = dict[str, Any]
Value = bool | int | float | str | None

_LARGEST = 4 << 20
"""Bytes of a segment that is gone on with; a larger one is left for the next start to close."""
_OLDEST_SECONDS = 86_400.0


def label_record(
    *,
    sessions: Iterable[str] = (),
    calls: Iterable[str] = (),
    name: str | None = None,
    path: str | None = None,
    session: str | None = None,
    properties: Mapping[str, str] | None = None,
    tags: Iterable[str] = (),
    undoes: str | None = None,
    batch: str | None = None,
    steps: Mapping[str, int] | None = None,
    source: str,
    by: str | None = None,
) -> Record:
    """A label for all calls of `sessions`, also later ones, and for `calls`. What it does not change is left out.
    The parameters are the fields of the record.

    `session`: the id of the session that they are moved to. `undoes`: the id of a label that no longer counts.
    `batch`: the id of the first label of several that are undone together. `steps`: of calls that had local ones.
    `source`: cli, page, api, rules or store; `by`: the user.
    """
    record = _annotation("label", source, by)
    changes = {"name": name, "path": path, "session": session, "undoes": undoes, "batch": batch, "steps": steps}
    record |= {"sessions": list(sessions), "calls": list(calls)}
    record |= {key: value for key, value in changes.items() if value is not None}
    record |= {key: value for key, value in (("properties", dict(properties or {})), ("tags", list(tags))) if value}
    return record


def score_record(
    *,
    session: str | None = None,
    call: str | None = None,
    name: str | None = None,
    value: Value = None,
    note: str | None = None,
    source: str,
    by: str | None = None,
) -> Record:
    """A score of a session or of a call, by its id. A later one of the same name stands for it.

    `value` None takes the score away. `name` None: a note alone. A star is the score `STAR` with the value True.
    """
    record = _annotation("score", source, by)
    of = {"call": call} if call is not None else {"session": session}
    return record | of | {"name": name, "value": value, "note": note}


def new_session_id(label: Record) -> str:
    """The id of the session that a label splits calls off to."""
    return str(uuid.uuid5(uuid.UUID(label["id"]), "session"))


def annotate(folder: Path, records: Sequence[Record]) -> None:
    """Append labels and scores to the log in `folder`, all of them or none. Raises TraceError."""
    if not records:
        return
    if are_several(folder):
        message = f"nothing was written: these logs are read together, and none was chosen: {shown(folder)}"
        raise TraceError(message, "Trace.annotate chooses the one that the call stands in.")
    try:
        data = b"".join(map(frame.encode, records))
    except frame.FrameError as error:
        raise TraceError(str(error)) from None
    try:
        private.make(folder)
        with exclusive_lock(folder):
            segment = _segment(folder)
            try:
                segment.append(data)
                segment.sync()
            finally:
                segment.close()
    except OSError as error:
        raise TraceError(
            f"nothing was written: the trace folder {folder} cannot be written: {error.strerror or error}",
            "Free some room, or see that the folder and its segments are yours.",
        ) from None


class Annotations:
    """The labels and scores of a folder, taken in as they grow. `labels` reads no more than what is new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[FileStatus, list[Record]]] = {}
        self._labels = Labels()

    def labels(self, listed: Mapping[Path, FileStatus] | None = None) -> Labels:
        """The labels of the log as it is now. `listed`: its segments, if they were just listed. Never raises."""
        if listed is None:
            try:
                listed = segments(self._folder)
            except OSError:
                listed = {}
        now = {path: status for path, status in listed.items() if holds_annotations(path)}
        if now == {path: status for path, (status, _) in self._read.items()}:
            return self._labels
        known = self._read
        self._read = {
            path: known[path] if path in known and known[path][0] == status else (status, list(_labels_in(path)))
            for path, status in now.items()
        }
        self._labels = Labels(record for _, records in self._read.values() for record in records)
        return self._labels


def annotations_in(path: Path) -> Iterator[Record]:
    """The labels and scores of one segment. Raises OSError."""
    with open_segment(path) as file:
        for found in walk(file):
            if isinstance(found, StoredRecord) and found.kind in ("label", "score"):
                yield found.record


def _labels_in(path: Path) -> Iterator[Record]:
    try:
        yield from (record for record in annotations_in(path) if record["type"] == "label")
    except OSError:  # pruned meanwhile, or not ours: `Trace.problems` tells it
        return


def _annotation(kind: str, source: str, by: str | None) -> Record:
    now = _next_time()
    return {"type": kind, "id": _uuid7(now), "time": now, "by": by, "source": source}


_latest = 0


def _next_time() -> int:
    """Unix nanoseconds, later than the last: records are in force in the order in which they are made."""
    global _latest
    _latest = max(time.time_ns(), _latest + 1)
    return _latest


def _uuid7(now: int) -> str:
    """A UUIDv7 (RFC 9562, 5.7; 6.2, method 3): milliseconds, 12 bits of the millisecond's fraction, random bits."""
    milliseconds, rest = divmod(now, 1_000_000)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    bits = milliseconds << 80 | 0x7 << 76 | (rest << 12) // 1_000_000 << 64 | 0b10 << 62 | random
    return str(uuid.UUID(int=bits & (1 << 128) - 1))


def _segment(folder: Path) -> OpenSegment:
    """The segment to append to, under the folder's lock. Raises OSError."""
    newest = max((path for path in segments(folder) if holds_annotations(path)), default=None)
    if newest is not None and _goes_on(newest):
        return OpenSegment.going_on(newest)
    writer = {"pid": os.getpid(), "host": platform.node(), "sessiontap": __version__}
    return OpenSegment(folder, writer, suffix=ANNOTATIONS_SUFFIX)


def _goes_on(path: Path) -> bool:
    """The segment is plain, small, of today, and its header is whole."""
    try:
        with open_segment(path) as file:
            header = header_of(file)
            if file.is_closed or file.size > _LARGEST or header is None or refusal(header) is not None:
                return False
            return time.time_ns() - int(header.get("started") or 0) < _OLDEST_SECONDS * 1_000_000_000
    except FileNotFoundError:
        return False
