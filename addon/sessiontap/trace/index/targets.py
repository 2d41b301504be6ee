"""The segments in which the calls and sessions stand that labels and scores are for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

_NEWEST = """
SELECT name FROM calls JOIN segments ON segments.n = segment
WHERE calls.id IN (SELECT value FROM json_each(?))
    OR session IN (SELECT +n FROM sessions WHERE id IN (SELECT value FROM json_each(?)))
ORDER BY time DESC LIMIT 1
"""
_UNDONE = """
SELECT name FROM labels JOIN segments ON segments.n = segment WHERE json_extract(record, '$.id') = ?
"""


def segment_of(database: sqlite3.Connection, record: Mapping[str, Any]) -> str | None:
    """The name of the segment of the newest call that a label or score is for, or of the label that it undoes."""
    if undone := record.get("undoes"):
        found = database.execute(_UNDONE, (undone,)).fetchone()
    else:
        calls = [*record.get("calls", ()), record.get("call")]
        sessions = [*record.get("sessions", ()), record.get("session") if record["type"] == "score" else None]
        found = database.execute(_NEWEST, (json.dumps(calls), json.dumps(sessions))).fetchone()
    return None if found is None else str(found[0])
