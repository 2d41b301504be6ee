"""Looking after a trace folder: what it holds, whether it is sound, its index made anew. What may go is in prune.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sessiontap.trace.body import BodyError
from sessiontap.trace.deltas import DeltaReader
from sessiontap.trace.files import open_segment
from sessiontap.trace.prune import Pruned, prune
from sessiontap.trace.reader import open
from sessiontap.trace.segment import Problem, SegmentInfo
from sessiontap.trace.walk import Trouble, walk

__all__ = ["Checked", "Info", "Progress", "Pruned", "info", "prune", "reindex", "verify"]

Progress = Callable[[int, int], None]
"""Called with the bytes that are done, and all that there are."""


@dataclass(frozen=True, slots=True)
class Info:
    """What a folder holds. Times are Unix nanoseconds, sizes bytes; None where there is no call."""

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
    """What `verify` looked at."""

    segments: int
    records: int
    bodies: int
    problems: tuple[Problem, ...]


def info(folder: Path | str) -> Info:
    """What the folder holds, by its index. Raises TraceError."""
    trace = open(folder)
    try:
        segments = tuple(trace.segments())
        sums = trace.query_sums()
        return Info(
            folder=trace.folder,
            segments=segments,
            bytes=sum(segment.size for segment in segments),
            index_bytes=sum(path.stat().st_size for path in trace.folder.glob("index.sqlite*")),
            problems=len(trace.query_problems()),
            **sums,
        )
    finally:
        trace.close()


def verify(folder: Path | str, progress: Progress | None = None) -> Checked:
    """Read every record and every body; `problems` says what is not as it was written, and where. Raises TraceError."""
    trace = open(folder)
    segments = trace.segments()
    total = sum(segment.plain_size for segment in segments)
    problems: list[Problem] = []
    records = bodies = done = 0
    deltas = DeltaReader()
    for segment in segments:
        for found, end in _verified(segment.path, deltas):
            if isinstance(found, Problem):
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


def _verified(path: Path, deltas: DeltaReader) -> Iterator[tuple[int | Problem, int]]:
    """For each record the number of its bodies that were read, and what is wrong; with the offset behind it."""
    try:
        with open_segment(path) as file:
            for found in walk(file):
                if isinstance(found, Trouble):
                    if not found.growing:
                        yield Problem(path, found.offset, found.size, found.text), found.end
                    continue
                read = 0
                for side in ("request", "response") if found.kind == "call" else ():
                    stored = (found.record.get(side) or {}).get("body")
                    if stored is not None:
                        try:
                            read += deltas.decode(path, found.offset, side, stored) is not None
                        except BodyError as error:
                            said = f"the {side} of call {found.record['id']} cannot be read: {error}"
                            yield Problem(path, found.offset, found.size, said), found.end
                yield read, found.end
    except FileNotFoundError:
        return  # pruned meanwhile
    except OSError as error:
        yield Problem(path, 0, 0, f"cannot be read: {error.strerror or error}"), 0
