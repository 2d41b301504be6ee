"""Scores of sessions and calls: those that count, and the conditions that filters make of them.

A score counts if no later one of the same thing and name stands for it, and if it has a value; a note alone has none.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from typing import Any, Literal, NamedTuple

from sessiontap.trace.values import iso
from sessiontap.trace.views import STAR, scored

Record = dict[str, Any]
Row = dict[str, Any]
Kind = Literal["session", "call"]

_SCORE = re.compile(r"([^=<>!]+?)\s*(?:(>=|<=|!=|=|>|<)\s*(.*))?", re.DOTALL)
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
_ORDER: dict[str, Callable[[float, float], bool]] = {
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
}
_CURRENT = """
UPDATE scores SET current = (value NOT NULL OR (name IS NULL AND note NOT NULL)) AND NOT EXISTS (
    SELECT 1 FROM scores AS later WHERE later.target = scores.target AND later.kind = scores.kind
    AND later.name IS scores.name AND (later.time, later.id, later.n) > (scores.time, scores.id, scores.n)
) WHERE target IN (SELECT value FROM json_each(?))
"""
_ITS_CALL = "calls.id = scores.target AND calls.packed_id = pack_id(scores.target)"
"""Twice the same, so that SQLite may begin with the scores or with the calls."""
_SEEN = f"""
SELECT calls.n FROM scores JOIN calls ON {_ITS_CALL}
WHERE current AND scores.kind = 'call' AND scores.n IN ({{chosen}})
UNION SELECT calls.n FROM scores JOIN sessions ON sessions.id = target JOIN calls ON calls.session = +sessions.n
WHERE current AND scores.kind = 'session' AND scores.n IN ({{chosen}})
"""


class ScoreFilter(NamedTuple):
    """A condition on a score: its name, and what its value must be; without `operator` it need only be there."""

    name: str
    operator: str | None
    value: str

    def holds(self, value: Any) -> bool:
        """Return True if `value` is as asked."""
        if self.operator is None:
            return True
        if order := _ORDER.get(self.operator):
            return _is_number(value) and order(value, float(self.value))
        return self._equals(value) is (self.operator == "=")

    def _equals(self, value: Any) -> bool:
        if isinstance(value, bool):
            return _TRUTH.get(self.value.lower()) is value
        if _is_number(value):
            return bool(number(self.value) == value)
        return re.match(translate(self.value), value, re.IGNORECASE) is not None


STARRED = ScoreFilter(STAR, "=", "true")


def parsed(text: str) -> ScoreFilter | None:
    """The filter of a text such as `helpful>0.5`, `grade=good`, `correct`; None if it is none."""
    found = _SCORE.fullmatch(text.strip())
    if found is None or (found[2] in _ORDER and number(found[3]) is None):
        return None
    return ScoreFilter(found[1].strip(), found[2], (found[3] or "").strip())


def number(text: str) -> float | None:
    """The number that a text is; None if it is none."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def add(database: sqlite3.Connection, segment: int, record: Record) -> list[str]:
    """Take in a score. The id of what it is for, for `find_current`; none if it names nothing."""
    kind = "call" if record.get("call") is not None else "session"
    target, value = record.get(kind), record.get("value")
    if target is None:
        return []
    plain = float(value) if isinstance(value, int | float) else None
    database.execute(
        'INSERT INTO scores(segment, id, time, kind, target, name, value, number, note, "by", source) '
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            segment, record["id"], record["time"], kind, target, record.get("name"),
            None if value is None else json.dumps(value), plain, record.get("note"), record.get("by"),
            record.get("source"),
        ),
    )  # fmt: skip
    return [target]


def of_segments(database: sqlite3.Connection, segments: str) -> list[str]:
    """The ids of what the scores of segments (their numbers as JSON) are for."""
    chosen = "SELECT DISTINCT target FROM scores WHERE segment IN (SELECT value FROM json_each(?))"
    return [target for (target,) in database.execute(chosen, (segments,))]


