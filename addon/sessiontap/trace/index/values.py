"""The values that the calls of a segment share (`trace/shared.py`), kept for the calls that come to it later."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgpack  # type: ignore[import-untyped]


def of_segment(database: sqlite3.Connection, segment: int) -> dict[int, Any]:
    """Number -> value."""
    rows = database.execute("SELECT number, value FROM shared WHERE segment = ?", (segment,))
    return {number: msgpack.unpackb(value) for number, value in rows}


def of_file(database: sqlite3.Connection, name: str) -> dict[int, Any]:
    """Number -> value of the segment in the file `name`."""
    (segment,) = database.execute("SELECT n FROM segments WHERE name = ?", (name,)).fetchone() or (None,)
    return of_segment(database, segment) if segment is not None else {}


def keep(database: sqlite3.Connection, segment: int, values: Mapping[int, Any]) -> None:
    """Take in what a segment has more."""
    database.executemany(
        "INSERT OR REPLACE INTO shared VALUES (?, ?, ?)",
        [(segment, number, msgpack.packb(value)) for number, value in values.items()],
    )
