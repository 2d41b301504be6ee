"""Where a text stands in the log: in which part of which call, or in which of its names.

A part is found once, at the call that first had it: agents send theirs again with every turn. So is a name or an error,
at the latest call that has it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sessiontap.trace.index.filters import Condition, Filters, condition, texts_in
from sessiontap.trace.index.parts import candidates, load
from sessiontap.trace.index.records import numbered_rows

Row = dict[str, Any]

MOST_CANDIDATES = 100_000
"""Parts that may hold the text and are looked at, besides those of the latest calls."""
LATEST_CALLS = 1_000
BEFORE, BEHIND = 60, 100
"""Characters of a snippet around the text."""
_NAMES = {
    "session_name": "session name",
    "path": "path",
    "user": "user",
    "request_model": "model",
    "response_model": "model",
    "tool_calls": "tool",
    "tags": "tag",
    "properties": "property",
    "error": "error",
}
"""Columns that are searched, and what stands there."""
_PLACES = {"tool_call": "call", "tool_result": "result", "tool_definition": "definition", "system": "system prompt"}
"""Kinds of parts in words."""


Source = tuple[str, int]
"""The text that a place is of, by which it is known again: `part` or a column, and a number."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A place of the text."""

    call: Row
    """As `calls --json` gives it."""
    place: str
    """The kind of the part (`part.PartKind`), or `session name`, `path`, `user`, `model`, `tool`, `tag`, `property`,
    `error`."""
    snippet: str
    """The line that it stands in, or a piece of it."""
    match: tuple[int, int]
    """The text in the snippet, from and to."""
    source: Source
    role: str | None = None
    tool: str | None = None
    """Of a tool's definition, call or result."""
    reply: bool = False
    """It stands in the reply."""
    message: int | None = None
    """The position of its message in the request."""
    error: bool | None = None
    """Of a tool's result."""
    calls: int = 1
    """Calls that brought it."""
    position: int | None = None
    """The position of the part in the request, or in the reply."""

    @property
    def where(self) -> str:
        """The place in words: `result of Bash, an error`, `reply, reasoning`."""
        place = _PLACES.get(self.place, self.place)
        if self.tool is not None:
            place = f"{place} of {self.tool}"
        elif self.place == "text":
            place = "reply" if self.reply else self.role or "text"
        elif self.reply:
            place = f"reply, {place}"
        return f"{place}, an error" if self.error else place

    def row(self) -> Row:
        """A line of `search --json`."""
        told = {name: getattr(self, name) for name in Hit.__slots__ if name not in ("call", "source")}
        return told | {"match": list(self.match), "call": self.call}


@dataclass(frozen=True, slots=True)
class Unsearched:
    """The part of the log that a search has not seen."""

    calls: int
    """Calls of the index whose bodies nobody has read yet."""
    newest: int | None
    """The start of the newest of them, Unix nanoseconds."""
    behind: bool
    """The log has more calls, older ones, that the index lacks."""

    def __bool__(self) -> bool:
        return bool(self.calls or self.behind)


def unsearched(database: sqlite3.Connection, behind: bool) -> Unsearched:
    """Count what has not been read; `behind`: nor is all of the log in the index."""
    calls, newest = database.execute("SELECT count(*), max(time) FROM unread_calls").fetchone()
    return Unsearched(calls, newest, behind)


def hits(
    database: sqlite3.Connection,
    text: str,
    filters: Filters,
    limit: int,
    known: Container[Source] = (),
    sure_alone: bool = False,
) -> list[Hit]:
    """The places of `text`, without case, in calls that fit `filters`: those of the latest calls first.

    `limit` 0: all of them. `known`: places that are left out. `sure_alone`: so are those in the history of a call whose
    parent was not read yet: the parent may have had them before.
    """
    fits = condition(database, replace(filters, search=None))
    most = limit or None
    in_parts = _in_parts(database, text, fits, known, sure_alone)
    found = [*islice(in_parts, most), *_in_names(database, text, fits, most, known)]
    latest = sorted(found, key=lambda one: one[0], reverse=True)[:most]
    numbers = json.dumps([hit.call["n"] for _, hit in latest])
    rows = dict(numbered_rows(database, "WHERE calls.n IN (SELECT value FROM json_each(?))", [numbers]))
    return [replace(hit, call=rows[hit.call["n"]]) for _, hit in latest]


