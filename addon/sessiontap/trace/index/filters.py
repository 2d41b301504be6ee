"""The filters of `ls`, `calls`, `stats` and others as a condition on the index.

Texts are globs without case. They are matched against the few distinct texts that the index holds, so that the
condition on rows is one of numbers. A new filter is a field of `Filters`, and a line of `FILTER_COLUMNS` or of
`_TERMS`.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from sessiontap.trace.index import scores
from sessiontap.trace.index.addresses import sessions_named
from sessiontap.trace.index.filter_columns import FILTER_COLUMNS
from sessiontap.trace.index.parts import containing
from sessiontap.trace.index.rows import JSONS
from sessiontap.trace.values import LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All that are given must hold of a call; a session is meant if one of its calls is."""

    session: str | None = None
    """Its id, the beginning of it, or `@N`."""
    name: str | None = None
    """Of the session, a glob."""
    path: str | None = None
    """In the session, a glob: `*` and `?` stop at `/`, `**` does not, `/course/**` is `/course` and all below it."""
    machine: str | None = None
    """Whose proxy recorded it, a glob of its name."""
    process: str | None = None
    """Any of the process's names, a glob."""
    user: str | None = None
    provider: str | None = None
    model: str | None = None
    """Asked for or answering, a glob."""
    agent: str | None = None
    """The agent or the sub-agent, a glob."""
    tool: str | None = None
    """Called by the reply, or the request brings its result: a glob. A tool that is only offered does not count."""
    rule: str | None = None
    """That set something of the call, a glob."""
    tags: tuple[str, ...] = ()
    """Globs; a call has a tag for each of them."""
    properties: tuple[str, ...] = ()
    """`K=V` with a glob V, or `K`: has it."""
    status: str | None = None
    """Of HTTP: `429`, or a class of them: `4xx`, `50x`."""
    outcome: str | None = None
    """`ok`, `http_error`, ..., a glob."""
    error: bool = False
    since: int | None = None
    """Unix nanoseconds: the call was still running then, or began later."""
    until: int | None = None
    """Unix nanoseconds: the call began before."""
    scores: tuple[str, ...] = ()
    """Of the call or of its session: `helpful>0.5`, `grade=good` (a glob), `correct=true`, `helpful`: has it."""
    starred: bool = False
    """The call or its session is."""
    search: str | None = None
    """Text in names, paths, models, tools, errors, prompts or replies, without case."""
    ids: tuple[str, ...] = ()
    """Of calls; one of these, if there are any."""
    without_errands: bool = False
    """Agents' errands are left out (`trace.errands`)."""


Condition = tuple[str, list[Any]]
"""An SQL expression over `calls`, and its values."""
Holds = Callable[[str], bool]

_STATUS = re.compile("[1-9](?:[0-9]{2}|[0-9]x|xx)", re.IGNORECASE)
REPEATED = ("tags", "properties", "scores")
"""Filters that may be given several times: all must hold."""
_NAMING = ("session", "ids", "search", "scores", "starred")
_SEARCHED = (
    "session_name", "path", "request_model", "response_model", "user", "tools_offered", "tool_calls", "tags",
    "properties", "error",
)  # fmt: skip


def condition(database: sqlite3.Connection, filters: Filters) -> Condition:
    """The condition of `filters` on a row of `calls`; `1` if they ask nothing."""
    terms = [_term(database, name, one) for name, one in given(filters)]
    return " AND ".join(sql for sql, _ in terms) or "1", [value for _, values in terms for value in values]


def given(filters: Filters) -> list[tuple[str, Any]]:
    """The filters that ask something, by name; one that may be given several times comes several times."""
    found: list[tuple[str, Any]] = []
    for name in Filters.__slots__:
        asked = getattr(filters, name)
        found += [(name, one) for one in asked] if name in REPEATED else [(name, asked)]
    return [(name, asked) for name, asked in found if asked not in (None, False, ())]


def names_calls(filters: Filters) -> bool:
    """Return True if the filters name sessions or calls: the index then looks at no others."""
    return any(name in _NAMING for name, _ in given(filters))


def is_status(text: str) -> bool:
    """Return True if `text` names an HTTP status or a class of them: `429`, `4xx`."""
    return _STATUS.fullmatch(text) is not None


def glob(pattern: str) -> Holds:
    """The test of a text by a glob, without case."""
    match = re.compile(translate(pattern), re.IGNORECASE).match
    return lambda text: match(text) is not None


