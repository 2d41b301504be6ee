"""Looking after a trace folder: what it holds, whether it is sound, its index made anew, and what of it may go.

Pruning never touches a segment that a writer has open (it holds a lock on it). Others go as a whole, by age or size,
oldest first; chosen calls are taken out of a segment by writing the rest of it anew beside it and putting that in its
place in one step, so that readers see the one or the other; a closed segment stays closed. The index is told what has
moved; if it is not, it follows by itself, in more time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessiontap.trace.annotation_pruning import AnnotationPruning
from sessiontap.trace.body import BodyError, BodyReader
from sessiontap.trace.files import (
    FORMAT,
    SegmentFile,
    TraceError,
    closed_name,
    draft_name,
    exclusive_lock,
    holds_annotations,
    open_segment,
    plain_name,
)
from sessiontap.trace.folders import are_several, shown
from sessiontap.trace.reader import Trace, open
from sessiontap.trace.rewriting import Rewritten, remove_records
from sessiontap.trace.segment import SegmentContents, SegmentInfo, Unreadable
from sessiontap.trace.walk import Trouble, walk

if TYPE_CHECKING:
    from sessiontap.part import PartsOf
    from sessiontap.trace.index.filters import Filters

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the bytes (or segments) that are done, and all that there are."""

_MAKING_SECONDS = 60.0
"""A segment without a byte may be this old and still be one that a writer is making."""


@dataclass(frozen=True, slots=True)
class Info:
    """The contents of a folder. Times are Unix nanoseconds, sizes bytes; None if there is no call."""

    folder: Path
    segments: tuple[SegmentInfo, ...]
    bytes: int
    calls: int
    sessions: int
    first: int | None
    last: int | None
    body_bytes: int
    """Of all requests and responses as they went by."""
    index_bytes: int
    problems: int


