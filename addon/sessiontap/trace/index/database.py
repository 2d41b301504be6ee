"""The index file: made private, shared by several readers, thrown away when it is of no use.

`index.sqlite` stands in the trace folder, 0600, in WAL mode: one process brings it up to date while others read. One
that is damaged or of another version is deleted and built anew: the log has it all. If the folder cannot be written,
the index is kept in memory and built for each process.

Texts that repeat are numbered in `strings`; columns named in `rows.TEXTS` hold such numbers, lists and maps as JSON.
Sums over sessions are kept up to date with every call that is added, so that a list of sessions reads no calls.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from sessiontap.trace.files import exclusive_lock
from sessiontap.trace.index.rows import COLUMNS, COST_COLUMNS

NAME = "index.sqlite"
BUSY_SECONDS = 10.0
"""Seconds to wait for another process that brings the index up to date."""
_OTHER_TABLES = ("no such table", "no such column", "has no column", "may not be modified", "because it is a view")
_FILES = ("", "-wal", "-shm", "-journal")
_MEANING = 2
"""Raised when the same tables come to hold something else."""
_APPLICATION = 0x53544150
"""`PRAGMA application_id`: STAP."""

_TABLES = """
CREATE TABLE segments(
    n INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    id TEXT,                        -- of its header
    machine TEXT,                   -- on which its writer saw its callers
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
CREATE TABLE segment_strings(segment INTEGER, string INTEGER, PRIMARY KEY(segment, string)) WITHOUT ROWID;
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
CREATE INDEX errands ON calls(session) WHERE errand;
CREATE TABLE warm_ups(id TEXT NOT NULL, segment INTEGER NOT NULL, "offset" INTEGER NOT NULL);  -- no calls: by id alone
CREATE INDEX warm_ups_by_id ON warm_ups(id);
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
    unpriced INTEGER NOT NULL DEFAULT 0          -- calls whose cost is unknown
);
CREATE INDEX sessions_by_last ON sessions(last_time);
CREATE TABLE session_values(
    n INTEGER PRIMARY KEY, session INTEGER NOT NULL, kind TEXT NOT NULL, string INTEGER NOT NULL, first INTEGER,
    UNIQUE(session, kind, string)
);
CREATE INDEX session_callers ON session_values(string, session) WHERE kind = 'callers';
CREATE INDEX errand_callers ON session_values(string, session) WHERE kind = 'errand_callers';
CREATE INDEX errand_sessions ON sessions(n) WHERE calls = 0 AND errands > 0;
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
CREATE TABLE cost_reasons(n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE state(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE parts(
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, role TEXT, name INTEGER, id TEXT, error INTEGER,
    bytes INTEGER NOT NULL, text TEXT
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
CREATE TRIGGER calls_added AFTER INSERT ON calls BEGIN
    INSERT INTO unread_calls VALUES (new.time, new.n);
END;
CREATE TRIGGER calls_removed AFTER DELETE ON calls BEGIN
    DELETE FROM unread_calls WHERE time = old.time AND call = old.n;
END;
CREATE VIRTUAL TABLE trigrams USING fts5(text, content='parts', content_rowid='n', tokenize='trigram', detail=none);
CREATE TRIGGER parts_added AFTER INSERT ON parts WHEN new.text IS NOT NULL BEGIN
    INSERT INTO trigrams(rowid, text) VALUES (new.n, new.text);
END;
CREATE TRIGGER parts_removed AFTER DELETE ON parts WHEN old.text IS NOT NULL BEGIN
    INSERT INTO trigrams(trigrams, rowid, text) VALUES ('delete', old.n, old.text);
END;
"""

_MADE = _TABLES.format(
    columns=",\n    ".join(f'"{name}"' for name in COLUMNS),
    cost_parts=", ".join(f"{name} REAL" for name in COST_COLUMNS),
)
_VERSION = zlib.crc32(f"{_MEANING} {_MADE}".encode()) >> 1
"""`PRAGMA user_version`: a change to a table is a new version of itself."""


def open_index(folder: Path) -> sqlite3.Connection:
    """The index of `folder`, with its tables; in memory if the folder cannot be written."""
    path = folder / NAME
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if not (is_useless(error) or is_refused(error)):
            raise
        if is_useless(error):
            with contextlib.suppress(OSError, sqlite3.DatabaseError):
                discard(folder)
                return _open(path)
    except OSError:
        pass
    return in_memory()


def in_memory() -> sqlite3.Connection:
    """An index that lasts as long as the process."""
    return _made(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))


def is_useless(error: sqlite3.Error) -> bool:
    """The file is damaged, of another version, no database, or has other tables than those of its version."""
    if isinstance(error, OtherVersionError) or has_other_tables(error):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return False


def has_other_tables(error: sqlite3.Error) -> bool:
    """The file says that it is of this version, and is not: another program made it."""
    return isinstance(error, sqlite3.OperationalError) and any(words in str(error) for words in _OTHER_TABLES)


def discard(folder: Path) -> None:
    """Delete the index, unless another process has put a sound one there meanwhile."""
    with exclusive_lock(folder):
        try:
            _open(folder / NAME).close()
        except sqlite3.DatabaseError as error:
            if not is_useless(error):
                raise
        else:
            if not _has_damage(folder / NAME):
                return
        remove(folder)


def compact(connection: sqlite3.Connection) -> None:
    """Leave nothing in the file of what was taken out of it."""
    tables = ("SELECT string FROM segment_strings", "SELECT string FROM session_values")
    names = ("SELECT key FROM session_properties", "SELECT name FROM sessions", "SELECT name FROM parts")
    used = " UNION ".join((*tables, *names))
    with writing(connection):
        unused = "n NOT IN (SELECT n FROM used WHERE n NOT NULL)"
        connection.execute(f"WITH used(n) AS ({used}) DELETE FROM strings WHERE {unused}")
        connection.execute("DELETE FROM facets WHERE string NOT IN (SELECT n FROM strings)")
        connection.execute("DELETE FROM cost_reasons WHERE n NOT IN (SELECT reason FROM costs WHERE reason NOT NULL)")
        connection.execute("INSERT INTO trigrams(trigrams) VALUES ('optimize')")
    connection.execute("PRAGMA temp_store = FILE")  # it makes a copy, which need not fit in memory
    connection.execute("VACUUM")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def remove(folder: Path) -> None:
    """Delete the index and what belongs to it."""
    for end in _FILES:
        (folder / (NAME + end)).unlink(missing_ok=True)


@contextlib.contextmanager
def writing(database: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end, take back after an exception. Waits for another writer as long as the connection's timeout."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # SQLite takes some back by itself: a full disk, for one
            database.execute("ROLLBACK")
        raise


class OtherVersionError(sqlite3.DatabaseError):
    """The file is an index of another version, or no index."""


def _open(path: Path) -> sqlite3.Connection:
    for end in _FILES:
        _refuse_links(path.with_name(path.name + end))
    # Made by hand first: SQLite would give it the umask's mode, and its companions take over what it has.
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if os.name == "posix" and os.fstat(file).st_mode & 0o077:
            with contextlib.suppress(OSError):  # somebody else's
                os.fchmod(file, 0o600)
    finally:
        os.close(file)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _use_wal(connection)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            return _made(connection)
        _settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Of two that switch a new file at once SQLite refuses one without waiting, whatever the timeout says."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _refuse_links(path: Path) -> None:
    """Take away what is no file, a link above all: SQLite would write to what it leads to. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            path.unlink()


def _settle(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")  # what was pruned is not to be found in it
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA temp_store = MEMORY")


def empty(connection: sqlite3.Connection) -> None:
    """Make the tables anew, with nothing in them."""
    with writing(connection):
        # What belongs to a virtual table goes with it.
        virtual, tables = (
            [name for (name,) in connection.execute(f"SELECT name FROM sqlite_schema WHERE type = 'table' AND {which}")]
            for which in ("sql LIKE 'CREATE VIRTUAL%'", "name NOT LIKE 'sqlite%' AND name NOT LIKE 'trigrams%'")
        )
        for name in (*virtual, *tables):
            connection.execute(f'DROP TABLE IF EXISTS "{name}"')
        _make_tables(connection)


def _made(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Make the tables, in a file that has none; one of several processes does it."""
    _settle(connection)
    with writing(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version != _VERSION:
            if version or tables:
                raise OtherVersionError(f"an index of version {version}")
            _make_tables(connection)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _statements(_MADE):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _has_damage(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        return is_useless(error)


def is_refused(error: sqlite3.Error) -> bool:
    """The file cannot be opened or written: no permission, no room, a failing disk."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    refused = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    return code & 0xFF in refused
