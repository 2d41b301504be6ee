"""Replies that the recorder is reading: their updates, and waiting for those that a new call may go on from."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from sessiontap.bounded import BoundedDict
from sessiontap.llm.history import SHORTEST_PROMPT, History
from sessiontap.recording.finished import PlannerUpdate

PATIENCE = 0.05
"""Seconds that a request which names an earlier reply waits for that reply to be read."""
MOST_UNREAD = 10_000
"""Calls; as many as wait for the recorder at most."""
STALE_AFTER = 1.0
"""Seconds after which a reply that was not read is not waited for any more: it hangs, or was lost with the recorder."""


class _Unread(NamedTuple):
    caller: str | None
    offers_tools: bool
    failed: bool
    end: bytes | None
    """The end of the history in its request, if there is one: a request that goes on from it has it in its own."""
    ended: float


class Replies:
    """For the proxy's loop, but for `read`."""

    def __init__(self, take: Callable[[PlannerUpdate], None]) -> None:
        """`take` is given the update of each reply, on the loop."""
        self._take = take
        self._unread: BoundedDict[str, _Unread] = BoundedDict(MOST_UNREAD)
        """By the ids of their calls."""
        self._read: deque[PlannerUpdate] = deque()
        """Updates that no call has asked for yet."""
        self._waiting = 0
        self._has_read = asyncio.Event()
        self._unresponsive = False
        """A reply was waited for in vain, and none has been read since: the recorder hangs."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """The proxy starts."""
        self._loop = loop

    def expect(
        self, call_id: str, caller: str | None, *, offers_tools: bool, failed: bool = False, end: bytes | None = None
    ) -> None:
        """A call goes to the recorder. `end`: of its request's history."""
        self._unread.put(call_id, _Unread(caller, offers_tools, failed, end, time.monotonic()))

    def forget(self, call_id: str) -> None:
        """It did not get there."""
        self._unread.pop(call_id)

    def read(self, update: PlannerUpdate) -> None:
        """From any thread: a reply has been read. Waking the loop costs more than reading it, so its update waits
        for the next call, unless one is waiting for it."""
        self._read.append(update)
        self._unresponsive = False
        if self._waiting and self._loop is not None:
            self._loop.call_soon_threadsafe(self._has_read.set)

    def settle(self) -> None:
        """Take what has been read."""
        while self._read:
            update = self._read.popleft()
            self._unread.pop(update.call_id)
            self._take(update)

    def awaited(
        self, caller: str | None, history: History, *, names_replies: bool, is_settled: Callable[[], bool]
    ) -> set[str]:
        """The calls of this process whose replies may say what a new one is, whose history is `history`.

        They are those that it goes on from or tries again; for one that opens a conversation those that offered tools,
        of which one may have begun a sub-agent; and any, if it is not `settled` without them what it goes on from.
        """
        stale = time.monotonic() - STALE_AFTER
        for call_id in [call_id for call_id, one in self._unread.items() if one.ended < stale]:
            self._unread.pop(call_id)
        mine = {call_id: one for call_id, one in self._unread.items() if one.caller == caller}
        if not mine or self._unresponsive:
            return set()
        earlier = history.chain[1:-1]
        before = {
            call_id
            for call_id, one in mine.items()
            if one.end in earlier or (one.failed and one.end == history.end)
        }
        if before:
            return before
        if not names_replies and not any(step.role == "assistant" for step in history.steps):
            begun = len(history.opening or "") >= SHORTEST_PROMPT
            return {call_id for call_id, one in mine.items() if begun and one.offers_tools}
        return set() if is_settled() else {call_id for call_id, one in mine.items() if one.end != history.end}

    async def wait(self, awaited: set[str], hurry: Callable[[], None], patience: float) -> None:
        """Wait, at most `patience` seconds, until these are read. `hurry` has them read."""
        self._waiting += 1
        try:
            async with asyncio.timeout(patience):
                while True:
                    self._has_read.clear()
                    self.settle()
                    if not any(call_id in self._unread for call_id in awaited):
                        break
                    hurry()
                    await self._has_read.wait()
        except TimeoutError:
            self._unresponsive = True
        finally:
            self._waiting -= 1
