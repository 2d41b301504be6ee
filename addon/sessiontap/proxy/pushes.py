"""Run a process for each item of `push:` in the rules: `sessiontap push TARGET --follow`, while the proxy runs.

All of it happens on a thread of its own, which starts them, starts again the one that has died, and says what they say.
The proxy's loop knows nothing of it, and nothing waits for it: calls are in the log, and a push goes on from there.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sessiontap import own_python
from sessiontap.rules.push_items import PushEntry

logger = logging.getLogger("sessiontap")

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
"""Seconds until a process that has died is started again, which double."""
SOUND_AFTER = 60.0
"""Seconds that a process must have run for the pauses to begin anew."""
MOST_SAID = 50
"""Different sentences of one process that are said."""
_LOOK_EVERY = 0.5
_LONGEST_LINE = 2000


class Pushes:
    """The processes of a proxy that records into `folder`. `rules`: the file that has the prices of models."""

    def __init__(
        self,
        folder: Path,
        rules: Path | None,
        *,
        command: Callable[[PushEntry], list[str]] | None = None,
        pauses: tuple[float, float] = (FIRST_PAUSE, LONGEST_PAUSE),
    ) -> None:
        self._folder, self._rules, self._pauses = folder, rules, pauses
        self._command = command or self._push
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._wanted: tuple[PushEntry, ...] = ()
        self._running: dict[PushEntry, _Running] = {}
        self._changed = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def want(self, entries: Iterable[PushEntry]) -> None:
        """Have these run, and no others. Returns at once."""
        self._wanted = tuple(entries)
        self._changed.set()
        if self._thread is None and self._wanted:
            self._thread = threading.Thread(target=self._run, name="sessiontap-push", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End them. They send what the log has by now; nobody waits for that."""
        self._closing = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def close_aside(self) -> None:
        """The same, and do not wait."""
        self._closing = True
        self._changed.set()

    def _run(self) -> None:
        while True:
            closing, wanted = self._closing, self._wanted
            for entry in [one for one in self._running if one not in wanted]:
                self._running.pop(entry).end()
            for entry in wanted:
                if entry not in self._running:
                    self._running[entry] = _Running(entry.target, self._command(entry), self._pauses)
                self._running[entry].look()
            if closing:
                break
            self._changed.wait(_LOOK_EVERY if wanted else None)
            self._changed.clear()
        for one in self._running.values():
            one.end()

    def _push(self, entry: PushEntry) -> list[str]:
        """The command line. Credentials are in the environment, or in the file that it names."""
        options = ["--follow", "--beside", str(os.getpid()), "--trace", str(self._folder), "--since", self._since]
        options += ["--endpoint", entry.endpoint] if entry.endpoint is not None else []
        options += ["--content"] if entry.content else []
        options += ["--credentials", entry.credentials] if entry.credentials is not None else []
        options += ["--rules", str(self._rules)] if self._rules is not None else []
        for name, value in entry.headers:
            options += ["--header", f"{name}: {value}"]
        return own_python.command("-m", "sessiontap.cli", "push", entry.target, *options)


class _Running:
    """One process, started again if it dies."""

    def __init__(self, target: str, command: list[str], pauses: tuple[float, float]) -> None:
        self._target, self._command = target, command
        self._first_pause, self._longest_pause = pauses
        self._pause = self._first_pause
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._next = 0.0
        """When it is started, in seconds of the monotonic clock."""
        self._said: set[str] = set()

    def look(self) -> None:
        """Start it if it does not run and is due."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process = None
            self._pause = self._first_pause if now - self._began > SOUND_AFTER else self._pause
            self._next = now + self._pause
            self._pause = min(self._pause * 2, self._longest_pause)
        if now < self._next:
            return
        self._began = now
        try:
            with _term_held_back():
                self._process = subprocess.Popen(
                    self._command,
                    env=own_python.environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,  # a key pressed in the terminal is for the proxy
                )
        except OSError as error:
            self._say(f"cannot be started: {error.strerror or error}")
            self._next = now + self._longest_pause
            return
        threading.Thread(target=self._read, args=(self._process,), name="sessiontap-push-says", daemon=True).start()

    def end(self) -> None:
        if self._process is not None:
            with suppress(OSError):
                self._process.terminate()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Say what the process says, each sentence once. On a thread of its own."""
        assert process.stderr is not None
        with process.stderr as output:
            while line := output.readline(_LONGEST_LINE):
                self._say(line.decode("utf-8", "replace").strip().removeprefix("sessiontap: "))
        process.wait()

    def _say(self, text: str) -> None:
        if text and text not in self._said and len(self._said) < MOST_SAID:
            self._said.add(text)
            logger.warning(f"sessiontap: push to {self._target}: {text}")


@contextmanager
def _term_held_back() -> Iterator[None]:
    """A process that is started meanwhile gets SIGTERM only once it asks for it.

    A proxy may end while its push is still being imported. The push then sends what the log has all the same.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