def path_glob(pattern: str) -> Holds:
    """The same of a path: `*` and `?` stop at `/`, `**` does not; `/a/**` is `/a`, too, and `/**/` a single `/`.

    Raises RegexError if it is too long.
    """
    from sessiontap.linear_regex import Meter, Regex  # here: RE2 is loaded by whoever filters by path

    pieces = re.findall(r"/\*\*$|(?<![^/])\*\*/|\*\*+|.", pattern, re.DOTALL)
    meaning = {"/**": "(?:/.*)?", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    source = "".join(meaning.get(one) or (".*" if one.startswith("**") else re.escape(one)) for one in pieces)
    # Apps name paths: one that is made for it would keep Python's own engine busy for hours.
    search = Regex(rf"\A(?s:{source})\z", ignore_case=True, meter=Meter(share=math.inf)).search
    return lambda text: search(text) is not None


def is_path_glob(pattern: str) -> bool:
    """Return True if `path_glob` takes it."""
    from sessiontap.linear_regex import RegexError

    with suppress(RegexError):
        path_glob(pattern)
        return True
    return False


def texts_in(database: sqlite3.Connection, column: str) -> Iterable[tuple[int, list[str]]]:
    """The numbers of what ever stood in `column`, with the text, or all texts of the list, that each stands for."""
    rows = database.execute("SELECT n, text FROM strings JOIN facets ON string = n WHERE column = ?", (column,))
    return ((n, list(_values(text)) if column in JSONS else [text]) for n, text in rows)


def _term(database: sqlite3.Connection, name: str, asked: Any) -> Condition:
    if name in FILTER_COLUMNS:
        holds = path_glob(asked) if name == "path" else glob(asked)
        return _any([_among(column, _matching(database, column, holds)) for column in FILTER_COLUMNS[name]])
    return _TERMS[name](database, asked)


def _session(database: sqlite3.Connection, asked: str) -> Condition:
    return _among("session", sessions_named(database, asked))


def _machine(database: sqlite3.Connection, asked: str) -> Condition:
    holds = glob(asked)
    rows = database.execute("SELECT n, host FROM segments WHERE host NOT NULL")
    return _among("segment", [n for n, host in rows if holds(host)])


def _process(database: sqlite3.Connection, asked: str) -> Condition:
    holds = glob(asked)
    rows = database.execute("SELECT n, names FROM callers")
    return _among("caller", [n for n, names in rows if any(map(holds, json.loads(names)))])


def _property(database: sqlite3.Connection, asked: str) -> Condition:
    key, equals, value = asked.partition("=")
    holds = glob(value)
    rows = database.execute("SELECT n, text FROM strings JOIN facets ON string = n WHERE column = 'properties'")
    found = ((n, json.loads(text)) for n, text in rows)
    return _among("properties", [n for n, has in found if key in has and (not equals or holds(str(has[key])))])


def _status(database: sqlite3.Connection, asked: str) -> Condition:
    if not is_status(asked):
        return "0", []
    return "calls.status BETWEEN ? AND ?", [int(asked.lower().replace("x", digit)) for digit in "09"]


def _since(database: sqlite3.Connection, asked: int) -> Condition:
    return "calls.time + coalesce(calls.duration, 0) >= ?", [_in_range(asked)]


def _until(database: sqlite3.Connection, asked: int) -> Condition:
    return "calls.time < ?", [_in_range(asked)]


def _in_range(time: int) -> int:
    """A time that SQLite can hold: no call began before 1970 or after `LATEST`."""
    return max(-1, min(time, 2 * LATEST - 1))


def _error(database: sqlite3.Connection, asked: bool) -> Condition:
    return "calls.failed", []


def _ids(database: sqlite3.Connection, asked: tuple[str, ...]) -> Condition:
    return "calls.packed_id IN (SELECT pack_id(value) FROM json_each(?))", [json.dumps(asked)]


def _search(database: sqlite3.Connection, text: str) -> Condition:
    wanted = text.casefold()

    def within(found: str) -> bool:
        return wanted in found.casefold()

    terms = [_among(one, _matching(database, one, within)) for one in _SEARCHED]
    sessions = [n for n, one in database.execute("SELECT n, id FROM sessions") if within(one)]
    terms.append(_among("session", sessions))
    parts = containing(database, text)
    if parts:
        bringing = "SELECT call FROM added_parts WHERE part IN (SELECT value FROM json_each(?)) AND NOT sent_back"
        terms.append((f"calls.n IN ({bringing})", [json.dumps(parts)]))
    return _any(terms)


def _score(database: sqlite3.Connection, asked: str) -> Condition:
    wanted = scores.parsed(asked)
    return scores.calls_with(database, wanted) if wanted is not None else ("0", [])


def _starred(database: sqlite3.Connection, asked: bool) -> Condition:
    return scores.calls_with(database, scores.STARRED)


def _without_errands(database: sqlite3.Connection, asked: bool) -> Condition:
    return "NOT calls.errand", []


_TERMS: dict[str, Callable[[sqlite3.Connection, Any], Condition]] = {
    "session": _session,
    "machine": _machine,
    "process": _process,
    "properties": _property,
    "status": _status,
    "error": _error,
    "since": _since,
    "until": _until,
    "scores": _score,
    "starred": _starred,
    "search": _search,
    "ids": _ids,
    "without_errands": _without_errands,
}
"""The condition of each filter that is not in `FILTER_COLUMNS`."""


def _values(text: str) -> Iterable[str]:
    """The values of a list or map in JSON, as text."""
    found = json.loads(text)
    values = found.values() if isinstance(found, dict) else found
    return (str(value) for value in values if value is not None)


def _matching(database: sqlite3.Connection, column: str, holds: Holds) -> list[int]:
    """Numbers of the texts, or lists with a text, that ever stood in `column` and for which `holds`."""
    return [n for n, texts in texts_in(database, column) if any(map(holds, texts))]


def _among(column: str, numbers: list[int]) -> Condition:
    if not numbers:
        return "0", []
    return f"calls.{column} IN (SELECT value FROM json_each(?))", [json.dumps(numbers)]


def _any(terms: list[Condition]) -> Condition:
    found = [term for term in terms if term[0] != "0"]
    if not found:
        return "0", []
    return "(" + " OR ".join(sql for sql, _ in found) + ")", [value for _, values in found for value in values]
