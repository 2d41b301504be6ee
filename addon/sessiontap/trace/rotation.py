"""The segment that is being written: when it ends and the next one begins, and when it is synced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sessiontap.trace.losses import Losses
from sessiontap.trace.note import note_record
from sessiontap.trace.segment import Segment

_LOOK_SECONDS = 1.0
"""How often the segment's name is looked for."""


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
        self.segment: Segment | None = None
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

    def opened(self) -> Segment:
        """The segment; a new one where there is none."""
        if self.segment is not None:
            return self.segment
        try:
            segment = Segment(self._folder, self._info, self._named)
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
        """The segment is to be left: it is full (and synced now), old, or no longer there (which is said)."""
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

    def _sync(self, segment: Segment) -> None:
        try:
            segment.sync()
        except OSError as error:
            raise DiskError(error) from error
