"""The proxy's terminal, and the lines that calls leave on it."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

from mitmproxy import ctx
from mitmproxy.addons.termlog import TermLogHandler

logger = logging.getLogger("sessiontap")


class Terminal:
    """Print call lines: on the terminal itself if mitmproxy logs to it, else in mitmproxy's log.

    A log record makes mitmproxy ask all its addons (its deprecated `add_log` hook), which costs more than the call's
    own record does.
    """

    def __init__(self) -> None:
        verbosity = getattr(ctx.options, "termlog_verbosity", None) if "termlog_verbosity" in ctx.options else None
        self._direct = verbosity is not None
        self._silent = verbosity in ("error", "warn")
        handlers = (one for one in logging.getLogger().handlers if isinstance(one, TermLogHandler))
        self._between: AbstractContextManager[object] = getattr(next(handlers, None), "lock", None) or nullcontext()
        """mitmproxy's own lines are written under it, the text and its end apart."""

    def say(self, lines: Sequence[str]) -> None:
        """From any thread."""
        if not self._direct:
            for line in lines:
                logger.info(line)
        elif lines and not self._silent:
            now = time.time()
            stamp = f"[{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03}]"
            text = "".join([f"{stamp} {line}\n" for line in lines])
            # A terminal that has gone costs no record.
            with suppress(OSError, ValueError), self._between:
                sys.stdout.write(text)
                sys.stdout.flush()
