"""Start a recorder's process. Started early, it loads its modules while the proxy loads mitmproxy."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

from sessiontap import own_python

_BOOT = """
import sys
from sessiontap.loading import loading
with loading():
    from sessiontap.recording.process import main
sys.exit(main())
"""
_early: list[subprocess.Popen[bytes]] = []


def start_early() -> None:
    """Start the process that `started` will return. If none can be started, `started` says so."""
    with suppress(OSError):
        _early.append(_start())


def started() -> subprocess.Popen[bytes]:
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
