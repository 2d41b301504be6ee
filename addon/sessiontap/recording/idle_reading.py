"""Taking what was recorded into the index while nothing is recorded, so that a search finds it read.

The work is done by a process of its own, of the lowest priority: beside the recorder's threads it would hold up the
replies that the proxy waits for. It is started when the recorder has been idle for a while, and ends when all is read.
Whatever goes wrong with it, the first search reads the calls instead.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from sessiontap import own_python

IDLE_SECONDS = 3.0
"""The recorder has nothing to do for so long before reading begins."""
LONGEST_PAUSE = 600.0
"""Seconds until the next try if reading fails again and again."""
STEP_SECONDS = 0.1
"""The reader looks this often if its recorder is still there, and lets other writers of the index come between."""
NICE = 19
LEAST_FREE = 1 << 30
"""Bytes that must be free on the disk: the log needs what is left of it."""


class IdleReading:
    """Starts readers of the log in `folder`, one at a time, when nothing was recorded for `idle_seconds`."""

    def __init__(self, folder: Path, idle_seconds: float = IDLE_SECONDS) -> None:
        self._folder, self._idle_seconds = folder, idle_seconds
        self._touched: float | None = None
        """When something was last recorded that no reader has been started for."""
        self._closed = threading.Event()
        self._reader: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="idle reading", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def touch(self) -> None:
        """Something is recorded."""
        self._touched = time.monotonic()

    def close(self) -> None:
        """End the reader, too: what it has read so far stays."""
        self._closed.set()
        reader = self._reader
        if reader is not None:
            with contextlib.suppress(OSError):
                reader.terminate()
        self._thread.join(1.0)

    def _run(self) -> None:
        pause = self._idle_seconds
        while not self._closed.wait(pause):
            touched = self._touched
            if touched is None or time.monotonic() - touched < self._idle_seconds:
                continue
            self._touched = None
            if self._read():
                pause = self._idle_seconds
            else:
                pause = min(pause * 2, LONGEST_PAUSE)
                self._touched = self._touched or touched

    def _read(self) -> bool:
        """Return True if a reader has read all."""
        try:
            self._reader = subprocess.Popen(
                own_python.command("-m", __name__, str(self._folder)),
                env=own_python.environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if self._closed.is_set():
                self._reader.terminate()
            return self._reader.wait() == 0
        except OSError:
            return False
        finally:
            self._reader = None


def read(folder: Path, parent: int) -> None:
    """Read all calls of the log in `folder`, while the process `parent` is the one that started this one."""
    from sessiontap import trace
    from sessiontap.llm.recorded_parts import recorded_parts

    log = trace.open(folder, parts_of=recorded_parts)
    while os.getppid() == parent and shutil.disk_usage(folder).free > LEAST_FREE:
        if not log.read_parts(STEP_SECONDS):
            break
        time.sleep(STEP_SECONDS)
    log.close()


def main() -> int:
    """The process: the folder is its argument. Returns the exit status."""
    parent = os.getppid()
    if hasattr(os, "nice"):
        os.nice(NICE)
    read(Path(sys.argv[1]), parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