@dataclass(frozen=True, slots=True)
class Checked:
    """The number of things that `verify` read, and what was wrong."""

    segments: int
    records: int
    bodies: int
    problems: tuple[Unreadable, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """The segments and calls that `prune` took away, or would have.

    `kept_live`: segments that had to go and are being written.
    """

    segments: tuple[Path, ...]
    """Deleted as a whole."""
    rewritten: tuple[Path, ...]
    calls: int
    sessions: int
    """Of which no call is left."""
    bytes: int
    kept_live: tuple[Path, ...] = ()


def info(folder: Path | str) -> Info:
    """Return the contents of the folder, by its index. Raises TraceError."""
    trace = open(folder)
    try:
        segments = tuple(trace.segments())
        sums = trace.query_sums()
        return Info(
            folder=trace.folder,
            segments=segments,
            bytes=sum(segment.size for segment in segments),
            index_bytes=sum(map(_size, trace.folder.glob("index.sqlite*"))),
            problems=len(trace.problems),
            **sums,
        )
    finally:
        trace.close()


def verify(folder: Path | str, progress: Progress | None = None) -> Checked:
    """Read every record and every body; `problems` says what is not as it was written, and where. Raises TraceError."""
    trace = open(folder)
    segments = trace.segments()
    total = sum(segment.plain_size for segment in segments)
    problems: list[Unreadable] = []
    records = bodies = done = 0
    bodies_of = BodyReader()
    for segment in segments:
        for found, end in _verified(segment.path, bodies_of):
            if isinstance(found, Unreadable):
                problems.append(found)
            else:
                records += 1
                bodies += found
            if progress is not None:
                progress(min(done + end, total), total)
        done += segment.plain_size
    return Checked(len(segments), records, bodies, tuple(problems))


def reindex(folder: Path | str, progress: Progress | None = None) -> Info:
    """Make the index anew from the log. Raises TraceError."""
    trace = open(folder)
    try:
        trace.progress = progress
        trace.rebuild_index()
    finally:
        trace.close()
    return info(folder)


def prune(
    folder: Path | str,
    *,
    older_than: int | None = None,
    max_bytes: int | None = None,
    filters: Filters | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    parts_of: PartsOf | None = None,
) -> Pruned:
    """Take away calls that began before `older_than` (Unix nanoseconds), the oldest segments beyond `max_bytes`, or the
    calls that fit `filters`. With several of them all that any asks for goes. Raises TraceError.

    By age and size segments go as a whole: by age when the last of their calls is too old; so do those of another
    version of the format, by when they were written last. Segments that are being written stay: what they take counts
    towards `max_bytes`. Labels and scores go with what they are for. `parts_of` reads prompts and replies, for
    `filters` that search them.
    """
    trace = open(folder, parts_of=parts_of)
    try:
        if are_several(trace.folder):
            message = f"one log is pruned at a time, and these are read together: {shown(trace.folder)}"
            raise TraceError(message, "Name one with --trace DIR.")
        plan = _plan(trace, older_than, max_bytes, filters, progress)
        names = [[plain_name(path).name for path in paths] for paths in (plan.deleted, plan.rewritten)]
        # Before the lock: an index that turns out to be damaged is replaced under the same one.
        sessions = trace.count_sessions_within(names[0], filters, names[1])
        going = trace.query_fitting(filters, names[1]) if filters is not None and plan.rewritten else {}
        annotations = AnnotationPruning(trace) if not dry_run and (plan.deleted or plan.rewritten) else None
        rewritten: list[Rewritten] = []
        size = 0
        with exclusive_lock(trace.folder):
            for done, path in enumerate(plan.rewritten):
                name = plain_name(path)
                rewritten.append(remove_records(name, going.get(name.name, frozenset()), dry_run))
                if progress is not None:
                    progress(done + 1, len(plan.rewritten))
            for path in plan.deleted:
                size += _delete(plain_name(path), dry_run)
        size += sum(one.gained for one in rewritten)
        if annotations is not None:
            trace.follow_rewriting(rewritten)
            annotations.run()
            trace.compact_index()
    except OSError as error:
        raise TraceError(f"the trace folder {trace.folder} cannot be pruned: {error.strerror or error}") from None
    finally:
        trace.close()
    return Pruned(tuple(plan.deleted), tuple(plan.rewritten), plan.calls, sessions, size, tuple(plan.live))


@dataclass(slots=True)
class _Plan:
    """The segments that are to go."""

    deleted: list[Path] = field(default_factory=list)
    rewritten: list[Path] = field(default_factory=list)
    live: list[Path] = field(default_factory=list)
    calls: int = 0


def _plan(
    trace: Trace, older_than: int | None, max_bytes: int | None, filters: Filters | None, progress: Progress | None
) -> _Plan:
    """The segments that are to go, by what the index knows of them: none is read."""
    trace.progress = progress
    contents = trace.query_segments(filters)
    readable = [one for one in trace.segments() if one.header is None or one.header["format"] == FORMAT]
    segments = [one for one in readable if not holds_annotations(plain_name(one.path))]
    doomed: set[Path] = set()
    if older_than is not None:
        doomed |= {one.path for one in segments if _newest(one, contents.get(_name(one))) < older_than}
    if max_bytes is not None:
        left = sum(one.size for one in segments if one.live or one.path not in doomed)
        for one in segments:
            if left > max_bytes and one.path not in doomed:
                doomed.add(one.path)
                left -= 0 if one.live else one.size
    plan = _Plan()
    for one in segments:
        found = contents.get(_name(one))
        if one.path in doomed or (found is not None and one.readable and found.records_that_fit):
            with contextlib.suppress(FileNotFoundError):
                _consider(plan, one.path, one.path in doomed, found)
    return plan


def _name(segment: SegmentInfo) -> str:
    return plain_name(segment.path).name


def _consider(plan: _Plan, path: Path, doomed: bool, found: SegmentContents | None) -> None:
    """Add a segment to the plan: all of it goes, some of it, or nothing because it is being written."""
    with open_segment(path) as file:
        if _is_held(file):
            plan.live.append(path)
            return
        known = found is not None and (found.closed, found.size) == (file.is_closed, os.fstat(file.fileno()).st_size)
    if found is None or (doomed and not known):
        return  # it has grown since the index looked at it: what is in it is too new to go
    if doomed or (known and found.records == found.records_that_fit):
        plan.calls += found.calls
        plan.deleted.append(path)
    else:
        plan.calls += found.calls_that_fit
        plan.rewritten.append(path)


def _is_held(file: SegmentFile) -> bool:
    """A writer has it, or is about to: one that has just made its file has not locked it yet."""
    status = os.fstat(file.fileno())
    return file.is_live or (status.st_size == 0 and time.time() - status.st_mtime < _MAKING_SECONDS)


def _size(path: Path) -> int:
    """Bytes of a file; 0 if it has gone: SQLite's companions come and go."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _delete(path: Path, dry_run: bool) -> int:
    """Take away the segment of the name `path`, whichever its files are. The bytes that it took."""
    size = 0
    for file in (path, closed_name(path), draft_name(path)):
        with contextlib.suppress(FileNotFoundError):
            if file != draft_name(path):
                size += file.stat().st_size
            if not dry_run:
                file.unlink()
    return size


def _newest(segment: SegmentInfo, found: SegmentContents | None) -> int:
    """When the last call of a segment began; if it has none, when the file was last changed."""
    if found is not None and found.newest is not None:
        return found.newest
    try:
        return segment.path.stat().st_mtime_ns
    except OSError:
        return time.time_ns()


def _verified(path: Path, bodies_of: BodyReader) -> Iterator[tuple[int | Unreadable, int]]:
    """For each record the number of its bodies that were read, and what is wrong; with the offset behind it."""
    try:
        with open_segment(path) as file:
            for found in walk(file):
                if isinstance(found, Trouble):
                    if not found.growing:
                        yield Unreadable(path, found.offset, found.size, found.text), found.end
                    continue
                read = 0
                for side in ("request", "response") if found.kind == "call" else ():
                    stored = (found.record.get(side) or {}).get("body")
                    if stored is not None:
                        try:
                            read += bodies_of.decode(path, found.offset, side, stored) is not None
                        except BodyError as error:
                            message = f"the {side} of call {found.record['id']} cannot be read: {error}"
                            yield Unreadable(path, found.offset, found.size, message), found.end
                yield read, found.end
    except FileNotFoundError:
        return  # pruned meanwhile
    except OSError as error:
        yield Unreadable(path, 0, 0, f"cannot be read: {error.strerror or error}"), 0