def find_current(database: sqlite3.Connection, targets: Iterable[str]) -> None:
    """Find which scores of these sessions and calls count."""
    if chosen := sorted(set(targets)):
        database.execute(_CURRENT, (json.dumps(chosen),))


_COPIED = 'segment, id, time, kind, target, name, value, number, note, "by", source, current'


def of_sessions(database: sqlite3.Connection, sessions: Iterable[str]) -> list[tuple[Any, ...]]:
    """The scores that count of these sessions, by their ids, for `copy`."""
    within = "target IN (SELECT value FROM json_each(?))"
    question = f"SELECT {_COPIED} FROM scores WHERE current AND kind = 'session' AND {within}"
    return database.execute(question, (json.dumps(list(sessions)),)).fetchall()


def copy(database: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Take scores of another index into this one."""
    places = ", ".join("?" * (_COPIED.count(",") + 1))
    database.executemany(f"INSERT INTO scores({_COPIED}) VALUES ({places})", rows)


def any_scores(database: sqlite3.Connection) -> bool:
    """Return True if the log has any."""
    return database.execute("SELECT 1 FROM scores LIMIT 1").fetchone() is not None


def scores_of(database: sqlite3.Connection, kind: Kind, ids: Sequence[str]) -> dict[str, Row]:
    """Of these sessions or calls by their ids: `scores` name -> value, whether `starred`, and the `note`.

    Those without any are missing.
    """
    if not any_scores(database):
        return {}
    rows = database.execute(
        "SELECT target, name, value, note FROM scores WHERE current AND kind = ? "
        "AND target IN (SELECT value FROM json_each(?)) ORDER BY name",
        (kind, json.dumps(list(ids))),
    )
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for target, name, value, note in rows:
        found[target].append({"name": name, "value": json.loads(value or "null"), "note": note})
    return {target: scored(some) for target, some in found.items()}


def call_means(database: sqlite3.Connection, sessions: Sequence[int]) -> dict[int, dict[str, Row]]:
    """Of these sessions by their numbers: the `mean` of each score of their calls, a bool as 0 or 1, and of how many
    `calls` it is. Texts have none."""
    if not any_scores(database):
        return {}
    found: defaultdict[int, dict[str, Row]] = defaultdict(dict)
    rows = database.execute(
        f"SELECT calls.session, name, avg(number), count(*) FROM scores JOIN calls ON {_ITS_CALL} "
        "WHERE current AND scores.kind = 'call' AND number NOT NULL AND name NOT NULL AND name != ? "
        "AND calls.session IN (SELECT value FROM json_each(?)) GROUP BY calls.session, name ORDER BY name",
        (STAR, json.dumps(list(sessions))),
    )
    for session, name, mean, calls in rows:
        found[session][name] = {"mean": round(mean, 12), "calls": calls}
    return dict(found)


def details(database: sqlite3.Connection, kind: Kind, id: str) -> list[Row]:
    """The scores and the note that count of one session or call, oldest first, with all that is known of each."""
    rows = database.execute(
        'SELECT id, time, name, value, note, "by", source FROM scores WHERE current AND kind = ? AND target = ? '
        "ORDER BY time, id",
        (kind, id),
    )
    return [
        {"id": one, "time": iso(time), "name": name, "value": json.loads(value or "null"),
         "note": note, "by": by, "source": source}
        for one, time, name, value, note, by, source in rows
    ]  # fmt: skip


def targets(database: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """Kind and id of all that has scores or a note that counts."""
    return frozenset(database.execute("SELECT DISTINCT kind, target FROM scores WHERE current"))


def names(database: sqlite3.Connection) -> list[str]:
    """The names of scores that count, stars aside."""
    rows = database.execute("SELECT DISTINCT name FROM scores WHERE current AND name NOT NULL AND name != ?", (STAR,))
    return sorted(name for (name,) in rows)


_MEANS = f"""
SELECT k, name, avg(number), count(*) FROM (
    SELECT {{key}} AS k, scores.name, scores.number FROM {{table}}
    JOIN scores ON {_ITS_CALL} AND scores.kind = 'call' AND scores.current WHERE {{where}}
    UNION ALL
    SELECT k, scores.name, scores.number
    FROM (SELECT DISTINCT {{key}} AS k, calls.session AS own FROM {{table}} WHERE {{where}})
    JOIN sessions ON sessions.n = own
    JOIN scores ON scores.target = sessions.id AND scores.kind = 'session' AND scores.current
) WHERE number NOT NULL AND name != ? GROUP BY k, name ORDER BY name
"""


def means_by(
    database: sqlite3.Connection, key: str, table: str, wanted: tuple[str, list[Any]]
) -> dict[Any, dict[str, Row]]:
    """By each value of `key`, a column of `table`: the `mean` of each score of its calls and of their sessions, and the
    `count` of these. A session's counts once."""
    if not any_scores(database):
        return {}
    where, values = wanted
    found: defaultdict[Any, dict[str, Row]] = defaultdict(dict)
    question = _MEANS.format(key=key, table=table, where=where)
    for value, name, mean, count in database.execute(question, [*values, *values, STAR]):
        found[value][name] = {"mean": round(mean, 12), "count": count}
    return dict(found)


def make_scored(database: sqlite3.Connection, name: str) -> None:
    """Make a table `scored` of calls with their values (`key`) of the score `name`, else with that of their session.

    A number is a number, all else a text: `true`, `good`.
    """
    database.execute("CREATE TEMP TABLE IF NOT EXISTS scored(call INTEGER PRIMARY KEY, key)")
    database.execute("DELETE FROM scored")
    key = "CASE WHEN value IN ('true', 'false') THEN value ELSE json_extract(value, '$') END"
    own = f"JOIN calls ON {_ITS_CALL} WHERE current AND scores.kind = 'call'"
    of_session = (
        "JOIN sessions ON sessions.id = target JOIN calls ON calls.session = sessions.n "
        "WHERE current AND scores.kind = 'session'"
    )
    for which in (own, of_session):
        question = f"INSERT OR IGNORE INTO scored SELECT calls.n, {key} FROM scores {which} AND scores.name = ?"
        database.execute(question, (name,))


def session_order(database: sqlite3.Connection, name: str) -> str:
    """The order of sessions by their own score of this name, else by the mean of their calls'; unknown comes last."""
    database.execute("CREATE TEMP TABLE IF NOT EXISTS score_order(session INTEGER PRIMARY KEY, number REAL)")
    database.execute("DELETE FROM score_order")
    own = "SELECT sessions.n, number FROM scores JOIN sessions ON sessions.id = target WHERE scores.kind = 'session'"
    means = f"SELECT session, avg(number) FROM scores JOIN calls ON {_ITS_CALL} WHERE session NOT NULL"
    which = "AND current AND number NOT NULL AND scores.name = ?"
    for question in (f"{own} {which}", f"{means} AND scores.kind = 'call' {which} GROUP BY session"):
        database.execute(f"INSERT OR IGNORE INTO score_order {question}", (name,))
    return "(SELECT number FROM score_order WHERE score_order.session = sessions.n) DESC, last_time DESC"


def calls_with(database: sqlite3.Connection, asked: ScoreFilter) -> tuple[str, list[Any]]:
    """The condition on calls that have such a score, or whose session has it."""
    rows = database.execute("SELECT n, value FROM scores WHERE current AND name = ?", (asked.name,))
    chosen = [n for n, value in rows if asked.holds(json.loads(value))]
    if not chosen:
        return "0", []
    fitting = json.dumps(chosen)
    return f"calls.n IN ({_SEEN.format(chosen='SELECT value FROM json_each(?)')})", [fitting, fitting]

