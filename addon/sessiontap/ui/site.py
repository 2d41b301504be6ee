"""The state that all requests to the pages share: the log, open once for each thread on which pages are made.

An answer about ten thousand calls is a million objects, hardly a cycle among them. The garbage collector would go
through them again and again while they come, which takes a fifth of the time: it waits until the answer is made. What
is left over then goes back to the system, since the C library would keep it, for each thread apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any, NamedTuple

from sessiontap.ui.errors import InFlight
from sessiontap.ui.guard import Access
from sessiontap.ui.page import Data, Page
from sessiontap.ui.pages import PAGES
from sessiontap.ui.reading import Reading
from sessiontap.ui.rendering import Renderer
from sessiontap.ui.static_files import StaticFile, static_files

SECONDS = 0.5
"""Seconds for which a page reads what the index lacks; it says if that was not enough."""
THREADS = 2
"""Pages that are made at once. Each has the log for itself."""
CACHE = 2 << 20
"""Bytes of the index's file that each of them keeps in memory."""
LONG = 0.1
"""Seconds of CPU time behind which an answer was a large one."""


class PageAnswer(NamedTuple):
    """The data of a page, and what they are of."""

    data: Data
    read_share: float
    """The share of the log that has been read."""
    position: str
    """How far the log had come before."""

    @property
    def twin(self) -> Data:
        """The data as JSON."""
        return self.data | {"complete": self.read_share == 1 and self.data.get("complete", True)}


class Site:
    """The state that all requests share."""

    def __init__(
        self, open_reading: Callable[[], Reading], access: Access | None, pages: Iterable[Page] = PAGES
    ) -> None:
        """`open_reading` opens the log once more; `access` None: the socket's permissions say who may ask."""
        self.pages = tuple(pages)
        self.access = access
        self.static: Mapping[str, StaticFile] = static_files()
        folder = str(files("sessiontap.ui").joinpath("templates"))
        self.form_token = secrets.token_urlsafe(24)
        """A form of ours brings it."""
        self.renderer = Renderer(folder, self.pages, lambda: self.static, self.form_token)
        self._open = open_reading
        self._free: queue.LifoQueue[Reading] = queue.LifoQueue()
        self._threads = ThreadPoolExecutor(THREADS, "page")
        self._memory = AnswerMemory()
        self._large = asyncio.Lock()
        self.watched = 0
        """Pages that are told what happens."""

    async def answer(self, page: Page, parameters: Mapping[str, Any]) -> PageAnswer:
        """The data of a page, made on a thread. Raises PageError and TraceError."""

        def question(reading: Reading) -> PageAnswer:
            position = reading.trace.position()  # what is written meanwhile is news
            try:
                return PageAnswer(page.data(reading, parameters), reading.trace.read_share, position)
            except InFlight as error:
                error.position = position
                raise

        if not page.is_large:
            return await self.ask(question)
        async with self._large:
            return await self.ask(question)

    async def ask[T](self, question: Callable[[Reading], T]) -> T:
        """The answer to a question about the log, made on a thread. Raises PageError and TraceError."""
        return await self.on_thread(lambda: self._ask(question))

    async def on_thread[T](self, work: Callable[[], T]) -> T:
        """Do what may take long."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def open(self, cache: int = CACHE) -> Reading:
        """Open the log once more."""
        reading = self._open()
        reading.trace.cache_bytes = cache
        return reading

    def _ask[T](self, question: Callable[[Reading], T]) -> T:
        try:
            reading = self._free.get_nowait()
        except queue.Empty:
            reading = self.open()
        try:
            reading.trace.read_for(SECONDS)
            with self._memory.answering():
                return question(reading)
        finally:
            self._free.put(reading)

    def close(self) -> None:
        """End the threads and let go of the log."""
        self._threads.shutdown()
        while not self._free.empty():
            self._free.get_nowait().trace.close()


class AnswerMemory:
    """Counts the answers that are being made, each on a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made = 0
        self._give_back = _giving_back()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Make an answer within."""
        with self._lock:
            self._made += 1
            gc.disable()
        begun = time.thread_time()
        try:
            yield
        finally:
            with self._lock:
                self._made -= 1
                if not self._made:
                    gc.enable()
            if time.thread_time() - begun > LONG:
                self._give_back()


def _giving_back() -> Callable[[], object]:
    """The function by which the C library gives back what nobody uses; GNU's has one."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: None) if trim is None else lambda: trim(ctypes.c_size_t(0))
