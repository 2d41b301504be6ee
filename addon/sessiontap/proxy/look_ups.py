"""Look-ups of callers on the loop: those that take a search share it, a few milliseconds at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sessiontap.callers import Found, find, search, warm_up
from sessiontap.callers.process_search import LookUp, Search

SLICE = 0.004
"""Seconds of the loop that a search takes at a time: in a burst each turn of the loop is long, and clients wait."""
_THREADS = 16
"""For look-ups that wait for the system or for another machine."""


class LookUps:
    """The look-ups of one loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sessiontap-callers")
        self._search: Search | None = None
        self._asked: dict[LookUp, asyncio.Future[Found | None]] = {}
        self._searching: asyncio.Task[None] | None = None

    def warm_up(self) -> None:
        """Before the proxy listens: the first client is found as quickly as any other."""
        warm_up()
        self._search = search()

    async def find(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found:
        """The caller, however long that takes. The arguments are those of `sessiontap.callers.find`."""
        loop = asyncio.get_running_loop()
        found: Found | None = None
        if self._search is not None:
            answer: asyncio.Future[Found | None] = loop.create_future()
            self._asked[self._search.ask(client, proxy, env_names)] = answer
            if self._searching is None:
                self._searching = asyncio.create_task(self._run(self._search))
            found = await answer
        if found is None:
            found = await loop.run_in_executor(self._threads, find, client, proxy, env_names)
        return found

    async def _run(self, search: Search) -> None:
        """Answer all that wait, and those that come meanwhile."""
        try:
            while search.pending:
                for question, found in search.step(SLICE):
                    answer = self._asked.pop(question, None)
                    if answer is not None and not answer.done():
                        answer.set_result(found)
                await asyncio.sleep(0)
        finally:
            self._searching = None
            for answer in self._asked.values():  # a fault: each is looked up by itself
                if not answer.done():
                    answer.set_result(None)
            self._asked.clear()
