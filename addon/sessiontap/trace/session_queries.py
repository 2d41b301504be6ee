"""The queries of one session of a trace folder: its calls, its tree, when they ran, its turns."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sessiontap.trace.in_flight_queries import InFlightQueries

if TYPE_CHECKING:
    from sqlite3 import Connection

    from sessiontap.trace.index.activity import IsRunning
    from sessiontap.trace.index.costs import Prices
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.headings import HeadingOf
    from sessiontap.trace.index.records import BilledCalls
    from sessiontap.trace.index.spans import CallSpan
    from sessiontap.trace.index.turns import BodiesRead, Turn

Row = dict[str, Any]


class SessionQueries(InFlightQueries):
    """The queries of a `Trace` that ask for one session: by its id, a unique prefix of it, or `@1` the newest."""

    headings_of: HeadingOf | None = None
    """The reader of bodies for titles and last replies; without it there are none."""
    is_running: IsRunning | None = None
    """Tells whether a process of the log still runs; without it only time tells whether a session is active."""

    def query_session(
        self, prefix: str, prices: Prices | None = None, errands: bool = True, filters: Filters | None = None
    ) -> Row:
        """One session as `show --json` gives it: by its id, a unique prefix of it, or `@1` the newest.

        `errands` False: without the calls that are agents' errands, if there are others. `filters`: only its calls that
        fit are in `calls` and `tree`; `session` stays as it is.
        """
        from sessiontap.trace.index import answers

        running, asked = self._calls_in_flight(), self._address(prefix)
        alone = running.alone(asked, filters) if running is not None else None
        if alone is not None and not self._has_session(asked):
            return alone

        def answer(database: Connection) -> Row:
            return answers.session(database, asked, self.folder, prices, self.is_running, errands, filters)

        found = self._ask(answer, prices=prices)
        self._with_headings([found["session"]])
        return running.added(found, filters) if running is not None else found

    def query_overview(self, prefix: str, prices: Prices | None = None, errands: bool = True) -> Row:
        """The same as `query_session`, but of each call only its `id`, `path` and `time`: `query_calls` gives the rest.

        Calls in flight are given whole.
        """
        from sessiontap.trace.index.overview import overview

        running, asked = self._calls_in_flight(), self._address(prefix)
        alone = running.alone(asked) if running is not None else None
        if alone is not None and not self._has_session(asked):
            return alone
        found = self._ask(
            lambda database: overview(database, asked, self.folder, prices, self.is_running, errands), prices=prices
        )
        self._with_headings([found["session"]])
        return running.added(found) if running is not None else found

    def query_spans(
        self, prefix: str, prices: Prices | None = None, errands: bool = True, filters: Filters | None = None
    ) -> tuple[Row, list[CallSpan]]:
        """The line of a session in `ls --json`, and the spans of those of its calls that fit, oldest first.

        The session and `errands` as in `query_session`. Raises TraceError.
        """
        from sessiontap.trace.index import addresses, answers
        from sessiontap.trace.index.filters import Filters
        from sessiontap.trace.index.spans import CallSpan, span_of, spans

        running, asked = self._calls_in_flight(), self._address(prefix)
        wanted = filters or Filters()
        alone = running.alone(asked, filters) if running is not None else None

        def answer(database: Connection) -> tuple[Row, list[CallSpan]]:
            number = addresses.session_number(database, asked, self.folder)
            row = answers.session_row(database, number, prices, self.is_running)
            shown = replace(wanted, without_errands=not errands and row["calls"] > 0)
            return row, spans(database, number, shown, priced=prices is not None)

        if alone is not None and not self._has_session(asked):
            session, found = alone["session"], list[CallSpan]()
        else:
            session, found = self._ask(answer, prices=prices)
            self._with_headings([session])
        if running is None:
            return session, found
        rows = running.calls(replace(wanted, session=session["id"]))
        now = time.time_ns()
        mixed = [*found, *(span_of(row, now) for row in rows)]
        return running.marked(session), sorted(mixed, key=lambda one: (one.start, one.id))

    def query_turns(
        self, session: str, prices: Prices | None = None, calls: Collection[str] | None = None
    ) -> list[Turn]:
        """The turns of a session, oldest first: each call in parts, and which of them are new (`index.turns.Turn`).

        The session is named by its id, a unique prefix of it, or `@1` the newest. `calls`: the ids of those that are
        wanted; only these are read, however long it takes. Raises TraceError.
        """
        from sessiontap.trace.index import addresses, records
        from sessiontap.trace.index.index import read_session
        from sessiontap.trace.index.turns import turns

        wanted = None if calls is None else json.dumps(list(calls))

        def answer(database: Connection) -> list[Turn]:
            values: list[Any]
            number = addresses.session_number(database, session, self.folder)
            where, values = "WHERE calls.session = ?", [number]
            if wanted is not None:
                where, values = f"{where} AND calls.id IN (SELECT value FROM json_each(?))", [number, wanted]
            ordered = f"{where} ORDER BY calls.time, calls.n"
            return turns(database, records.numbered_rows(database, ordered, values, prices))

        session = self._address(session)
        parts_of = self._reader_of("turns are made of prompts and replies")
        until = None if wanted is not None else self._until
        prepare = read_session(self.folder, parts_of, session, self._report, wanted, until)
        return self._ask(answer, prices=prices, prepare=prepare)

    def query_brief_turns(self, session: str) -> list[Turn]:
        """The turns of a whole session as `query_turns` gives them, in half the time: of the keys of their calls they
        have those that the functions of `analysis` ask for (`index.records.brief_rows`). Raises TraceError."""
        from sessiontap.trace.index import addresses, records
        from sessiontap.trace.index.index import read_session
        from sessiontap.trace.index.turns import turns

        asked = self._address(session)
        parts_of = self._reader_of("turns are made of prompts and replies")
        return self._ask(
            lambda database: turns(
                database, records.brief_rows(database, addresses.session_number(database, asked, self.folder))
            ),
            prepare=read_session(self.folder, parts_of, asked, self._report, until=self._until),
        )

    def read_session(self, session: str) -> BodiesRead:
        """Read the bodies of a session that nobody has read yet, in the time that `read_for` gives. Return how far that
        is. Raises TraceError."""
        from sessiontap.trace.index import addresses
        from sessiontap.trace.index.index import read_session
        from sessiontap.trace.index.turns import bodies_read

        asked = self._address(session)
        parts_of = self._reader_of("turns are made of prompts and replies")
        return self._ask(
            lambda database: bodies_read(database, addresses.session_number(database, asked, self.folder)),
            prepare=read_session(self.folder, parts_of, asked, self._report, until=self._until),
        )

    def query_billing(self, session: str, chosen: BilledCalls | None = None) -> dict[str, Row]:
        """The facts that decide the price of each call's tokens, of all calls of a session or the chosen ones, by the
        calls' ids (`index.records.billing`). Raises TraceError."""
        from sessiontap.trace.index import addresses, records

        asked = self._address(session)
        return self._ask(
            lambda database: records.billing(database, addresses.session_number(database, asked, self.folder), chosen)
        )

    def query_links(self, session: str) -> list[Row]:
        """The calls of a session, oldest first, with the keys of `calls --json` that say where each belongs: `id`,
        `step`, `conversation`, `parent`, `kind`, `subagent`, `errand`. No body is read for it. Raises TraceError.
        """
        from sessiontap.trace.index import addresses
        from sessiontap.trace.index.turns import links

        asked = self._address(session)
        return self._ask(lambda database: links(database, addresses.session_number(database, asked, self.folder)))

    def query_session_id(self, prefix: str) -> str:
        """The whole id of a session: by a unique prefix of it, or `@1` the newest. Raises TraceError."""
        from sessiontap.trace.index import addresses

        asked = self._address(prefix)
        return self._ask(lambda database: addresses.session_id(database, asked, self.folder))

    def _with_headings(self, rows: list[Row], read: bool = True) -> list[Row]:
        """The rows of sessions with their titles and last replies, as far as they are read, now or (`read`) before."""
        if self.headings_of is None or not rows:
            return rows
        from sessiontap.trace.index.headings import headings
        from sessiontap.trace.index.index import read_headings

        ids = [row["id"] for row in rows]
        prepare = read_headings(self.folder, self.headings_of, ids, self._report) if read else None
        found = self._ask(lambda database: headings(database, ids), prepare=prepare)
        for row in rows:
            if row["id"] in found:
                row["title"], row["last_reply"] = found[row["id"]]
        return rows
