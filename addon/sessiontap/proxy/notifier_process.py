"""Hand crossings to the process that tells a command and a webhook of them (push/notifier.py).

The loop puts them into a bounded queue. A thread does the rest: it starts the process with the first crossing, feeds
it through a pipe, starts it again if it dies, and hears whom it could not tell. So no call waits for a command, for a
webhook, or for that process. Settings go through the pipe, too: nobody reads them in a list of processes.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from sessiontap import own_python

logger = logging.getLogger("sessiontap")

MOST_WAITING = 1_000
"""Crossings; of more, which come only if the process hangs, the newest are lost."""
MOST_SAID = 50
AGAIN_SECONDS = 5.0
"""After which a process that has died is started again."""
CLOSING_SECONDS = 1.0


def _command() -> list[str]:
    return own_python.command("-m", "sessiontap.push.notifier")


class NotifierProcess:
    """For the loop, but for its own threads."""

    def __init__(self, command: Callable[[], list[str]] = _command, again_seconds: float = AGAIN_SECONDS) -> None:
        self.failing: dict[str, str] = {}
        """Whom the last crossing could not be told to, and why: `command`, `webhook`, `process`."""
        self._command, self._again = command, again_seconds
        self._settings: Mapping[str, Any] | None = None
        self._waiting: queue.Queue[Mapping[str, Any] | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._sent: Mapping[str, Any] | None = None
        """The settings that the process has."""
        self._started = -again_seconds
        self._closing = threading.Event()
        self._said: set[str] = set()

    @property
    def is_wanted(self) -> bool:
        """Somebody is to be told."""
        return self._settings is not None

    def want(self, settings: Mapping[str, Any] | None) -> None:
        """Tell those that these settings name (`run`, `webhook`, `headers`); None: nobody."""
        self._settings = settings
        self.failing.clear()

    def tell(self, crossing: Mapping[str, Any]) -> None:
        """Have it told. Returns at once."""
        if self._settings is None or self._closing.is_set():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sessiontap-notify", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait({"settings": self._settings, "crossing": crossing})
        except queue.Full:
            self._fails("process", f"more than {MOST_WAITING:,} alerts wait to be told; some are lost")

    def close(self) -> None:
        """End the process: it tells what it has been given."""
        self.close_aside()
        if self._thread is not None:
            self._thread.join(CLOSING_SECONDS)

    def close_aside(self) -> None:
        """The same, and do not wait."""
        self._closing.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            for _ in range(2):  # it may have died since
                try:
                    self._send(item)
                    self.failing.pop("process", None)
                    break
                except OSError as error:
                    self._end()
                    self._fails("process", f"the process that tells of alerts: {error.strerror or error}")
        self._end()

    def _send(self, item: Mapping[str, Any]) -> None:
        """Raises OSError."""
        if self._process is None or self._process.poll() is not None:
            self._closing.wait(self._started + self._again - time.monotonic())
            self._started, self._sent = time.monotonic(), None
            self._process = subprocess.Popen(
                self._command(),
                env=own_python.environment(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a key pressed in the terminal is for the proxy
            )
            threading.Thread(
                target=self._read_answers, args=(self._process,), name="sessiontap-notified", daemon=True
            ).start()
        lines = [{"crossing": item["crossing"]}]
        if item["settings"] is not self._sent:
            self._sent = item["settings"]
            lines.insert(0, {"settings": self._sent})
        assert self._process.stdin is not None
        self._process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._process.stdin.flush()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()

    def _read_answers(self, process: subprocess.Popen[bytes]) -> None:
        """Note who was told, and who was not. On a thread of its own."""
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                with suppress(ValueError, KeyError):
                    found = json.loads(line)
                    if found["error"] is None:
                        self.failing.pop(found["by"], None)
                    else:
                        self._fails(found["by"], found["error"])
        process.wait()

    def _fails(self, by: str, error: str) -> None:
        self.failing[by] = error
        text = f"the {by} of alerts was not told: {error}" if by != "process" else error
        if text not in self._said and len(self._said) < MOST_SAID:
            self._said.add(text)
            logger.warning(f"sessiontap: {text}")
