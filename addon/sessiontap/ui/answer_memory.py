"""The memory of a process that makes large answers, and does nothing in between.

An answer about ten thousand calls is a million objects, hardly a cycle among them. The garbage collector would go
through them again and again while they come, which takes a fifth of the time: it waits until the answer is made. What
is left over then goes back to the system, since the C library would keep it, for each thread apart.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
import time
from collections.abc import Callable, Iterator

LONG = 0.1
"""Seconds of CPU time behind which an answer was a large one."""


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
