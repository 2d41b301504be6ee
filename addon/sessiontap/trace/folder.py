"""The trace folder itself: who may look into it, one process at a time for what must not be done twice, its errors.

The recorder closes it to others when it starts. Closing, pruning and replacing the index take `exclusive_lock`, which
may not be entered twice. Everything that reads the log tells a person what is wrong by a `TraceError`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sessiontap import private

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class TraceError(Exception):
    """One sentence that says what is wrong and where; `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Wait for whoever else is within, by a lock on the folder itself. Not to be entered twice. Raises OSError."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def secure(folder: Path) -> str | None:
    """Close `folder` to others if it is ours by its name: in `~/.sessiontap`, which is closed with it.

    A sentence for the user if others can look into a folder elsewhere, which may be theirs as well.
    """
    if os.name != "posix":
        return None
    home = private.home()
    with contextlib.suppress(OSError):
        for own in (home, *([folder] if home in folder.parents else [])):
            if own.is_dir() and own.stat().st_uid == os.geteuid() and _is_open(own):
                own.chmod(0o700)
        if _is_open(folder):
            mode = stat.S_IMODE(folder.stat().st_mode)
            return f"others can look into the trace folder {folder} (mode {mode:03o}): chmod 700 closes it to them"
    return None


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o077)
