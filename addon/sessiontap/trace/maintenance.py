"""Looking after a trace folder: what it holds, whether it is sound, and what of it may go.

A segment that a writer has open (it holds a lock on it) is never touched. Others go as a whole, by age or size, oldest
first; a session is taken out of a segment by writing the rest of it anew beside it and putting that in its place in one
step, so that readers see the one or the other. The index follows by itself.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sessiontap.trace import body, frame, shared
from sessiontap.trace.body import BodyError
from sessiontap.trace.chain import Chains
from sessiontap.trace.damage import WORDS
from sessiontap.trace.errors import TraceError
from sessiontap.trace.lock import alone
from sessiontap.trace.pack import Packer
from sessiontap.trace.reader import Problem, SegmentInfo, Trace, open
from sessiontap.trace.segment import is_live

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the bytes that are done and all that there are."""


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


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` took away, or would have. `kept_live`: segments that had to go and are being written."""

    segments: tuple[Path, ...]
    """Deleted as a whole."""
    rewritten: tuple[Path, ...]
    calls: int
    bytes: int
    kept_live: tuple[Path, ...] = ()


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
    total = sum(segment.size for segment in segments)
    problems: list[Problem] = []
    records = bodies = done = 0
    chains = Chains()
    for segment in segments:
        if not segment.readable:
            problems.append(Problem(segment.path, 0, segment.size, "is of a format that this version cannot read"))
            continue
        for found in _verified(segment.path, chains):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                records += 1
                bodies += found
        done += segment.size
        if progress is not None:
            progress(done, total)
    return Checked(len(segments), records, bodies, tuple(problems))


def prune(
    folder: Path | str,
    *,
    older_than: int | None = None,
    max_bytes: int | None = None,
    session: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Pruned:
    """Take away calls that began before `older_than` (Unix nanoseconds), the oldest segments beyond `max_bytes`, or one
    session (its whole id). With several of them all that any asks for goes. Raises TraceError.

    By age and size segments go as a whole: by age when the last of their calls is too old. Segments that are being
    written stay.
    """
    trace = open(folder)
    pruner = _Pruner(dry_run)
    try:
        with alone(trace.folder):
            _prune(trace, pruner, older_than, max_bytes, session, progress)
    except OSError as error:
        raise TraceError(f"the trace folder {trace.folder} cannot be pruned: {error.strerror or error}") from None
    if not dry_run and (pruner.deleted or pruner.rewritten):
        trace.compact_index()
    trace.close()
    return pruner.result()


def _prune(
    trace: Trace,
    pruner: _Pruner,
    older_than: int | None,
    max_bytes: int | None,
    session: str | None,
    progress: Progress | None,
) -> None:
    segments = [segment for segment in trace.segments() if segment.readable]
    doomed: set[Path] = set()
    if older_than is not None:
        doomed |= {one.path for one in segments if _newest(one) < older_than}
    if max_bytes is not None:
        left = sum(one.size for one in segments if one.path not in doomed)
        for one in segments:
            if left > max_bytes and one.path not in doomed:
                doomed.add(one.path)
                left -= one.size
    for number, one in enumerate(segments, 1):
        if one.path in doomed:
            pruner.delete(one.path)
        elif session is not None:
            pruner.without(one.path, session)
        if progress is not None:
            progress(number, len(segments))


class _Pruner:
    def __init__(self, dry_run: bool) -> None:
        self._dry_run = dry_run
        self.deleted: list[Path] = []
        self.rewritten: list[Path] = []
        self._live: list[Path] = []
        self._calls = self._bytes = 0

    def result(self) -> Pruned:
        return Pruned(tuple(self.deleted), tuple(self.rewritten), self._calls, self._bytes, tuple(self._live))

    def delete(self, path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            if is_live(file):
                self._live.append(path)
                return
            self._calls += sum(1 for record, _ in _records(file) if record.get("type") == "call")
            self._bytes += os.fstat(file.fileno()).st_size
        self.deleted.append(path)
        if not self._dry_run:
            path.unlink(missing_ok=True)

    def without(self, path: Path, session: str) -> None:
        """Take a session out of a segment."""
        with path.open("rb", buffering=0) as file:
            if not any(_session(record) == session for record, _ in _records(file)):
                return
            if is_live(file):
                self._live.append(path)
                return
            draft = path.with_name(f".{path.name}.draft")
            draft.unlink(missing_ok=True)  # left by one that was stopped
            try:
                kept, dropped = _rewrite(path, file, draft, session)
                self._calls += dropped
                self._bytes += os.fstat(file.fileno()).st_size - (draft.stat().st_size if kept else 0)
                (self.rewritten if kept else self.deleted).append(path)
                if self._dry_run:
                    return
                if kept:
                    os.replace(draft, path)
                else:
                    path.unlink(missing_ok=True)
            finally:
                draft.unlink(missing_ok=True)


def _rewrite(path: Path, file: BinaryIO, draft: Path, session: str) -> tuple[int, int]:
    """Everything but the calls of `session` into `draft`: calls kept and calls left out. Notes and callers stay."""
    chains, packer = Chains(), Packer()
    values: dict[int, Any] = {}
    kept = dropped = 0
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        for record, offset in _records(file):
            kind = record.get("type")
            if kind == "values":
                values |= shared.values_of(record)
            elif kind == "segment":
                out.write(frame.encode(record | {"id": str(uuid.uuid4())}))  # for who knows the old one by it
            elif kind != "call":
                out.write(frame.encode(record))
            elif _session(record) == session:
                dropped += 1
            else:
                kept += 1
                new, thin = packer.thin(_plain(path, offset, shared.whole(record, values), chains))
                if new is not None:
                    out.write(frame.encode(new))
                out.write(frame.encode(packer.at(thin, out.tell())))
                packer.written()
        out.flush()
        os.fsync(out.fileno())
    return kept, dropped


def _plain(path: Path, offset: int, call: Record, chains: Chains) -> Record:
    """The call with its bodies as they were; one that cannot be read is left as it is, and says so when asked for."""
    for side in ("request", "response"):
        message = call.get(side)
        stored = message.get("body") if isinstance(message, dict) else None
        if isinstance(message, dict) and isinstance(stored, dict):
            with contextlib.suppress(BodyError):
                data = chains.decode(path, offset, side, stored)
                if data is not None:
                    packing = ("size", "sha256", "enc", "base", "back", "wire", "data")
                    extra = {key: value for key, value in stored.items() if key not in packing}
                    call = call | {side: message | {"body": body.Plain(data, stored.get("wire"), extra)}}
    return call


def _verified(path: Path, chains: Chains) -> Iterator[int | Problem]:
    """For each record the number of its bodies that were read, and what is wrong."""
    try:
        with path.open("rb", buffering=0) as file:
            for found in frame.scan(file):
                if isinstance(found, frame.Damage):
                    if not (found.kind == "torn" and is_live(file)):
                        yield Problem(path, found.offset, found.size, WORDS[found.kind])
                    continue
                record = frame.decode(found.payload)
                if record is None:
                    yield Problem(path, found.offset, found.size, "holds a value that is no record")
                    continue
                read = 0
                for side in ("request", "response") if record.get("type") == "call" else ():
                    message = record.get(side)
                    stored = message.get("body") if isinstance(message, dict) else None
                    if isinstance(stored, dict):
                        try:
                            read += chains.decode(path, found.offset, side, stored) is not None
                        except BodyError as error:
                            yield Problem(path, found.offset, found.size, f"the {side} cannot be read: {error}")
                yield read
    except FileNotFoundError:
        return  # pruned meanwhile
    except OSError as error:
        yield Problem(path, 0, 0, f"cannot be read: {error.strerror or error}")


def _records(file: BinaryIO) -> Iterator[tuple[Record, int]]:
    """Intact records and their offsets."""
    for found in frame.scan(file):
        if isinstance(found, frame.Frame) and (record := frame.decode(found.payload)) is not None:
            yield record, found.offset


def _session(record: Record) -> str | None:
    session = record.get("session")
    return session.get("id") if record.get("type") == "call" and isinstance(session, dict) else None


def _newest(segment: SegmentInfo) -> int:
    """When the last call of a segment began, at the latest when the file was last changed."""
    newest = 0
    try:
        with segment.path.open("rb", buffering=0) as file:
            for found in frame.scan(file):
                head = frame.leading(found.payload, "session") if isinstance(found, frame.Frame) else None
                if head is not None and isinstance(head.get("time"), int):
                    newest = max(newest, head["time"])
        return newest or segment.path.stat().st_mtime_ns
    except OSError:
        return time.time_ns()
