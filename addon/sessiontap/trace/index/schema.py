"""The tables of the index. One of another `VERSION` is thrown away and built anew: the log has it all.

Texts that repeat are numbered in `strings`; columns named in `rows.TEXTS` hold such numbers, lists and maps as JSON.
Sums over sessions are kept up to date with every call that is added, so that a list of sessions reads no calls.
"""

from __future__ import annotations

import zlib

from sessiontap.trace.index.rows import COLUMNS

MEANING = 2
"""Raised where the same tables come to hold something else."""
APPLICATION = 0x53544150
"""`PRAGMA application_id`: STAP."""

_TABLES = """
CREATE TABLE segments(
    n INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    id TEXT,                        -- of its header
    closed INTEGER NOT NULL,
    size INTEGER NOT NULL,          -- of the file when all of it had been taken in; -1: there is more
    changed INTEGER NOT NULL,       -- the file's last change
    "end" INTEGER NOT NULL          -- behind the last intact record
);
CREATE TABLE strings(n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE facets(column TEXT, string INTEGER, PRIMARY KEY(column, string)) WITHOUT ROWID;
CREATE TABLE callers(
    n INTEGER PRIMARY KEY, segment INTEGER NOT NULL, id TEXT NOT NULL, name TEXT, process TEXT NOT NULL,
    names TEXT NOT NULL, "offset" INTEGER NOT NULL, UNIQUE(segment, id)
);
CREATE TABLE calls(
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    {columns}
);
CREATE INDEX calls_by_time ON calls(time);
CREATE INDEX calls_by_session ON calls(session, time);
CREATE INDEX calls_by_id ON calls(id);
CREATE TABLE warm_ups(id TEXT NOT NULL, segment INTEGER NOT NULL, "offset" INTEGER NOT NULL);  -- no calls: by id alone
CREATE INDEX warm_ups_by_id ON warm_ups(id);
CREATE TABLE sessions(
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    calls INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
    started INTEGER, ended INTEGER, input INTEGER, output INTEGER, cache_read INTEGER,
    first_time INTEGER, name INTEGER,
    last_time INTEGER, last_failed INTEGER
);
CREATE INDEX sessions_by_last ON sessions(last_time);
CREATE TABLE session_values(
    n INTEGER PRIMARY KEY, session INTEGER NOT NULL, kind TEXT NOT NULL, string INTEGER NOT NULL, first INTEGER,
    UNIQUE(session, kind, string)
);
CREATE TABLE session_properties(
    session INTEGER, key INTEGER, value TEXT, time INTEGER, PRIMARY KEY(session, key)
) WITHOUT ROWID;
CREATE TABLE notes(n INTEGER PRIMARY KEY, segment INTEGER NOT NULL, time INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE problems(segment INTEGER, offset INTEGER, size INTEGER, text TEXT, PRIMARY KEY(segment, offset));
CREATE TABLE costs(call INTEGER PRIMARY KEY, usd REAL NOT NULL);  -- US dollars, of calls whose cost is known
CREATE TABLE state(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE texts(n INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, text TEXT NOT NULL);
CREATE TABLE call_texts(text INTEGER, call INTEGER, PRIMARY KEY(text, call)) WITHOUT ROWID;
CREATE VIRTUAL TABLE trigrams USING fts5(text, content='texts', content_rowid='n', tokenize='trigram', detail=none);
CREATE TRIGGER texts_added AFTER INSERT ON texts BEGIN
    INSERT INTO trigrams(rowid, text) VALUES (new.n, new.text);
END;
CREATE TRIGGER texts_removed AFTER DELETE ON texts BEGIN
    INSERT INTO trigrams(trigrams, rowid, text) VALUES ('delete', old.n, old.text);
END;
"""

TABLES = _TABLES.format(columns=",\n    ".join(f'"{name}"' for name in COLUMNS))
VERSION = zlib.crc32(f"{MEANING} {TABLES}".encode()) >> 1
"""`PRAGMA user_version`: a change to a table is a new version of itself."""
