"""The segment that is being written: made, appended to, synced, left for the next one.

The writer's thread alone calls this. Every record goes out in one write, so that a process that is killed leaves whole
records and at most a part of its last one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sessiontap import private
from sessiontap.trace import frame
from sessiontap.trace.files import FORMAT, SUFFIX, VERSION
from sessiontap.trace.notes import Losses, note_record

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOOK_SECONDS = 1.0
"""Seconds between two looks at the segment's name."""


class ShortWriteError(OSError):
    """The disk took only a part of a record."""


class OpenSegment:
    """A segment that this process writes, locked. Methods raise OSError; after one the segment is closed for good."""

    def __init__(self, folder: Path, writer: Mapping[str, Any], after: int = 0, suffix: str = SUFFIX) -> None:
        """A new segment in `folder` (made 0700 if missing), named by a time later than `after` (Unix ns)."""
        self.named = max(time.time_ns() // 1000 * 1000, after + 1000)
        private.make(folder)
        moment = datetime.fromtimestamp(self.named // 1_000_000_000, UTC)
        stamp = f"{moment:%Y%m%dT%H%M%S}.{self.named // 1000 % 1_000_000:06}Z"
        self.path = folder / f"{stamp}-{os.getpid()}-{secrets.token_hex(3)}{suffix}"
        self.size = 0
        self.records = 0
        self.dirty = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o600)
        try:
            self._lock()
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

    @classmethod
    def going_on(cls, path: Path) -> Self:
        """Return the plain segment `path`, to append to. The caller sees to it that nobody else writes or closes it."""
        self = cls.__new__(cls)
        self.path, self.records, self.dirty = path, 0, False
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._file = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
        self._lock()
        self.size = os.fstat(self._file).st_size
        return self

    def _lock(self) -> None:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(self._file, fcntl.LOCK_EX)

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
        """True if the file has lost its name: nobody would find what is written to it now."""
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


class DiskError(Exception):
    """The disk's fault, not that of what makes a record (which may open files too)."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))


class Rotation:
    """One segment after another in `folder`, made when something is to be written. Methods raise DiskError.

    `info`: about the writer, for their headers. `fsync_seconds`: 0 syncs every record, None leaves it to the system.
    """

    def __init__(
        self,
        folder: Path,
        info: Mapping[str, Any],
        losses: Losses,
        *,
        fsync_seconds: float | None,
        rotate_bytes: int,
        rotate_seconds: float,
        on_left: Callable[[Path], None] | None = None,
    ) -> None:
        self.segment: OpenSegment | None = None
        self._folder = folder
        self._info = dict(info)
        self._losses = losses
        self._fsync_seconds = fsync_seconds
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._on_left = on_left
        self._named = 0
        self._opened = 0.0
        self._synced = 0.0
        self._looked = 0.0

    def opened(self) -> OpenSegment:
        """The segment; a new one if there is none."""
        if self.segment is not None:
            return self.segment
        try:
            segment = OpenSegment(self._folder, self._info, self._named)
        except OSError as error:
            raise DiskError(error) from error
        self._named = segment.named
        self._opened = self._looked = self._synced = time.monotonic()
        self.segment = segment
        return segment

    def append(self, data: bytes) -> None:
        segment = self.segment or self.opened()
        try:
            segment.append(data)
            if self._fsync_seconds == 0:
                segment.sync()
        except OSError as error:
            raise DiskError(error) from error

    def is_over(self) -> bool:
        """The segment is to be left: it is full (and synced now), old, or no longer there (which is reported)."""
        segment = self.segment
        if segment is None:
            return False
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            if segment.vanished():
                text = f"the segment {segment.path} was taken away with {segment.records} records"
                self._losses.report("vanished", text)
                self._losses.note(note_record("vanished", text, records=segment.records))
                return True
        old = segment.records and now - self._opened >= self._rotate_seconds
        if not old and segment.size < self._rotate_bytes:
            return False
        if segment.dirty and self._fsync_seconds is not None:
            self._sync(segment)
        return True

    def sync_due(self, moment: float, now: bool) -> None:
        """Sync what is not yet, when it is time at `moment` (monotonic), or `now`."""
        segment = self.segment
        if segment is None or not segment.dirty or self._fsync_seconds is None:
            return
        if now or moment - self._synced >= self._fsync_seconds:
            self._synced = moment
            self._sync(segment)

    def leave(self) -> None:
        """End the segment; `on_left` is told."""
        segment, self.segment = self.segment, None
        if segment is not None:
            segment.close()
            if self._on_left is not None:
                self._on_left(segment.path)

    def _sync(self, segment: OpenSegment) -> None:
        try:
            segment.sync()
        except OSError as error:
            raise DiskError(error) from error
