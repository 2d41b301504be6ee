"""A Redis or Valkey of a test's own: empty, on a port of this machine, without files; and a slow way to it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.running import free_port

PROGRAMS = ("redis-server", "valkey-server")
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
START = 20.0
"""Seconds that it may take to start."""


class RedisServer:
    """A server, which can be stopped, frozen and started anew."""

    def __init__(self, folder: Path, *options: str, tls: bool = False, program: str = PROGRAMS[0]) -> None:
        """`options`: further ones of the `program`; of one that is given twice the later counts."""
        self.program = program
        self.port = free_port()
        self._folder = folder
        self._options = options
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis{'s' if self._tls else ''}://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """What starts it."""
        port = ["--port", "0", "--tls-port", str(self.port)] if self._tls else ["--port", str(self.port)]
        return [
            *(self.program, *port, "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)),
            *self._options,
        ]

    def start(self) -> None:
        """Start it, empty."""
        self._process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL)
        end = time.monotonic() + START
        while self._process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise TimeoutError(f"{self.program} does not answer")

    def stop(self) -> None:
        """End it at once, and what it remembers."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Have it hang: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(folder: Path, program: str = PROGRAMS[0]) -> Iterator[RedisServer]:
    """Run one for a block."""
    server = RedisServer(folder, program=program)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class SlowWay:
    """A relay to a port, which holds answers back for `delay` seconds, and can be cut."""

    def __init__(self, to: int, address: str = "127.0.0.1") -> None:
        self.to = to
        self._address = address
        self.delay = 0.0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> SlowWay:
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.cut()

    async def open(self) -> None:
        """Let connections through, on the port of before."""
        self._server = await asyncio.start_server(self._relay, self._address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Break all connections, and refuse further ones."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        while self._writers:
            self._writers.pop().transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, back}
        for source, sink, slow in ((reader, back, False), (there, writer, True)):
            task = asyncio.create_task(self._pass(source, sink, slow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, slow: bool) -> None:
        while data := await source.read(1 << 16):
            if slow and self.delay:
                await asyncio.sleep(self.delay)
            sink.write(data)
        sink.close()
