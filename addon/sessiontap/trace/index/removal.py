"""Take calls out of the index: those of segments that went away, or that were written anew without some sessions.

The sums of the sessions that they were in are made again from the calls that are left.
"""

from __future__ import annotations

import json
import sqlite3

from sessiontap.trace.index import errand_sessions, parts, scores
from sessiontap.trace.index.costs import sum_again
from sessiontap.trace.index.labelling import Labelling
from sessiontap.trace.index.rows import ROW
from sessiontap.trace.index.segment_sums import SegmentSums
from sessiontap.trace.index.sums import Sums
from sessiontap.trace.rewriting import Rewritten


class Removal:
    """Takes calls out. For the transaction of its caller."""

    def __init__(self, database: sqlite3.Connection, labelling: Labelling, sums: Sums) -> None:
        self._database, self._labelling, self._sums = database, labelling, sums

    def remove(self, segments: list[int]) -> set[str]:
        """Forget segments; the sums of the sessions that had calls there are made again from what is left. Return the
        ids of the sessions and calls whose scores went with them."""
        self._sums.write(self._database)  # what this batch has added so far is among the rows that are left
        chosen = json.dumps(segments)
        within = "segment IN (SELECT value FROM json_each(?))"
        database = self._database
        touched = json.dumps(
            [n for (n,) in database.execute(f"SELECT DISTINCT session FROM session_segments WHERE {within}", (chosen,))]
        )
        between = "SELECT min(first_call), max(last_call) FROM segments WHERE n IN (SELECT value FROM json_each(?))"
        first, last = database.execute(between, (chosen,)).fetchone()
        if first is not None:
            calls = f"SELECT n FROM call_rows WHERE n BETWEEN {int(first)} AND {int(last)} AND {within}"
            self._forget_calls(calls, chosen)
        self._labelling.remove(chosen)
        scored = set(scores.of_segments(database, chosen))
        for table in ("callers", "notes", "problems", "warm_ups", "scores", "session_segments", "segment_alike"):
            database.execute(f"DELETE FROM {table} WHERE {within}", (chosen,))
        database.execute("DELETE FROM segments WHERE n IN (SELECT value FROM json_each(?))", (chosen,))
        self.sum_again(touched)
        return scored

    def move(self, one: Rewritten, segment: int, first: int | None, last: int | None) -> None:
        """Forget the calls that a segment has lost, and know the others where they stand now. `first` and `last`: the
        numbers of its calls lie between them."""
        database = self._database
        within = "n BETWEEN ? AND ? AND segment = ?"
        places = (first or 0, last or 0, segment)
        rows = database.execute(f'SELECT n, "offset", session FROM call_rows WHERE {within}', places).fetchall()
        gone = json.dumps([n for n, offset, _ in rows if offset not in one.moved])
        touched = json.dumps(sorted({session for _, offset, session in rows if session and offset not in one.moved}))
        self._forget_calls("SELECT value FROM json_each(?)", gone)
        moved = [(one.moved[offset], n) for n, offset, _ in rows if one.moved.get(offset, offset) != offset]
        database.executemany('UPDATE call_rows SET "offset" = ? WHERE n = ?', moved)
        callers = database.execute('SELECT n, "offset" FROM callers WHERE segment = ?', (segment,)).fetchall()
        database.executemany(
            'UPDATE callers SET "offset" = ? WHERE n = ?', [(one.moved.get(offset, offset), n) for n, offset in callers]
        )
        for table in ("problems", "warm_ups", "session_segments", "segment_alike"):
            database.execute(f"DELETE FROM {table} WHERE segment = ?", (segment,))
        sums = SegmentSums(segment)
        columns = ", ".join(f'"{name}"' for name in ROW)
        for row in database.execute(f"SELECT {columns} FROM call_rows WHERE {within}", places):
            sums.add(row)
        for id, session, began, offset in one.warm_ups:
            sums.add_warm_up(self._labelling.add_warm_up(id, segment, offset, session), began)
        database.execute(
            "UPDATE segments SET calls = 0, warm_ups = 0, body_bytes = 0, first_time = NULL, last_time = NULL, "
            'newest = NULL, id = ?, closed = ?, size = ?, changed = ?, "end" = ? WHERE n = ?',
            (one.new_id, *(one.after or ()), one.end, segment),
        )
        sums.write(database, last or 0)
        self.sum_again(touched)

    def _forget_calls(self, which: str, chosen: str) -> None:
        """Forget the calls that the question `which` names, with `chosen` as its value."""
        parts.remove(self._database, which, chosen)
        self._database.execute(f"DELETE FROM costs WHERE call IN ({which})", (chosen,))
        self._database.execute(f"DELETE FROM call_rows WHERE n IN ({which})", (chosen,))

    def sum_again(self, touched: str) -> None:
        """Make the sums of these sessions (their numbers as JSON) anew from the calls that are left."""
        database = self._database
        again = "IN (SELECT value FROM json_each(?))"
        left = f"n {again} AND NOT EXISTS (SELECT 1 FROM session_segments WHERE session = sessions.n)"
        near = errand_sessions.near(database, json.loads(touched))
        for table in ("session_values", "session_properties", "headings"):
            database.execute(f"DELETE FROM {table} WHERE session {again}", (touched,))
        database.execute(f"DELETE FROM sessions WHERE {left}", (touched,))
        database.execute(
            "UPDATE sessions SET calls = 0, errors = 0, errands = 0, started = NULL, ended = NULL, input = NULL, "
            "output = NULL, cache_read = NULL, first_time = NULL, name = NULL, last_time = NULL, rank = NULL, "
            f"judged = NULL, well = NULL, stated = NULL WHERE n {again}",
            (touched,),
        )
        columns = ", ".join(f'"{name}"' for name in ROW)
        for row in database.execute(f"SELECT {columns} FROM call_rows WHERE session {again} ORDER BY n", (touched,)):
            self._sums.add(row)
        self._sums.write(database)
        errand_sessions.find_homes(database, near)
        sum_again(database, touched)
