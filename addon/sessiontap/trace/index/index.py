"""Questions to the index, which each first brings it up to date; answers in the shapes of the command line's JSON."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

from sessiontap.trace.errors import TraceError
from sessiontap.trace.index import database as files
from sessiontap.trace.index import texts
from sessiontap.trace.index.catch_up import CatchUp, Progress
from sessiontap.trace.index.filters import Filters, condition
from sessiontap.trace.index.rows import COLUMNS, JSONS, TEXTS, call_of
from sessiontap.trace.index.stats import BYS, stats
from sessiontap.trace.sessions import ACTIVE_SECONDS, session_tree
from sessiontap.trace.views import call_row, iso, seconds

Row = dict[str, Any]
Sort = Literal["started", "ended", "name", "duration", "calls", "errors", "tokens", "cost"]
_T = TypeVar("_T")

_ORDERS = {
    None: "last_time DESC",
    "started": "started DESC, last_time DESC",
    "ended": "ended DESC, last_time DESC",
    "name": "(SELECT text FROM strings WHERE strings.n = sessions.name) IS NULL, "
    "(SELECT text FROM strings WHERE strings.n = sessions.name), last_time DESC",
    "duration": "ended - started DESC, last_time DESC",
    "calls": "calls DESC, last_time DESC",
    "errors": "errors DESC, last_time DESC",
    "tokens": "coalesce(input, 0) + coalesce(output, 0) DESC, input IS NULL AND output IS NULL, last_time DESC",
    "cost": "last_time DESC",
}
_LISTS = ("paths", "models", "providers", "agents", "processes", "users", "tags")
_CALL = ", ".join(f'calls."{name}"' for name in COLUMNS)


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

    def sessions(self, filters: Filters, sort: Sort | None, limit: int) -> list[Row]:
        """Lines of `ls --json`; `limit` 0: all."""
        return self._ask(lambda database: _sessions(database, filters, sort, limit), search=filters.search is not None)

    def calls(self, filters: Filters, limit: int) -> list[Row]:
        """Lines of `calls --json`, newest first; `limit` 0: all."""

        def ask(database: sqlite3.Connection) -> list[Row]:
            where, values = condition(database, filters)
            return _calls(database, f"WHERE {where} ORDER BY time DESC, calls.n DESC LIMIT ?", [*values, limit or -1])

        return self._ask(ask, search=filters.search is not None)

    def session(self, prefix: str) -> Row:
        """`show --json`. Raises TraceError where `prefix` (or `@N`) names no session or several."""
        return self._ask(lambda database: _session(database, prefix, self._folder))

    def stats(self, by: str, filters: Filters) -> list[Row]:
        """Statistics by a key of `stats.BYS`. Raises TraceError for another one."""
        if by not in BYS:
            raise TraceError(f"there are no statistics by {by!r}", f"Choose one of {', '.join(BYS)}.")
        return self._ask(
            lambda database: stats(database, by, condition(database, filters)), search=bool(filters.search)
        )

    def place(self, prefix: str) -> list[tuple[str, str, int]]:
        """(call id, file name, offset) of the calls whose id begins with `prefix`, at most two; of `@N` the one."""

        def ask(database: sqlite3.Connection) -> list[tuple[str, str, int]]:
            found = 'SELECT id, name, "offset" FROM calls JOIN segments ON segments.n = segment '
            if number := _number(prefix):
                return database.execute(
                    found + "ORDER BY time DESC, calls.n DESC LIMIT 1 OFFSET ?", (number - 1,)
                ).fetchall()
            end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
            rows = database.execute(found + "WHERE calls.id >= ? AND calls.id < ? LIMIT 2", (prefix, end)).fetchall()
            return [row for row in rows if row[0] == prefix] or rows

        return self._ask(ask)

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
        return self._ask(lambda database: [(self._folder / name, *rest) for name, *rest in database.execute(question)])

    def _ask(self, question: Callable[[sqlite3.Connection], _T], search: bool = False) -> _T:
        """Catch up, then ask; once more with a new index where this one turns out to be useless."""
        try:
            return self._asked(question, search)
        except sqlite3.DatabaseError as error:
            if not files.is_useless(error):
                raise _said(self._folder, error) from None
        self.close()
        try:
            files.discard(self._folder)
            return self._asked(question, search)
        except sqlite3.DatabaseError as error:
            raise _said(self._folder, error) from None

    def _asked(self, question: Callable[[sqlite3.Connection], _T], search: bool) -> _T:
        if self._database is None:
            self._database = files.open_index(self._folder)
        CatchUp(self._database, self._folder).run(self._progress)
        if search:
            texts.catch_up(self._database, self._folder, self._progress)
        self._database.execute("BEGIN")  # all of the answer from one state
        try:
            return question(self._database)
        finally:
            self._database.execute("COMMIT")


def _said(folder: Path, error: sqlite3.Error) -> TraceError:
    return TraceError(
        f"the index {folder / files.NAME} cannot be used: {error}",
        "Another process may be building it: try again in a moment. Deleting the file loses nothing.",
    )


def _sessions(database: sqlite3.Connection, filters: Filters, sort: Sort | None, limit: int) -> list[Row]:
    where, values = "1", list[Any]()
    if filters != Filters():
        asked, values = condition(database, filters)
        where = f"n IN (SELECT session FROM calls WHERE {asked})"
    order = _ORDERS[sort]
    return _session_rows(database, f"WHERE {where} ORDER BY {order} LIMIT ?", [*values, limit or -1])


def _session_rows(database: sqlite3.Connection, where: str, values: list[Any]) -> list[Row]:
    found = database.execute(
        "SELECT n, id, (SELECT text FROM strings WHERE strings.n = sessions.name), started, ended, calls, errors, "
        f"input, output, cache_read, last_failed FROM sessions {where}",
        values,
    ).fetchall()
    numbers = json.dumps([row[0] for row in found])
    lists: dict[tuple[int, str], list[str]] = {}
    within = "session IN (SELECT value FROM json_each(?))"
    for session, kind, text in database.execute(
        "SELECT session, kind, text FROM session_values JOIN strings ON strings.n = string "
        f"WHERE {within} ORDER BY first, session_values.n",
        (numbers,),
    ):
        lists.setdefault((session, kind), []).append(text)
    properties: dict[int, Row] = {}
    for session, key, value in database.execute(
        f"SELECT session, text, value FROM session_properties JOIN strings ON strings.n = key WHERE {within}",
        (numbers,),
    ):
        properties.setdefault(session, {})[key] = json.loads(value)
    now = time.time_ns()
    rows = []
    for n, session_id, name, started, ended, calls, errors, asked, answered, cached, failed in found:
        active = now - (ended or 0) < ACTIVE_SECONDS * 1_000_000_000
        rows.append(
            {
                "id": session_id,
                "name": name,
                "started": iso(started),
                "ended": iso(ended),
                "duration": seconds(ended - started),
                "calls": calls,
                "errors": errors,
                **{kind: lists.get((n, kind), []) for kind in _LISTS},
                "properties": properties.get(n, {}),
                "input_tokens": asked,
                "output_tokens": answered,
                "cache_read_tokens": cached,
                "cost_usd": None,
                "cost_unknown_calls": calls,
                "status": "failed" if failed else "active" if active else "completed",
            }
        )
    return rows


def _records(database: sqlite3.Connection, where: str, values: list[Any]) -> list[tuple[Row, Row | None]]:
    """Call records and their processes."""
    found = database.execute(
        f"SELECT sessions.id, process, {_CALL} FROM calls LEFT JOIN sessions ON sessions.n = calls.session "
        f"LEFT JOIN callers ON callers.n = caller {where}",
        values,
    ).fetchall()
    rows = [(session, process, dict(zip(COLUMNS, rest, strict=True))) for session, process, *rest in found]
    numbers = {row[column] for _, _, row in rows for column in (*TEXTS, *JSONS)}
    strings = _strings(database, numbers)
    return [
        (call_of(row, strings, session), json.loads(process) if process is not None else None)
        for session, process, row in rows
    ]


def _strings(database: sqlite3.Connection, numbers: Iterable[int | None]) -> dict[int, str]:
    chosen = json.dumps([number for number in numbers if number is not None])
    return dict(database.execute("SELECT n, text FROM strings WHERE n IN (SELECT value FROM json_each(?))", (chosen,)))


def _calls(database: sqlite3.Connection, where: str, values: list[Any]) -> list[Row]:
    return [call_row(call, process) for call, process in _records(database, where, values)]


def _session(database: sqlite3.Connection, prefix: str, folder: Path) -> Row:
    number = _session_number(database, prefix, folder)
    pairs = _records(database, "WHERE calls.session = ? ORDER BY time, calls.id", [number])
    return {
        "session": _session_rows(database, "WHERE n = ?", [number])[0],
        "tree": session_tree(call for call, _ in pairs),
        "calls": [call_row(call, process) for call, process in pairs],
    }


def _session_number(database: sqlite3.Connection, prefix: str, folder: Path) -> int:
    number = _number(prefix)
    if number:
        found = database.execute("SELECT n, id FROM sessions ORDER BY last_time DESC LIMIT 1 OFFSET ?", (number - 1,))
    elif prefix:
        found = database.execute("SELECT n, id FROM sessions WHERE substr(id, 1, ?) = ?", (len(prefix), prefix))
    else:
        found = database.execute("SELECT n, id FROM sessions LIMIT 0")
    rows = found.fetchall()
    rows = [row for row in rows if row[1] == prefix] or rows
    if len(rows) > 1:
        raise TraceError(f"more than one session's id begins with {prefix!r}", "Give more of it.")
    if not rows:
        what = f"there is no session {prefix}" if number else f"no session's id begins with {prefix!r}"
        raise TraceError(f"{what} in {folder}", "List them with `sessiontap ls`.")
    return int(rows[0][0])


def _number(prefix: str) -> int:
    """N of `@N`, else 0."""
    return int(prefix[1:]) if prefix.startswith("@") and prefix[1:].isdecimal() else 0
