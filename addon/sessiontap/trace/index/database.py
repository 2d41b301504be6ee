"""The index file: made private, shared by several readers, thrown away when it is of no use.

`index.sqlite` stands in the trace folder, 0600, in WAL mode: one process brings it up to date while others read. One
that is damaged or of another version is deleted and built anew: the log has it all. If the folder cannot be written,
the index is kept in memory and built for each process.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from sessiontap.trace.files import exclusive_lock
from sessiontap.trace.index import parts, tables
from sessiontap.trace.index.packed_ids import pack_id
from sessiontap.trace.index.rows import SHARED

NAME = "index.sqlite"
BUSY_SECONDS = 10.0
"""Seconds to wait for another process that brings the index up to date."""
_OTHER_TABLES = ("no such table", "no such column", "has no column", "may not be modified", "because it is a view")
_FILES = ("", "-wal", "-shm", "-journal")
_APPLICATION = 0x53544150
"""`PRAGMA application_id`: STAP."""


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
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.create_function("pack_id", 1, pack_id, deterministic=True)
    return _made(connection)


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
    """Leave nothing in the file of the texts that were taken out of it: what was asked, answered, named, or failed.

    It takes as long as what was taken out is large, and the tables of `_WITH_TEXTS`, which are small beside the calls.
    SQLite overwrites what it deletes (`secure_delete`), but a row that it moved to another page before that stands in
    the old page still. So tables whose rows move are written anew, and texts of parts, which do not move until they are
    deleted, are overwritten first (`parts.remove`).
    """
    texts = (*(f'SELECT "{name}" FROM alike' for name in SHARED), "SELECT string FROM session_values")
    names = ("SELECT key FROM session_properties", "SELECT name FROM sessions", "SELECT name FROM parts")
    used = " UNION ".join((*texts, *names))
    connection.execute("PRAGMA temp_store = FILE")  # copies need not fit in memory
    with writing(connection):
        connection.execute("DELETE FROM alike WHERE n NOT IN (SELECT alike FROM segment_alike)")
        unused = "n NOT IN (SELECT n FROM used WHERE n NOT NULL)"
        connection.execute(f"WITH used(n) AS ({used}) DELETE FROM strings WHERE {unused}")
        connection.execute("DELETE FROM facets WHERE string NOT IN (SELECT n FROM strings)")
        connection.execute("DELETE FROM cost_reasons WHERE n NOT IN (SELECT reason FROM costs WHERE reason NOT NULL)")
        for table in _WITH_TEXTS:
            _write_anew(connection, table)
        if connection.execute("DELETE FROM state WHERE key = ? RETURNING 1", (parts.TEXTS_WENT,)).fetchone():
            connection.execute("INSERT INTO trigrams(trigrams) VALUES ('optimize')")
            _write_anew(connection, "trigrams_data")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA incremental_vacuum").fetchall()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


_WITH_TEXTS = (
    "strings", "session_properties", "headings", "callers", "notes", "labels", "scores", "recorded", "problems",
)  # fmt: skip
"""Tables with texts whose rows are inserted, changed and deleted anywhere in them."""


def _write_anew(connection: sqlite3.Connection, table: str) -> None:
    """Overwrite all pages of a table, and insert its rows again."""
    connection.execute(f"CREATE TEMP TABLE copied AS SELECT * FROM {table}")
    connection.execute(f"DELETE FROM {table}")
    connection.execute(f"INSERT INTO {table} SELECT * FROM copied")
    connection.execute("DROP TABLE copied")


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
        is_new = os.fstat(file).st_size == 0
        if os.name == "posix" and os.fstat(file).st_mode & 0o077:
            with contextlib.suppress(OSError):  # somebody else's
                os.fchmod(file, 0o600)
    finally:
        os.close(file)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.create_function("pack_id", 1, pack_id, deterministic=True)
        _use_wal(connection, is_new)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != tables.VERSION:
            return _made(connection)
        settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, is_new: bool) -> None:
    """Of two that switch a new file at once SQLite refuses one without waiting, whatever the timeout says."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            if is_new:  # so that `compact` can make it smaller; in another file it would wait for whoever writes
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
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


def settle(connection: sqlite3.Connection) -> None:
    """Set up a connection as all but a first build need it."""
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")  # what was pruned is not to be found in it
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA temp_store = MEMORY")


def limit(connection: sqlite3.Connection, cache_bytes: int) -> None:
    """Keep no more pages of the file in memory, and what is sorted in temporary files."""
    connection.execute(f"PRAGMA cache_size = -{cache_bytes // 1024}")
    connection.execute("PRAGMA temp_store = FILE")


def empty(connection: sqlite3.Connection) -> None:
    """Make the tables anew, with nothing in them."""
    with writing(connection):
        # What belongs to a virtual table goes with it.
        virtual, plain = (
            [name for (name,) in connection.execute(f"SELECT name FROM sqlite_schema WHERE type = 'table' AND {which}")]
            for which in ("sql LIKE 'CREATE VIRTUAL%'", "name NOT LIKE 'sqlite%' AND name NOT LIKE 'trigrams%'")
        )
        connection.execute("DROP VIEW IF EXISTS calls")
        for name in (*virtual, *plain):
            connection.execute(f'DROP TABLE IF EXISTS "{name}"')
        tables.make(connection)


def _made(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Make the tables, in a file that has none; one of several processes does it."""
    settle(connection)
    with writing(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (found,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version != tables.VERSION:
            if version or found:
                raise OtherVersionError(f"an index of version {version}")
            tables.make(connection)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {tables.VERSION}")
    return connection


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
