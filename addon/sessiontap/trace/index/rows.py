"""A call as a row of the index and back: all of its record that lists, trees and statistics show.

`values_of` takes from a record what a row holds, `row_of` numbers its texts. `call_of` gives a call record again,
without what only the log holds (headers, bodies, changes); `views` makes of it what it makes of the whole record.
`Strings` and `Callers` number the texts and callers that rows name again and again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from sessiontap.trace.errands import is_errand
from sessiontap.trace.index.packed_ids import pack_id, unpack_id
from sessiontap.trace.outcomes import AUXILIARY, ERRORS, came_to_an_end
from sessiontap.trace.views import COST_PARTS, body_size

Record = dict[str, Any]

TEXTS = (
    "session_name", "path", "source", "evidence", "kind", "agent", "subagent", "user", "provider", "family",
    "operation", "host", "forwarded_host", "method", "route", "request_model", "response_model", "outcome",
    "finish_reason", "service_tier",
)  # fmt: skip
"""Columns that hold the number of a text."""
JSONS = ("properties", "tags", "tools_offered", "tool_calls", "tool_results", "rules", "billed", "error")
"""Columns that hold the number of a list or map as JSON."""
PLAIN = (
    "time", "duration", "first_byte", "first_token", "step", "stream", "status", "failed", "input", "output",
    "cache_read", "cache_write", "reasoning", "has_usage", "cost_reported", "request_bytes", "response_bytes", "id",
    "conversation", "parent", "errand", "main", "well",
)  # fmt: skip
"""Columns that hold a value itself."""
SHARED = (*TEXTS, *JSONS)
"""Columns that most calls have in common with others: of a row of `alike`."""
_OWN = ("session", "caller", "segment", "offset", *PLAIN)
COLUMNS = (*_OWN, *SHARED)
"""Of `calls`."""
ROW = (*_OWN, "alike")
"""Of `call_rows`."""
INSERT = f"INSERT INTO call_rows({', '.join(f'"{name}"' for name in ROW)}) VALUES ({', '.join('?' * len(ROW))})"
COST_COLUMNS = tuple(f"usd_{name}" for name in COST_PARTS)
"""Columns of `costs` and `sessions`."""
USAGE = ("input", "output", "cache_read", "cache_write", "reasoning")

_MANY = 200_000
"""Texts that are cached, at most."""
_MANY_TOGETHER = 20_000
"""Rows of `alike` that are cached, at most."""
_DIGEST = 16
_SHARED = ", ".join(f'"{name}"' for name in SHARED)
_FIND_ALIKE = "SELECT n FROM alike WHERE digest = ?"
_MAKE_ALIKE = f"INSERT INTO alike(digest, {_SHARED}) VALUES (?, {', '.join('?' * len(SHARED))}) RETURNING n"
_NOTHING: dict[str, Any] = {}
_encode = msgspec.json.Encoder().encode


class CallValues(NamedTuple):
    """The values of a row, before its texts are numbered."""

    plain: tuple[Any, ...]
    """In the order of `PLAIN`."""
    texts: tuple[str | None, ...]
    """In the order of `TEXTS`."""
    jsons: tuple[str | None, ...]
    """In the order of `JSONS`."""
    session: str | None
    """The session's id."""
    caller: str | None
    """The caller's id."""


def values_of(call: dict[str, Any]) -> CallValues:
    """The values of a record that fits its shape."""
    get = call.get
    own, llm = get("session") or {}, get("llm") or {}
    request, response = get("request") or {}, get("response") or {}
    asked, session_of = llm.get, own.get
    usage, error = asked("usage"), asked("error")
    kind, errand = (get("link") or _NOTHING).get("kind"), is_errand(call)
    outcome = get("outcome")
    failed = outcome in ERRORS or bool(error)  # `outcomes.is_error`
    main = not errand and kind != AUXILIARY and get("subagent") is None  # `outcomes.is_main`
    count = (usage or _NOTHING).get
    texts = (
        session_of("name"), session_of("path"), session_of("source"), get("evidence"),
        kind, get("agent"), get("subagent"),
        get("user"),
        asked("provider"), asked("family"), asked("operation"), get("host"), get("forwarded_host"),
        request.get("method"), get("route"), asked("request_model"), asked("response_model"), outcome,
        asked("finish_reason"), asked("service_tier"),
    )  # fmt: skip
    structures = (
        get("properties"),
        get("tags"),
        asked("tools_offered"),
        asked("tool_calls"),
        asked("tool_results"),
        get("rules"),
        asked("billed"),
        error,
    )
    # `outcomes.ended_well`
    well = False if failed else came_to_an_end(outcome, llm)
    plain = (
        get("time"), get("duration"), get("time_to_first_byte"), get("time_to_first_token"),
        session_of("step"), asked("stream"), response.get("status"), failed, count("input"), count("output"),
        count("cache_read"), count("cache_write"), count("reasoning"), usage is not None, asked("cost_reported"),
        body_size(request), body_size(response),
        pack_id(get("id")), pack_id(get("conversation")), pack_id(get("parent")),
        errand, main, well,
    )  # fmt: skip
    jsons = tuple([_encode(value).decode() if value else None for value in structures])  # `json_of`
    return CallValues(plain, texts, jsons, session_of("id"), get("caller"))


def row_of(
    values: CallValues, *, segment: int, offset: int, session: int | None, caller: int | None, strings: Strings
) -> tuple[Any, ...]:
    """The values of `ROW`; `session` and `caller` are numbers."""
    plain, texts, jsons, *_ = values
    return session, caller, segment, offset, *plain, strings.alike(texts, jsons)


