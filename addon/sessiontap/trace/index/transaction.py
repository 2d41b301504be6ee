"""A transaction that writes: all of it or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
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
