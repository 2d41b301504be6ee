"""Reading a trace: calls newest first with their bodies on demand, look-ups, following what is being written.

Only what is asked for is read, segment by segment; of a call that was passed over nothing stays in memory but two
integers. A record that a writer is in the middle of is not seen yet; all other damage is in `Trace.problems`, with its
file and offset, and is stepped over.
"""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessiontap.trace import body, frame, shared, templates
from sessiontap.trace.chain import Chains
from sessiontap.trace.damage import HEADLESS, WORDS
from sessiontap.trace.errors import TraceError
from sessiontap.trace.questions import Place, Questions
from sessiontap.trace.segment import FORMAT, SUFFIX, VERSION, is_live
from sessiontap.trace.views import is_warm_up

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What cannot be read: `offset` and `size` in bytes of the file, `text` in words."""

    path: Path
    offset: int
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment file. `header` is None where it is damaged; `readable` False for other formats and later versions."""

    path: Path
    header: Record | None
    size: int
    live: bool
    readable: bool


class StoredCall:
    """A call in the log; its bodies are unpacked and checked when they are asked for.

    `record` is its map with the keys of docs/trace-format.md: times in Unix nanoseconds, durations in nanoseconds,
    unknown None.
    """

    __slots__ = ("_decode", "caller", "record")

    def __init__(
        self, record: Record, caller: Record | None, decode: Callable[[str, Record], bytes | None] | None = None
    ) -> None:
        """`decode(side, body)` gives the bytes of a stored body: it knows where those that lean on others find them."""
        self.record = record
        self._decode = decode
        self.caller = caller
        """The caller's map, None where it is unknown."""

    @property
    def id(self) -> str:
        """A UUIDv7."""
        return str(self.record.get("id"))

    @property
    def session_id(self) -> str | None:
        """None where no rule gave it a session."""
        session = self.record.get("session")
        return session.get("id") if isinstance(session, dict) else None

    def request_body(self) -> bytes | None:
        """The request's body, decoded; None where there was or is none. Raises BodyError."""
        return self.body("request")

    def response_body(self) -> bytes | None:
        """The response's body as far as it came, decoded. Raises BodyError."""
        return self.body("response")

    def body(self, side: str) -> bytes | None:
        """The body of the `request` or `response`. Raises BodyError."""
        message = self.record.get(side)
        stored = message.get("body") if isinstance(message, dict) else None
        if not isinstance(stored, dict):
            return None
        return self._decode(side, stored) if self._decode is not None else body.decode(stored)


@dataclass(frozen=True, slots=True)
class StoredSession:
    """The calls of one session, oldest first."""

    id: str
    calls: list[StoredCall]


@dataclass(slots=True)
class _Part:
    """What is known of one segment: where its calls lie, up to `end`."""

    path: Path
    header: Record | None
    readable: bool
    calls: list[tuple[int, int]]
    """(time, offset)"""
    notes: list[int]
    callers: dict[str, Record]
    values: dict[int, Any]
    """What its calls repeat, by number."""
    end: int = 0
    """Behind the last intact record."""
    file: tuple[int, int] | None = None
    """Device and inode of what was read."""
    successor: tuple[_Part, dict[int, int]] | None = None
    """The file that has come in its place, and where its calls stand there."""


