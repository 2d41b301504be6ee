"""A worker as the front sees it: its process, which is started again if it dies, and the connections it was given."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from sessiontap import own_python
from sessiontap.proxy.channel import Channel

_MODULE = "sessiontap.proxy.worker"
_AGAIN_SECONDS = (0.0, 0.0, 1.0, 5.0, 30.0)
"""Before a worker is started again, by how many times it has died soon after its start."""
_SOON_SECONDS = 60.0


class WorkerProcess:
    """One of the workers, from the front's start to its end. For the loop alone."""

    def __init__(
        self,
        number: int,
        count: int,
        arguments: Sequence[str],
        received: Callable[[WorkerProcess, dict[str, Any]], None],
        died: Callable[[WorkerProcess, int, float | None], None],
    ) -> None:
        """`received` gets its messages. `died(worker, status, delay)`: it is started again in `delay` seconds; None:
        it is not, since it was told to end or never came up."""
        self.number = number
        self._command = own_python.command("-m", _MODULE)
        self._count = count
        self._arguments = list(arguments)
        self._received = received
        self._died = died
        self._popen: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._began = 0.0
        self._early_deaths = 0
        self._is_ending = False
        self._has_been_up = False
        self.up = asyncio.Event()
        """It takes connections."""
        self.over = asyncio.Event()
        """It has ended, and is not started again."""
        self.status = 0
        """Its exit status, once it is over."""
        self.connections = 0
        """Open ones that it was given."""
        self.keys = 0
        """Process trees, and addresses of clients, that are its."""

    def start(self) -> None:
        """Start its process, which loads its modules and waits for `begin`. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            # Of the arguments the first are the worker's own.
            own = [str(theirs.fileno()), str(self.number), str(self._count)]
            self._popen = subprocess.Popen(
                [*self._command, *own, *self._arguments],
                env=own_python.environment(os.environ),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for the front, which passes it on
            )
        self._began = time.monotonic()
        self._channel = Channel(ours, self._take_message, self._gone)

    def begin(self) -> None:
        """Let it read its options and get ready."""
        self.send({"kind": "begin"})

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen is not None else None

    def send(self, message: dict[str, Any]) -> None:
        """Send it a message; without a process it is lost."""
        if self._channel is not None:
            self._channel.send(message)

    def take(self, client: socket.socket, mode: int, pid: int | None) -> None:
        """Hand a client's connection over: of which of the modes it is, and its process."""
        assert self._channel is not None
        self.connections += 1
        self._channel.send({"kind": "client", "mode": mode, "pid": pid}, client)

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(number)

    def end(self, *, at_once: bool) -> None:
        """Have it end, as soon as its calls have ended or at once, and not be started again."""
        self._is_ending = True
        if self._channel is None:  # it waits to be started again
            self.over.set()
            return
        self.send({"kind": "end", "at_once": at_once})
        if not self.up.is_set():  # it may not read yet, and then has no calls
            self.signal(signal.SIGTERM)

    def _take_message(self, message: dict[str, Any], handed: socket.socket | None) -> None:
        if handed is not None:
            handed.close()  # a worker hands nothing over
        match message["kind"]:
            case "closed":
                self.connections -= 1
                return
            case "ready":
                self._has_been_up = True
        self._received(self, message)

    def _gone(self) -> None:
        """Its end of the channel is closed: the process has ended, or is about to."""
        self._channel = None
        self.up.clear()
        self.connections = 0
        popen = self._popen
        assert popen is not None
        waiting = asyncio.get_running_loop().run_in_executor(None, popen.wait)
        waiting.add_done_callback(lambda done: self._ended(done.result()))

    def _ended(self, status: int) -> None:
        lived = time.monotonic() - self._began
        self._early_deaths = self._early_deaths + 1 if lived < _SOON_SECONDS else 0
        if self._is_ending or not self._has_been_up:
            self.status = status
            self.over.set()
            self._died(self, status, None)
            return
        delay = _AGAIN_SECONDS[min(self._early_deaths, len(_AGAIN_SECONDS) - 1)]
        asyncio.get_running_loop().call_later(delay, self._start_again)
        self._died(self, status, delay)

    def _start_again(self) -> None:
        if self._is_ending:
            return
        try:
            self.start()
            self.begin()
        except OSError:
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS[-1], self._start_again)
