"""Calls in flight beside those of the log: what is asked of the index is asked of them, too.

Proxies tell them (whoever opens the log passes in how they are asked), as records that lack what only a call's end
gives. They stand in an index of their own, in memory, so that each filter means the same for both. Sums are over calls
that have ended. Sessions with a call in flight come first in a list, and so do they count for `@N`.
"""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sessiontap.trace.index import answers, scores
from sessiontap.trace.index import database as files
from sessiontap.trace.index.filters import Filters, condition
from sessiontap.trace.index.rows import INSERT, Callers, Strings, process_numbers, row_of, values_of
from sessiontap.trace.index.sums import Sums
from sessiontap.trace.values import iso
from sessiontap.trace.views import CallCost, call_row, session_tree

Record = dict[str, Any]
Row = dict[str, Any]
_NOT_YET: Row = {"calls": 0, "errors": 0, "ended": None, "duration": None, "cost_unknown_calls": 0, "errands": 0}
"""The values of the row of a session in which no call has ended."""


class CallsInFlight:
    """The calls in flight at one moment, `now` (Unix nanoseconds).

    `session_scores`: those of their sessions, as `scores.of_sessions` gives them.
    """

    def __init__(self, records: Iterable[Record], now: int, session_scores: Iterable[tuple[Any, ...]] = ()) -> None:
        self._records = {
            record["id"]: record | {"in_flight": True, "machine": platform.node()} for record in records
        }
        self._database = files.in_memory()
        with files.writing(self._database):
            self._take_in(now)
            scores.copy(self._database, session_scores)

    def calls(self, filters: Filters) -> list[Row]:
        """Those that fit, newest first, as `calls --json` gives them. `Filters.session` is an id or its beginning."""
        where, values = condition(self._database, filters)
        chosen = f"SELECT id FROM calls WHERE {where} ORDER BY time DESC, n DESC"
        return [self._row(id) for (id,) in self._database.execute(chosen, values)]

    def id_of(self, prefix: str) -> str | None:
        """The id of the one call whose id begins so; None if there is none, or several."""
        found = [id for id in self._records if prefix and id.startswith(prefix)]
        return found[0] if len(found) == 1 else None

    def sessions(self, filters: Filters) -> list[Row]:
        """The sessions of those that fit, newest first, as if nothing else was known of them."""
        rows = answers.sessions(self._database, filters, None, 0, None)
        return [self.marked(row | _NOT_YET) for row in rows]

    @property
    def ids(self) -> list[str]:
        """Of the calls."""
        return list(self._records)

    @property
    def session_ids(self) -> list[str]:
        """Of all of them, in the order of `sessions`."""
        return [row["id"] for row in answers.sessions(self._database, Filters(without_errands=True), None, 0, None)]

    def alone(self, prefix: str, filters: Filters | None = None) -> Row | None:
        """Return what `show --json` gives of a session of which nothing has ended; None if no one has such an id."""
        rows = self.sessions(Filters(session=prefix))
        shown = {"session": rows[0], "cost_unknown": {}, "tree": [], "calls": []} if len(rows) == 1 else None
        return self.added(shown, filters) if shown is not None else None

    def marked(self, session: Row) -> Row:
        """The row of a session, which says how many of its calls are in flight."""
        times = [one["time"] for one in self._of(session["id"])]
        if not times:
            return session
        return session | {"calls_in_flight": len(times), "in_flight_since": iso(min(times)), "status": "active"}

    def added(self, shown: Row, filters: Filters | None = None) -> Row:
        """Return what `show --json` gives of a session, with its calls in flight that fit."""
        fitting = {row["id"] for row in self.calls(filters or Filters())}
        own = [one for one in self._of(shown["session"]["id"]) if one["id"] in fitting]
        rows = [self._row(one["id"]) for one in own]
        return shown | {
            "session": self.marked(shown["session"]),
            "tree": merged(shown["tree"], session_tree(own)),
            "calls": sorted([*shown["calls"], *rows], key=lambda row: (str(row["time"]), str(row["id"]))),
        }

    def _of(self, session: str) -> list[Record]:
        return [one for one in self._records.values() if (one.get("session") or {}).get("id") == session]

    def _row(self, id: str) -> Row:
        record = self._records[id]
        return call_row(record, record.get("caller"), lambda _: CallCost())  # nobody can know it yet

    def _take_in(self, now: int) -> None:
        database = self._database
        strings = Strings(database)
        sums = Sums(strings, lambda caller: process_numbers(database, strings, caller))
        callers = Callers(database, 0, strings)
        for number, record in enumerate(self._records.values()):
            caller, session = record.get("caller"), record.get("session")
            if caller is not None:
                callers.add(caller, number)
            row = row_of(
                values_of(record | {"duration": max(now - record["time"], 0)}),  # it still runs
                segment=0,
                offset=number,
                session=strings.session(session["id"]) if session is not None else None,
                caller=callers.numbers[caller["id"]] if caller is not None else None,
                strings=strings,
            )
            database.execute(INSERT, row)
            sums.add(row)
        sums.write(database)


def recorded(database: sqlite3.Connection, ids: Iterable[str]) -> set[str]:
    """Those of the ids that are in the log."""
    return {row["id"] for row in answers.calls(database, Filters(ids=tuple(ids)), None, 0, None)}


def merged(tree: Sequence[Row], in_flight: Sequence[Row]) -> list[Row]:
    """The tree of `show --json`, with the nodes of calls in flight."""
    nodes = {node["path"]: node for node in tree}
    for node in in_flight:
        known = nodes.get(node["path"])
        if known is None:
            nodes[node["path"]] = node
        else:
            nodes[node["path"]] = known | {
                "calls_in_flight": known["calls_in_flight"] + node["calls_in_flight"],
                "children": merged(known["children"], node["children"]),
            }
    return sorted(nodes.values(), key=lambda node: str(node["started"]))


def with_calls(rows: list[Row], in_flight: list[Row], sort: str | None, limit: int) -> list[Row]:
    """Calls of the log, and those in flight among them: newest first, or last if nothing is known to sort them by."""
    ended = {row["id"] for row in rows}
    more = [row for row in in_flight if row["id"] not in ended]
    if sort in (None, "time"):
        found = sorted([*more, *rows], key=lambda row: str(row["time"]), reverse=True)
    else:
        found = [*rows, *more]
    return found[: limit or None]


def with_sessions(
    rows: list[Row], calls: CallsInFlight, filters: Filters, sort: str | None, limit: int,
    find: Callable[[str], Row | None],
) -> list[Row]:  # fmt: skip
    """Sessions of the log, and those with calls in flight: first, or where `sort` puts them.

    `find` returns the log's row of a session that is not among `rows`; None if the log has none.
    """
    known = {row["id"]: calls.marked(row) for row in rows}
    fitting: Mapping[str, Row] = {row["id"]: row for row in calls.sessions(filters)}
    more = {}
    for id, row in fitting.items():
        if id not in known:
            found = find(id)
            more[id] = calls.marked(found) if found is not None else row
    if sort is not None:
        rows = [*known.values(), *(row for row in more.values() if not row["calls"])]
    else:
        every = [*known.values(), *more.values()]
        first = {id: place for place, id in enumerate(calls.session_ids)}
        rows = sorted(every, key=lambda row: first.get(row["id"], len(first)))
    return rows[: limit or None]
