"""A proxy of one's own for one program: started on a free port, and stopped when the program has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sessiontap import own_python
from sessiontap.cli.errors import Failure
from sessiontap.cli.running import Running, wait_until_ready

READY_WITHIN = 30.0
STOPPED_WITHIN = 15.0
"""Seconds; what is queued for the log is written before it ends."""


@contextmanager
def own_proxy(rules: Path | None, trace: Path) -> Iterator[Running]:
    """A proxy on loopback while the block runs. What it warned of is printed on stderr behind it.

    Raises Failure where it does not start, with its own words.
    """
    command = own_python.command("-m", "sessiontap.cli", "run", "--listen-host", "127.0.0.1", "-p", "0")
    command += ["--set", f"session_trace={trace}", "--set", "termlog_verbosity=warn"]
    if rules is not None:
        command += ["--set", f"session_rules={rules}"]
    with tempfile.TemporaryFile() as said:
        # A session of its own: Ctrl-C is meant for the program, and the proxy outlives it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=own_python.environment(os.environ),
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        try:
            ready = wait_until_ready(process, READY_WITHIN)
            if ready is None:
                raise _did_not_start(_text(said), process.returncode)
            yield ready
        finally:
            _stop(process)
        sys.stderr.write(_text(said))


def _end_with_parent() -> None:
    """Even a parent that is killed leaves no proxy behind (prctl(2), PR_SET_PDEATHSIG)."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _did_not_start(said: str, returncode: int) -> Failure:
    """The proxy's own sentence, or of a traceback its last line."""
    words = said.strip().removeprefix("sessiontap: ")
    if "Traceback (most recent call last)" in words:
        return Failure(f"the proxy did not start: {words.splitlines()[-1]}", "`sessiontap run` shows more")
    return Failure(words or f"the proxy ended at once with status {returncode}", status=2 if returncode == 2 else 1)
