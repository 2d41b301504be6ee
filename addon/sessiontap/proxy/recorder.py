"""Hand finished calls to the recorder's process, and its events to the user and the planner."""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import mitmproxy.version
from mitmproxy import ctx
from mitmproxy.addons.termlog import TermLogHandler

import sessiontap
from sessiontap.callers import Caller
from sessiontap.callers.caller import machine
from sessiontap.faults import Faults
from sessiontap.proxy.finish import Bodies
from sessiontap.proxy.settings import Settings, environment
from sessiontap.recording import wire
from sessiontap.recording.budget import Shares
from sessiontap.recording.finished import (
    CallCounted,
    Event,
    Fault,
    FinishedCall,
    Note,
    OwnPrice,
    PlannerUpdate,
    ReplyRead,
    Start,
    UserMessage,
)
from sessiontap.recording.handle import Handle
from sessiontap.recording.recorder_process import Receipt
from sessiontap.redaction import Redactor, by_name, user_key
from sessiontap.rules import Rules
from sessiontap.trace import TraceError
from sessiontap.trace.files import secure
from sessiontap.trace.restore import RestorableCalls, wait_for_orphans
from sessiontap.trace.writer import Writer, check

logger = logging.getLogger("sessiontap")

READY_SECONDS = 5.0
ORPHAN_SECONDS = 2.0
CLOSING_SECONDS = 12.0
SILENT_SECONDS = 1.0
"""Of that time, before a user asks what the proxy is waiting for."""


