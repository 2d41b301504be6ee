"""Queries of the index, each of which first brings it up to date; answers in the shapes of the `--json` output."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

from sessiontap.trace.files import file_of
from sessiontap.trace.folder import TraceError, exclusive_lock
from sessiontap.trace.index import answers, costs, texts
from sessiontap.trace.index import database as files
from sessiontap.trace.index.answers import Sort
from sessiontap.trace.index.catch_up import CatchUp, Progress
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.filters import Filters, condition
from sessiontap.trace.index.stats import BYS, is_known, stats

Row = dict[str, Any]
_ODD = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
_T = TypeVar("_T")


class Index:
    """The index of one trace folder. `progress(done, total)` is told how far a long catch-up is."""

    def __init__(self, folder: Path, progress: Progress | None = None) -> None:
        self._folder = folder
        self._progress = progress
        self._database: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def sessions(self, filters: Filters, sort: Sort | None, limit: int, prices: Prices | None) -> list[Row]:
        """Lines of `ls --json`; `limit` 0: all."""
        search = filters.search is not None
        return self._ask(lambda database: answers.sessions(database, filters, sort, limit, prices), search, prices)

    def calls(self, filters: Filters, limit: int, prices: Prices | None) -> list[Row]:
        """Lines of `calls --json`, newest first; `limit` 0: all."""
        search = filters.search is not None
        return self._ask(lambda database: answers.calls(database, filters, limit, prices), search, prices)

    def session(self, prefix: str, prices: Prices | None) -> Row:
        """`show --json`. Raises TraceError where `prefix` (or `@N`) names no session or several."""
        return self._ask(lambda database: answers.session(database, prefix, self._folder, prices), prices=prices)

    def session_id(self, prefix: str) -> str:
        """A session's whole id. Raises TraceError where `prefix` (or `@N`) names no session or several."""
        return self._ask(lambda database: answers.session_id(database, prefix, self._folder))

    def places(self, filters: Filters, sessions: Iterable[str]) -> list[tuple[str, int]]:
        """(file name, offset) of the calls that fit, oldest first; of these sessions alone where there are any."""
        wanted = list(sessions)
        return self._ask(lambda database: answers.places(database, filters, wanted), filters.search is not None)

    def stats(self, by: str, filters: Filters, prices: Prices | None) -> list[Row]:
        """Statistics by a key of `stats.BYS`. Raises TraceError for another one."""
        if not is_known(by):
            raise TraceError(f"there are no statistics by {by!r}", f"Choose one of {', '.join(BYS)}, property:KEY.")

        def ask(database: sqlite3.Connection) -> list[Row]:
            return stats(database, by, condition(database, filters), prices is not None)

        return self._ask(ask, filters.search is not None, prices)

    def place(self, prefix: str) -> list[tuple[str, str, int, int | None]]:
        """(call id, segment name, offset, offset of its caller) of the calls whose id begins with `prefix`, at most
        two; of `@N` the one."""

        def ask(database: sqlite3.Connection) -> list[tuple[str, str, int, int | None]]:
            called = (
                'SELECT calls.id AS found, segments.name, calls."offset", callers."offset" FROM calls '
                "JOIN segments ON segments.n = calls.segment LEFT JOIN callers ON callers.n = caller"
            )
            warmed = (
                'SELECT warm_ups.id AS found, name, "offset", NULL FROM warm_ups JOIN segments ON segments.n = segment'
            )
            if number := answers.position(prefix):
                newest = f"{called} ORDER BY time DESC, calls.n DESC LIMIT 1 OFFSET ?"
                return database.execute(newest, (number - 1,)).fetchall()
            if not prefix:
                return []
            found = " UNION ".join(f"{one} WHERE found >= :first AND found < :end" for one in (called, warmed))
            within = {"first": prefix, "end": prefix + chr(sys.maxunicode)}
            rows = database.execute(f"{found} LIMIT 2", within).fetchall()
            return [row for row in rows if row[0] == prefix] or rows

        return self._ask(ask)

    def short_ids(self, of: Literal["sessions", "calls"], ids: Iterable[str], least: int) -> dict[str, str]:
        """Each id -> its shortest prefix of `least` characters or more that no other id begins with."""
        wanted = list(ids)
        return self._ask(lambda database: answers.short_ids(database, of, wanted, least))

    def sums(self) -> Row:
        """`calls`, `sessions`, `first` and `last` start (Unix nanoseconds), `body_bytes`."""
        question = (
            "SELECT count(*) AS calls, (SELECT count(*) FROM sessions) AS sessions, min(time) AS first, "
            "max(time) AS last, coalesce(sum(coalesce(request_bytes, 0) + coalesce(response_bytes, 0)), 0) AS "
            "body_bytes FROM calls"
        )
        names = ("calls", "sessions", "first", "last", "body_bytes")
        return self._ask(lambda database: dict(zip(names, database.execute(question).fetchone(), strict=True)))

    def count_sessions_within(self, files: list[str], session: str | None, others: list[str]) -> int:
        """Sessions whose calls all stand in segments named `files`; those of `session` may stand in `others`, too."""
        question = (
            "SELECT count(*) FROM sessions WHERE NOT EXISTS (SELECT 1 FROM calls JOIN segments ON segments.n = segment "
            "WHERE calls.session = sessions.n AND name NOT IN (SELECT value FROM json_each(?)) "
            "AND NOT (sessions.id IS ? AND name IN (SELECT value FROM json_each(?))))"
        )
        values = json.dumps(files), session, json.dumps(others)
        return self._ask(lambda database: int(database.execute(question, values).fetchone()[0]))

    def rebuild(self) -> None:
        """Make it anew from the log, in place: whoever has the file open goes on with it."""
        try:
            if self._database is None:
                self._database = files.open_index(self._folder)
            files.empty(self._database)
        except sqlite3.DatabaseError as error:
            self.close()
            if not files.is_useless(error):
                raise _said(self._folder, error) from None
        self.sums()

    def compact(self) -> None:
        """Take in what went away, and leave nothing of it in the file."""
        self.sums()
        try:
            if self._database is not None:
                files.compact(self._database)
        except sqlite3.DatabaseError as error:
            raise _said(self._folder, error) from None

    def notes(self, since: int | None = None) -> list[Row]:
        """Notes, oldest first, those from `since` (Unix nanoseconds) on."""
        question = "SELECT record FROM notes WHERE time >= ? ORDER BY time, n"
        return self._ask(lambda database: [json.loads(text) for (text,) in database.execute(question, (since or 0,))])

    def problems(self) -> list[tuple[Path, int, int, str]]:
        """What cannot be read: file, offset, size, text."""
        question = (
            'SELECT name, problems."offset", problems.size, text FROM problems JOIN segments ON segments.n = segment '
            'ORDER BY name, problems."offset"'
        )
        found = self._ask(lambda database: database.execute(question).fetchall())
        return [(file_of(self._folder / name), *rest) for name, *rest in found]

    def _ask(
        self, question: Callable[[sqlite3.Connection], _T], search: bool = False, prices: Prices | None = None
    ) -> _T:
        """Catch up, then ask; once more with a new index where this one turns out to be useless, with one in memory
        where it cannot be written."""
        foreign = False
        try:
            return self._asked(question, search, prices)
        except sqlite3.DatabaseError as error:
            self.close()
            foreign = files.has_other_tables(error)
            if files.is_refused(error):
                self._database = files.in_memory()
            elif not files.is_useless(error):
                raise _said(self._folder, error) from None
        except _ODD:  # values that we never wrote
            self.close()
            foreign = True
        try:
            if foreign:
                with exclusive_lock(self._folder):
                    files.remove(self._folder)
            elif self._database is None:
                files.discard(self._folder)
            return self._asked(question, search, prices)
        except (sqlite3.DatabaseError, OSError) as error:
            raise _said(self._folder, error) from None

    def _asked(self, question: Callable[[sqlite3.Connection], _T], search: bool, prices: Prices | None) -> _T:
        if self._database is None:
            self._database = files.open_index(self._folder)
        CatchUp(self._database, self._folder).run(self._progress)
        if search:
            texts.catch_up(self._database, self._folder, self._progress)
        if prices is not None:
            costs.catch_up(self._database, prices, answers.numbered, self._progress)
        self._database.execute("BEGIN")  # all of the answer from one state
        try:
            return question(self._database)
        finally:
            if self._database.in_transaction:
                self._database.execute("COMMIT")


def _said(folder: Path, error: Exception) -> TraceError:
    return TraceError(
        f"the index {folder / files.NAME} cannot be used: {error}",
        "Another process may be building it: try again in a moment. Deleting the file loses nothing.",
    )
