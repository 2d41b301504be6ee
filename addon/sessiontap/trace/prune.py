"""Pruning: what of a trace folder may go, and how it goes.

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sessiontap.trace import body, frame, shared
from sessiontap.trace.body import BodyError
from sessiontap.trace.chain import Chains
from sessiontap.trace.errors import TraceError
from sessiontap.trace.lock import alone
from sessiontap.trace.pack import Packer
from sessiontap.trace.part import SegmentInfo
from sessiontap.trace.reader import Trace, open
from sessiontap.trace.segment import is_live
from sessiontap.trace.views import is_warm_up

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the segments that were looked at, and all that there are."""

_MAKING_SECONDS = 60.0
"""A segment without a byte may be this old and still be one that a writer is making."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` took away, or would have. `kept_live`: segments that had to go and are being written."""

    segments: tuple[Path, ...]
    """Deleted as a whole."""
    rewritten: tuple[Path, ...]
    calls: int
    sessions: int
    """Of which no call is left."""
    bytes: int
    kept_live: tuple[Path, ...] = ()


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
    written stay: what they take counts towards `max_bytes`.
    """
    trace = open(folder)
    try:
        plan = _plan(trace, older_than, max_bytes, session, progress)
        names = [[path.name for path in paths] for paths in (plan.deleted, plan.rewritten)]
        # Before the lock: an index that turns out to be damaged is replaced under the same one.
        sessions = trace.count_sessions_within(names[0], session, names[1])
        size = 0
        with alone(trace.folder):
            for path in plan.rewritten if session is not None else ():
                size += _without(path, session or "", dry_run)
            for path in plan.deleted:
                size += _delete(path, dry_run)
        if not dry_run and (plan.deleted or plan.rewritten):
            trace.compact_index()
    except OSError as error:
        raise TraceError(f"the trace folder {trace.folder} cannot be pruned: {error.strerror or error}") from None
    finally:
        trace.close()
    return Pruned(tuple(plan.deleted), tuple(plan.rewritten), plan.calls, sessions, size, tuple(plan.live))


@dataclass(slots=True)
class _Plan:
    """What is to go."""

    deleted: list[Path] = field(default_factory=list)
    rewritten: list[Path] = field(default_factory=list)
    live: list[Path] = field(default_factory=list)
    calls: int = 0


def _plan(
    trace: Trace, older_than: int | None, max_bytes: int | None, session: str | None, progress: Progress | None
) -> _Plan:
    segments = [segment for segment in trace.segments() if segment.readable]
    doomed: set[Path] = set()
    if older_than is not None:
        doomed |= {one.path for one in segments if _newest(one) < older_than}
    if max_bytes is not None:
        left = sum(one.size for one in segments if one.live or one.path not in doomed)
        for one in segments:
            if left > max_bytes and one.path not in doomed:
                doomed.add(one.path)
                left -= 0 if one.live else one.size
    plan = _Plan()
    for number, one in enumerate(segments, 1):
        if one.path in doomed or session is not None:
            with contextlib.suppress(FileNotFoundError):
                _consider(plan, one.path, one.path in doomed, session)
        if progress is not None:
            progress(number, len(segments))
    return plan


def _consider(plan: _Plan, path: Path, doomed: bool, session: str | None) -> None:
    """Put a segment where it belongs: all of it goes, some of it, nothing, or nothing because it is being written."""
    with path.open("rb", buffering=0) as file:
        held = _is_held(file)
        if doomed and held:
            plan.live.append(path)
            return
        going = staying = calls = 0
        for record, _ in _records(file):
            if record.get("type") == "call":
                goes = doomed or _session(record) == session
                staying += not goes
                going += goes
                calls += goes and not is_warm_up(record)
                if goes and held:
                    plan.live.append(path)
                    return
        if not doomed and not going:
            return
        plan.calls += calls
        (plan.rewritten if staying else plan.deleted).append(path)


def _is_held(file: BinaryIO) -> bool:
    """A writer has it, or is about to: one that has just made its file has not locked it yet."""
    status = os.fstat(file.fileno())
    return is_live(file) or (status.st_size == 0 and time.time() - status.st_mtime < _MAKING_SECONDS)


def _delete(path: Path, dry_run: bool) -> int:
    """The bytes that it took; 0 where another process was quicker."""
    try:
        size = path.stat().st_size
        if not dry_run:
            path.unlink()
        return size
    except FileNotFoundError:
        return 0


def _without(path: Path, session: str, dry_run: bool) -> int:
    """Take a session out of a segment. The bytes that it becomes smaller by."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)  # left by one that was stopped
    try:
        with path.open("rb", buffering=0) as file:
            _rewrite(path, file, draft, session)
        gained = path.stat().st_size - draft.stat().st_size
        if not dry_run:
            os.replace(draft, path)
        return gained
    except FileNotFoundError:
        return 0
    finally:
        draft.unlink(missing_ok=True)


def _rewrite(path: Path, file: BinaryIO, draft: Path, session: str) -> None:
    """Everything but the calls of `session` into `draft`. Notes and callers stay."""
    chains, packer = Chains(), Packer()
    values: dict[int, Any] = {}
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
            elif _session(record) != session:
                new, thin = packer.thin(_plain(path, offset, shared.whole(record, values), chains))
                if new is not None:
                    out.write(frame.encode(new))
                out.write(frame.encode(packer.at(thin, out.tell())))
                packer.written()
        out.flush()
        os.fsync(out.fileno())


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
