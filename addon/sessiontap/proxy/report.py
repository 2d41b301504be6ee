"""The line that a call leaves on the proxy's terminal: no URL, no header, nothing of its content."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress

from mitmproxy import ctx
from mitmproxy.addons.termlog import TermLogHandler

from sessiontap.trace.record import WARM_UP, CallSeen

logger = logging.getLogger("sessiontap")


class Terminal:
    """Where call lines go: the terminal itself where mitmproxy logs to it, else mitmproxy's log.

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
        self._second, self._stamp = 0, ""

    def say(self, line: str) -> None:
        """From any thread."""
        if not self._direct:
            logger.info(line)
        elif not self._silent:
            now = time.time()
            if int(now) != self._second:
                self._second, self._stamp = int(now), time.strftime("%H:%M:%S", time.localtime(now))
            # A terminal that has gone costs no record.
            with suppress(OSError, ValueError), self._between:
                sys.stdout.write(f"[{self._stamp}.{int(now % 1 * 1000):03}] {line}\n")
                sys.stdout.flush()


def call_line(seen: CallSeen) -> str:
    """One line: who, where, what came of it."""
    name = seen.session.name if seen.session else "-"
    path = seen.labels.path if seen.labels else "-"
    step = f" #{seen.session.step}" if seen.session else ""
    if WARM_UP in seen.flags:
        step = " warm-up"
    model = seen.reply.response_model if seen.reply else None
    if model is None and seen.call is not None:
        model = seen.call.asked.model
    status = str(seen.response.status) if seen.response else "-"
    how = "" if seen.outcome in ("ok", "http_error") else f" {seen.outcome}"
    took = f" {seen.duration / 1e9:.2f}s" if seen.duration is not None else ""
    usage = seen.reply.usage if seen.reply else None
    tokens = f" {_count(usage.input)}>{_count(usage.output)} tok" if usage else ""
    return printable(f"{name} {path}{step} {model or seen.host} {status}{how}{took}{tokens}")


def printable(text: str) -> str:
    """`text` with what would move a terminal's cursor or colour it taken out."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)