class Trace(Questions):
    """A trace folder. One object may be asked again and again: it takes in what was written meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts: dict[Path, _Part] = {}
        self._problems: dict[tuple[Path, int], Problem] = {}
        self._chains = Chains()

    def calls(self, newest_first: bool = True, *, warm_ups: bool = False) -> Iterator[StoredCall]:
        """Every call by its start. Newest first reads only as many segments as it is asked for calls.

        Damage raises nothing: it is in `problems`. Raises TraceError where the folder cannot be read.
        `warm_ups`: those, too; they count as no calls.
        """
        calls = self._calls(newest_first)
        return calls if warm_ups else (call for call in calls if not is_warm_up(call.record))

    def _calls(self, newest_first: bool) -> Iterator[StoredCall]:
        if newest_first:
            for part, offset in self._newest():
                yield from self._load(part, offset)
            return
        parts = [self._update(path) for path in self._paths()]
        for _, number, offset in sorted((time, n, at) for n, part in enumerate(parts) for time, at in part.calls):
            yield from self._load(parts[number], offset)

    def notes(self) -> list[Record]:
        """Every note, oldest first: what was lost and why, what changed."""
        notes = []
        for path in self._paths():
            part = self._update(path)
            notes += [record for at in part.notes if (record := self._record(part, at)) is not None]
        return sorted(notes, key=_time)

    @property
    def callers(self) -> dict[str, Record]:
        """Every caller by its id."""
        callers: dict[str, Record] = {}
        for path in self._paths():
            callers |= self._update(path).callers
        return callers

    @property
    def problems(self) -> list[Problem]:
        """All that cannot be read in the folder, by file and offset."""
        for path in self._paths():
            self._update(path)
        return [self._problems[key] for key in sorted(self._problems)]

    def segments(self) -> list[SegmentInfo]:
        """The segment files, oldest first."""
        return [info for path in self._paths() if (info := _info(path)) is not None]

    def call(self, prefix: str) -> StoredCall:
        """The call whose id begins with `prefix`, `@1` the newest, `@2` the one before. Raises TraceError."""
        found: StoredCall | None = None
        if number := _number(prefix):
            for position, call in enumerate(self.calls(), 1):
                if position == number:
                    return call
            raise TraceError(f"there is no call {prefix} in {self.folder}", "List them with `sessiontap calls`.")
        for call in self.calls(warm_ups=True):
            if call.id == prefix:
                return call
            if call.id.startswith(prefix.lower()):
                if found is not None and found.id != call.id:
                    raise TraceError(f"more than one call's id begins with {prefix!r}", "Give more of it.")
                found = call
        if found is None or not prefix:
            text = f"no call's id begins with {prefix!r} in {self.folder}"
            raise TraceError(text, "List them with `sessiontap calls`.")
        return found

    def query_call(self, prefix: str) -> StoredCall:
        """As `call`, by the index: only the call's own segment is read. Raises TraceError."""
        path, offset = self.place(prefix)
        for call in self._load(self._update(path), offset):
            return call
        raise TraceError(f"call {prefix} went away with its segment {path}", "List calls with `sessiontap calls`.")

    def calls_at(self, places: Iterable[Place]) -> Iterator[StoredCall]:
        """The calls at these places (`query_places`), one at a time; none for one that went away meanwhile."""
        known: set[Path] = set()
        for path, offset in places:
            if path not in known:
                self._update(path)
                known.add(path)
            yield from self._load(self._parts[path], offset)

    def session(self, prefix: str) -> StoredSession:
        """The session whose id begins with `prefix`, `@1` the one with the newest call. Raises TraceError."""
        wanted = self._session_id(prefix)
        return StoredSession(wanted, [call for call in self.calls(newest_first=False) if call.session_id == wanted])

    def follow(
        self, *, poll_seconds: float = 0.25, stop: threading.Event | None = None, from_start: bool = False
    ) -> Iterator[StoredCall]:
        """Calls in the order in which they are written, from this moment on (or the first one), until `stop` is set.

        Raises TraceError where the folder cannot be read.
        """
        seen = {} if from_start else {path: self._update(path).end for path in self._paths()}
        return self._follow(poll_seconds, stop or threading.Event(), seen)

    def _follow(self, poll_seconds: float, stop: threading.Event, seen: dict[Path, int]) -> Iterator[StoredCall]:
        while True:
            ending = stop.is_set()
            for path in self._paths():
                part = self._update(path)
                after = seen.get(path, 0)
                seen[path] = part.end
                for _, offset in part.calls:
                    if offset >= after:
                        yield from (call for call in self._load(part, offset) if not is_warm_up(call.record))
            if ending:
                return
            stop.wait(poll_seconds)

    def _session_id(self, prefix: str) -> str:
        number = _number(prefix)
        seen: dict[str, None] = {}
        for call in self.calls():
            if (session := call.session_id) is None:
                continue
            seen[session] = None
            if session == prefix or len(seen) == number:
                return session
        found = [session for session in seen if prefix and not number and session.startswith(prefix)]
        if len(found) > 1:
            raise TraceError(f"more than one session's id begins with {prefix!r}", "Give more of it.")
        if not found:
            what = f"there is no session {prefix}" if number else f"no session's id begins with {prefix!r}"
            raise TraceError(f"{what} in {self.folder}", "List them with `sessiontap ls`.")
        return found[0]

    def _newest(self) -> Iterator[tuple[_Part, int]]:
        """Calls by descending start. A segment is read when a call in it may be newer than the best one at hand: no
        call in it began after its last change."""
        changed: list[tuple[int, Path]] = []
        for path in self._paths():
            try:
                changed.append((path.stat().st_mtime_ns, path))
            except OSError:
                continue
        changed.sort()
        heap: list[tuple[int, int, int, _Part]] = []
        number = 0
        while changed or heap:
            while changed and (not heap or -heap[0][0] <= changed[-1][0]):
                part = self._update(changed.pop()[1])
                number += 1
                for time, offset in part.calls:
                    heapq.heappush(heap, (-time, number, -offset, part))
            if heap:
                _, _, offset, part = heapq.heappop(heap)
                yield part, -offset

    def _paths(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if path.suffix == SUFFIX and path.is_file())
        except OSError as error:
            raise _unreadable(self.folder, error) from None

    def _update(self, path: Path) -> _Part:
        """Take in what a segment has got since it was looked at last."""
        part = self._parts.get(path)
        if part is None:
            part = self._parts[path] = _Part(path, None, True, [], [], {}, {})
        try:
            with path.open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                own = status.st_dev, status.st_ino
                if part.file not in (None, own):
                    old, part = part, _Part(path, None, True, [], [], {}, {})
                    self._parts[path] = part
                    self._problems = {place: one for place, one in self._problems.items() if place[0] != path}
                else:
                    old = None
                part.file = own
                if part.end == 0:
                    self._begin(part, file)
                if part.readable:
                    self._scan(part, file)
                if old is not None:
                    old.successor = part, _moved(old.calls, part.calls)
        except FileNotFoundError:  # pruned meanwhile
            part.calls, part.notes = [], []
        except OSError as error:
            self._trouble(path, 0, 0, f"cannot be read: {error.strerror or error}")
        return part

    def _begin(self, part: _Part, file: Any) -> None:
        first = next(frame.scan(file), None)
        if isinstance(first, frame.Frame):
            record = frame.decode(first.payload) or {}
            part.header = record if record.get("type") == "segment" else None
            if part.header is not None:
                part.readable = record.get("format") == FORMAT and record.get("version") == VERSION
            if not part.readable:
                what = f"format {record.get('format')!r} version {record.get('version')!r}"
                self._trouble(part.path, 0, first.size, f"is of {what}, which this version cannot read")

    def _scan(self, part: _Part, file: Any) -> None:
        damage: list[frame.Damage] = []
        for found in frame.scan(file, part.end):
            if isinstance(found, frame.Damage):
                damage.append(found)
                continue
            self._take(part, found)
            part.end = found.offset + found.size
        if damage and damage[-1].offset >= part.end and is_live(file):
            damage.pop()
        for one in damage:
            self._trouble(part.path, one.offset, one.size, WORDS[one.kind])
        if part.end and part.header is None:
            self._trouble(part.path, 0, 0, HEADLESS)

    def _take(self, part: _Part, found: frame.Frame) -> None:
        head = frame.leading(found.payload, "session")
        kind = head.get("type") if head else None
        if head is None:
            self._trouble(part.path, found.offset, found.size, "holds a value that is no record")
        elif kind == "call" and isinstance(head.get("time"), int):
            part.calls.append((head["time"], found.offset))
            if templates.is_lost(head, part.values):
                self._trouble(part.path, found.offset, found.size, templates.LOST)
        elif kind == "note":
            part.notes.append(found.offset)
        elif kind == "caller":
            record = frame.decode(found.payload)
            if record is not None and isinstance(record.get("id"), str):
                part.callers[record["id"]] = record
        elif kind == "values":
            part.values |= shared.values_of(frame.decode(found.payload) or {})

    def _trouble(self, path: Path, offset: int, size: int, text: str) -> None:
        self._problems[path, offset] = Problem(path, offset, size, text)

    def _record(self, part: _Part, offset: int) -> Record | None:
        try:
            with part.path.open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if part.file != (status.st_dev, status.st_ino):
                    return None
                found = frame.read_one(file, offset)
        except OSError:
            return None
        return frame.decode(found.payload) if found else None

    def _load(self, part: _Part, offset: int) -> Iterator[StoredCall]:
        """The call at `offset`; none where the file, or the call in it, went away meanwhile."""
        record = self._record(part, offset)
        if record is None:
            for place in self._later(part, offset):
                yield from self._load(*place)
            return

        def decode(side: str, stored: Record) -> bytes | None:
            try:
                return self._chains.decode(part.path, offset, side, stored)
            except body.BodyError:
                for place in self._later(part, offset):
                    for call in self._load(*place):
                        return call.body(side)
                raise

        call = shared.whole(record, part.values)
        yield StoredCall(call, part.callers.get(str(call.get("caller"))), decode)

    def _later(self, part: _Part, offset: int) -> Iterator[tuple[_Part, int]]:
        """Where the call stands in the file that has come in place of the one it was seen in, if one has."""
        if part.successor is None:
            self._update(part.path)
        if part.successor is not None:
            new, moved = part.successor
            if offset in moved:
                yield new, moved[offset]


