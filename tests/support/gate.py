"""Meeting points between a test's own thread and a handler in the server's loop: what tests use instead of sleeping."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.dialogue import Request, Respond

PATIENCE = 120.0  # seconds; only a failing test waits this long


class Gate:
    """Closed until the test opens it; `await gate.passed()` in a handler waits there, and tells that it got there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._reached = threading.Event()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def open(self) -> None:
        """Let through whoever waits now or comes later."""
        with self._lock:
            self._open = True
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)

    async def passed(self) -> None:
        """For handlers: returns once the gate is open."""
        event = asyncio.Event()
        with self._lock:
            if self._open:
                event.set()
            self._waiting.append((asyncio.get_running_loop(), event))
        self._reached.set()
        await event.wait()

    def wait_reached(self, timeout: float = PATIENCE) -> None:
        """For tests: returns once a handler stands at the gate (or came through).

        :raises TimeoutError: none came.
        """
        if not self._reached.wait(timeout):
            raise TimeoutError("no handler came to the gate")


class HalfReply:
    """A handler that sends one event, and the second one when the test opens the gate."""

    def __init__(self, first: bytes = b"data: one\n\n", second: bytes = b"data: two\n\n") -> None:
        self.gate = Gate()
        self._first, self._second = first, second

    async def __call__(self, request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, [("content-type", "text/event-stream")])
        await respond.send(self._first)
        await self.gate.passed()
        await respond.send(self._second)
        await respond.end()
