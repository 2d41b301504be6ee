"""The parts of calls as the index keeps them: each part once, each call as what it adds to an earlier one.

A part that comes again (agents repeat theirs with every turn) is stored once, by its digest. A call's request is stored
as the number of parts that it begins with in common with an earlier call's, and those behind them. That earlier call,
its `base`, is a matter of storage alone: the call that another one continues is its `parent`.

Texts are compressed one by one: a search reads few of them. What agents say and are told becomes a third of its size.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import zstandard

from sessiontap.part import Part, PartKind

_encode = msgspec.msgpack.Encoder().encode

TEXTS_WENT = "texts went"
"""In `state`: texts of parts were removed since the index was last compacted."""
Placed = tuple[int, int | None]
"""A part's number, and the position of its message."""

_SHORT = 100
"""Bytes of a text up to which compressing it does not pay."""
_LEVEL = 3


def packed(text: str | None) -> str | bytes | None:
    """A text as it is stored: compressed if that is smaller."""
    if text is None or len(text) <= _SHORT:
        return text
    plain = text.encode()
    small: bytes = zstandard.ZstdCompressor(level=_LEVEL).compress(plain)
    return small if len(small) < len(plain) else text


def unpacked(stored: str | bytes | None) -> str | None:
    """`packed` backwards. Raises ValueError."""
    return _unpacked(stored, zstandard.ZstdDecompressor())


def _unpacked(stored: str | bytes | None, decompressor: zstandard.ZstdDecompressor) -> str | None:
    """The same by a decompressor that serves many texts: to make one takes as long as to use it."""
    if not isinstance(stored, bytes):
        return stored
    try:
        plain: bytes = decompressor.decompress(stored)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    return plain.decode()


def add_text(database: sqlite3.Connection, part: int, text: str | None) -> None:
    """Have searches find the part by its text."""
    if text is not None:
        database.execute("INSERT INTO trigrams(rowid, text) VALUES (?, ?)", (part, text))


def digest_of(part: Part) -> bytes:
    """The digest of all that is stored of a part, wherever it stands."""
    told = (part.kind, part.role, part.name, part.id, part.error, part.bytes, part.text)
    try:
        written = _encode(told)
    except UnicodeEncodeError:  # half of a surrogate pair
        written = repr(told).encode()
    return hashlib.blake2b(written, digest_size=16).digest()


def request_list(database: sqlite3.Connection, call: int) -> list[Placed]:
    """The parts of a call's request, in order."""
    pieces: list[list[Placed]] = []
    wanted: int | None = None
    at: int | None = call
    while at is not None and wanted != 0:
        row = database.execute("SELECT base, shared FROM call_parts WHERE call = ?", (at,)).fetchone()
        base, shared = row or (None, 0)
        own = database.execute(
            "SELECT part, message FROM added_parts WHERE call = ? AND reply = 0 AND position < ? ORDER BY position",
            (at, wanted if wanted is not None else 1 << 60),
        ).fetchall()
        pieces.append(own)
        wanted = shared if wanted is None else min(shared, wanted)
        at = base
    return [placed for own in reversed(pieces) for placed in own]


def reply_list(database: sqlite3.Connection, call: int) -> list[Placed]:
    """The parts of a call's reply, in order."""
    question = "SELECT part, message FROM added_parts WHERE call = ? AND reply = 1 ORDER BY position"
    return database.execute(question, (call,)).fetchall()


class StoredPart(NamedTuple):
    """A part as it is stored once for all the places where it stands: the fields of `Part` without its message."""

    kind: PartKind
    role: str | None
    text: str | None
    bytes: int
    name: str | None
    id: str | None
    error: bool | None


