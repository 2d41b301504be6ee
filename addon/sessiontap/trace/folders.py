"""Whether others can look into the trace folder."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from sessiontap import private


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
