"""Real readers of spans, installed once outside the clone, and started on a port of this machine with a new store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.agents import packages
from tests.support.running import free_port, running

PHOENIX = "arize-phoenix==20.26.1"
MLFLOW = "mlflow==3.17.2"
PUSH_LIMIT = 60.0


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
    url = f"http://127.0.0.1:{port}"
    with running([program, "serve"], folder, environment, f"{url}/healthz"):
        yield url


@contextmanager
def mlflow(folder: Path) -> Iterator[str]:
    """MLflow, with a store in SQLite; yields its address."""
    python = packages.python(MLFLOW)
    port = free_port()
    command = [
        python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--default-artifact-root", str(folder / "artifacts"),
    ]  # fmt: skip
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    url = f"http://127.0.0.1:{port}"
    with running(command, folder, quiet, f"{url}/health"):
        yield url


def push(target: str, endpoint: str, trace: Path, *options: str) -> str:
    """Push a log as a user does; returns what the command said."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(trace.parent), "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "sessiontap.cli", "push", target, "--endpoint", endpoint, "--trace", str(trace)]
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, timeout=PUSH_LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
