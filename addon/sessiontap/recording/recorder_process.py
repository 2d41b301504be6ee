"""One recorder's process, from its start to its end, and what is known of what it has done."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable

from sessiontap.bounded_dict import BoundedDict
from sessiontap.callers import Caller
from sessiontap.recording import spawn, wire
from sessiontap.recording.finished import Note, PlannerUpdate

_PIPE_BYTES = 1 << 20
_MOST_CALLERS = 1024
"""Fewer than the recorder remembers."""
_MOST_UNREAD = 20_000
"""More than the queue holds and the pipe."""


class RecorderProcess:
    """One recorder's process, from its start to its end."""

    def __init__(self, read_events: Callable[[RecorderProcess], None]) -> None:
        """Start it; its listener will run `read_events`. Raises OSError."""
        popen = spawn.started()
        assert popen.stdin is not None
        assert popen.stdout is not None
        self.popen = popen
        self.into, self.out = popen.stdin, popen.stdout
        self.began = time.monotonic()
        self.sent = self.handled = 0
        """Messages, a call's caller not counted."""
        self.failing: str | None = None
        """Why it cannot write records at the moment."""
        self.dropped = 0
        """Records that it could not write."""
        self.callers: BoundedDict[str, Caller] = BoundedDict(_MOST_CALLERS)
        """Those that it knows: both sides forget in the order of use, this one earlier."""
        self.unread: BoundedDict[str, PlannerUpdate] = BoundedDict(_MOST_UNREAD)
        """Calls that it was sent and has not read yet."""
        self.drop_notes: list[tuple[int, dict[str, int]]] = []
        """The number of each note of dropped records, and how many it tells of by reason."""
        self.is_up = threading.Event()
        self.is_over = False
        self.listener = threading.Thread(target=read_events, args=(self,), name="sessiontap-listen", daemon=True)
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import fcntl

            fcntl.fcntl(self.into.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def send(self, pieces: list[bytes]) -> None:
        """Write all of it into its pipe. Raises OSError, ValueError: it is gone."""
        wire.write(self.into.fileno(), pieces)

    def drop_note(self, lost: dict[str, int]) -> list[bytes]:
        """Return the message of a note that these records were lost, by reason, which is sent next."""
        reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(lost.items()))
        self.sent += 1
        self.drop_notes = [(number, before) for number, before in self.drop_notes if number > self.handled]
        self.drop_notes.append((self.sent, lost))
        return wire.message(wire.NOTE, Note("dropped", f"records were lost ({reasons})", {"dropped": lost}))

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended, and all that it said is heard; at most about `timeout` seconds."""
        try:
            self.popen.wait(max(0.0, timeout))
        except subprocess.TimeoutExpired:
            return False
        self.listener.join(1.0)
        return True

    def lost(self) -> Counter[str]:
        """The records by reason that are lost with it, now that it is over: those that it had not written, and those
        of which it had not noted yet that they were lost."""
        untold = [before for number, before in self.drop_notes if number > self.handled]
        lost = Counter({"died": max(0, self.sent - self.handled - len(untold))})
        for before in untold:
            lost.update(before)
        return lost

    def reap(self) -> str:
        """Return how it ended, in words, once it closed its end of the pipe."""
        self.listener.join(1.0)
        for stream in (self.into, self.out):
            with contextlib.suppress(OSError):
                stream.close()
        try:
            status = self.popen.wait(1.0)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            status = self.popen.wait()
        return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


class Receipt:
    """Calling it returns True once everything that was submitted before it is written."""

    def __init__(self) -> None:
        self._sent: tuple[RecorderProcess | None, int] | None = None

    def sent(self, process: RecorderProcess | None) -> None:
        """Everything before it has been sent to `process`."""
        self._sent = process, process.sent if process is not None else 0

    def __call__(self) -> bool:
        """True if it is written, or never will be: the recorder has died."""
        if self._sent is None:
            return False
        process, number = self._sent
        return process is None or process.is_over or process.handled >= number
