"""A trace folder with its index: every question is answered by it, brought up to date with the log first.

Questions that look into prompts, replies, tool results and names have the index read these, too, for a limited time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap.trace.files import TraceError
from sessiontap.trace.folders import shown

if TYPE_CHECKING:
    from sqlite3 import Connection

    from sessiontap.part import PartsOf
    from sessiontap.trace.annotations import Annotations
    from sessiontap.trace.index.costs import Prices
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.index import Index, Prepare
    from sessiontap.trace.index.search import Hit, Unsearched
    from sessiontap.trace.rewriting import Rewritten


_READING_SECONDS = 2.0
"""Seconds for which calls that nobody has read yet are read before each further answer of one search."""


class IndexedTrace:
    """The part that all queries share. `progress(done, total)` is called during a long catch-up.

    sqlite3 and `index/` are imported by the first query: the proxy imports this module, and asks nothing.
    """

    folder: Path
    _annotations: Annotations
    parts_of: PartsOf | None = None
    """The reader of bodies; without it there is no search, and no turns."""
    progress: Callable[[int, int], None] | None = None
    cache_bytes: int | None = None
    """The memory that the index may keep pages of its file in; None: its usual 64 MB."""
    _index: Index | None = None
    _until: float | None = None
    """The monotonic time until which the log is read; None: as long as it takes."""
    _has_read: bool = False
    """Some of the log was read since the time was limited: at least a batch is, however little time there is."""

    @property
    def shown_folder(self) -> str:
        """The folder as people are told of it; those that are read together."""
        return shown(self.folder)

    def read_for(self, seconds: float) -> None:
        """Answer from what is read within about so many seconds from now: for a question that looks into bodies.

        The newest is read first, and what was read before need not be read again. Later questions of this object are
        answered from the same. `query_unread` says what is left; another object goes on from there.
        """
        self._until, self._has_read = time.monotonic() + seconds, False

    def query_hits(
        self, text: str, filters: Filters | None = None, limit: int = 0, seconds: float | None = None
    ) -> tuple[list[Hit], Unsearched]:
        """Return the places of `text`, without case, in calls that fit `filters`: those of the latest calls first.

        Calls that nobody has read yet are read for about so many seconds, None until all are. Calls that are still left
        are told, too; the next question goes on with them. `limit` 0: all places.
        """
        from sessiontap.trace.index.filters import Filters
        from sessiontap.trace.index.search import hits, unsearched

        wanted = filters or Filters()
        until = self._until if seconds is None else time.monotonic() + seconds

        def answer(database: Connection) -> tuple[list[Hit], Unsearched]:
            return hits(database, text, wanted, limit), unsearched(database, self.is_behind)

        return self._ask(answer, prepare=self._read_parts(until), until=until)

    def each_hit(
        self, text: str, filters: Filters | None = None, limit: int = 0, seconds: float = 0.5
    ) -> Iterator[list[Hit]]:
        """Give the places of `text` in all of the log as they are found, however long that takes; of those that are
        found together, those of the latest calls come first.

        Calls that nobody has read yet are read for about so many seconds before the first places, and then for two
        seconds at a time. A place is given once, at the first of the calls that were read until then. All are read,
        though `limit` places may be found before. Raises TraceError.
        """
        from sessiontap.trace.index.filters import Filters
        from sessiontap.trace.index.search import Source, hits, unsearched

        wanted = filters or Filters()
        known: set[Source] = set()

        def answer(database: Connection) -> tuple[list[Hit], bool]:
            unread, most = bool(unsearched(database, self.is_behind)), limit - len(known)
            found = [] if limit and not most else hits(database, text, wanted, most if limit else 0, known, unread)
            return found, unread

        unread = True
        while unread:
            self.read_for(seconds)
            found, unread = self._ask(answer, prepare=self._read_parts(self._until))
            known.update(hit.source for hit in found)
            yield found
            seconds = _READING_SECONDS

    def read_parts(self, seconds: float) -> bool:
        """Read calls that nobody has read yet, for about so many seconds: searches then find them read.

        Return True if there are more.
        """
        from sessiontap.trace.index.search import unsearched

        until = time.monotonic() + seconds

        def answer(database: Connection) -> Unsearched:
            return unsearched(database, self.is_behind)

        return bool(self._ask(answer, prepare=self._read_parts(until), until=until))

    def query_unread(self) -> Unsearched:
        """Return the calls that no search has read yet."""
        from sessiontap.trace.index.search import unsearched

        return self._ask(lambda database: unsearched(database, self.is_behind))

    @property
    def is_behind(self) -> bool:
        """The last answer lacks calls of the log: there was not the time to read them (`read_for`)."""
        return self._index is not None and self._index.is_behind

    @property
    def read_share(self) -> float:
        """The share of the log, 0 to 1, that the last answer was made of, costs included."""
        return 1.0 if self._index is None else self._index.read_share

    def rebuild_index(self) -> None:
        """Make the index anew: what other processes ask it meanwhile they are answered."""
        self._opened().rebuild()

    def follow_rewriting(self, rewritten: Iterable[Rewritten]) -> None:
        """Tell the index where the records of segments stand now: it need not read them again."""
        self._opened().follow(rewritten)

    def compact_index(self) -> None:
        """Bring the index up to date and leave nothing in its file of what is gone from the log."""
        self._opened().compact()

    def close(self) -> None:
        """Let go of the index's file."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _ask[T](
        self,
        answer: Callable[[Connection], T],
        filters: Filters | None = None,
        prices: Prices | None = None,
        prepare: Prepare | None = None,
        until: float | None = None,
    ) -> T:
        """Ask the index. Without `prepare`, what `filters` search is read first. `until`: instead of `_until`."""
        until = self._until if until is None else until
        if prepare is None and filters is not None and filters.search is not None:
            prepare = self._read_parts(until)
        now = time.monotonic()
        catch_up = until is None or until is not self._until or now < until or not self._has_read
        self._has_read = True
        half = None if until is None else (now + until) / 2  # the rest is for bodies
        return self._opened().ask(answer, prices, prepare, half, catch_up)

    def _read_parts(self, until: float | None) -> Prepare:
        from sessiontap.trace.index.index import read_parts

        return read_parts(self.folder, self._reader_of("a search reads prompts and replies"), until, self._report)

    def _reader_of(self, why: str) -> PartsOf:
        if self.parts_of is None:
            raise TraceError(
                f"{why}, and this trace was opened without a reader of them",
                "Open it with parts_of=sessiontap.llm.recorded_parts.recorded_parts.",
            )
        return self.parts_of

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)

    def _opened(self) -> Index:
        if self._index is None:
            from sessiontap.trace.index.index import Index

            self._index = Index(self.folder, self._report, self.cache_bytes)
        return self._index
