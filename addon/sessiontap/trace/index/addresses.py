"""Look-ups of one session or call by what a user writes for it.

A session is its id, a unique prefix of it, or `@N`: the N-th by the start of its last call, `@1` the newest. A call is
its id, a unique prefix of it, `@N` (the N-th by its start), or `SESSION/STEP` as `show` numbers them: `@1/3` is the
call of step 3 of the newest session, `@1/-1` its last call by start.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from sessiontap.trace.files import HOW_TO_RECORD, Ambiguous, NotInTrace
from sessiontap.trace.folders import shown
from sessiontap.trace.index.packed_ids import pack_id, with_prefix
from sessiontap.trace.segment import Place

_STEP = re.compile("(.+)/(-?[0-9]{1,18})", re.DOTALL)
_END = chr(sys.maxunicode)
"""Behind every other text that begins with the same prefix."""
_CALLS = (
    'SELECT calls.id AS found, segments.name, calls."offset", callers."offset" FROM calls '
    "JOIN segments ON segments.n = calls.segment LEFT JOIN callers ON callers.n = caller"
)
_WARM_UPS = 'SELECT warm_ups.id AS found, name, "offset", NULL FROM warm_ups JOIN segments ON segments.n = segment'


def position(text: str) -> int:
    """N of `@N`, else 0."""
    return int(text[1:19]) if text.startswith("@") and text[1:].isdecimal() else 0


def sessions_named(database: sqlite3.Connection, asked: str) -> list[int]:
    """The numbers of the session whose id is `asked`, else of those that begin with it; of `@N` the one."""
    if number := position(asked):
        known = "SELECT n, id FROM sessions WHERE calls > 0"  # a list leaves out what holds nothing but errands
        found = database.execute(f"{known} ORDER BY last_time DESC LIMIT 1 OFFSET ?", (number - 1,))
    elif asked:
        known = "SELECT n, id FROM sessions WHERE calls + errands > 0 AND id >= ? AND id < ?"
        found = database.execute(known, (asked, asked + _END))
    else:
        return []
    rows = found.fetchall()
    return [n for n, one in rows if one == asked] or [n for n, _ in rows]


def listed(database: sqlite3.Connection, asked: str, first: Sequence[str]) -> str | None:
    """The id of session `@N` if those of `first` come before all others; None if there is none, or it is no `@N`."""
    number = position(asked)
    if number <= len(first):
        return first[number - 1] if number else None
    known = "SELECT id FROM sessions WHERE calls > 0 AND id NOT IN (SELECT value FROM json_each(?))"
    values = json.dumps(list(first)), number - len(first) - 1
    row = database.execute(f"{known} ORDER BY last_time DESC LIMIT 1 OFFSET ?", values).fetchone()
    return None if row is None else str(row[0])


def session_number(database: sqlite3.Connection, asked: str, folder: Path) -> int:
    """The number of the one session that `asked` means. Raises NotInTrace."""
    found = sessions_named(database, asked)
    if len(found) > 1:
        raise Ambiguous(f"more than one session's id begins with {asked!r}", "Give more of it.")
    if not found and (of_call := _STEP.fullmatch(asked)):
        raise NotInTrace(f"{asked!r} names a call, not a session", f"Name its session: {of_call[1]}.")
    if not found:
        raise _missing(database, _none_of("session", asked, folder), "List them with `sessiontap ls`.")
    return found[0]


def _none_of(kind: str, asked: str, folder: Path) -> str:
    """The sentence for a session or call that is not there."""
    if not asked:
        return f"the name of a {kind} is empty"
    if asked.startswith("@") and "/" not in asked:
        unknown = "" if position(asked) else ": @1 is the newest"
        return f"there is no {kind} {asked} in {shown(folder)}{unknown}"
    return f"no {kind}'s id begins with {asked!r} in {shown(folder)}"


def _missing(database: sqlite3.Connection, sentence: str, hint: str) -> NotInTrace:
    """The error for a session or call that is not there; `hint` is for a log that holds others."""
    is_empty = database.execute("SELECT 1 FROM calls LIMIT 1").fetchone() is None
    return NotInTrace(sentence, HOW_TO_RECORD if is_empty else hint)


def session_id(database: sqlite3.Connection, asked: str, folder: Path) -> str:
    """The whole id of a session. Raises NotInTrace."""
    number = session_number(database, asked, folder)
    (found,) = database.execute("SELECT id FROM sessions WHERE n = ?", (number,)).fetchone()
    return str(found)


def call_place(database: sqlite3.Connection, asked: str, folder: Path) -> Place:
    """The place of the one call that `asked` means. Raises NotInTrace."""
    if in_session := _STEP.fullmatch(asked):
        return _of_step(database, in_session[1], int(in_session[2]), folder)
    if number := position(asked):
        newest = f"{_CALLS} WHERE NOT errand ORDER BY time DESC, calls.n DESC LIMIT 1 OFFSET ?"
        rows = database.execute(newest, (number - 1,)).fetchall()
    else:
        rows = _by_prefix(database, asked.lower())
    if len(rows) > 1:
        raise Ambiguous(f"more than one call's id begins with {asked!r}", "Give more of it.")
    if not rows:
        raise _missing(database, _none_of("call", asked, folder), "List them with `sessiontap calls`.")
    return _place(folder, *rows[0])


def _place(folder: Path, id: str, segment: str, offset: int, caller: int | None) -> Place:
    return Place(folder / segment, offset, id, caller)


def _by_prefix(database: sqlite3.Connection, prefix: str) -> list[tuple[str, str, int, int | None]]:
    """The calls whose id begins with `prefix`, at most two; the one whose id it is."""
    if not prefix:
        return []
    fitting, values = with_prefix(prefix)
    found = f"{_CALLS} WHERE {fitting} UNION {_WARM_UPS} WHERE found >= :first AND found < :end LIMIT 2"
    rows = database.execute(found, values).fetchall()
    return [row for row in rows if row[0] == prefix] or rows


def _of_step(database: sqlite3.Connection, session: str, step: int, folder: Path) -> Place:
    number = session_number(database, session, folder)
    if step < 0:
        last = f"{_CALLS} WHERE calls.session = ? AND NOT errand ORDER BY time DESC, calls.id DESC LIMIT 1 OFFSET ?"
        rows = database.execute(last, (number, -step - 1)).fetchall()
    else:
        rows = database.execute(f"{_CALLS} WHERE calls.session = ? AND step = ? LIMIT 2", (number, step)).fetchall()
    if len(rows) > 1:
        raise Ambiguous(
            f"session {session} has more than one call of step {step}",
            f"Name one by its id: `sessiontap show {session} --flat` lists them.",
        )
    if not rows:
        raise NotInTrace(f"session {session} has no call {step}", f"List them with `sessiontap show {session}`.")
    return _place(folder, *rows[0])


def short_session_ids(database: sqlite3.Connection, ids: Iterable[str], least: int) -> dict[str, str]:
    """Each id -> its shortest prefix of `least` characters or more that no other session's id begins with."""
    near = "SELECT (SELECT max(id) FROM sessions WHERE id < :id), (SELECT min(id) FROM sessions WHERE id > :id)"
    short = {}
    for one in ids:
        neighbours = filter(None, database.execute(near, {"id": one}).fetchone())
        needed = max((_common(one, other) + 1 for other in neighbours), default=0)
        short[one] = one[: max(least, needed)]
    return short


def short_call_ids(database: sqlite3.Connection, ids: Iterable[str], least: int) -> dict[str, str]:
    """The same of calls."""

    def is_unique(id: str, length: int) -> bool:
        fitting, values = with_prefix(id[:length])
        others = f"SELECT 1 FROM calls WHERE {fitting} AND packed_id != :own LIMIT 1"
        return database.execute(others, values | {"own": pack_id(id)}).fetchone() is None

    return {
        one: one[: bisect_left(range(len(one)), True, min(least, len(one)), key=lambda length: is_unique(one, length))]
        for one in ids
    }


def _common(one: str, other: str) -> int:
    """The number of characters that two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
