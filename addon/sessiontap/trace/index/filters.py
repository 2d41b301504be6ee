"""The filters of `ls`, `calls` and `stats` as a condition on the index.

Names, processes, models and property values are globs without case. They are matched against the few distinct texts
that the index holds, so that the condition on rows is one of numbers.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from sessiontap.trace.index.on_demand import containing


@dataclass(frozen=True, slots=True)
class Filters:
    """All that are given must hold of a call; a session is meant if one of its calls is."""

    name: str | None = None
    """Of the session, a glob."""
    since: int | None = None
    """Unix nanoseconds: the call was still running then, or began later."""
    process: str | None = None
    """Any of the process's names, a glob."""
    model: str | None = None
    """Asked for or answering, a glob."""
    properties: tuple[str, ...] = ()
    """`K=V` with a glob V, or `K`: has it."""
    error: bool = False
    search: str | None = None
    """Text in names, paths, models, tools, errors, prompts or replies, without case."""
    ids: tuple[str, ...] = ()
    """Of calls; one of these, if there are any."""


Condition = tuple[str, list[Any]]
"""An SQL expression over `calls`, and its values."""

_SEARCHED = ("session_name", "path", "request_model", "response_model", "user")
_SEARCHED_LISTS = ("tools_offered", "tool_calls", "tags", "properties")


def condition(database: sqlite3.Connection, filters: Filters) -> Condition:
    """The condition of `filters` on a row of `calls`; `1` if they ask nothing."""
    terms: list[Condition] = []
    if filters.ids:
        terms.append(("calls.id IN (SELECT value FROM json_each(?))", [json.dumps(filters.ids)]))
    if filters.since is not None:
        terms.append(("calls.time + coalesce(calls.duration, 0) >= ?", [filters.since]))
    if filters.error:
        terms.append(("calls.failed", []))
    if filters.name is not None:
        terms.append(_among("session_name", _matching(database, "session_name", _glob(filters.name))))
    if filters.model is not None:
        glob = _glob(filters.model)
        terms.append(_any([_among(one, _matching(database, one, glob)) for one in ("request_model", "response_model")]))
    if filters.process is not None:
        glob = _glob(filters.process)
        rows = database.execute("SELECT n, names FROM callers")
        terms.append(_among("caller", [n for n, names in rows if any(map(glob, json.loads(names)))]))
    for wanted in filters.properties:
        terms.append(_among("properties", _matching(database, "properties", _property(wanted))))
    if filters.search is not None:
        terms.append(_search(database, filters.search))
    return " AND ".join(sql for sql, _ in terms) or "1", [value for _, values in terms for value in values]


def _glob(pattern: str) -> Callable[[str], bool]:
    match = re.compile(translate(pattern), re.IGNORECASE).match
    return lambda text: match(text) is not None


def _property(wanted: str) -> Callable[[str], bool]:
    key, equals, value = wanted.partition("=")
    glob = _glob(value)

    def holds(text: str) -> bool:
        properties = json.loads(text)
        return key in properties and (not equals or glob(str(properties[key])))

    return holds


def _search(database: sqlite3.Connection, text: str) -> Condition:
    wanted = text.casefold()

    def within(found: str) -> bool:
        return wanted in found.casefold()

    terms = [_among(one, _matching(database, one, within)) for one in _SEARCHED]
    terms += [
        _among(one, _matching(database, one, lambda found: any(map(within, _values(found))))) for one in _SEARCHED_LISTS
    ]
    sessions = [n for n, one in database.execute("SELECT n, id FROM sessions") if within(one)]
    errors = database.execute("SELECT n, error FROM calls WHERE error IS NOT NULL")
    terms += [
        _among("session", sessions),
        _among("n", [n for n, error in errors if any(map(within, _values(error)))]),
    ]
    texts = containing(database, text)
    if texts:
        holding = "calls.n IN (SELECT call FROM call_texts WHERE text IN (SELECT value FROM json_each(?)))"
        terms.append((holding, [json.dumps(texts)]))
    return _any(terms)


def _values(text: str) -> Iterable[str]:
    """The values of a list or map in JSON, as text."""
    found = json.loads(text)
    values = found.values() if isinstance(found, dict) else found
    return (str(value) for value in values if value is not None)


def _matching(database: sqlite3.Connection, column: str, holds: Callable[[str], bool]) -> list[int]:
    """Numbers of the texts that ever stood in `column` and for which `holds`."""
    rows = database.execute("SELECT n, text FROM strings JOIN facets ON string = n WHERE column = ?", (column,))
    return [n for n, text in rows if holds(text)]


def _among(column: str, numbers: list[int]) -> Condition:
    if not numbers:
        return "0", []
    return f"calls.{column} IN (SELECT value FROM json_each(?))", [json.dumps(numbers)]


def _any(terms: list[Condition]) -> Condition:
    found = [term for term in terms if term[0] != "0"]
    if not found:
        return "0", []
    return "(" + " OR ".join(sql for sql, _ in found) + ")", [value for _, values in found for value in values]
