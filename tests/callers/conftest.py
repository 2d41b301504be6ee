"""A proxy's listening socket, and client processes that connect to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest


class Peer:
    """A client process, and the connection that the proxy accepted from it."""

    def __init__(self, process: subprocess.Popen[str], accepted: socket.socket) -> None:
        self.process = process
        self.pid = process.pid
        self.accepted = accepted

    @property
    def client(self) -> tuple[str, int]:
        name: tuple[str, int] = self.accepted.getpeername()
        return name

    @property
    def proxy(self) -> tuple[str, int]:
        name: tuple[str, int] = self.accepted.getsockname()
        return name

    def go_on(self) -> None:
        """Gives the process the line it waits for, and waits for the line it prints when it has done the next thing."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


class Stage:
    """The sockets and processes of a test; all end with it."""

    HOLD = """
        import socket, sys
        connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
        connection.recv(1)  # until the test hangs up
    """
    """A client that connects and waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.sockets: list[socket.socket] = []

    def listen(self, host: str = "127.0.0.1", *, dual: bool = False) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = socket.create_server((host, 0), family=family, dualstack_ipv6=dual, backlog=128)
        server.settimeout(20)
        self.sockets.append(server)
        return server

    def script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text).lstrip())
        path.chmod(0o755)
        return path

    def start(
        self,
        command: Sequence[str | Path],
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        detached: bool = False,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **(env or {})},
            cwd=cwd or self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
            start_new_session=detached,
        )
        self.processes.append(process)
        return process

    def accept(self, server: socket.socket) -> socket.socket:
        accepted, _ = server.accept()
        accepted.settimeout(20)
        self.sockets.append(accepted)
        return accepted

    def client(
        self,
        server: socket.socket,
        name: str = "client.py",
        text: str = HOLD,
        host: str | None = None,
        **options: object,
    ) -> Peer:
        """A Python script of that name that is given the server's address, and its connection."""
        address, port = server.getsockname()[:2]
        script = self.script(name, text)
        process = self.start([sys.executable, script, host or address, str(port)], **options)  # type: ignore[arg-type]
        return Peer(process, self.accept(server))

    def close(self) -> None:
        for each in self.sockets:
            each.close()
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()
