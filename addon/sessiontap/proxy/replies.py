"""Replies that the recorder is reading: their updates, and waiting for those that a new call may go on from."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

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


class _OfCaller:
    """The calls of one process whose replies are not read yet: their ids, in several orders. Under load there are a
    hundred, and every new call asks."""

    __slots__ = ("by_end", "failed_by_end", "ids", "with_tools")

    def __init__(self) -> None:
        self.ids: dict[str, bytes | None] = {}
        """With the ends of their histories."""
        self.by_end: dict[bytes, set[str]] = {}
        self.failed_by_end: dict[bytes, set[str]] = {}
        self.with_tools: set[str] = set()
        """Those that offered tools."""

    def add(self, call_id: str, one: _Unread) -> None:
        self.ids[call_id] = one.end
        if one.end is not None:
            self.by_end.setdefault(one.end, set()).add(call_id)
            if one.failed:
                self.failed_by_end.setdefault(one.end, set()).add(call_id)
        if one.offers_tools:
            self.with_tools.add(call_id)

    def remove(self, call_id: str) -> None:
        end = self.ids.pop(call_id, None)
        self.with_tools.discard(call_id)
        if end is not None:
            for ends in (self.by_end, self.failed_by_end):
                if (same := ends.get(end)) is not None:
                    same.discard(call_id)
                    if not same:
                        del ends[end]


class Replies:
    """For the proxy's loop, but for `read`."""

    def __init__(self, take: Callable[[PlannerUpdate], None]) -> None:
        """`take` is given the update of each reply, on the loop."""
        self._take = take
        self._unread: dict[str, _Unread] = {}
        """By the ids of their calls, oldest first."""
        self._of: dict[str | None, _OfCaller] = {}
        """The same by their callers."""
        self._read: deque[PlannerUpdate] = deque()
        """Updates that no call has asked for yet."""
        self._waiting = 0
        self._has_read = asyncio.Event()
        self._unresponsive = False
        """A reply was waited for in vain, and none has been read since: the recorder hangs."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self.at_once = False
        """Each reply is taken as soon as it is read: other proxies wait for it."""

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """The proxy starts."""
        self._loop = loop

    def expect(
        self, call_id: str, caller: str | None, *, offers_tools: bool, failed: bool = False, end: bytes | None = None
    ) -> None:
        """A call goes to the recorder. `end`: of its request's history."""
        one = _Unread(caller, offers_tools, failed, end, time.monotonic())
        self.forget(call_id)
        self._unread[call_id] = one
        if (of_caller := self._of.get(caller)) is None:
            of_caller = self._of[caller] = _OfCaller()
        of_caller.add(call_id, one)
        if len(self._unread) > MOST_UNREAD:
            self.forget(next(iter(self._unread)))

    def forget(self, call_id: str) -> None:
        """It did not get there, or is not waited for any more."""
        one = self._unread.pop(call_id, None)
        if one is not None:
            of_caller = self._of[one.caller]
            of_caller.remove(call_id)
            if not of_caller.ids:
                del self._of[one.caller]

    def read(self, update: PlannerUpdate) -> None:
        """From any thread: a reply has been read. Waking the loop costs more than reading it, so its update waits
        for the next call, unless one is waiting for it."""
        self._read.append(update)
        self._unresponsive = False
        if self._waiting and self._loop is not None:
            self._loop.call_soon_threadsafe(self._has_read.set)
        elif self.at_once and self._loop is not None:
            self._loop.call_soon_threadsafe(self.settle)

    def settle(self) -> None:
        """Take what has been read."""
        while self._read:
            update = self._read.popleft()
            self.forget(update.call_id)
            self._take(update)

    def awaited(
        self, caller: str | None, history: History, *, names_replies: bool, is_settled: Callable[[], bool]
    ) -> set[str]:
        """The calls of this process whose replies may say what a new one is, whose history is `history`.

        They are those that it goes on from or tries again; for one that opens a conversation those that offered tools,
        of which one may have begun a sub-agent; and any, if it is not `settled` without them what it goes on from.
        """
        self._forget_stale(time.monotonic() - STALE_AFTER)
        mine = self._of.get(caller)
        if mine is None or self._unresponsive:
            return set()
        before = {call_id for end in history.chain[1:-1] for call_id in mine.by_end.get(end, ())}
        before.update(mine.failed_by_end.get(history.end, ()))
        if before:
            return before
        if not names_replies and not any(entry.role == "assistant" for entry in history.entries):
            return set(mine.with_tools) if len(history.opening or "") >= SHORTEST_PROMPT else set()
        return set() if is_settled() else {call_id for call_id, end in mine.ids.items() if end != history.end}

    def _forget_stale(self, before: float) -> None:
        while self._unread:
            call_id, one = next(iter(self._unread.items()))
            if one.ended >= before:
                break
            self.forget(call_id)

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
