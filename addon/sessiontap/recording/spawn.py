"""Start a recorder's process: the first one of `run` and `exec` is forked from the proxy, any other is a new Python.

All but a few modules of the recorder are the proxy's as well. So a proxy that starts loads them once, and forks before
it loads mitmproxy and has a thread.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from typing import IO, NoReturn, Protocol

from sessiontap import own_python

_BOOT = """
import sys
from sessiontap.loading import loading
with loading():
    from sessiontap.recording.process import main
sys.exit(main())
"""
_MOST_FILES = 65_536


class PipedProcess(Protocol):
    """A recorder's process: what is used of `subprocess.Popen`."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def poll(self) -> int | None:
        """Return its status if it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its status. Raises subprocess.TimeoutExpired."""

    def kill(self) -> None:
        """End it at once."""


_early: list[PipedProcess] = []


def start_early() -> None:
    """Start the process that `started` will return. If none can be started, `started` says so.

    A process with threads cannot be forked soundly, and on macOS none that has used the system's libraries.
    """
    with suppress(OSError):
        forks = sys.platform == "linux" and threading.active_count() == 1
        _early.append(Forked() if forks else _start())


def started() -> PipedProcess:
    """Return a process that nobody uses yet: the one that was started early if it still runs, or else a new one.

    Raises OSError.
    """
    early = _early.pop() if _early else None
    return early if early is not None and early.poll() is None else _start()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        own_python.command("-c", _BOOT),
        env=own_python.environment(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,  # a key pressed in the terminal is for the proxy
    )


class Forked:
    """A recorder's process that was forked from this one, with the other ends of its standard input and output."""

    def __init__(self) -> None:
        """Fork it. Raises OSError."""
        from sessiontap.recording import process  # noqa: F401 (both use its modules)

        os.close(os.pidfd_open(os.getpid()))  # `wait` needs them, and not every kernel has them
        (stdin, into), (out, stdout) = os.pipe(), os.pipe()
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _record(stdin, stdout)
        finally:
            os.close(stdin)
            os.close(stdout)
        self.stdin: IO[bytes] | None = open(into, "wb", buffering=0)  # noqa: SIM115
        self.stdout: IO[bytes] | None = open(out, "rb", buffering=0)  # noqa: SIM115
        self._status: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return its status if it has ended."""
        with self._lock:
            if self._status is None:
                try:
                    pid, ended = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:  # whoever started us ignores SIGCHLD, and so do we: nobody knows
                    self._status = 0
                else:
                    self._status = os.waitstatus_to_exitcode(ended) if pid else None
            return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its status. Raises subprocess.TimeoutExpired."""
        if self.poll() is None:
            own_python.wait_for_end(self.pid, timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("the recorder", timeout or 0.0)
        return status

    def kill(self) -> None:
        """End it at once."""
        with self._lock:
            if self._status is None:
                os.kill(self.pid, signal.SIGKILL)


def _record(stdin: int, stdout: int) -> NoReturn:
    """Be the recorder's process, with these files, from the fork to the end."""
    status = 1
    try:
        os.setsid()  # a key pressed in the terminal is for the proxy
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.closerange(3, _MOST_FILES)
        gc.freeze()
        gc.enable()
        from sessiontap.recording.process import main

        status = main()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
