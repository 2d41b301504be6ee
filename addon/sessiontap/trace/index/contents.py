"""The log's folder as the index knows it: what its segments hold, where calls stand in them, notes, what is unreadable.

Maintenance, exports, replays and pushes ask for it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sessiontap.trace.index.errand_sessions import belonging_to
from sessiontap.trace.index.filters import Filters, condition
from sessiontap.trace.segment import Place, SegmentContents

Row = dict[str, Any]
_WHOLE = """
SELECT n FROM (SELECT session, count(*) AS fitting FROM calls WHERE {where} GROUP BY session) AS fit
JOIN sessions ON sessions.n = fit.session WHERE fitting = sessions.calls + sessions.errands
"""
"""The sessions of which all calls fit."""
_SEGMENT_OF_NEWEST = """
SELECT name FROM calls JOIN segments ON segments.n = segment
WHERE calls.packed_id IN (SELECT pack_id(value) FROM json_each(?))
    OR session IN (SELECT +n FROM sessions WHERE id IN (SELECT value FROM json_each(?)))
ORDER BY time DESC LIMIT 1
"""
_SEGMENT_OF_UNDONE = """
SELECT name FROM labels JOIN segments ON segments.n = segment WHERE json_extract(record, '$.id') = ?
"""


def sums(database: sqlite3.Connection) -> Row:
    """`calls`, `sessions`, `first` and `last` start (Unix nanoseconds), `body_bytes`."""
    question = (
        "SELECT coalesce(sum(calls), 0), (SELECT count(*) FROM sessions WHERE calls > 0), min(first_time), "
        "max(last_time), CAST(total(body_bytes) AS INTEGER) FROM segments"
    )
    names = ("calls", "sessions", "first", "last", "body_bytes")
    return dict(zip(names, database.execute(question).fetchone(), strict=True))


def segments(database: sqlite3.Connection, filters: Filters | None) -> dict[str, SegmentContents]:
    """The contents of each segment, by its name; `filters`: of calls that are looked for in it."""
    where, values = condition(database, filters) if filters is not None else ("0", [])
    fitting = dict(database.execute(f"SELECT segment, count(*) FROM calls WHERE {where} GROUP BY segment", values))
    warm_ups: dict[int, int] = {}
    if fitting:
        warm_ups = dict(
            database.execute(
                "SELECT segment, sum(warm_ups) FROM session_segments WHERE warm_ups > 0 AND session IN "
                f"({_WHOLE.format(where=where)}) GROUP BY segment",
                values,
            )
        )
    found = database.execute("SELECT n, name, closed, size, newest, calls + warm_ups, calls FROM segments")
    return {
        name: SegmentContents(
            bool(closed), size, newest, records, calls, fitting.get(n, 0) + warm_ups.get(n, 0), fitting.get(n, 0)
        )
        for n, name, closed, size, newest, records, calls in found
    }


def fitting(database: sqlite3.Connection, filters: Filters, files: list[str]) -> dict[str, frozenset[str]]:
    """Of the segments named `files`, by these names: the ids of the calls that fit, and of the warm-ups of sessions of
    which all calls do."""
    where, values = condition(database, filters)
    whole = json.dumps([n for (n,) in database.execute(_WHOLE.format(where=where), values)])
    found = {}
    for name in files:
        of = database.execute("SELECT first_call, last_call, n FROM segments WHERE name = ?", (name,)).fetchone()
        if of is None:
            continue
        within = f"SELECT id FROM calls WHERE calls.n BETWEEN ? AND ? AND segment = ? AND {where}"
        warm_ups = "SELECT id FROM warm_ups WHERE segment = ? AND session IN (SELECT value FROM json_each(?))"
        ids = [*database.execute(within, [*of, *values]), *database.execute(warm_ups, (of[2], whole))]
        found[name] = frozenset(id for (id,) in ids)
    return found


def count_sessions_within(
    database: sqlite3.Connection, files: list[str], filters: Filters | None, others: list[str]
) -> int:
    """Sessions whose calls all stand in segments named `files`; those that fit `filters` may stand in `others`, too."""
    if filters is None:
        question = (
            "SELECT count(*) FROM sessions WHERE calls > 0 AND NOT EXISTS (SELECT 1 FROM session_segments AS here "
            "JOIN segments ON segments.n = segment WHERE here.session = sessions.n AND here.calls > 0 "
            "AND name NOT IN (SELECT value FROM json_each(?)))"
        )
        return int(database.execute(question, (json.dumps(files),)).fetchone()[0])
    where, values = condition(database, filters)
    named = "calls.segment IN (SELECT n FROM segments WHERE name IN (SELECT value FROM json_each(?)))"
    question = _WHOLE.format(where=f"{named} OR ({named} AND {where})")
    question = f"SELECT count(*) FROM ({question} AND sessions.calls > 0)"
    return int(database.execute(question, [json.dumps(files), json.dumps(others), *values]).fetchone()[0])


def present(
    database: sqlite3.Connection, calls: list[str], sessions: list[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Those of these calls and sessions, by their ids, that the log has, as they were recorded or as labels say."""
    within = "IN (SELECT value FROM json_each(?))"
    found = database.execute(
        "SELECT id FROM calls WHERE packed_id IN (SELECT pack_id(value) FROM json_each(?)) "
        f"UNION SELECT id FROM warm_ups WHERE id {within}",
        (json.dumps(calls),) * 2,
    ).fetchall()
    named = database.execute(
        f"SELECT id FROM sessions WHERE id {within} AND n IN (SELECT session FROM session_segments) "
        f"UNION SELECT session FROM recorded WHERE session {within}",
        (json.dumps(sessions),) * 2,
    ).fetchall()
    return frozenset(id for (id,) in found), frozenset(id for (id,) in named)


