"""The tables of the index, and what finds calls in them.

Texts that repeat are numbered in `strings`; columns named in `rows.TEXTS` and `rows.JSONS` hold such numbers, those of
lists and maps as JSON. Most calls have them all in common with others: such a row stands once, in `alike`. `calls` is a
view of both, which is what answers read; `call_rows` is written. Sums over sessions are kept up to date with every call
that is added, so that a list of sessions reads no calls.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator

from sessiontap.trace.index.packed_ids import id_text
from sessiontap.trace.index.rows import COST_COLUMNS, ROW, SHARED

_MEANING = 4
"""Raised when the same tables come to hold something else."""

GROUP_KEYS = (
    "errand", "session_name", "path", "request_model", "response_model", "caller", "segment", "provider", "operation",
    "agent", "user", "outcome", "properties",
)  # fmt: skip
"""The columns that `group_sums` have in common with `calls`, beside the session."""
_TABLES = """
CREATE TABLE segments(
    n INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    id TEXT,                        -- of its header
    machine TEXT,                   -- on which its writer saw its callers
    host TEXT,                      -- the name of that machine; the folder's if the header has none
    closed INTEGER NOT NULL,
    size INTEGER NOT NULL,          -- of the file when all of it had been taken in; -1: there is more
    changed INTEGER NOT NULL,       -- the file's last change
    "end" INTEGER NOT NULL,         -- behind the last intact record
    calls INTEGER NOT NULL DEFAULT 0, warm_ups INTEGER NOT NULL DEFAULT 0, body_bytes INTEGER NOT NULL DEFAULT 0,
    first_time INTEGER, last_time INTEGER,       -- starts of its calls
    newest INTEGER,                              -- the last start, of warm-ups, too
    first_call INTEGER, last_call INTEGER        -- the calls' numbers stand between these
);
CREATE TABLE session_segments(                   -- how many calls, and warm-ups, of a session stand in a segment
    session INTEGER, segment INTEGER, calls INTEGER NOT NULL, warm_ups INTEGER NOT NULL, PRIMARY KEY(session, segment)
) WITHOUT ROWID;
CREATE INDEX session_segments_by_segment ON session_segments(segment);
CREATE TABLE segment_alike(segment INTEGER, alike INTEGER, PRIMARY KEY(segment, alike)) WITHOUT ROWID;
CREATE TABLE strings(n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE facets(column TEXT, string INTEGER, PRIMARY KEY(column, string)) WITHOUT ROWID;
CREATE TABLE callers(
    n INTEGER PRIMARY KEY, segment INTEGER NOT NULL, id TEXT NOT NULL, name TEXT, process TEXT NOT NULL,
    names TEXT NOT NULL, "offset" INTEGER NOT NULL, UNIQUE(segment, id)
);
CREATE TABLE call_rows(
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    {row}
);
CREATE TABLE alike(n INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, {shared});
CREATE VIEW calls AS
SELECT call_rows.n AS n, {id} AS id, call_rows.id AS packed_id, {columns}
FROM call_rows LEFT JOIN alike ON alike.n = call_rows.alike;  -- LEFT: so SQLite reads it only if it is asked
CREATE TABLE recorded(                           -- of calls that labels change: what was recorded
    call INTEGER PRIMARY KEY, session TEXT, name TEXT, path TEXT, properties TEXT, tags TEXT, step INTEGER
);
CREATE INDEX recorded_by_session ON recorded(session);
CREATE TABLE warm_ups(                           -- no calls: by id alone
    id TEXT NOT NULL, segment INTEGER NOT NULL, "offset" INTEGER NOT NULL,
    session INTEGER, recorded TEXT               -- as labels have it, and the id of the one that it was recorded in
);
CREATE INDEX warm_ups_by_id ON warm_ups(id);
CREATE TABLE labels(n INTEGER PRIMARY KEY, segment INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE scores(
    n INTEGER PRIMARY KEY, segment INTEGER NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL,
    kind TEXT NOT NULL, target TEXT NOT NULL,    -- a session or a call, and its id
    name TEXT, value TEXT, number REAL,          -- in JSON, and as a number: a bool is 0 or 1
    note TEXT, "by" TEXT, source TEXT,
    current INTEGER NOT NULL DEFAULT 0           -- no later one stands for it, and it takes nothing away
);
CREATE INDEX scores_by_target ON scores(target, name);
CREATE INDEX current_scores ON scores(name, kind) WHERE current;
CREATE TABLE sessions(
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    calls INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
    errands INTEGER NOT NULL DEFAULT 0,  -- they count as no calls
    started INTEGER, ended INTEGER, input INTEGER, output INTEGER, cache_read INTEGER,
    first_time INTEGER, name INTEGER,
    last_time INTEGER,
    rank INTEGER, judged INTEGER, well INTEGER,  -- of the call that tells how it ended: 2 a main one, 0 an errand
    stated INTEGER,                              -- how it ended, by its properties
    usd REAL, {cost_parts},                      -- of the calls whose cost is known
    unpriced INTEGER NOT NULL DEFAULT 0,         -- calls whose cost is unknown
    summed INTEGER NOT NULL DEFAULT 0,           -- calls, and errands, that `group_sums` are of; -1: there are none
    home INTEGER                                 -- of one of nothing but errands: the session that it belongs to
);
CREATE INDEX sessions_by_last ON sessions(last_time);
CREATE TABLE session_values(
    n INTEGER PRIMARY KEY, session INTEGER NOT NULL, kind TEXT NOT NULL, string INTEGER NOT NULL, first INTEGER,
    UNIQUE(session, kind, string)
);
CREATE INDEX session_callers ON session_values(string, session) WHERE kind = 'callers';
CREATE INDEX errand_callers ON session_values(string, session) WHERE kind = 'errand_callers';
CREATE INDEX errand_sessions ON sessions(home) WHERE calls = 0 AND errands > 0;
CREATE INDEX sessions_by_home ON sessions(home) WHERE home NOT NULL;
CREATE TABLE session_properties(
    session INTEGER, key INTEGER, value TEXT, time INTEGER, PRIMARY KEY(session, key)
) WITHOUT ROWID;
CREATE TABLE headings(
    session INTEGER PRIMARY KEY,
    calls INTEGER NOT NULL,         -- of the session when they were read, errands included
    title TEXT, last_reply TEXT
);
CREATE TABLE notes(n INTEGER PRIMARY KEY, segment INTEGER NOT NULL, time INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE problems(segment INTEGER, offset INTEGER, size INTEGER, text TEXT, PRIMARY KEY(segment, offset));
CREATE TABLE costs(                              -- US dollars; `reason`: why it is unknown, else it is no model's call
    call INTEGER PRIMARY KEY, usd REAL, {cost_parts}, reason INTEGER
);
CREATE TABLE group_sums(                         -- of the calls of a session that are alike, once all are priced
    session INTEGER NOT NULL, {group_keys},
    calls INTEGER NOT NULL, failed INTEGER NOT NULL, input REAL, output REAL, cache_read REAL,
    usd REAL, priced INTEGER NOT NULL, unpriced INTEGER NOT NULL, {cost_parts},
    started INTEGER NOT NULL, ended INTEGER NOT NULL,
    durations TEXT, first_tokens TEXT            -- separated by commas
);
CREATE INDEX group_sums_by_session ON group_sums(session);
CREATE TABLE cost_reasons(n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE state(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE parts(
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, role TEXT, name INTEGER, id TEXT, error INTEGER,
    bytes INTEGER NOT NULL, text                 -- a longer one compressed (`parts.packed`)
);
CREATE TABLE call_parts(
    call INTEGER PRIMARY KEY,       -- of a call that was read
    base INTEGER, shared INTEGER    -- its request begins with so many parts of the request of the call `base`
);
CREATE INDEX call_parts_by_base ON call_parts(base) WHERE base IS NOT NULL;
CREATE TABLE added_parts(           -- the other parts of the request, and those of the reply
    call INTEGER, reply INTEGER, position INTEGER, part INTEGER NOT NULL, message INTEGER,
    sent_back INTEGER NOT NULL,     -- it stood in the reply of the base
    PRIMARY KEY(call, reply, position)
) WITHOUT ROWID;
CREATE INDEX added_parts_by_part ON added_parts(part);
CREATE TABLE orphans(parent TEXT, call INTEGER, PRIMARY KEY(parent, call)) WITHOUT ROWID;  -- read before their parent
CREATE INDEX orphans_by_call ON orphans(call);
CREATE TABLE unread_calls(time INTEGER, call INTEGER, PRIMARY KEY(time, call)) WITHOUT ROWID;
CREATE TRIGGER calls_removed AFTER DELETE ON call_rows BEGIN
    DELETE FROM unread_calls WHERE time = old.time AND call = old.n;
    DELETE FROM recorded WHERE call = old.n;
END;
CREATE VIRTUAL TABLE trigrams USING fts5(text, content='', tokenize='trigram', detail=none);  -- of the texts of parts
"""

_MADE = _TABLES.format(
    row=", ".join(f'"{name}"' for name in ROW),
    shared=", ".join(f'"{name}"' for name in SHARED),
    id=id_text("call_rows.id"),
    columns=", ".join(f'"{name}"' for name in (*ROW, *SHARED) if name != "id"),
    group_keys=", ".join(GROUP_KEYS),
    cost_parts=", ".join(f"{name} REAL" for name in COST_COLUMNS),
)
LOOK_UPS = {
    "calls_by_time": "CREATE INDEX calls_by_time ON call_rows(time)",
    "calls_by_session": "CREATE INDEX calls_by_session ON call_rows(session, time)",
    "calls_by_id": "CREATE INDEX calls_by_id ON call_rows(id)",
    "errands": "CREATE INDEX errands ON call_rows(session) WHERE errand",
    "calls_added": "CREATE TRIGGER calls_added AFTER INSERT ON call_rows "
    "BEGIN INSERT INTO unread_calls VALUES (new.time, new.n); END",
}
"""The SQL of what finds calls, by name: all that a call costs beside its row (`first_build`)."""
VERSION = zlib.crc32(f"{_MEANING} {_MADE} {LOOK_UPS}".encode()) >> 1
"""`PRAGMA user_version`: a change to a table is a new version of itself."""


def make(connection: sqlite3.Connection) -> None:
    """Make all of it, within the transaction of the caller."""
    for statement in (*_statements(_MADE), *LOOK_UPS.values()):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
