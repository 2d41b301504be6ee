"""The proxy's side of the recorder's process: a bounded queue towards it, its events, and another process if it dies.

`submit` never waits and never raises. A thread sends what is queued: at once if nothing was sent lately, else a few
milliseconds later together with more. Another one listens. What could not be handed over is counted by reason, said
once, and noted in the log as soon as that is possible:

    queue   the queue was full in calls or in bytes without their bodies (which have their own, see `budget`): the
            recorder does not keep up, or hangs
    died    the recorder died with calls that it had not written yet
    fault   the call could not be put into a message (`count`)
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sessiontap.callers import Caller
from sessiontap.recording import wire
from sessiontap.recording.budget import Lease, Shares
from sessiontap.recording.finished import Event, Handled, PlannerUpdate, ReplyRead, Start
from sessiontap.recording.recorder_process import Receipt, RecorderProcess

_BATCH = 256
_HURRY = wire.message(wire.HURRY)
_OVERHEAD = 2048
_AGAIN_SECONDS = (0.0, 0.0, 1.0, 5.0, 30.0)
"""Before a recorder is started again, by how many have died soon after their start."""
_SOON_SECONDS = 60.0


class _Item(NamedTuple):
    pieces: list[bytes]
    """Of a message; empty: only to wake the thread that sends."""
    size: int
    """Bytes without the bodies."""
    leases: Sequence[Lease]
    """Of the memory that its bodies take: it is free when they are sent."""
    update: PlannerUpdate | None
    """The planner's update about a call if its reply never comes to be read."""
    caller: Caller | None
    counts: bool = True
    """Something of it is written."""
    receipt: Receipt | None = None
    """It learns when all before it is sent."""


