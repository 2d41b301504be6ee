"""The memory that a request takes while it is read: decoded, and as the objects of its JSON."""

from __future__ import annotations

from sessiontap.llm.content_encoding import HARMLESS, LIMIT, Decoded, decode
from sessiontap.llm.large_bodies import Room, measured
from sessiontap.recording.budget import ReadingLease


class ReadingMemory:
    """The memory that reading one request takes. On the thread for large ones it may be waited for."""

    def __init__(self, lease: ReadingLease, patience: float = 0) -> None:
        self.lease = lease
        self.was_refused = False
        self._patience = patience
        self._decoded = 0

    def decoded(self, wire: bytes, encodings: str | None) -> Decoded:
        """Decode a body, as far as there is memory."""
        if not encodings:
            return decode(wire, encodings)
        most = min(LIMIT, max(HARMLESS, self.lease.budget.most))
        decoded = decode(wire, encodings, limit=most, fits=lambda size: self._reach(2 * size))  # in pieces and as one
        self._decoded = len(decoded.data)
        self.lease.shrink(self._decoded)
        return decoded

    def room(self) -> Room:
        """Return the memory for the objects of a body that was decoded."""
        return Room(lambda size: self.lease.read(self._decoded + size), lambda size: self._reach(self._decoded + size))

    def _reach(self, size: int) -> bool:
        if self.lease.read(size, self._patience):
            return True
        self.was_refused = True
        return False

    def settle(self, body: bytes | None) -> None:
        """Count what a body became, no longer the worst: its call has to wait, and takes memory from other bodies."""
        budget = self.lease.budget
        if body is not None and budget.read > budget.reading:
            self.lease.shrink(self._decoded + measured(body).memory)