def open(folder: Path | str) -> Trace:
    """The trace in `folder`. Raises TraceError where there is no such folder."""
    trace = Trace(Path(folder).expanduser())
    trace._paths()
    return trace


def _unreadable(folder: Path, error: OSError) -> TraceError:
    hint = "Run the proxy first, or name another with --trace DIR."
    if isinstance(error, FileNotFoundError):
        return TraceError(f"there is no trace folder {folder}", hint)
    return TraceError(f"the trace folder {folder} cannot be read: {error.strerror or error}", hint)


def _info(path: Path) -> SegmentInfo | None:
    try:
        with path.open("rb", buffering=0) as file:
            first = next(frame.scan(file), None)
            record = frame.decode(first.payload) if isinstance(first, frame.Frame) else None
            header = record if record is not None and record.get("type") == "segment" else None
            readable = header is None or (header.get("format") == FORMAT and header.get("version") == VERSION)
            return SegmentInfo(path, header, path.stat().st_size, is_live(file), readable)
    except OSError:
        return None


def _moved(old: list[tuple[int, int]], new: list[tuple[int, int]]) -> dict[int, int]:
    """Where calls stand in a file that has all but some of another one's, in the same order."""
    moved: dict[int, int] = {}
    at = 0
    for time, offset in old:
        if at < len(new) and new[at][0] == time:
            moved[offset] = new[at][1]
            at += 1
    return moved


def _number(prefix: str) -> int:
    """N of `@N`, else 0."""
    return int(prefix[1:]) if prefix.startswith("@") and prefix[1:].isdecimal() else 0


def _time(record: Record) -> int:
    time = record.get("time")
    return time if isinstance(time, int) else 0
