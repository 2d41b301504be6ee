"""Numbers for the texts, sessions and callers that rows name again and again."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from typing import Any

Record = dict[str, Any]
_MANY = 200_000
"""Texts beyond which those that are known by heart are forgotten."""


class Strings:
    """Texts of the index by number and back. What it knows holds within one transaction and those that follow it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._numbers: dict[str, dict[str, int]] = defaultdict(dict)
        self._known: dict[tuple[str, ...], list[dict[str, int]]] = {}
        self._texts: dict[int, str] = {}
        self._sessions: dict[str, int] = {}

    def forget(self) -> None:
        """After a transaction that was taken back."""
        for known in self._numbers.values():
            known.clear()
        self._texts.clear()
        self._sessions.clear()

    def known(self, columns: tuple[str, ...]) -> list[dict[str, int]]:
        """The texts of each of `columns` that are known by heart, with their numbers."""
        if columns not in self._known:
            self._known[columns] = [self._numbers[column] for column in columns]
        return self._known[columns]

    def number(self, column: str, text: Any) -> int:
        """The number of `text`, which stands in `column`; what is no text is taken as one."""
        known = self._numbers[column].get(text)
        return self._new(column, str(text)) if known is None else known

    def text(self, number: int) -> str:
        """The text of a number."""
        found = self._texts.get(number)
        if found is None:
            (found,) = self._database.execute("SELECT text FROM strings WHERE n = ?", (number,)).fetchone()
            self._texts[number] = found
        return str(found)

    def session(self, session_id: str) -> int:
        """The number of a session; its row is made where it is new."""
        number = self._sessions.get(session_id)
        if number is None:
            number = _number(self._database, "sessions", "id", session_id)
            self._sessions[session_id] = number
        return number

    def _new(self, column: str, text: str) -> int:
        if len(self._texts) > _MANY:
            self.forget()
        number = _number(self._database, "strings", "text", text)
        self._database.execute("INSERT OR IGNORE INTO facets VALUES (?, ?)", (column, number))
        self._numbers[column][text] = number
        self._texts[number] = text
        return number


class Callers:
    """The callers of one segment, by id."""

    def __init__(self, database: sqlite3.Connection, segment: int, strings: Strings) -> None:
        self._database, self._segment, self._strings = database, segment, strings
        rows = database.execute("SELECT id, n FROM callers WHERE segment = ?", (segment,))
        self.numbers: dict[str, int] = dict(rows)

    def add(self, record: Record, offset: int) -> None:
        """A caller's record at `offset`; the latest of an id counts."""
        told = record.get("name")
        every = list(dict.fromkeys((*filter(None, [told]), *(record.get("names") or ()))))
        process = {key: record.get(key) for key in ("pid", "name", "cwd")}
        (self.numbers[record["id"]],) = self._database.execute(
            'INSERT INTO callers(segment, id, name, process, names, "offset") VALUES (?, ?, ?, ?, ?, ?) '
            "ON CONFLICT DO UPDATE SET name = excluded.name, process = excluded.process, names = excluded.names, "
            '"offset" = excluded."offset" RETURNING n',
            (self._segment, record["id"], told, json.dumps(process), json.dumps(every), offset),
        ).fetchone()


def process_number(database: sqlite3.Connection, strings: Strings, caller: int) -> int | None:
    """The number of the process name of a caller."""
    (name,) = database.execute("SELECT name FROM callers WHERE n = ?", (caller,)).fetchone()
    return None if name is None else strings.number("process", str(name))


def _number(database: sqlite3.Connection, table: str, column: str, text: str) -> int:
    found = database.execute(f"SELECT n FROM {table} WHERE {column} = ?", (text,)).fetchone()
    if found is None:
        found = database.execute(f"INSERT INTO {table}({column}) VALUES (?) RETURNING n", (text,)).fetchone()
    return int(found[0])
