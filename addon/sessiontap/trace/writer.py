"""The writer: a bounded queue in, whole records out, on a thread of its own.

The proxy hands over a function that makes the records; parsing, redaction, compression and the disk are this thread's
work. `submit` never waits and never raises. What cannot be kept is counted and told (notes.py); if the segment
cannot be written a new one (rotation.py) is tried every `retry_seconds`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sessiontap.trace import frame
from sessiontap.trace.files import TraceError
from sessiontap.trace.notes import Losses, OnFault, note_record
from sessiontap.trace.pack import Packer
from sessiontap.trace.rotation import DiskError, OpenSegment, Rotation

Make = Callable[[], Iterable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Stats:
    """The work of a writer so far. `dropped` counts by reason; `written` counts maps, `bytes` with their frames."""

    queued: int
    queued_bytes: int
    written: int
    bytes: int
    dropped: dict[str, int] = field(default_factory=dict)
    segment: Path | None = None
    failing: str | None = None
    """The disk's fault at the moment; None if it works."""


@dataclass(slots=True)
class _Flush:
    done: threading.Event


class Writer:
    """Writes records to segments of its own in `folder`.

    `writer_info`: pid, host, versions, for the segment's header. `fsync_seconds`: at most this much is lost when the
    machine fails (0: every record is synced, None: left to the system; a killed process alone never loses what was
    written). `index_bytes`: the bytes of earlier bodies that later ones may be deltas of. `on_fault(kind, text)` is
    called on the writer's thread (for a full queue: on the one that submits), at most every ten minutes for each kind.
    Its limits are parameters, so that tests reach them with little data.

    The writer's thread calls `on_idle` whenever its queue is empty and when the disk works again, and `on_left` with
    each segment that it has left.
    """

    def __init__(
        self,
        folder: Path,
        *,
        writer_info: Mapping[str, Any],
        fsync_seconds: float | None = 5.0,
        max_queue_records: int = 10_000,
        max_queue_bytes: int = 256 << 20,
        index_bytes: int = 72 << 20,
        rotate_bytes: int = 64 << 20,
        rotate_seconds: float = 86_400.0,
        retry_seconds: float = 1.0,
        on_fault: OnFault | None = None,
        on_idle: Callable[[], None] | None = None,
        on_left: Callable[[Path], None] | None = None,
    ) -> None:
        self._folder = folder
        self._fsync_seconds = fsync_seconds
        self._max_records = max_queue_records
        self._max_bytes = max_queue_bytes
        self._retry_seconds = retry_seconds
        self._on_idle = on_idle
        self._queue: queue.SimpleQueue[tuple[Make, int] | _Flush | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._queued = 0
        self._queued_bytes = 0
        self._losses = Losses(on_fault)
        self._accepting = False
        self._abandon = threading.Event()
        self._thread: threading.Thread | None = None
        # The rest belongs to the writer's thread.
        self._rotation = Rotation(
            folder,
            writer_info,
            self._losses,
            fsync_seconds=fsync_seconds,
            rotate_bytes=rotate_bytes,
            rotate_seconds=rotate_seconds,
            on_left=on_left,
        )
        self._retry_at = 0.0
        self._failing: str | None = None
        self._callers: dict[str, dict[str, Any]] = {}
        self._packer = Packer(index_bytes)
        self._written = 0
        self._bytes = 0

    def start(self) -> None:
        """Make the folder and the first segment, start the thread. A folder that cannot be written is tried again."""
        try:
            self._rotation.opened()
        except DiskError as error:
            self._failed(error)
        self._accepting = True
        self._thread = threading.Thread(target=self._run, name="sessiontap-trace", daemon=True)
        self._thread.start()

    def submit(self, make: Make, size: int) -> bool:
        """Have the maps that `make` gives written; `size` is about how many bytes wait with it. False: dropped.

        `make` runs once, on the writer's thread, or never. Of caller maps those already in the segment are left out.
        """
        with self._lock:
            if not self._accepting:
                reason = "closed"
            elif self._queued >= self._max_records or (self._queued and self._queued_bytes + size > self._max_bytes):
                reason = "queue"
            else:
                self._queued += 1
                self._queued_bytes += size
                self._queue.put((make, size))
                return True
        self._losses.drop(reason)
        return False

    def note(self, kind: str, text: str, **facts: Any) -> bool:
        """Have a note written: plain values, already redacted."""
        record = note_record(kind, text, **facts)
        return self.submit(lambda: (record,), 256)

    def count(self, reason: str) -> None:
        """Count a record that did not come to be handed over."""
        self._losses.drop(reason)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was handed over so far is written or dropped, and synced. False: time was up."""
        if self._thread is None or not self._thread.is_alive():
            return False
        request = _Flush(threading.Event())
        self._queue.put(request)
        return request.done.wait(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Write what is queued and end. False: time was up, and what was left is counted as dropped."""
        with self._lock:
            self._accepting = False
        if self._thread is None:
            return True
        self._queue.put(None)
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return True
        self._abandon.set()
        self._thread.join(0.2)
        left = self._queued
        if left:
            self._losses.drop("closed", left)
        return False

    def stats(self) -> Stats:
        segment = self._rotation.segment
        return Stats(
            queued=self._queued,
            queued_bytes=self._queued_bytes,
            written=self._written,
            bytes=self._bytes,
            dropped=self._losses.dropped,
            segment=segment.path if segment else None,
            failing=self._failing,
        )

    # What follows runs on the writer's thread.

    def _run(self) -> None:
        while not self._abandon.is_set():
            try:
                item = self._queue.get(timeout=self._patience())
            except queue.Empty:
                before = self._failing
                self._tend()
                if self._failing != before and self._on_idle is not None:
                    self._on_idle()
                continue
            if item is None:
                break
            if isinstance(item, _Flush):
                self._tend(now=True)
                item.done.set()
                continue
            make, size = item
            try:
                self._keep(make)
            finally:
                with self._lock:
                    self._queued -= 1
                    self._queued_bytes -= size
            del item, make
            self._tend()
            if self._on_idle is not None and self._queue.empty():
                self._on_idle()
        self._tend(now=True)
        self._rotation.leave()

    def _patience(self) -> float | None:
        """Seconds until something is due without a new record."""
        if self._failing or self._losses.untold:
            return self._retry_seconds
        segment = self._rotation.segment
        if segment is not None and segment.dirty:
            return self._fsync_seconds
        return None

    def _keep(self, make: Make) -> None:
        """Make the records and write them."""
        if self._failing and time.monotonic() < self._retry_at:
            self._losses.drop("disk")
            return
        try:
            self._rotate()
            for record in make():
                if record.get("type") == "caller":
                    # A process may change its name, folder or program: what differs is written again.
                    if self._callers.get(record["id"]) == record:
                        continue
                    self._append(frame.encode(record))
                    self._callers[record["id"]] = record
                elif record.get("type") == "call":
                    self._append_call(record)
                else:
                    self._append(frame.encode(record))
        except DiskError as error:
            self._losses.drop("disk")
            self._failed(error)
        except Exception as error:
            self._losses.drop("fault")
            self._losses.report(f"record:{type(error).__name__}", f"a call could not be recorded: {error!r}")

    def _append_call(self, call: dict[str, Any]) -> None:
        """Write a call whose bodies are whole."""
        self._append(frame.encode(self._packer.at(call, self._rotation.opened().size)))
        self._packer.written()

    def _append(self, data: bytes) -> None:
        self._rotation.append(data)
        self._written += 1
        self._bytes += len(data)
        if self._failing:
            self._failing = None

    def _rotate(self) -> None:
        if self._rotation.is_over():
            self._leave()

    def _leave(self) -> None:
        self._rotation.leave()
        self._callers.clear()
        self._packer.clear()

    def _failed(self, error: DiskError) -> None:
        self._failing = str(error)
        self._retry_at = time.monotonic() + self._retry_seconds
        self._leave()
        self._losses.report("disk", f"records are lost: {self._folder} cannot be written ({self._failing})")

    def _tend(self, now: bool = False) -> None:
        """Do what is due between records: tell what was lost, sync, notice that the disk works again."""
        moment = time.monotonic()
        try:
            if self._losses.untold and (now or moment >= self._retry_at):
                self._rotate()
                self._losses.tell(lambda note: self._append(frame.encode(note)))
                self._retry_at = moment + self._retry_seconds
            self._rotation.sync_due(moment, now)
        except DiskError as error:
            self._failed(error)


def check(folder: Path) -> None:
    """See that a segment can be made in `folder`. Raises TraceError."""
    try:
        segment = OpenSegment(folder, {})
        segment.close()
        segment.path.unlink()
    except OSError as error:
        raise TraceError(
            f"the trace folder {folder} cannot be written: {error.strerror or error}",
            "Choose another with --set session_trace=DIR or SESSIONTAP_TRACE=DIR.",
        ) from None
