"""Assign connections to workers: all of one key, a process tree or a client's address, go to one worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from sessiontap.bounded_dict import BoundedDict

MOST_KEYS = 50_000
"""Keys whose worker is remembered: as many as a worker remembers sessions."""
RESTART_PATIENCE = 10.0
"""Seconds that a key waits for its worker to be started again, before another one takes it."""
_AGAIN = 0.1
"""Seconds between two looks for a worker that is up, if none is."""


class AssignableWorker(Protocol):
    """The part of a worker by which one is chosen."""

    up: asyncio.Event
    """It takes connections."""
    connections: int
    """Open connections that it was given."""
    keys: int
    """Keys that are assigned to it; counted here."""


class Assignment[W: AssignableWorker]:
    """For the loop alone."""

    def __init__(self, workers: Sequence[W], most_keys: int = MOST_KEYS) -> None:
        self._workers = workers
        self._of: BoundedDict[str, W] = BoundedDict(most_keys, self._forget)

    async def worker(self, key: str) -> W:
        """Return the worker of a key, once it is up.

        A worker that is being started again reads its sessions from the log, so its keys wait for it.
        """
        worker = self._of.get(key) or self._assign(key)
        patience = RESTART_PATIENCE
        while not worker.up.is_set():
            try:
                await asyncio.wait_for(worker.up.wait(), patience)
            except TimeoutError:
                now = self._of.get(key)
                worker = self._assign(key) if now is None or now is worker else now
                patience = _AGAIN
        return worker

    def _assign(self, key: str) -> W:
        """Give a key to the worker with the fewest open connections, of several to the one with the fewest keys."""
        before = self._of.pop(key)
        if before is not None:
            before.keys -= 1
        worker = min(self._workers, key=lambda one: (not one.up.is_set(), one.connections, one.keys))
        worker.keys += 1
        self._of.put(key, worker)
        return worker

    def _forget(self, key: str, worker: W) -> None:
        worker.keys -= 1
