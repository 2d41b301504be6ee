"""The index of one folder: brought up to date before each answer, and made anew when it is of no use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from sessiontap.part import PartsOf
from sessiontap.trace.files import TraceError, exclusive_lock, unreadable
from sessiontap.trace.index import addresses, contents, records
from sessiontap.trace.index import database as files
from sessiontap.trace.index.catch_up import BATCH, SMALL_BATCH, CatchUp, Progress
from sessiontap.trace.index.costs import Prices, add_costs
from sessiontap.trace.index.group_sums import add_group_sums
from sessiontap.trace.index.headings import HeadingOf, add_headings
from sessiontap.trace.index.parts_reader import PartsReader
from sessiontap.trace.rewriting import Rewritten

_NEARLY = 0.99
"""The share of what is read but for the last steps."""
_ODD = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


Prepare = Callable[[sqlite3.Connection], None]
"""Brings the index further than its rows; it commits what it writes."""


class Index:
    """The index of one trace folder. `progress(done, total)` is told how far a long catch-up is."""

    def __init__(self, folder: Path, progress: Progress | None = None, cache_bytes: int | None = None) -> None:
        self._folder = folder
        self._cache_bytes = cache_bytes
        self._progress = progress
        self._database: sqlite3.Connection | None = None
        self._shares = {"rows": 1.0, "costs": 1.0}
        """The share of the log that the last answer knew, and of which it knew the costs."""

    @property
    def is_behind(self) -> bool:
        """The last answer was one of an index that lacks calls of the log."""
        return self._shares["rows"] < 1

    @property
    def read_share(self) -> float:
        """The share of the log that was read, and priced, for the last answer: 1 if it is all."""
        return min(self._shares.values())

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def ask[T](
        self,
        answer: Callable[[sqlite3.Connection], T],
        prices: Prices | None = None,
        prepare: Prepare | None = None,
        until: float | None = None,
        catch_up: bool = True,
    ) -> T:
        """Return what `answer` makes of the index as it is now, all of it of one state. Raises TraceError.

        With `prices` the costs of all calls are in it, and what `prepare` puts there. It is brought up to date until
        the monotonic clock says `until`, the newest segments first: `read_share` says how far that was. Without
        `catch_up` it is asked as the last question left it. An index that turns out to be useless is made anew and
        asked again; one that cannot be written is made in memory.
        """
        foreign = False
        try:
            return self._answer(answer, prices, prepare, until, catch_up)
        except sqlite3.DatabaseError as error:
            self.close()
            foreign = files.has_other_tables(error)
            if files.is_refused(error):
                self._database = files.in_memory()
            elif not files.is_useless(error):
                raise _unusable(self._folder, error) from None
        except _ODD:  # values that we never wrote
            self.close()
            foreign = True
        except OSError as error:
            raise unreadable(self._folder, error) from None
        try:
            if foreign:
                with exclusive_lock(self._folder):
                    files.remove(self._folder)
            elif self._database is None:
                files.discard(self._folder)
            return self._answer(answer, prices, prepare, until, True)
        except (sqlite3.DatabaseError, OSError) as error:
            raise _unusable(self._folder, error) from None

    def rebuild(self) -> None:
        """Make it anew from the log, in place: whoever has the file open goes on with it."""
        try:
            if self._database is None:
                self._database = files.open_index(self._folder)
            files.empty(self._database)
        except sqlite3.DatabaseError as error:
            self.close()
            if not files.is_useless(error):
                raise _unusable(self._folder, error) from None
        self.ask(contents.sums)

    def follow(self, rewritten: Iterable[Rewritten]) -> None:
        """Take in what has become of these segments; of one that the index knows otherwise it finds out by itself."""
        if self._database is None:
            return
        reader = CatchUp(self._database, self._folder)
        try:
            for one in rewritten:
                reader.follow(one)
        except (sqlite3.DatabaseError, *_ODD):  # the next question says so, or makes the index anew
            self.close()

    def compact(self) -> None:
        """Take in what went away, and leave nothing of it in the file."""
        self.ask(contents.sums)
        try:
            if self._database is not None:
                files.compact(self._database)
        except sqlite3.DatabaseError as error:
            raise _unusable(self._folder, error) from None

    def _answer[T](
        self,
        answer: Callable[[sqlite3.Connection], T],
        prices: Prices | None,
        prepare: Prepare | None,
        until: float | None,
        catch_up: bool,
    ) -> T:
        if self._database is None:
            self._database, catch_up = files.open_index(self._folder), True
        if catch_up:
            batch = BATCH if until is None else SMALL_BATCH
            reader = CatchUp(self._database, self._folder, batch, prices)
            self._shares["rows"] = self._share(lambda told: reader.run(told, until))
            if self._cache_bytes is not None:
                files.limit(self._database, self._cache_bytes)
        if prices is not None and (catch_up or until is None):
            price = partial(add_costs, self._database, prices, records.billed)
            self._shares["costs"] = self._share(lambda told: price(told, until))
        if prepare is not None:
            prepare(self._database)
        self._database.execute("BEGIN")  # all of the answer from one state
        try:
            return answer(self._database)
        finally:
            if self._database.in_transaction:
                self._database.execute("COMMIT")

    def _share(self, work: Callable[[Progress], bool]) -> float:
        """Do what tells its progress and returns True once it is complete. Return how far it has come."""
        share = 0.0

        def told(done: int, total: int) -> None:
            nonlocal share
            share = done / max(total, 1)
            if self._progress is not None:
                self._progress(done, total)

        return 1.0 if work(told) else min(share, _NEARLY)


def read_parts(folder: Path, parts_of: PartsOf, until: float | None, progress: Progress | None) -> Prepare:
    """Read the parts of calls, the newest first, until all are read or the monotonic clock says `until`."""
    return lambda database: PartsReader(database, folder, parts_of).read(until, progress)


def read_headings(folder: Path, heading_of: HeadingOf, ids: list[str], progress: Progress | None) -> Prepare:
    """Read the titles and last replies of these sessions, the most wanted first."""
    return lambda database: add_headings(database, folder, heading_of, ids, progress)


def sum_groups(prices: Prices, until: float | None, progress: Progress | None) -> Prepare:
    """Make the sums that statistics are of, until all are made or the monotonic clock says `until`."""
    return lambda database: add_group_sums(database, prices, progress, until)


def read_session(
    folder: Path,
    parts_of: PartsOf,
    prefix: str,
    progress: Progress | None,
    calls: str | None = None,
    until: float | None = None,
) -> Prepare:
    """Read the parts of a session's calls, until all are read or the monotonic clock says `until`.

    `calls`: the ids of those that are wanted, as a JSON list."""

    def prepare(database: sqlite3.Connection) -> None:
        number = addresses.session_number(database, prefix, folder)
        PartsReader(database, folder, parts_of).read_session(number, progress, calls, until)

    return prepare


def _unusable(folder: Path, error: Exception) -> TraceError:
    return TraceError(
        f"the index {folder / files.NAME} cannot be used: {error}",
        "Another process may be building it: try again in a moment. Deleting the file loses nothing.",
    )
