"""The end of `sessiontap run`: at once, or when the calls in flight have ended.

    Ctrl-C               at once; calls in flight are recorded as far as they came (`proxy_stopped`)
    SIGTERM              no new connections; calls in flight may end, within `session_drain`; the second one: at once
    SIGHUP               without a terminal: read the rules again; with one, it was closed: at once

A service manager sends SIGTERM, then kills what does not end in time: its time must be longer than `session_drain`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

logger = logging.getLogger("sessiontap")

_BETWEEN = 0.05
"""Seconds between two looks at the calls in flight."""


class Drain:
    """Waits for the calls in flight, once. For the loop alone."""

    def __init__(self, in_flight: Callable[[], int], close_listeners: Callable[[], None], end: Callable[[], None]):
        """`in_flight` counts calls, `close_listeners` stops accepting connections, `end` ends the proxy."""
        self._in_flight = in_flight
        self._close_listeners = close_listeners
        self._end = end
        self._waiting: asyncio.Task[None] | None = None

    def begin(self, seconds: float) -> None:
        """End the proxy when no call is in flight, at most `seconds` from now. The second time: at once."""
        calls = self._in_flight()
        if self._waiting is not None or not calls or not seconds:
            self._end()
            return
        logger.info(
            f"sessiontap: {'1 call is' if calls == 1 else f'{calls} calls are'} in flight; the proxy ends after "
            f"{'it' if calls == 1 else 'them'}, in {seconds:g} s at the latest. A second SIGTERM ends it at once"
        )
        self._waiting = asyncio.get_running_loop().create_task(self._drain(seconds))

    async def _drain(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._close_listeners()
        while self._in_flight():
            if loop.time() >= until:
                break
            await asyncio.sleep(_BETWEEN)
        self._end()


def on_hang_up(read_rules: Callable[[], None], end: Callable[[], None]) -> None:
    """Handle SIGHUP on the running loop, if this system has it."""
    if not hasattr(signal, "SIGHUP"):
        return
    handle = end if sys.stdin is not None and sys.stdin.isatty() else read_rules
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, handle)