def call_of(
    row: Mapping[str, Any],
    strings: Mapping[int | None, str],
    structures: Mapping[int | None, Any],
    session_id: str | None,
) -> dict[str, Any]:
    """A call record of a row by column. `structures`: what the numbers of `JSONS` stand for; records share them."""
    text, structure = strings.get, structures.get
    stream = row["stream"]
    came = row["status"] is not None or row["response_bytes"] is not None
    return {
        "id": row["id"],
        "time": row["time"],
        "session": None
        if session_id is None
        else {
            "id": session_id,
            "name": text(row["session_name"]),
            "path": text(row["path"]),
            "step": row["step"],
            "source": text(row["source"]),
        },
        "conversation": unpack_id(row["conversation"]),
        "parent": unpack_id(row["parent"]),
        "evidence": text(row["evidence"]),
        "link": {"kind": text(row["kind"])},
        "llm": {
            "provider": text(row["provider"]),
            "family": text(row["family"]),
            "operation": text(row["operation"]),
            "request_model": text(row["request_model"]),
            "response_model": text(row["response_model"]),
            "stream": None if stream is None else bool(stream),
            "finish_reason": text(row["finish_reason"]),
            "tools_offered": structure(row["tools_offered"]),
            "tool_calls": structure(row["tool_calls"]),
            "tool_results": structure(row["tool_results"]),
            "usage": {name: row[name] for name in USAGE} if row["has_usage"] else None,
            "cost_reported": row["cost_reported"],
            "service_tier": text(row["service_tier"]),
            "billed": structure(row["billed"]),
            "error": structure(row["error"]),
        },
        "outcome": text(row["outcome"]),
        "duration": row["duration"],
        "time_to_first_byte": row["first_byte"],
        "time_to_first_token": row["first_token"],
        "agent": text(row["agent"]),
        "subagent": text(row["subagent"]),
        "user": text(row["user"]),
        "properties": structure(row["properties"]) or {},
        "tags": structure(row["tags"]) or [],
        "rules": structure(row["rules"]) or [],
        "host": text(row["host"]),
        "forwarded_host": text(row["forwarded_host"]),
        "route": text(row["route"]),
        "request": {"method": text(row["method"]), "body": {"size": row["request_bytes"]}},
        "response": {"status": row["status"], "body": {"size": row["response_bytes"]}} if came else None,
    }


def json_of(value: Any) -> str | None:
    """The value as a row holds it; None if there is nothing in it."""
    return _encode(value).decode() if value else None


class Strings:
    """Texts of the index by number and back. What it knows holds within one transaction and those that follow it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._numbers: dict[str, dict[str, int]] = defaultdict(dict)
        self._alike: dict[tuple[tuple[str | None, ...], ...], int] = {}
        self._shared: dict[int, tuple[int | None, ...]] = {}
        self._texts: dict[int, str] = {}
        self._sessions: dict[str, int] = {}

    def forget(self) -> None:
        """After a transaction that was taken back."""
        for known in self._numbers.values():
            known.clear()
        self._alike.clear()
        self._shared.clear()
        self._texts.clear()
        self._sessions.clear()

    def alike(self, texts: tuple[str | None, ...], jsons: tuple[str | None, ...]) -> int:
        """The number of the row of `alike` with a call's `TEXTS` and `JSONS`; it is made if it is new."""
        known = self._alike.get((texts, jsons))
        if known is None:
            known = self.alike_of(
                None if text is None else self.number(column, text)
                for column, text in zip(SHARED, (*texts, *jsons), strict=True)
            )
            if len(self._alike) >= _MANY_TOGETHER:
                self._alike.clear()
            self._alike[texts, jsons] = known
        return known

    def alike_of(self, numbers: Iterable[int | None]) -> int:
        """The same of the numbers of these."""
        shared = tuple(numbers)
        digest = hashlib.blake2b(repr(shared).encode(), digest_size=_DIGEST).digest()
        found = self._database.execute(_FIND_ALIKE, (digest,)).fetchone()
        found = found or self._database.execute(_MAKE_ALIKE, (digest, *shared)).fetchone()
        self._keep_shared(found[0], shared)
        return int(found[0])

    def shared(self, alike: int) -> tuple[int | None, ...]:
        """The values of `SHARED` of a row of `alike`."""
        found = self._shared.get(alike)
        if found is None:
            found = self._database.execute(f"SELECT {_SHARED} FROM alike WHERE n = ?", (alike,)).fetchone()
            self._keep_shared(alike, found)
        return found

    def _keep_shared(self, alike: int, shared: tuple[int | None, ...]) -> None:
        if len(self._shared) >= _MANY_TOGETHER:
            self._shared.clear()
        self._shared[alike] = shared

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
        """The number of a session; its row is made if it is new."""
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


def process_numbers(database: sqlite3.Connection, strings: Strings, caller: int) -> tuple[int, int | None]:
    """The numbers of the id of a caller's process, and of its name."""
    id, name = database.execute("SELECT id, name FROM callers WHERE n = ?", (caller,)).fetchone()
    return strings.number("caller_id", id), None if name is None else strings.number("process", str(name))


def _number(database: sqlite3.Connection, table: str, column: str, text: str) -> int:
    insert = f"INSERT INTO {table}({column}) VALUES (?) ON CONFLICT DO NOTHING RETURNING n"
    found = database.execute(insert, (text,)).fetchone()
    if found is None:
        found = database.execute(f"SELECT n FROM {table} WHERE {column} = ?", (text,)).fetchone()
    return int(found[0])
