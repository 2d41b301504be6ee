"""One segment file as its writer sees it: made 0600 and locked, appended to a record at a time, never shared.

The lock says to readers that the segment is being written: a record that ends too early at its tail is no damage yet.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from sessiontap import private
from sessiontap.trace import frame

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = "sessiontap-trace"
VERSION = 2
"""1 had values that calls share in records of their own."""
SUFFIX = ".mpk"
_FRESH_SECONDS = 60.0
"""Without locks a segment changed this lately counts as live."""


class ShortWriteError(OSError):
    """The disk took only a part of a record."""


class Segment:
    """An open segment. Methods raise OSError; after one the segment is closed for good."""

    def __init__(self, folder: Path, writer: Mapping[str, Any], after: int = 0) -> None:
        """A new segment in `folder` (made 0700 where missing), named by a time later than `after` (Unix ns)."""
        self.named = max(time.time_ns() // 1000 * 1000, after + 1000)
        private.make(folder)
        moment = datetime.fromtimestamp(self.named // 1_000_000_000, UTC)
        stamp = f"{moment:%Y%m%dT%H%M%S}.{self.named // 1000 % 1_000_000:06}Z"
        self.path = folder / f"{stamp}-{os.getpid()}-{secrets.token_hex(3)}{SUFFIX}"
        self.size = 0
        self.records = 0
        self.dirty = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o600)
        try:
            if fcntl is not None:
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(self._file, fcntl.LOCK_EX)
            header = {
                "type": "segment",
                "format": FORMAT,
                "version": VERSION,
                "id": str(uuid.uuid4()),
                "writer": dict(writer),
                "started": self.named,
            }
            self.append(frame.encode(header))
            self.records = 0
        except BaseException:
            self.close()
            self.path.unlink(missing_ok=True)
            raise

    def append(self, record: bytes) -> None:
        """One record in one write; what a full disk took of it is taken back."""
        written = os.write(self._file, record)
        if written < len(record):
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise ShortWriteError(f"it took only {written} of a record's {len(record)} bytes: is the disk full?")
        self.size += written
        self.records += 1
        self.dirty = True

    def sync(self) -> None:
        os.fsync(self._file)
        self.dirty = False

    def vanished(self) -> bool:
        """Its name is gone or another file has it: what is written now nobody will find."""
        try:
            there, own = os.stat(self.path), os.fstat(self._file)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino)

    def close(self) -> None:
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1


def is_live(file: BinaryIO) -> bool:
    """A writer has this open segment."""
    if fcntl is None:
        return time.time() - os.fstat(file.fileno()).st_mtime < _FRESH_SECONDS
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def is_left(file: BinaryIO) -> bool:
    """No writer has this open segment. False also where that cannot be known: on a file system without locks."""
    if fcntl is None:
        return not is_live(file)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_UN)
    except OSError:
        return False
    return True


def is_ours(header: Mapping[str, Any]) -> bool:
    """A segment with this header is of a format that can be read here."""
    return header.get("format") == FORMAT and header.get("version") == VERSION
