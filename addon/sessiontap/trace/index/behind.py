"""The calls behind a position of `trace.backlog`, without reading them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple


class Behind(NamedTuple):
    """The calls that a reader has not taken yet, agents' errands left out."""

    calls: int
    oldest: int | None
    """When the oldest of them began, in Unix nanoseconds; None if there is none."""


def behind(database: sqlite3.Connection, position: Mapping[str, Any], since: int) -> Behind:
    """Count the calls behind a position that began at `since` or later."""
    done = json.dumps(list(position.get("done", ())))
    begun = {name: offset for name, (_, offset, _) in position.get("open", {}).items()}
    found = database.execute(
        'SELECT count(*), min(time) FROM calls JOIN segments ON segments.n = segment '
        "LEFT JOIN json_each(?) AS begun ON begun.key = segments.name "
        'WHERE NOT errand AND time >= ? AND calls."offset" >= coalesce(begun.value, 0) '
        "AND segments.name NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(begun), since, done),
    ).fetchone()
    return Behind(*found)