class Handle:
    """A recorder. `start` returns the settings of a new process.

    `on_events` and `on_fault(kind, text)` are called on threads of its own.
    """

    def __init__(
        self,
        start: Callable[[], Start],
        on_events: Callable[[Sequence[Event]], None],
        on_fault: Callable[[str, str], None],
        *,
        max_calls: int = 10_000,
        max_bytes: int = Shares().heads,
        linger_seconds: float = 0.02,
    ) -> None:
        self._start = start
        self._on_events = on_events
        self._on_fault = on_fault
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._linger = linger_seconds
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._queued = 0
        self._queued_bytes = 0
        self._dropped: Counter[str] = Counter()
        """By reason, until it is noted in the log."""
        self._not_handed_over = 0
        self._not_written = 0
        """The same by the recorders."""
        self._full_said = False
        self._hurry = threading.Event()
        self._closing = threading.Event()
        self._ended = 0.0
        """When the last process was found dead."""
        self._early_deaths = 0
        self._process: RecorderProcess | None = self._start_process()
        self._process.send(wire.message(wire.START, start()))
        self._sender = threading.Thread(target=self._send_all, name="sessiontap-send", daemon=True)
        self._sender.start()

    def submit(
        self,
        pieces: list[bytes],
        leases: Sequence[Lease] = (),
        update: PlannerUpdate | None = None,
        caller: Caller | None = None,
    ) -> bool:
        """Queue a message, with the leases of its bodies. False: it was dropped, which is counted and noted.

        For a call: `update` is what the planner is told if the call is lost; `caller` is sent before the call, unless
        the recorder knows it.
        """
        size = len(pieces[0]) + _OVERHEAD
        with self._lock:
            full = self._queued >= self._max_calls or (self._queued and self._queued_bytes + size > self._max_bytes)
            if not full and not self._closing.is_set():
                self._queued += 1
                self._queued_bytes += size
                self._queue.put(_Item(pieces, size, leases, update, caller))
                return True
            if self._closing.is_set():
                return False
            self._dropped["queue"] += 1
            self._not_handed_over += 1
            first, self._full_said = not self._full_said, True
        if first:
            self._on_fault("queue", "records are lost: the queue to the recorder is full")
        return False

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the process has come up, or `timeout` seconds."""
        process = self._process
        return process is not None and process.is_up.wait(timeout)

    def count(self, reason: str, number: int = 1) -> None:
        """Count records that could not be handed over."""
        if number:
            with self._lock:
                self._dropped[reason] += number
                self._not_handed_over += number

    def hurry(self) -> None:
        """Have the queue sent and read at once. If it is full, the recorder hangs: do nothing."""
        with self._lock:
            if self._queued >= self._max_calls:
                return
            self._queued += 1
        self._queue.put(_Item(_HURRY, 0, (), None, None, counts=False))
        self._hurry.set()

    def receipt(self) -> Receipt:
        """Send the queue at once. The receipt tells when all of it is written."""
        receipt = Receipt()
        with self._lock:
            self._queued += 1
        self._queue.put(_Item(_HURRY, 0, (), None, None, counts=False, receipt=receipt))
        self._hurry.set()
        return receipt

    def close(self, timeout: float) -> bool:
        """Have the queue written, then end. False: it is not done yet; the recorder goes on by itself."""
        deadline = time.monotonic() + timeout
        self._closing.set()
        self._queue.put(None)
        self._hurry.set()
        self._sender.join(timeout)
        process = self._process
        if self._sender.is_alive():
            return False
        return process is None or process.wait(deadline - time.monotonic())

    def untold(self) -> dict[str, int]:
        """Return the records, by reason, that are lost and that the log will not tell of. For after `close`.

        `closed` counts messages that could not be sent in time; the last of them may have been.
        """
        process = self._process
        with self._lock:
            lost = self._dropped.copy()
            if self._sender.is_alive():
                lost["closed"] += self._queued
        if process is not None and process.is_over:
            lost.update(process.lost())
        return dict(+lost)

    @property
    def lost(self) -> int:
        """Records that could not be handed over, or not be written, all in all."""
        return self._not_handed_over + self._not_written

    @property
    def failing(self) -> str | None:
        """Why the recorder cannot write records at the moment, as far as it says; None if it can."""
        process = self._process
        return process.failing if process is not None else None

    @property
    def is_alive(self) -> bool:
        """The recorder's process runs."""
        process = self._process
        return process is not None and not process.is_over

    @property
    def pid(self) -> int | None:
        """Of the recorder's process."""
        process = self._process
        return process.popen.pid if process is not None else None

    @property
    def waiting(self) -> int:
        """Messages that are queued or being sent."""
        return self._queued

    # -- sending -------------------------------------------------------------------------------------------------------

    def _send_all(self) -> None:
        going = True
        while going:
            batch, going = self._batch()
            try:
                self._send(batch)
                for item in batch:
                    if item.receipt is not None:
                        item.receipt.sent(self._process)
            except Exception as error:  # of ours; later items are sent all the same
                self.count("fault", sum(item.counts for item in batch))
                self._on_fault("recorder", f"records are lost: {type(error).__name__}: {error}")
            finally:
                self._free(batch)
            if going and self._linger:
                self._hurry.wait(self._linger)
                self._hurry.clear()
        if self._process is not None:
            with contextlib.suppress(OSError, ValueError):
                last = self._dropped_note(self._process) if self._dropped else []
                self._process.send([*last, *wire.message(wire.END)])
            with contextlib.suppress(OSError):
                self._process.into.close()

    def _free(self, batch: list[_Item]) -> None:
        """Free the memory of items that are sent, or lost."""
        with self._lock:
            self._queued -= len(batch)
            self._queued_bytes -= sum(item.size for item in batch)
        for item in batch:
            for lease in item.leases:
                lease.end()
        batch.clear()  # else it is held until the next call comes

    def _batch(self) -> tuple[list[_Item], bool]:
        """Return the queued items, at least one, and whether there will be more."""
        batch: list[_Item] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == _BATCH or self._queue.empty():
                return batch, True
            item = self._queue.get()
        return batch, False

    def _send(self, batch: list[_Item]) -> None:
        if self._process is not None and self._process.is_over:
            self._reap(self._process)
        batch = [item for item in batch if item.pieces]
        process = self._running_process() if batch else self._process
        if process is None:
            self.count("died", sum(item.counts for item in batch))
            self._on_events([ReplyRead(item.update, None) for item in batch if item.update is not None])
            return
        pieces = self._dropped_note(process) if self._dropped else []
        for item in batch:
            if item.caller is not None and process.callers.get(item.caller.id) is not item.caller:
                process.callers.put(item.caller.id, item.caller)
                pieces += wire.message(wire.CALLER, item.caller)
            pieces += item.pieces
            process.sent += item.counts
            if item.update is not None:
                process.unread.put(item.update.call_id, item.update)
        if pieces:
            try:
                process.send(pieces)
            except (OSError, ValueError):
                self._reap(process)

    def _dropped_note(self, process: RecorderProcess) -> list[bytes]:
        with self._lock:
            lost, self._dropped, self._full_said = dict(self._dropped), Counter(), False
        return process.drop_note(lost)

    # -- the process: all but `_read_events` is for the thread that sends ----------------------------------------------

    def _running_process(self) -> RecorderProcess | None:
        """Return the process, started again if it has died; waits if it dies all the time. None: it cannot be."""
        if self._process is None:
            wait = _AGAIN_SECONDS[min(self._early_deaths, len(_AGAIN_SECONDS) - 1)] - (time.monotonic() - self._ended)
            if wait > 0:
                self._closing.wait(wait)
            try:
                self._process = self._start_process()
            except OSError as error:
                self._ended = time.monotonic()
                self._early_deaths += 1
                self._on_fault("recorder", f"the recorder cannot be started: {error}")
                return None
            try:
                self._process.send(wire.message(wire.START, self._start()))
            except OSError:  # it has died at once
                self._reap(self._process)
        return self._process

    def _start_process(self) -> RecorderProcess:
        process = RecorderProcess(self._read_events)
        process.listener.start()
        return process

    def _read_events(self, process: RecorderProcess) -> None:
        for events in wire.events_from(process.out.fileno()):
            process.is_up.set()
            for event in events:
                if isinstance(event, ReplyRead):
                    process.unread.pop(event.update.call_id)
                elif isinstance(event, Handled):
                    process.handled, process.failing = event.count, event.failing
                    with self._lock:
                        self._not_written += event.dropped - process.dropped
                    process.dropped = event.dropped
            try:
                self._on_events(events)
            except Exception as error:  # ours; the recorder is heard all the same
                with contextlib.suppress(Exception):
                    text = f"an event could not be handled: {type(error).__name__}: {error}"
                    self._on_fault("recorder", text)
        with contextlib.suppress(OSError):
            process.out.close()  # to one that still speaks, we are gone
        process.is_over = True
        process.is_up.set()
        if not self._closing.is_set():
            with self._lock:
                self._queued += 1
            self._queue.put(_Item([], 0, (), None, None, counts=False))

    def _reap(self, process: RecorderProcess) -> None:
        """Count the calls that a dead process had not written."""
        how = process.reap()
        self._process, self._ended = None, time.monotonic()
        self._early_deaths = self._early_deaths + 1 if self._ended - process.began < _SOON_SECONDS else 0
        lost = process.lost()
        died = lost.pop("died", 0)
        with self._lock:
            self._dropped.update(lost)  # the log was not told after all
        self.count("died", died)
        what = f"records are lost (up to {died})" if died else "no record is lost"
        self._on_fault("recorder", f"the recorder {how}; {what}. It is started again with the next call")
        self._on_events([ReplyRead(update, None) for _, update in process.unread.items()])
