"""Real proxies that start at once: a process that has imported everything forks one for each that is asked for.

The child runs mitmdump's own `main` with arguments of its own, from its option parser to its exit; all that it is
spared is the second that Python takes to import it.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LISTENING = re.compile(rb"proxy listening at \S*:(\d+)")
START_LIMIT = 30.0  # seconds


class Warm:
    """The process that forks."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], env=dict(environment)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.wait(START_LIMIT)

    def mitmdump(self, arguments: Sequence[str], folder: Path) -> WarmProxy:
        """Start one in `folder`, which is its home too."""
        read, write = os.pipe()
        try:
            order = json.dumps({"arguments": list(arguments), "folder": str(folder)}).encode()
            with self._lock:
                socket.send_fds(self._socket, [order], [write])
                pid = int(self._socket.recv(100))
        finally:
            os.close(write)
        return WarmProxy(pid, read)


class WarmProxy:
    """A proxy of which nothing is known but its pid and what it says."""

    def __init__(self, pid: int, output: int) -> None:
        self.pid = pid
        self._output = output
        self.said = b""

    def port(self) -> int:
        """Where it listens, once it does.

        :raises AssertionError: it never did.
        """
        while (found := LISTENING.search(self.said)) is None:
            assert self._read(), f"the proxy did not start; it said: {self.said.decode(errors='replace') or 'nothing'}"
        return int(found[1])

    def pass_time(self, seconds: float) -> None:
        """Wait, while what it says is read."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._read(left):
            pass

    def kill(self, helpers: bool) -> None:
        """End it at once, its helper processes with it or not, and wait until nobody holds its output."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()] if helpers and children.exists() else []
        for pid in (self.pid, *pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while self._read():
            pass
        os.close(self._output)

    def _read(self, patience: float = START_LIMIT) -> bool:
        if not select.select([self._output], [], [], patience)[0]:
            return False
        said = os.read(self._output, 65536)
        self.said += said
        return bool(said)


def _serve(orders: socket.socket) -> None:
    import mitmproxy.tools.main
    from mitmproxy.tools import dump  # noqa: F401  imported here for the children

    from sessiontap.proxy import tap  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    while True:
        message, handles, _, _ = socket.recv_fds(orders, 65536, 1)
        if not message:
            return
        pid = os.fork()
        if pid:
            os.close(handles[0])
            orders.send(str(pid).encode())
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        orders.close()
        os.dup2(handles[0], 1)
        os.dup2(handles[0], 2)
        os.close(handles[0])
        order = json.loads(message)
        os.chdir(order["folder"])
        os.environ["HOME"] = order["folder"]
        sys.argv = ["mitmdump", *order["arguments"]]
        mitmproxy.tools.main.mitmdump()
        sys.exit(0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