_Timed = tuple[int, Hit]
"""A hit whose `call` is its number alone, with the start of the call."""


def _in_parts(
    database: sqlite3.Connection, text: str, fits: Condition, known: Container[Source], sure_alone: bool
) -> Iterator[_Timed]:
    where, values = fits
    parts = candidates(database, text, MOST_CANDIDATES)
    if len(parts) == MOST_CANDIDATES:
        latest = f"SELECT n FROM calls WHERE {where} ORDER BY time DESC LIMIT ?"
        those = database.execute(
            f"SELECT DISTINCT part FROM added_parts WHERE call IN ({latest})", (*values, LATEST_CALLS)
        )
        parts = list({*parts, *(n for (n,) in those)})
    found = database.execute(
        "SELECT part, calls.n, reply, message, min(calls.time), count(*), position, "
        "NOT reply AND EXISTS (SELECT 1 FROM orphans WHERE orphans.call = calls.n) FROM added_parts "
        "JOIN calls ON calls.n = added_parts.call "
        f"WHERE part IN (SELECT value FROM json_each(?)) AND NOT sent_back AND ({where}) "
        "GROUP BY part ORDER BY 5 DESC, 2 DESC, 4 DESC",
        (json.dumps([n for n in parts if ("part", n) not in known]), *values),
    ).fetchall()
    for number, call, reply, message, time, calls, position, is_unsure in found:
        if sure_alone and is_unsure:
            continue
        part = load(database, [number])[number]
        place = _place(part.text or "", text)
        if place is not None:
            tool = part.name if part.kind.startswith("tool_") else None
            own = part.kind, *place, ("part", number), part.role, tool
            yield time, Hit({"n": call}, *own, bool(reply), message, part.error, calls, position)


def _in_names(
    database: sqlite3.Connection, text: str, fits: Condition, most: int | None, known: Container[Source]
) -> Iterator[_Timed]:
    where, values = fits
    for column, name in _NAMES.items():
        found = {
            n: place
            for n, texts in texts_in(database, column)
            if (column, n) not in known and (place := _first(texts, text)) is not None
        }
        if not found:
            continue
        rows = database.execute(
            f"SELECT {column}, n, max(time), count(*) FROM calls WHERE {column} IN (SELECT value FROM json_each(?)) "
            f"AND ({where}) GROUP BY {column} ORDER BY 3 DESC LIMIT ?",
            (json.dumps(list(found)), *values, most or -1),
        ).fetchall()
        for number, call, time, calls in rows:
            yield time, Hit({"n": call}, name, *found[number], (column, number), calls=calls)


def _first(texts: list[str], wanted: str) -> tuple[str, tuple[int, int]] | None:
    return next((place for one in texts if (place := _place(one, wanted)) is not None), None)


def _place(text: str, wanted: str) -> tuple[str, tuple[int, int]] | None:
    """A snippet with the text, and where it stands in it; None if it is not there."""
    if wanted.casefold() not in text.casefold():
        return None
    found = re.search(re.escape(wanted), text, re.IGNORECASE)
    start = found.start() if found else min(text.casefold().find(wanted.casefold()), len(text))
    end = found.end() if found else min(start + len(wanted), len(text))
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    last = len(text) if last < 0 else last
    begin, stop = max(first, start - BEFORE), min(last, end + BEHIND)
    before, behind = "…" if begin > first else "", "…" if stop < last else ""
    said = "".join(" " if one.isspace() else one for one in text[begin:stop])
    return f"{before}{said}{behind}", (start - begin + len(before), end - begin + len(before))
