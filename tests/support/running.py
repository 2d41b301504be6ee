"""Real servers of other projects, installed once outside the clone: each runs on a port of this machine for a block."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

START = 180.0
"""Seconds that one may take to start; with all their migrations they take thirty."""
END = 20.0
"""Seconds that one may take to end."""


@contextmanager
def running(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], url: str) -> Iterator[None]:
    """Run a server, whose home is `folder`, from when it answers at `url` until the end of the block.

    :raises TimeoutError: it does not answer, or ended; the message is the end of what it said.
    """
    output = folder / "server.log"
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "NO_PROXY": "*", **environment}
    with output.open("wb") as file:
        process = subprocess.Popen([str(word) for word in command], cwd=folder, env=own, stdout=file, stderr=file)
        try:
            _wait_for(url, process, output)
            yield
        finally:
            process.terminate()
            try:
                process.wait(END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    end, between = time.monotonic() + START, threading.Event()
    while time.monotonic() < end and process.poll() is None:
        if _answers(url):
            return
        between.wait(0.2)
    raise TimeoutError(output.read_text(errors="replace")[-5000:])


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return True
    except HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
