"""Notes: what a reader of the log should know beside the calls; above all, which records a writer lost and why.

Losses are counted by reason, reported once, and noted in the log as soon as writing works:

    queue   the queue was full in records or bytes
    disk    the segment could not be written (full, failing, gone)
    fault   making the record failed
    closed  handed over after `close`, or left over when its time was up
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

OnFault = Callable[[str, str], None]

_REPORT_AGAIN_SECONDS = 600.0
"""A fault that goes on, or comes back, is reported again after this long."""


def note_record(kind: str, text: str, /, **facts: Any) -> dict[str, Any]:
    """A `note` map: records that were lost, faults, rule changes. `facts` are plain values, already redacted."""
    return {**facts, "type": "note", "time": time.time_ns(), "kind": kind, "text": text}


class Losses:
    """The records that were lost so far, and those of them that the log does not tell yet.

    `note` and `tell` are for the writer's thread.

    `on_fault(kind, text)` is called on the thread that reports, at most every ten minutes for each kind.
    """

    def __init__(self, on_fault: OnFault | None) -> None:
        self._on_fault = on_fault
        self._lock = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._told: dict[str, float] = {}
        self._notes: list[dict[str, Any]] = []

    @property
    def dropped(self) -> dict[str, int]:
        """All that were lost, by reason."""
        return dict(self._dropped)

    @property
    def untold(self) -> bool:
        """There is something that the log does not say yet."""
        return bool(self._untold or self._notes)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count records that are lost."""
        with self._lock:
            self._dropped[reason] += count
            self._untold[reason] += count
        if reason in ("queue", "closed"):
            text = "the queue is full" if reason == "queue" else "the trace is closed"
            self.report(reason, f"records are lost: {text}")

    def report(self, kind: str, text: str) -> None:
        """Report a fault, unless it was reported lately."""
        now = time.monotonic()
        if now < self._told.get(kind, now):
            return
        self._told[kind] = now + _REPORT_AGAIN_SECONDS
        if self._on_fault is not None:
            with contextlib.suppress(Exception):
                self._on_fault(kind, text)

    def note(self, record: dict[str, Any]) -> None:
        """Have a note told with the next ones."""
        self._notes.append(record)

    def tell(self, write: Callable[[dict[str, Any]], None]) -> None:
        """`write` notes of all that is untold; what it raises is passed on, and what it did not take stays untold."""
        while self._notes:
            write(self._notes[0])
            self._notes.pop(0)
        with self._lock:
            lost, self._untold = dict(self._untold), Counter()
        if not lost:
            return
        count = sum(lost.values())
        reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(lost.items()))
        try:
            were = "record was" if count == 1 else "records were"
            write(note_record("dropped", f"{count} {were} lost ({reasons})", dropped=lost))
        except BaseException:
            with self._lock:
                self._untold.update(lost)
            raise
