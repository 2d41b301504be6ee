"""Lists, trees and statistics of a trace folder, by its index: no segment is read that it knows already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sessiontap.trace.files import NotInTrace, TraceError, file_of
from sessiontap.trace.segment import Place, SegmentContents, Unreadable
from sessiontap.trace.session_queries import SessionQueries

if TYPE_CHECKING:
    from sqlite3 import Connection

    from sessiontap.trace.index.answers import CallSort, Sort
    from sessiontap.trace.index.clocks import ClockGap
    from sessiontap.trace.index.contents import Behind
    from sessiontap.trace.index.costs import Prices
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.statistics import Statistics
    from sessiontap.trace.index.unmatched import Unmatched
    from sessiontap.trace.labels import Labels

Row = dict[str, Any]
_SOME = 500
"""Rows that are made at a time of a list without a limit."""


class TraceQueries(SessionQueries):
    """The queries of a `Trace`. Every one first brings the index up to date with what was written meanwhile.

    `prices` say what calls cost; without them costs are unknown. All raise TraceError if the index cannot be used.
    """

    _refused: dict[Path, Unreadable]
    """Segments that could not be opened to read calls, though the index may know them from before."""

    def query_sessions(
        self,
        filters: Filters | None = None,
        sort: Sort | None = None,
        limit: int = 0,
        prices: Prices | None = None,
    ) -> list[Row]:
        """Sessions in which one call fits `filters`, as `ls --json` gives them.

        Newest first (by their last call), or by `sort` with the most first (names from a to z). `limit` 0: all.
        Without `sort`, sessions with calls in flight come before others. Titles and last replies of at most 500 more
        sessions are read for one question.
        """
        from sessiontap.trace.index import answers

        running, wanted = self._calls_in_flight(), self._addressed(filters)

        def ask(wanted: Filters, limit: int) -> list[Row]:
            return self._ask(
                lambda database: answers.sessions(database, wanted, sort, limit, prices, self.is_running),
                wanted,
                prices,
            )

        rows = ask(wanted, limit)
        if running is not None:
            from sessiontap.trace.index.filters import Filters
            from sessiontap.trace.index.in_flight import with_sessions

            def find(id: str) -> Row | None:
                return next((row for row in ask(Filters(session=id), 1) if row["id"] == id), None)

            rows = with_sessions(rows, running, wanted, sort, limit, find)
        return self._with_headings(rows)

    def query_sessions_after(
        self,
        last: str,
        filters: Filters | None = None,
        sort: Sort | None = None,
        limit: int = 0,
        prices: Prices | None = None,
    ) -> list[Row]:
        """The sessions that follow the one with the id `last` in the list of `query_sessions`: its next page.

        Sessions with calls in flight are left out if the list begins with them. Raises TraceError if there is no
        session `last`.
        """
        from sessiontap.trace.index import addresses, answers

        running, wanted = self._calls_in_flight(), self._addressed(filters)
        first = set(running.session_ids) if running is not None and sort is None else set()

        def answer(database: Connection) -> list[Row]:
            number = addresses.session_number(database, last, self.folder)
            most = limit + len(first) if limit else 0
            numbers = answers.session_numbers_after(database, wanted, sort, number, most)
            return answers.sessions_numbered(database, numbers, sort, prices, self.is_running)

        rows = [row for row in self._ask(answer, wanted, prices) if row["id"] not in first]
        marked = rows if running is None else [running.marked(row) for row in rows]
        return self._with_headings(marked[: limit or None])

    def each_session(
        self, filters: Filters | None = None, sort: Sort | None = None, prices: Prices | None = None
    ) -> Iterator[list[Row]]:
        """All sessions as `query_sessions` gives them, some at a time: a list of any length takes no more memory.

        Titles and last replies are read for the first of them; of the others they are told if they are known.
        """
        from sessiontap.trace.index import answers

        running, wanted = self._calls_in_flight(), self._addressed(filters)
        numbers = self._ask(lambda database: answers.session_numbers(database, wanted, sort), wanted, prices)
        apart: list[Row] = []
        if running is not None:
            apart = self.query_sessions(replace(wanted, ids=tuple(running.ids)), sort, 0, prices)
            apart = apart if sort is None else [row for row in apart if not row["calls"]]
        shown = {row["id"] for row in apart}
        if apart and sort is None:
            yield apart
        for at in range(0, len(numbers), _SOME):
            some = numbers[at : at + _SOME]
            rows = self._ask(partial(answers.sessions_numbered, numbers=some, sort=sort, prices=prices,
                                     is_running=self.is_running), prices=prices)  # fmt: skip
            left = [row for row in rows if row["id"] not in shown]
            marked = left if running is None else [running.marked(row) for row in left]
            yield self._with_headings(marked, read=at == 0)
        if apart and sort is not None:
            yield apart

    def query_calls(
        self,
        filters: Filters | None = None,
        limit: int = 0,
        prices: Prices | None = None,
        sort: CallSort | None = None,
    ) -> list[Row]:
        """Calls that fit `filters`, as `calls --json` gives them: newest first, or by `sort` with the most first.

        What is unknown comes last. `limit` 0: all.
        """
        from sessiontap.trace.index import answers

        running, wanted = self._calls_in_flight(), self._addressed(filters)
        rows = self._ask(lambda database: answers.calls(database, wanted, sort, limit, prices), wanted, prices)
        if running is None:
            return rows
        from sessiontap.trace.index.in_flight import with_calls

        return with_calls(rows, running.calls(wanted), sort, limit)

    def each_call(
        self, filters: Filters | None = None, prices: Prices | None = None, sort: CallSort | None = None
    ) -> Iterator[list[Row]]:
        """All calls as `query_calls` gives them, some at a time: a list of any length takes no more memory.

        Those in flight come first, or last by a `sort` that nothing is known of them to sort by.
        """
        from sessiontap.trace.index import answers

        running, wanted = self._calls_in_flight(), self._addressed(filters)
        numbers = self._ask(lambda database: answers.call_numbers(database, wanted, sort), wanted, prices)
        apart = running.calls(wanted) if running is not None else []
        if apart and sort in (None, "time"):
            yield apart
        for at in range(0, len(numbers), _SOME):
            some = numbers[at : at + _SOME]
            yield self._ask(partial(answers.calls_numbered, numbers=some, prices=prices), prices=prices)
        if apart and sort not in (None, "time"):
            yield apart

    def count_sessions(self, filters: Filters | None = None) -> int:
        """The number of sessions in the log in which one call fits `filters`."""
        from sessiontap.trace.index import answers

        wanted = self._addressed(filters)
        return self._ask(lambda database: answers.count_sessions(database, wanted), wanted)

    def query_places(self, filters: Filters | None = None, sessions: Iterable[str] = ()) -> list[Place]:
        """The places of the calls that fit `filters`, oldest first: `Trace.calls_at` reads them one by one.

        `sessions`: ids; if there are any, only calls of these.
        """
        from sessiontap.trace.index import contents

        wanted, ids = self._addressed(filters), list(sessions)
        return self._ask(lambda database: contents.places(database, self.folder, wanted, ids), wanted)

    def query_scores(self, of: Literal["session", "call"], id: str) -> list[Row]:
        """The scores, the star and the note of a session or a call, oldest first: `id`, `time`, `name`, `value`,
        `note`, `by`, `source` of each."""
        from sessiontap.trace.index import scores

        return self._ask(lambda database: scores.details(database, of, id))

    def query_score_names(self) -> list[str]:
        """The names of the scores that count, without stars and notes."""
        from sessiontap.trace.index import scores

        return self._ask(scores.names)

    def query_scored(self) -> frozenset[tuple[str, str]]:
        """Kind (`session` or `call`) and id of all that has scores, a star or a note that counts."""
        from sessiontap.trace.index import scores

        return self._ask(scores.targets)

    def query_has_scores(self) -> bool:
        """Return True if the log has any scores, stars or notes."""
        from sessiontap.trace.index import scores

        return self._ask(scores.any_scores)

    def query_present(self, calls: Iterable[str], sessions: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Those of these calls and sessions, by their ids, that the log has; a session also if labels have moved all of
        its calls."""
        from sessiontap.trace.index import contents

        asked = list(calls), list(sessions)
        return self._ask(lambda database: contents.present(database, *asked))

    @property
    def labels(self) -> Labels:
        """The labels of the log: all of them, and those that count."""
        return self._annotations.labels()

    def query_places_of_run(self, session: str) -> tuple[list[Place], list[Place]]:
        """The places of the calls of a session and of the errands that belong to it, oldest first; and of warm-ups
        beside them, which may be other sessions'. `session` is a whole id."""
        from sessiontap.trace.index import contents

        return self._ask(lambda database: contents.places_of_run(database, self.folder, session))

    def query_short_ids(self, of: Literal["sessions", "calls"], ids: Iterable[str], least: int) -> dict[str, str]:
        """Each id -> its shortest prefix of `least` characters or more that no other id begins with."""
        from sessiontap.trace.index import addresses

        wanted = list(ids)
        shortened = addresses.short_session_ids if of == "sessions" else addresses.short_call_ids
        return self._ask(lambda database: shortened(database, wanted, least))

    def query_errands(self, filters: Filters | None = None) -> Row:
        """The agents' errands that fit `filters`: how many `calls`, and how many `sessions` hold nothing else."""
        from sessiontap.trace.index import answers
        from sessiontap.trace.index.filters import Filters

        wanted = filters or Filters()
        return self._ask(lambda database: answers.errands(database, wanted), wanted)

    def search(self, text: str, limit: int = 0) -> list[Row]:
        """Calls with `text`, without case, in prompt, reply, names, paths, models, tools or errors, newest first."""
        from sessiontap.trace.index.filters import Filters

        return self.query_calls(Filters(search=text), limit)

    def stats(self, by: str, filters: Filters | None = None, prices: Prices | None = None) -> list[Row]:
        """Statistics of calls by name, path, model, process, tool, property and more (`index.statistics.BYS`), or by
        the values of one property or score: `property:KEY`, `score:NAME`.

        A row for each value, most calls first: `{by: value, calls, errors, error_rate, sessions,
        sessions_succeeded, sessions_failed, success_rate, input_tokens,
        output_tokens, cache_read_tokens, cost_usd, cost_unknown_calls, session_cost_usd_mean, ..._p50, ..._p95,
        session_cost_partial, session_cost_unknown, session_duration_p50, ..._p95, duration_p50, ..._p95, ..._p99,
        time_to_first_token_p50, ..._p95, ..._p99, scores}`, durations in seconds, what is unknown None.
        """
        return self.query_statistics(by, filters, prices).rows

    def query_statistics(
        self,
        by: str,
        filters: Filters | None = None,
        prices: Prices | None = None,
        sort: str | None = None,
        limit: int = 0,
    ) -> Statistics:
        """The first `limit` rows of `stats`, 0 for all, by `sort` (one of `index.statistics.ORDERS`), and how many rows
        there are. Of many more than are asked for little is read."""
        from sessiontap.trace.index.filters import condition
        from sessiontap.trace.index.index import sum_groups
        from sessiontap.trace.index.statistics import BYS, are_summed, is_known, stats

        if not is_known(by):
            known = ", ".join((*BYS, "property:KEY", "score:NAME"))
            raise NotInTrace(f"there are no statistics by {by!r}", f"Choose one of {known}.")
        wanted = self._addressed(filters)
        summed = prices is not None and are_summed(by, wanted)

        def answer(database: Connection) -> Statistics:
            return stats(database, by, condition(database, wanted), prices is not None, summed, sort, limit)

        prepare = sum_groups(prices, self._until, self._report) if prices is not None and summed else None
        return self._ask(answer, wanted, prices, prepare)

    def count_behind(self, position: Mapping[str, Any], since: int | None = None) -> Behind:
        """Return how many calls are behind a position (`backlog.Backlog`), and when the oldest of them began."""
        from sessiontap.trace.index import contents

        return self._ask(lambda database: contents.behind(database, position, since or 0))

    def query_unmatched(self, filters: Filters) -> list[Unmatched]:
        """The filters that fit no call by themselves, each with values that would; empty if all of them fit some."""
        from sessiontap.trace.index.unmatched import unmatched

        return self._ask(lambda database: unmatched(database, filters), filters)

    def query_sums(self) -> Row:
        """`calls`, `sessions`, `first` and `last` start (Unix nanoseconds), `body_bytes` as they went by."""
        from sessiontap.trace.index import contents

        return self._ask(contents.sums)

    def notes(self, since: int | None = None) -> list[Row]:
        """Notes, oldest first, those from `since` (Unix nanoseconds) on: what was lost and why, what changed."""
        from sessiontap.trace.index import contents

        return self._ask(lambda database: contents.notes(database, since or 0))

    def query_machines(self) -> list[str]:
        """The names of the machines whose proxies recorded the calls."""
        from sessiontap.trace.index.clocks import machines

        return self._ask(machines)

    def query_clock_gaps(self) -> list[ClockGap]:
        """The machines whose clocks differ, as far as their calls show it; empty if one machine recorded them all."""
        from sessiontap.trace.index.clocks import clock_gaps

        return self._ask(clock_gaps) if len(self.query_machines()) > 1 else []

    @property
    def problems(self) -> list[Unreadable]:
        """All that cannot be read in the folder, by file and offset."""
        from sessiontap.trace.index import contents

        rows = self._ask(contents.problems)
        found = [Unreadable(file_of(self.folder / name), offset, size, text) for name, offset, size, text in rows]
        known = {(one.path, one.offset) for one in found}
        found += [one for one in self._refused.values() if (one.path, one.offset) not in known]
        return sorted(found, key=lambda one: (one.path, one.offset))

    def query_segments(self, filters: Filters | None = None) -> dict[str, SegmentContents]:
        """Return the contents of each segment, by its name; `filters`: of calls that are looked for in it."""
        from sessiontap.trace.index import contents

        return self._ask(lambda database: contents.segments(database, filters), filters)

    def query_fitting(self, filters: Filters, files: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return the ids of the calls of these segments that fit, by the segments' names; and of the warm-ups of
        sessions of which all calls fit."""
        from sessiontap.trace.index import contents

        return self._ask(lambda database: contents.fitting(database, filters, list(files)), filters)

    def count_sessions_within(
        self, files: list[str], filters: Filters | None = None, others: Iterable[str] = ()
    ) -> int:
        """Return how many sessions have all their calls in segments named `files`; those that fit `filters` may stand
        in `others`, too."""
        from sessiontap.trace.index import contents

        also = list(others)
        return self._ask(lambda database: contents.count_sessions_within(database, files, filters, also), filters)

    def place(self, prefix: str) -> Place:
        """The place of a call by its id, a unique prefix of it, `@N` or `SESSION/STEP`. Raises TraceError."""
        from sessiontap.trace.index import addresses

        asked = self._address(prefix) if "/" in prefix else prefix
        try:
            return self._ask(lambda database: addresses.call_place(database, asked, self.folder))
        except TraceError:
            running = self._calls_in_flight()
            if running is not None and (call := running.id_of(asked.lower())) is not None:
                raise NotInTrace(f"call {call} has not ended yet", "`sessiontap tail -f` shows when it has.") from None
            raise
