"""Servers that an evaluation runs for itself, on free ports of this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SLOW_WAY = Path(__file__).with_name("slow_way.py")
PATIENCE = 60.0
"""Seconds until a server listens, and until it has ended."""


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(command: Sequence[str | Path], port: int) -> Iterator[int]:
    """Run a server that listens on `port`, and give it once it does. Raises TimeoutError."""
    server = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while not _is_open(port):
            if server.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"{command[0]} does not listen on port {port}")
            time.sleep(0.02)
        yield port
    finally:
        server.terminate()
        server.wait(PATIENCE)


@contextmanager
def redis_server(folder: Path, delay: float = 0.0) -> Iterator[int]:
    """Run a redis-server, empty and without files, that answers `delay` seconds later. Give its port."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with running(command, port):
        if not delay:
            yield port
            return
        way = free_port()
        with running([sys.executable, SLOW_WAY, str(way), str(port), str(delay)], way):
            yield way


def _is_open(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