def places(database: sqlite3.Connection, folder: Path, filters: Filters, sessions: Iterable[str]) -> list[Place]:
    """The places of the calls that fit, oldest first; of these sessions alone if there are any."""
    where, values = condition(database, filters)
    if wanted := list(sessions):
        # Without `+` the comparison would be one of integers, for which `calls_by_session` is no index.
        where = f"({where}) AND session IN (SELECT +n FROM sessions WHERE id IN (SELECT value FROM json_each(?)))"
        values = [*values, json.dumps(wanted)]
    paths = {n: folder / name for n, name in database.execute("SELECT n, name FROM segments")}
    callers = dict(database.execute('SELECT n, "offset" FROM callers'))
    found = database.execute(
        f'SELECT segment, "offset", id, caller FROM calls WHERE {where} ORDER BY time, n', values
    )
    return [Place(paths[segment], offset, id, callers.get(caller)) for segment, offset, id, caller in found]


def places_of_run(database: sqlite3.Connection, folder: Path, session: str) -> tuple[list[Place], list[Place]]:
    """The places of the calls of a session with the errands that belong to it, oldest first; and of warm-ups in the
    same segments, some of which may be other sessions': the index does not know whose one is."""
    own = [n for (n,) in database.execute("SELECT n FROM sessions WHERE id = ?", (session,))]
    numbers = json.dumps([*own, *(n for errands in belonging_to(database, own).values() for n in errands)])
    within = "IN (SELECT value FROM json_each(?))"
    ids = [id for (id,) in database.execute(f"SELECT id FROM sessions WHERE n {within}", (numbers,))]
    warm_ups = database.execute(
        'SELECT segments.name, warm_ups."offset", warm_ups.id FROM warm_ups JOIN segments ON segments.n = segment '
        f"WHERE segment IN (SELECT segment FROM session_segments WHERE warm_ups > 0 AND session {within})",
        (numbers,),
    )
    found = [Place(folder / name, at, id, None) for name, at, id in warm_ups]
    return (places(database, folder, Filters(), ids) if ids else []), found


def notes(database: sqlite3.Connection, since: int) -> list[Row]:
    """Notes, oldest first, those from `since` (Unix nanoseconds) on."""
    found = database.execute("SELECT record FROM notes WHERE time >= ? ORDER BY time, n", (since,))
    return [json.loads(text) for (text,) in found]


def problems(database: sqlite3.Connection) -> list[tuple[str, int, int, str]]:
    """The stretches that cannot be read: segment name, offset, size, text."""
    return database.execute(
        'SELECT name, problems."offset", problems.size, text FROM problems JOIN segments ON segments.n = segment '
        'ORDER BY name, problems."offset"'
    ).fetchall()


def segment_of(database: sqlite3.Connection, record: Mapping[str, Any]) -> str | None:
    """The name of the segment of the newest call that a label or score is for, or of the label that it undoes."""
    if undone := record.get("undoes"):
        found = database.execute(_SEGMENT_OF_UNDONE, (undone,)).fetchone()
    else:
        calls = [*record.get("calls", ()), record.get("call")]
        sessions = [*record.get("sessions", ()), record.get("session") if record["type"] == "score" else None]
        found = database.execute(_SEGMENT_OF_NEWEST, (json.dumps(calls), json.dumps(sessions))).fetchone()
    return None if found is None else str(found[0])


class Behind(NamedTuple):
    """The calls that a reader has not taken yet, agents' errands left out."""

    calls: int
    oldest: int | None
    """When the oldest of them began, in Unix nanoseconds; None if there is none."""


def behind(database: sqlite3.Connection, position: Mapping[str, Any], since: int) -> Behind:
    """Count the calls behind a position that began at `since` or later."""
    done = json.dumps(list(position.get("done", ())))
    begun = {name: offset for name, (_, offset, _) in position.get("open", {}).items()}
    found = database.execute(
        'SELECT count(*), min(time) FROM calls JOIN segments ON segments.n = segment '
        "LEFT JOIN json_each(?) AS begun ON begun.key = segments.name "
        'WHERE NOT errand AND time >= ? AND calls."offset" >= coalesce(begun.value, 0) '
        "AND segments.name NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(begun), since, done),
    ).fetchone()
    return Behind(*found)
