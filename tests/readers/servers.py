"""Real readers of spans, installed once outside the clone, and started on a port of this machine with a new store."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from tests.agents import packages

PHOENIX = "arize-phoenix==20.26.1"
MLFLOW = "mlflow==3.17.2"
START_LIMIT = 180.0  # seconds; with all their migrations they take thirty
PUSH_LIMIT = 60.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def phoenix(folder: Path) -> Iterator[str]:
    """Phoenix; yields its address."""
    program = packages.python(PHOENIX).parent / "phoenix"
    port = free_port()
    environment = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    with _running([str(program), "serve"], folder, environment, f"http://127.0.0.1:{port}", "/healthz") as url:
        yield url


@contextmanager
def mlflow(folder: Path) -> Iterator[str]:
    """MLflow, with a store in SQLite; yields its address."""
    python = packages.python(MLFLOW)
    port = free_port()
    command = [
        str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--default-artifact-root", str(folder / "artifacts"),
    ]  # fmt: skip
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with _running(command, folder, quiet, f"http://127.0.0.1:{port}", "/health") as url:
        yield url


@contextmanager
def _running(command: Sequence[str], folder: Path, more: Mapping[str, str], url: str, health: str) -> Iterator[str]:
    log = folder / "server.log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **more}
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            _wait(process, url + health, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_LIMIT
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"it did not start\n{log.read_text()[-3000:]}")


def push(target: str, endpoint: str, trace: Path, *options: str) -> str:
    """Push a log as a user does; returns what the command said."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(trace.parent), "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "sessiontap.cli", "push", target, "--endpoint", endpoint, "--trace", str(trace)]
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, timeout=PUSH_LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
