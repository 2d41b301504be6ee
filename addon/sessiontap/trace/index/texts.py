"""Full text: what the newest user message and the reply of each call say, and the system prompt.

Bodies have to be unpacked and read for it, so it is brought up to date only when somebody searches. A text that comes
again (agents repeat theirs with every turn) is kept once. Found is any piece of a text, without case: FTS5's trigrams
name the texts that may hold it, which are then looked at.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sessiontap.trace.body import BodyError
from sessiontap.trace.deltas import DeltaReader
from sessiontap.trace.files import open_segment
from sessiontap.trace.index.database import writing
from sessiontap.trace.walk import read_at

Record = dict[str, Any]
BATCH = 2_000
"""Calls in one transaction."""
LONGEST = 1_000_000
"""Characters of a text that are searched."""
_DONE = "texts"
"""In `state`: the last call whose texts are taken in."""


def catch_up(
    database: sqlite3.Connection, folder: Path, progress: Callable[[int, int], None] | None = None, batch: int = BATCH
) -> None:
    """Take in the texts of the calls that the index has got since. `progress` is told calls done and calls in all."""
    deltas = DeltaReader()
    while True:
        done, newest = _state(database)
        if done >= newest:
            return
        with writing(database):
            done, newest = _state(database)
            rows = database.execute(
                'SELECT calls.n, name, "offset" FROM calls JOIN segments ON segments.n = segment '
                "WHERE calls.n > ? ORDER BY calls.n LIMIT ?",
                (done, batch),
            ).fetchall()
            done = rows[-1][0] if rows else newest
            for call, path, record in _records(database, folder, rows):
                for text in _texts(path, record, deltas):
                    _add(database, call, text)
            database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_DONE, done))
        if progress is not None:
            progress(done, newest)


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
    done = database.execute("SELECT value FROM state WHERE key = ?", (_DONE,)).fetchone()
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


def _texts(place: tuple[Path, int], record: Record, deltas: DeltaReader) -> Iterator[str]:
    from sessiontap.exchange import Headers, Request, Response
    from sessiontap.llm.call import Endpoint
    from sessiontap.llm.read import read_reply, read_request

    try:
        bodies = {}
        for side in ("request", "response"):
            stored = (record.get(side) or {}).get("body")
            bodies[side] = deltas.decode(*place, side, stored) if isinstance(stored, dict) else None
        if not any(bodies.values()):
            return
        llm, sent, came = record.get("llm") or {}, record["request"], record.get("response")
        endpoint = Endpoint(
            llm.get("provider"),
            llm.get("family") or "other",
            llm.get("operation") or "other",
            record.get("route") or "",
        )
        url = urlsplit(sent.get("url") or "")
        request = Request(
            sent.get("method") or "", record.get("host") or "", url.path or "/", Headers(()), bodies["request"]
        )
        call = read_request(request, endpoint)
        yield from (text for text in (call.asked.prompt, call.asked.message) if text)
        if came and bodies["response"] and came.get("status"):
            whole = record.get("outcome") in ("ok", "http_error")
            reply = read_reply(call, request, Response(came["status"], Headers(()), bodies["response"], whole))
            said = [reply.text or "", *(f"{tool.name} {tool.arguments or ''}" for tool in reply.tool_calls)]
            if text := "\n".join(filter(None, said)):
                yield text
    except (BodyError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return  # damaged, or by a writer that has other ideas: found by its other columns alone


def _add(database: sqlite3.Connection, call: int, text: str) -> None:
    kept = text[:LONGEST].replace("\0", " ").encode("utf-8", "replace")
    digest = hashlib.blake2b(kept, digest_size=16).digest()
    found = database.execute("SELECT n FROM texts WHERE digest = ?", (digest,)).fetchone()
    if found is None:
        found = database.execute(
            "INSERT INTO texts(digest, text) VALUES (?, ?) RETURNING n", (digest, kept.decode())
        ).fetchone()
    database.execute("INSERT OR IGNORE INTO call_texts VALUES (?, ?)", (found[0], call))