def load(database: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, StoredPart]:
    """Parts by their numbers."""
    found = database.execute(
        "SELECT parts.n, kind, role, parts.text, bytes, strings.text, id, error FROM parts "
        "LEFT JOIN strings ON strings.n = name WHERE parts.n IN (SELECT value FROM json_each(?))",
        (json.dumps(list(numbers)),),
    )
    own = zstandard.ZstdDecompressor()
    return {
        n: StoredPart(kind, role, _unpacked(text, own), size, name, call_id, None if error is None else bool(error))
        for n, kind, role, text, size, name, call_id, error in found
    }


def containing(database: sqlite3.Connection, text: str) -> list[int]:
    """Numbers of the parts whose text holds `text`, without case."""
    wanted = text.casefold()
    question, values = _candidates(text)
    rows = database.execute(f"SELECT n, text FROM parts WHERE n IN ({question})", values)
    return [n for n, found in rows if wanted in (unpacked(found) or "").casefold()]


def candidates(database: sqlite3.Connection, text: str, most: int) -> list[int]:
    """Numbers of parts whose text may hold `text`, the latest `most` that were stored."""
    question, values = _candidates(text)
    order = "n" if not values else "rowid"
    return [n for (n,) in database.execute(f"{question} ORDER BY {order} DESC LIMIT ?", (*values, most))]


def _candidates(text: str) -> tuple[str, tuple[str, ...]]:
    """FTS5's trigrams name the texts that hold all of the trigrams of `text`; a shorter one may be in any."""
    folded = text.lower().replace("\0", " ")
    if len(folded) < 3:
        return "SELECT n FROM parts WHERE text IS NOT NULL", ()
    pieces = dict.fromkeys(folded[at : at + 3] for at in range(len(folded) - 2))
    query = " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)
    return "SELECT rowid FROM trigrams WHERE trigrams MATCH ?", (query,)


def remove(database: sqlite3.Connection, calls: str, chosen: str) -> None:
    """Forget the parts of the calls that the question `calls` names, with `chosen` as its value.

    Calls that are stored as changes of these are stored whole.
    """
    within = f"IN ({calls})"
    heirs = database.execute(
        f"SELECT call FROM call_parts WHERE base {within} AND call NOT {within}", (chosen, chosen)
    ).fetchall()
    for (call,) in heirs:
        request = request_list(database, call)
        database.execute("DELETE FROM added_parts WHERE call = ? AND reply = 0", (call,))
        database.executemany(
            "INSERT INTO added_parts VALUES (?, 0, ?, ?, ?, 0)",
            [(call, at, *placed) for at, placed in enumerate(request)],
        )
        database.execute("UPDATE call_parts SET base = NULL, shared = 0 WHERE call = ?", (call,))
    parts = [n for (n,) in database.execute(f"SELECT DISTINCT part FROM added_parts WHERE call {within}", (chosen,))]
    database.execute(f"DELETE FROM added_parts WHERE call {within}", (chosen,))
    database.execute(f"DELETE FROM call_parts WHERE call {within}", (chosen,))
    database.execute(f"DELETE FROM orphans WHERE call {within}", (chosen,))
    unused = "n IN (SELECT value FROM json_each(?)) AND NOT EXISTS (SELECT 1 FROM added_parts WHERE part = parts.n)"
    gone = json.dumps(parts)
    texts = database.execute(f"SELECT n, text FROM parts WHERE text NOT NULL AND {unused}", (gone,)).fetchall()
    if texts:
        forget = "INSERT INTO trigrams(trigrams, rowid, text) VALUES ('delete', ?, ?)"
        database.executemany(forget, ((n, unpacked(text)) for n, text in texts))
        database.execute("INSERT OR REPLACE INTO state VALUES (?, 1)", (TEXTS_WENT,))
        # A row moves when its neighbours go, and leaves its bytes behind: by then they are zeros.
        blank = "text = zeroblob(length(CAST(text AS BLOB))), id = zeroblob(length(CAST(id AS BLOB)))"
        database.execute(f"UPDATE parts SET {blank} WHERE {unused}", (gone,))
    database.execute(f"DELETE FROM parts WHERE {unused}", (gone,))