class Recorder:
    """The recorder as the proxy sees it. `on_read` and `on_counted` run on another thread than the loop's."""

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        on_read: Callable[[PlannerUpdate], None],
        faults: Faults,
        on_counted: Callable[[CallCounted], None] = lambda counted: None,
    ) -> None:
        """Raises TraceError: the folder cannot be written, or no process be started. Raises RedactionError: no key."""
        check(settings.trace)
        if (said := secure(settings.trace)) is not None:
            logger.warning(f"sessiontap: {said}")
        self._settings = settings
        self._on_read = on_read
        self._on_counted = on_counted
        self._faults = faults
        self._terminal = Terminal()
        self._key = user_key.load()
        self._rules = rules
        self._redactor = self._redact_by(rules)
        self._closing = False
        self._closer: threading.Thread | None = None
        try:
            heads = Shares(settings.memory).heads
            self._handle = Handle(self._start, self._take_events, self._lost, max_bytes=heads)
        except OSError as error:
            raise TraceError(
                f"the recorder's process cannot be started: {error}", f"Can {sys.executable} be run?"
            ) from None
        self._filter = _WithoutCredentials(self)
        logger.addFilter(self._filter)

    def _info(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "host": platform.node(),
            "machine": machine(),
            "sessiontap": sessiontap.__version__,
            "mitmproxy": mitmproxy.version.VERSION,
        }

    def _start(self) -> Start:
        patterns = self._rules.secret_headers, _patterns(self._rules)
        memory = self._settings.memory
        return Start(
            str(self._settings.trace),
            self._info(),
            self._settings.fsync,
            self._key,
            *patterns,
            memory=memory,
            prices=_prices(self._rules),
        )

    def close(self, seconds: float = CLOSING_SECONDS) -> None:
        """Write what is queued, then end: wait for it at most so long, which is said if it is felt."""
        self._closing = True
        begun = time.monotonic()
        if not self._handle.close(min(seconds, SILENT_SECONDS)):
            logger.info(f"sessiontap: the last calls are being written; this takes at most {seconds:.0f} s")
            if not self._handle.close(seconds - (time.monotonic() - begun)):
                logger.warning(
                    f"sessiontap: process {self._handle.pid} is still writing the last calls; it goes on by itself"
                )
        self._tell_losses(self._handle.untold())
        logger.removeFilter(self._filter)

    def _tell_losses(self, lost: dict[str, int]) -> None:
        """Note in the log what no recorder is left to note."""
        if not lost:
            return
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(lost.items()))
        text = f"records were lost at the end ({reasons})"
        logger.warning(f"sessiontap: {text}")
        writer = Writer(self._settings.trace, writer_info=self._info())
        writer.start()
        writer.note("dropped", text, dropped=lost)
        writer.close(SILENT_SECONDS)

    def close_aside(self) -> None:
        """Have what is queued written, and end, while the proxy goes on: another recorder is there."""
        self._closing = True
        self._closer = threading.Thread(target=self.close, name="sessiontap-close", daemon=True)
        self._closer.start()

    @property
    def is_closing(self) -> bool:
        """True if `close_aside` is still at work."""
        return self._closer is not None and self._closer.is_alive()

    def wait_closed(self, seconds: float) -> None:
        """Wait for `close_aside` to be done."""
        if self._closer is not None:
            self._closer.join(max(seconds, 0.0))

    def wait_ready(self) -> None:
        """Wait for the recorder's process to come up, as it does beside the rest of the start: the first replies may be
        asked for at once."""
        self._handle.wait_ready(READY_SECONDS)

    def hurry(self) -> None:
        """Read at once the replies that wait."""
        self._handle.hurry()

    def receipt(self) -> Receipt:
        """Return what tells whether all that was submitted so far is written."""
        return self._handle.receipt()

    def rules_changed(self, rules: Rules) -> None:
        """Redact by the new rules' patterns from here on, and count costs by their prices."""
        self._rules, self._redactor = rules, self._redact_by(rules)
        self._handle.submit(wire.message(wire.RULES, (rules.secret_headers, _patterns(rules), _prices(rules))))

    @property
    def key(self) -> bytes:
        """The user's, behind the digests in the log."""
        return self._key

    @property
    def redactor(self) -> Redactor:
        """The redactor by the rules in force."""
        return self._redactor

    def redacted(self, text: str) -> str:
        """Return `text` without credentials. From any thread."""
        return self._redactor.text(text)

    def _redact_by(self, rules: Rules) -> Redactor:
        return Redactor(self._key, rules.secret_headers, _patterns(rules))

    def restore(self, seconds: float) -> RestorableCalls:
        """The heads of the newest recorded calls, as many as can be read in `seconds`.

        The recorder of a proxy that was killed writes what it still has; a moment is given to it.
        """
        wait_for_orphans(self._settings.trace, ORPHAN_SECONDS)
        return RestorableCalls(self._settings.trace, seconds)

    def submit(self, call: FinishedCall, bodies: Bodies, caller: Caller | None) -> bool:
        """Queue a call. False: it was dropped (the queue is full), which is counted and noted.

        Raises whatever msgpack and pickle do for a value that no message can hold.
        """
        session = call.plan.session.id if call.plan and call.plan.session else None
        update = PlannerUpdate(call.id, session, call.time + call.duration, None, None)
        # Here, where all of it is at hand, this takes 25 us; on another thread, with cold caches, thrice that.
        pieces = wire.message(wire.CALL, call, [(body.pieces, body.kept) for body in bodies])
        leases = [body.lease for body in bodies if body.lease is not None]
        return self._handle.submit(pieces, leases, update, caller)

    def count_fault(self) -> None:
        """Count a call that could not be made or queued."""
        self._handle.count("fault")

    @property
    def lost(self) -> int:
        """Records that could not be written, as far as the proxy knows."""
        return self._handle.lost

    @property
    def failing(self) -> str | None:
        """Why records cannot be written at the moment, if the recorder says so."""
        return self._handle.failing

    @property
    def is_alive(self) -> bool:
        """Its process runs."""
        return self._handle.is_alive

    def note(self, kind: str, text: str, **facts: Any) -> None:
        """Queue a note. What goes wrong in the last moment has been said on the terminal, and stands there alone."""
        if not self._closing:
            self._handle.submit(wire.message(wire.NOTE, Note(kind, text, facts)))

    # -- on the threads of the handle ----------------------------------------------------------------------------------

    def _take_events(self, events: Sequence[Event]) -> None:
        lines: list[str] = []
        for event in events:
            match event:
                case ReplyRead(update, line):
                    self._on_read(update)
                    if line is not None:
                        lines.append(line)
                    else:  # it was not read: alerts and limits hear that nothing of it is known
                        self._on_counted(CallCounted(update.call_id, update.at))
                case CallCounted():
                    self._on_counted(event)
                case Fault(kind, text):
                    self._faults.report(kind, text)
                case UserMessage(_, text):
                    logger.warning(f"sessiontap: {text}")
        self._terminal.say(lines)

    def _lost(self, kind: str, text: str) -> None:
        """Say that records were lost: no fault of ours, and said as it is."""
        logger.warning(f"sessiontap: {text}")


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


class _WithoutCredentials(logging.Filter):
    """No credential on the terminal: a fault may quote what it failed on."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._recorder.redacted(record.getMessage()), None
        return True


def _patterns(rules: Rules) -> tuple[str, ...]:
    """The further patterns to redact: the rules' own, and the proxy's keys that the rules send."""
    keys = [by_name.Credential("proxy-key", key.encode("utf-8", "replace")) for key in rules.keys(environment())]
    return (*rules.redact_patterns, *(needle.text.decode("latin-1") for needle in by_name.needles(keys)))


def _prices(rules: Rules) -> tuple[OwnPrice, ...]:
    return tuple(
        (one.model.text, str(one.input), str(one.output), str(one.cache_read), str(one.cache_write))
        for one in rules.prices
    )
