"""The memory that recording may hold: one size for the proxy and its recorder together, and how it is divided.

    5 sixteenths   the proxy: bodies of calls in flight, frames of WebSockets, and the queue to the recorder
    4 sixteenths   the recorder: calls from when they are read until they are written, with what decoding, reading and
                   redacting them takes; a call that needs more waits until it is alone, and may then have `alone`
    2 sixteenths   the recorder's index: earlier bodies that new ones are stored as changes of
    5 sixteenths   nobody: the memory that was freed and that the allocators keep, and what waits for the collector. A
                   part of it (`reading`) is lent to the proxy for requests that it reads while bodies have all its own

Whoever holds bytes has a `Lease` of a `Budget`. A lease that may not grow cuts its body: the call passes untouched, its
record stays, and its flags say which body is not whole.

A body may grow to as much as is still free for others. So one download takes half of that at most, sixteen at a time a
seventeenth each, and the small bodies of other calls always find room.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

DEFAULT = 256 << 20
LEAST = 16 << 20
"""Less holds no request of an agent."""
COPIES = 3
"""Copies of a body that the recorder holds while it is decoded, read, redacted, compressed and written."""


@dataclass(frozen=True, slots=True)
class Shares:
    """The division of `total` bytes."""

    total: int = DEFAULT

    @property
    def proxy(self) -> int:
        """Bytes of bodies that the proxy holds."""
        return self.total * 5 // 16 - self.heads

    @property
    def heads(self) -> int:
        """Bytes of queued records without their bodies: bodies leave it free, so that records find room."""
        return self.total // 16

    @property
    def reading(self) -> int:
        """Bytes beyond `proxy` for requests that are read: rules go by them, whatever bodies take."""
        return self.total * 3 // 32

    @property
    def recorder(self) -> int:
        return self.total // 4

    @property
    def alone(self) -> int:
        """Bytes that one call may take in the recorder while it holds no other: of what is nobody's, too."""
        return max(self.recorder, self.bodies * COPIES)

    @property
    def index(self) -> int:
        return self.total // 8

    @property
    def body(self) -> int:
        """Bytes that are kept of one body, and that it may have when it is decoded."""
        return min(self.total // 8, 100 << 20)

    @property
    def bodies(self) -> int:
        """Bytes that are kept of a call's two bodies together."""
        return self.body * 5 // 4


class Budget:
    """So many bytes, shared by leases. For any thread."""

    def __init__(
        self,
        limit: int,
        most: int | None = None,
        together: int | None = None,
        alone: int | None = None,
        reading: int = 0,
    ) -> None:
        """`most`: bytes of one body, `together`: of a call's two; they are no larger than the limit anyway. `alone`:
        bytes that a holder may `reach` while nobody else has any. `reading`: bytes beyond the limit for readers."""
        self.limit = limit
        self.most = limit if most is None else most
        self.together = limit if together is None else together
        self.alone = limit if alone is None else alone
        self.reading = reading
        self.used = 0
        self.read = 0
        """Bytes of `used` that are for reading."""
        self._lock = threading.RLock()  # it may be taken again: the collector may end a lease anywhere
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        """Holders that wait for what others give back; to tell nobody takes six times as long as to give."""

    def take(self, size: int, held: int = 0) -> bool:
        """Take `size` bytes more for a holder of `held`. False: less would be left for others than it would have."""
        with self._lock:
            if held + size > self.free:
                return False
            self.used += size
            return True

    @property
    def free(self) -> int:
        """Bytes that bodies may still take."""
        return self.limit - self.used + min(self.read, self.reading)

    def take_to_read(self, size: int, held: int = 0, patience: float = 0) -> bool:
        """Take `size` bytes more of those for reading, and beyond them of the bodies', for a reader of `held`. False:
        they would have less left than that. Waits `patience` seconds at most for what other readers give back."""
        until = time.monotonic() + patience if patience else 0.0
        with self._lock:
            while not self._leaves_enough(size):
                left = until - time.monotonic() if patience and self.read > held else 0
                if left <= 0 or not self._wait(left):
                    return False
            self.used += size
            self.read += size
            return True

    def _leaves_enough(self, size: int) -> bool:
        beyond = max(0, self.read + size - self.reading) - max(0, self.read - self.reading)
        return beyond <= self.free - beyond

    def force(self, size: int, to_read: bool = False) -> None:
        """Take `size` bytes that are already in use."""
        with self._lock:
            self.used += size
            self.read += size * to_read

    def wait(self, size: int, held: int = 0) -> None:
        """Take `size` bytes more for a holder of `held` as soon as there are so many, or nobody else has any."""
        with self._lock:
            while self.used > held and self.used + size > self.limit:
                self._wait()
            self.used += size

    def give(self, size: int, to_read: bool = False) -> None:
        """Give back `size` bytes."""
        with self._lock:
            self.used -= size
            self.read -= size * to_read
            if self._waiting:
                self._changed.notify_all()

    def _wait(self, timeout: float | None = None) -> bool:
        self._waiting += 1
        try:
            return self._changed.wait(timeout)
        finally:
            self._waiting -= 1


class Lease:
    """The bytes of a budget that one holder has. Given back when it is ended, or when nobody holds it any more."""

    __slots__ = ("budget", "size")
    to_read = False

    def __init__(self, budget: Budget, size: int = 0) -> None:
        """`size` bytes that were taken already."""
        self.budget = budget
        self.size = size

    @classmethod
    def of(cls, budget: Budget, size: int) -> Lease:
        """A lease of what is already in use."""
        budget.force(size)
        return cls(budget, size)

    def grow(self, size: int) -> bool:
        """Take `size` bytes more. False: they may not be had."""
        if not self.budget.take(size, self.size):
            return False
        self.size += size
        return True

    def grow_to(self, size: int) -> bool:
        """Have at least `size` bytes. False: they may not be had at once."""
        return size <= self.size or self.grow(size - self.size)

    def hold(self, size: int) -> bool:
        """Have at least `size` bytes, which are in use whether there is room for them or not. Returns True."""
        if size > self.size:
            self.budget.force(size - self.size, self.to_read)
            self.size = size
        return True

    def use(self, size: int) -> None:
        """Have `size` bytes more, which are in use whether there is room for them or not."""
        self.hold(self.size + size)

    def reach(self, size: int) -> bool:
        """Have at least `size` bytes; waits for what others give back. False: it is more than one holder may have."""
        if size > self.size:
            if size > self.budget.alone:
                return False
            self.budget.wait(size - self.size, self.size)
            self.size = size
        return True

    def shrink(self, size: int) -> None:
        """Keep only `size` bytes."""
        if size < self.size:
            freed, self.size = self.size - size, size
            self.budget.give(freed, self.to_read)

    def end(self) -> None:
        """Give all of it back."""
        self.shrink(0)

    def __del__(self) -> None:
        self.shrink(0)


class ReadingLease(Lease):
    """The bytes that a request takes while it is read."""

    __slots__ = ()
    to_read = True

    def read(self, size: int, patience: float = 0) -> bool:
        """Have at least `size` bytes, after `patience` seconds at most. False: they may not be had."""
        if size > self.size:
            if not self.budget.take_to_read(size - self.size, self.size, patience):
                return False
            self.size = size
        return True
