"""The columns that only some questions need: the texts of a search, and what calls cost.

Each is brought up to date when somebody asks for it. For texts, bodies are unpacked and read by the `TextsOf` of
whoever opened the trace. A text that comes again (agents repeat theirs with every turn) is stored once. A search finds
any piece of a text, without case: FTS5's trigrams name the texts that may hold it, which are then compared. A cost is
the opinion of `Prices`, formed once for each call, and again when the prices change.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sessiontap.trace.body import BodyError, BodyReader
from sessiontap.trace.files import open_segment
from sessiontap.trace.index.database import writing
from sessiontap.trace.views import CostOf
from sessiontap.trace.walk import read_at

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Called with the calls that are done and all that there are."""
TextsOf = Callable[[Record, bytes | None, bytes | None], Iterable[str]]
"""The texts of a call's record, its request body and its response body."""
TEXTS_BATCH, COSTS_BATCH = 2_000, 10_000
"""Calls in one transaction."""
LONGEST = 1_000_000
"""Characters of a text that are searched."""
_TEXTS, _COSTS, _PRICES = "texts", "costs", "prices"
"""In `state`: the last call whose texts are taken in; the last that was priced, and by which prices."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The source of costs. `version` names all that the answer depends on: price list, the user's own rates."""

    cost_of: CostOf
    version: str


def add_texts(
    database: sqlite3.Connection, folder: Path, texts_of: TextsOf, progress: Progress | None = None
) -> None:
    """Take in the texts of the calls that the index has got since."""
    bodies = BodyReader()
    while True:
        done, newest = _state(database)
        if done >= newest:
            return
        with writing(database):
            done, newest = _state(database)
            rows = database.execute(
                'SELECT calls.n, name, "offset" FROM calls JOIN segments ON segments.n = segment '
                "WHERE calls.n > ? ORDER BY calls.n LIMIT ?",
                (done, TEXTS_BATCH),
            ).fetchall()
            done = rows[-1][0] if rows else newest
            for call, place, record in _records(database, folder, rows):
                for text in _texts(place, record, bodies, texts_of):
                    _add(database, call, text)
            database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_TEXTS, done))
        if progress is not None:
            progress(done, newest)


def add_costs(
    database: sqlite3.Connection,
    prices: Prices,
    records: Callable[[sqlite3.Connection, str, list[Any]], Iterable[tuple[int, Record]]],
    progress: Progress | None = None,
) -> None:
    """Form an opinion on the calls that have none by these prices. `records` gives calls by their numbers."""
    while True:
        (newest,) = database.execute("SELECT coalesce(max(n), 0) FROM calls").fetchone()
        if _priced(database, prices.version) >= newest:
            return
        with writing(database):
            done = _priced(database, prices.version)
            if not done:
                database.execute("DELETE FROM costs")
            calls = list(records(database, "WHERE calls.n > ? ORDER BY calls.n LIMIT ?", [done, COSTS_BATCH]))
            costs = [(n, usd) for n, record in calls if (usd := prices.cost_of(record)) is not None]
            database.executemany("INSERT OR REPLACE INTO costs VALUES (?, ?)", costs)
            done = calls[-1][0] if calls else newest
            database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_COSTS, done))
            database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_PRICES, prices.version))
        if progress is not None:
            progress(done, max(newest, done))


def containing(database: sqlite3.Connection, text: str) -> list[int]:
    """Numbers of the texts that hold `text`, without case."""
    wanted = text.casefold()
    folded = text.lower().replace("\0", " ")
    if len(folded) < 3:
        rows = database.execute("SELECT n, text FROM texts")
    else:
        pieces = dict.fromkeys(folded[at : at + 3] for at in range(len(folded) - 2))
        query = " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)
        rows = database.execute(
            "SELECT n, text FROM texts WHERE n IN (SELECT rowid FROM trigrams WHERE trigrams MATCH ?)", (query,)
        )
    return [n for n, found in rows if wanted in found.casefold()]


def _state(database: sqlite3.Connection) -> tuple[int, int]:
    done = database.execute("SELECT value FROM state WHERE key = ?", (_TEXTS,)).fetchone()
    (newest,) = database.execute("SELECT coalesce(max(n), 0) FROM calls").fetchone()
    return (done[0] if done else 0), newest


def _records(
    database: sqlite3.Connection, folder: Path, rows: list[tuple[int, str, int]]
) -> Iterator[tuple[int, tuple[Path, int], Record]]:
    """The records of calls; those whose file is gone or damaged are left out."""
    for name, calls in groupby(rows, key=lambda row: row[1]):
        try:
            with open_segment(folder / name) as file:
                for call, _, offset in calls:
                    record = read_at(file, offset)
                    if record is not None and record["type"] == "call":
                        yield call, (folder / name, offset), record
        except OSError:
            continue


def _texts(place: tuple[Path, int], record: Record, bodies: BodyReader, texts_of: TextsOf) -> list[str]:
    """The texts of a call; none if it is damaged or of a shape that their reader does not expect."""
    try:
        found: dict[str, bytes | None] = {}
        for side in ("request", "response"):
            stored = (record.get(side) or {}).get("body")
            found[side] = bodies.decode(*place, side, stored) if stored is not None else None
        return list(texts_of(record, found["request"], found["response"]))
    except (BodyError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return []  # the call is found by its other columns alone


def _add(database: sqlite3.Connection, call: int, text: str) -> None:
    kept = text[:LONGEST].replace("\0", " ").encode("utf-8", "replace")
    digest = hashlib.blake2b(kept, digest_size=16).digest()
    found = database.execute("SELECT n FROM texts WHERE digest = ?", (digest,)).fetchone()
    if found is None:
        found = database.execute(
            "INSERT INTO texts(digest, text) VALUES (?, ?) RETURNING n", (digest, kept.decode())
        ).fetchone()
    database.execute("INSERT OR IGNORE INTO call_texts VALUES (?, ?)", (found[0], call))


def _priced(database: sqlite3.Connection, version: str) -> int:
    """The last call that these prices were asked about."""
    state = dict(database.execute("SELECT key, value FROM state WHERE key IN (?, ?)", (_COSTS, _PRICES)))
    return int(state[_COSTS]) if state.get(_PRICES) == version else 0
