"""Replies that the recorder is reading: what they leave, and waiting for those that a new call may go on from."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from sessiontap.recording.finished import Left

PATIENCE = 0.05
"""Seconds that a request which names an earlier reply waits for that reply to be read."""
LATELY = 1.0
"""Seconds after which a reply that was not read is not waited for any more: it hangs, or was lost with the recorder."""


class _Unread(NamedTuple):
    caller: str | None
    offers_tools: bool
    ended: float


class Replies:
    """For the proxy's loop, but for `read`."""

    def __init__(self, take: Callable[[Left], None]) -> None:
        """`take` is given what each reply leaves, on the loop."""
        self._take = take
        self._unread: dict[str, _Unread] = {}
        """By the ids of their calls."""
        self._read: deque[Left] = deque()
        """What no call has asked for yet."""
        self._waiting = 0
        self._has_read = asyncio.Event()
        self._deaf = False
        """One was waited for in vain, and none has been read since: the recorder hangs."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """The proxy starts."""
        self._loop = loop

    def expect(self, call_id: str, caller: str | None, offers_tools: bool) -> None:
        """A call goes to the recorder."""
        self._unread[call_id] = _Unread(caller, offers_tools, time.monotonic())

    def forget(self, call_id: str) -> None:
        """It did not get there."""
        self._unread.pop(call_id, None)

    def read(self, left: Left) -> None:
        """From any thread: a reply has been read. Waking the loop costs more than reading it, so what it leaves waits
        for the next call, unless one is waiting for it."""
        self._read.append(left)
        self._deaf = False
        if self._waiting and self._loop is not None:
            self._loop.call_soon_threadsafe(self._has_read.set)

    def settle(self) -> None:
        """Take what has been read."""
        while self._read:
            left = self._read.popleft()
            self._unread.pop(left.call_id, None)
            self._take(left)

    async def wait(self, caller: str | None, goes_on: bool, hurry: Callable[[], None], patience: float) -> None:
        """Wait, at most `patience` seconds, for what a call of this process may have to know. `hurry` has it read."""
        self.settle()
        awaited = self._awaited(caller, goes_on) if self._unread else ()
        if not awaited or self._deaf:
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(patience):
                while True:
                    self._has_read.clear()
                    self.settle()
                    if self._unread.keys().isdisjoint(awaited):
                        break
                    hurry()
                    await self._has_read.wait()
        except TimeoutError:
            self._deaf = True
        finally:
            self._waiting -= 1

    def _awaited(self, caller: str | None, goes_on: bool) -> set[str]:
        """The calls whose replies may say what a new one of the same process is: any where it goes on from one, else
        those that offered tools, of which one may have begun a sub-agent."""
        lately = time.monotonic() - LATELY
        for call_id in [call_id for call_id, one in self._unread.items() if one.ended < lately]:
            del self._unread[call_id]
        mine = ((call_id, one) for call_id, one in self._unread.items() if one.caller == caller)
        return {call_id for call_id, one in mine if goes_on or one.offers_tools}
