"""Reading a trace: calls newest first with their bodies on demand, look-ups, following what is being written.

Only what is asked for is read, segment by segment; of a call that was passed over nothing stays in memory but two
integers. A record that a writer is in the middle of is not seen yet; all other damage is stepped over, and
`Trace.problems` tells it with its file and offset.
"""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessiontap.trace.annotations import Annotations, annotate
from sessiontap.trace.body import BodyError, BodyReader
from sessiontap.trace.files import FileStatus, NotInTrace, TraceError, file_of, open_segment, segments, unreadable
from sessiontap.trace.folders import are_several, read_together
from sessiontap.trace.in_flight_queries import InFlight
from sessiontap.trace.labels import Labels
from sessiontap.trace.news import News, position_of
from sessiontap.trace.outcomes import is_warm_up
from sessiontap.trace.queries import TraceQueries
from sessiontap.trace.recorded import RecordedCall, RecordedSession
from sessiontap.trace.segment import Place, Segment, SegmentInfo, Unreadable, segment_info
from sessiontap.trace.walk import header_of, read_at, writer_of

if TYPE_CHECKING:
    from sessiontap.part import PartsOf
    from sessiontap.trace.index.activity import IsRunning
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.headings import HeadingOf

Record = dict[str, Any]


class Trace(TraceQueries):
    """A trace folder. One object may be asked again and again: it takes in what was written meanwhile."""

    def __init__(
        self,
        folder: Path,
        parts_of: PartsOf | None = None,
        is_running: IsRunning | None = None,
        headings_of: HeadingOf | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        self.folder = folder
        self.parts_of = parts_of
        self.headings_of = headings_of
        self.is_running = is_running
        self.in_flight = in_flight
        self._refused = {}
        self._segments: dict[Path, Segment] = {}
        self._bodies = BodyReader()
        self._annotations = Annotations(folder)
        self._labels = Labels()
        """As of the last listing of the folder."""

    def calls(
        self,
        newest_first: bool = True,
        *,
        filters: Filters | None = None,
        warm_ups: bool = False,
        since: int | None = None,
    ) -> Iterator[RecordedCall]:
        """Every call, or those that fit `filters`, by its start. Without filters, newest first reads only as many
        segments as it is asked for calls; with filters the index finds them.

        Damage raises nothing: it is in `problems`. Raises TraceError if the folder cannot be read.
        `warm_ups`: those, too, if there are no filters; they count as no calls. `since`, Unix nanoseconds: those that
        began then or later, oldest first and without filters; segments that were left before are not read.
        """
        if filters is not None:
            places = self.query_places(filters)
            return self.calls_at(reversed(places) if newest_first else places)
        calls = self._calls(newest_first, since or 0)
        return calls if warm_ups else (call for call in calls if not is_warm_up(call.record))

    def _calls(self, newest_first: bool, since: int) -> Iterator[RecordedCall]:
        if newest_first:
            for segment, offset in self._newest():
                yield from self._load(segment, offset)
            return
        known = [self._update(path) for path, listed in self._files().items() if listed.changed >= since]
        places = ((time, n, at) for n, segment in enumerate(known) for time, at in segment.calls if time >= since)
        for _, number, offset in sorted(places):
            yield from self._load(known[number], offset)

    def segments(self) -> list[SegmentInfo]:
        """The segment files, oldest first."""
        return [one for path in self._paths() if (one := segment_info(path)) is not None]

    def call(self, prefix: str) -> RecordedCall:
        """The call whose id begins with `prefix`, `@1` the newest, `@2` the one before. Raises TraceError.

        The index has its place; only the call itself is read, and its caller.
        """
        place = self.place(prefix)
        for call in self.calls_at([place]):
            return call
        message = f"call {prefix} was removed with its segment {place.path}"
        raise NotInTrace(message, "List calls with `sessiontap calls`.")

    def calls_at(self, places: Iterable[Place]) -> Iterator[RecordedCall]:
        """The calls at these places (`query_places`), one at a time; none for one that went away meanwhile.

        Of their segments nothing else is read but callers.
        """
        self._labels = self._annotations.labels()
        for _, here in groupby(places, key=attrgetter("path")):
            known: dict[int | None, Record | None] = {None: None}
            for place in here:
                call = self._read(place, known) or self._moved(place)
                if call is not None:
                    yield call

    def session(self, prefix: str) -> RecordedSession:
        """The session whose id begins with `prefix`, `@1` the one with the newest call. Raises TraceError."""
        wanted = self.query_session_id(prefix)
        return RecordedSession(wanted, list(self.calls_at(self.query_places(sessions=[wanted]))))

    def run_of(self, prefix: str) -> RecordedSession:
        """The same with all that its program asked, so that it can run again on it: warm-ups, and errands that belong
        to the session without naming it. Raises TraceError."""
        wanted = self.query_session_id(prefix)
        places, warm_ups = self.query_places_of_run(wanted)
        calls = [*self.calls_at(places), *(call for call in self.calls_at(warm_ups) if call.session_id == wanted)]
        return RecordedSession(wanted, sorted(calls, key=lambda call: (call.record["time"], call.id)))

    def follow(
        self, *, poll_seconds: float = 0.25, stop: threading.Event | None = None, from_start: bool = False
    ) -> Iterator[RecordedCall]:
        """Calls in the order in which they are written, from this moment on (or the first one), until `stop` is set.

        Raises TraceError if the folder cannot be read.
        """
        news = self.news(from_start=from_start)  # from this moment, not from the first call that is asked for
        return _follow(news, poll_seconds, stop or threading.Event())

    def news(self, *, from_start: bool = False, position: str | None = None) -> News:
        """Return a function that gives, each time, the calls that were written since the last time.

        At first those since this moment, since the `position` of other news, or all. Raises TraceError if the folder
        cannot be read.
        """
        return News(self._files, self._update, self._load, from_start=from_start, position=position)

    def position(self) -> str:
        """The end of the log as it is now, as a position for `news`. Raises TraceError if the folder cannot be read."""
        return position_of(self._files())

    def annotate(self, records: Sequence[Record]) -> None:
        """Write labels and scores, all of them or none. Raises TraceError.

        Of folders that are read together, each is written to the one that the newest call stands in that it is for.
        """
        if not are_several(self.folder):
            annotate(self.folder, records)
            return
        from sessiontap.trace.index.contents import segment_of

        by_folder: dict[Path, list[Record]] = {}
        for record in records:
            name = self._ask(partial(segment_of, record=record))
            if name is None:
                raise TraceError(f"nothing was written: what it is for is in none of {self.shown_folder}")
            by_folder.setdefault(Path(name).parent, []).append(record)
        for folder in by_folder:
            if not os.access(folder, os.W_OK | os.X_OK):
                message = f"nothing was written: the call is in {folder}, which can only be read"
                raise TraceError(message, "Make the folder writable, or do it on the machine that recorded the call.")
        for folder, some in by_folder.items():
            annotate(folder, some)

    def _newest(self) -> Iterator[tuple[Segment, int]]:
        """Calls by descending start. A segment is read when a call in it may be newer than the best one at hand: no
        call in it began after its last change."""
        changed = sorted((listed.changed, path) for path, listed in self._files().items())
        heap: list[tuple[int, int, int, Segment]] = []
        number = 0
        while changed or heap:
            while changed and (not heap or -heap[0][0] <= changed[-1][0]):
                segment = self._update(changed.pop()[1])
                number += 1
                for time, offset in segment.calls:
                    heapq.heappush(heap, (-time, number, -offset, segment))
            if heap:
                _, _, offset, segment = heapq.heappop(heap)
                yield segment, -offset

    def _files(self) -> dict[Path, FileStatus]:
        try:
            listed = segments(self.folder)
        except OSError as error:
            raise unreadable(self.folder, error) from None
        self._labels = self._annotations.labels(listed)
        return listed

    def _paths(self) -> list[Path]:
        return list(self._files())

    def _update(self, path: Path) -> Segment:
        """Take in what a segment has got since the last time."""
        segment = self._segments.get(path)
        if segment is None:
            segment = self._segments[path] = Segment(path)
        try:
            with open_segment(path) as file:
                old = None
                if not segment.is_in(file):
                    old, segment = segment, Segment(path)
                    self._segments[path] = segment
                segment.take_in(file)
                if old is not None:
                    old.replaced_by(segment)
            self._refused.pop(path, None)
        except FileNotFoundError:  # pruned meanwhile
            segment.calls = []
        except OSError as error:
            self._refuse(path, error)
        return segment

    def _refuse(self, path: Path, error: OSError) -> None:
        self._refused[path] = Unreadable(file_of(path), 0, 0, f"cannot be read: {error.strerror or error}")

    def _read(self, place: Place, known: dict[int | None, Record | None]) -> RecordedCall | None:
        """The call at `place`; None if it does not stand there. `known`: the callers of its segment that were read, and
        its header, by their offsets."""
        try:
            with open_segment(place.path) as file:
                call = read_at(file, place.offset)
                if 0 not in known:
                    known[0] = header_of(file)
                if place.caller not in known:
                    known[place.caller] = read_at(file, place.caller or 0)
        except FileNotFoundError:  # pruned meanwhile
            return None
        except OSError as error:
            self._refuse(place.path, error)
            return None
        caller = known[place.caller]
        if call is None or call["type"] != "call" or call["id"] != place.id:
            return None
        if caller is not None and (caller["type"] != "caller" or caller["id"] != call.get("caller")):
            return None

        def decode(side: str, stored: Record) -> bytes | None:
            try:
                return self._bodies.decode(place.path, place.offset, side, stored)
            except BodyError:
                if (moved := self._moved(place)) is None:
                    raise
                return moved.body(side)

        return RecordedCall(call, caller, decode, self._labels, writer_of(known[0], place.path))

    def _moved(self, place: Place) -> RecordedCall | None:
        """A call that stood at `place`, if its segment was written anew meanwhile."""
        try:
            found = self.place(place.id)
        except NotInTrace:
            return None
        if found == place:
            return None
        return self._read(found, {None: None})

    def _load(self, segment: Segment, offset: int) -> Iterator[RecordedCall]:
        """The call at `offset`; none if the file, or the call in it, went away meanwhile."""
        record = segment.record(offset)
        if record is None:
            for place in self._later(segment, offset):
                yield from self._load(*place)
            return

        def decode(side: str, stored: Record) -> bytes | None:
            try:
                return self._bodies.decode(segment.path, offset, side, stored)
            except BodyError:
                for place in self._later(segment, offset):
                    for call in self._load(*place):
                        return call.body(side)
                raise

        caller = segment.callers.get(record.get("caller") or "")
        yield RecordedCall(record, caller, decode, self._labels, writer_of(segment.header, segment.path))

    def _later(self, segment: Segment, offset: int) -> Iterator[tuple[Segment, int]]:
        """The place of the call in the file that has come in place of the one it was seen in, if one has."""
        if segment.successor is None:
            self._update(segment.path)
        if segment.successor is not None:
            new, moved = segment.successor
            if offset in moved:
                yield new, moved[offset]


def _follow(
    news: Callable[[], Iterator[RecordedCall]], poll_seconds: float, stop: threading.Event
) -> Iterator[RecordedCall]:
    while True:
        ending = stop.is_set()
        yield from news()
        if ending:
            return
        stop.wait(poll_seconds)


def open(
    folder: Path | str | Sequence[Path | str],
    *,
    parts_of: PartsOf | None = None,
    headings_of: HeadingOf | None = None,
    is_running: IsRunning | None = None,
    in_flight: InFlight | None = None,
) -> Trace:
    """The trace in `folder`; of several folders, or of one whose subfolders are traces, all of them as one.

    `parts_of` reads prompts and replies, for searches and turns (`llm.recorded_parts`), `headings_of` for the titles of
    sessions (`llm.headings`). `is_running` tells if a process still runs (`callers.running`). `in_flight` returns the
    calls that have not ended, which lists then show as well.

    Raises TraceError if there is no such folder.
    """
    folders = [folder] if isinstance(folder, (str, Path)) else folder
    try:
        place = read_together([Path(one).expanduser() for one in folders])
    except OSError as error:
        raise unreadable(Path(error.filename or "."), error) from None
    except RuntimeError:
        message = f"what ~ stands for in {', '.join(map(str, folders))} is not known"
        raise TraceError(message, "Give the whole path: HOME is not set.") from None
    trace = Trace(place, parts_of, is_running, headings_of, in_flight)
    trace._paths()
    return trace
