"""The index file: made private, shared by several readers, thrown away when it is of no use.

`index.sqlite` stands in the trace folder, 0600, in WAL mode: one process brings it up to date while others read. One
that is damaged or of another version is deleted and built anew. Where the folder cannot be written, the index is kept
in memory and built for each process.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from sessiontap.trace.folder import exclusive_lock
from sessiontap.trace.index import schema
from sessiontap.trace.index.rows import JSONS, TEXTS

NAME = "index.sqlite"
BUSY_SECONDS = 10.0
"""How long one waits for another process that brings the index up to date."""
_OTHER_TABLES = ("no such table", "no such column", "has no column", "may not be modified", "because it is a view")
_FILES = ("", "-wal", "-shm", "-journal")


def open_index(folder: Path) -> sqlite3.Connection:
    """The index of `folder`, with its tables; in memory where the folder cannot be written."""
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
    used = " UNION ".join(f'SELECT "{column}" FROM calls' for column in (*TEXTS, *JSONS))
    used += " UNION SELECT string FROM session_values UNION SELECT key FROM session_properties"
    with writing(connection):
        unused = "n NOT IN (SELECT n FROM used WHERE n NOT NULL)"
        connection.execute(f"WITH used(n) AS ({used}) DELETE FROM strings WHERE {unused}")
        connection.execute("DELETE FROM facets WHERE string NOT IN (SELECT n FROM strings)")
        connection.execute("INSERT INTO trigrams(trigrams) VALUES ('optimize')")
    connection.execute("VACUUM")
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
        connection.execute("PRAGMA journal_mode = WAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != schema.VERSION:
            return _made(connection)
        _settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection


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
        if version != schema.VERSION:
            if version or tables:
                raise OtherVersionError(f"an index of version {version}")
            _make_tables(connection)
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION}")
            connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _statements(schema.TABLES):
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
