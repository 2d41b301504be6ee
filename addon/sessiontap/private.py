"""Folders and files for their user alone, and the folder of Sessiontap's own state.

That is `~/.sessiontap`. If it cannot be written (a read-only home, a user without one), a folder of the same user among
the temporary files takes its place, and every command that starts something says so: a proxy must start all the same.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TextIO

OTHERS_MAY_WRITE = 0o022


def make(folder: Path) -> None:
    """Make `folder` and what is missing above it, each 0700 whatever the umask. Raises OSError.

    A folder that exists keeps its mode, except that others lose the right to write to one of this user.
    """
    missing: list[Path] = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    for one in reversed(missing):
        try:
            one.mkdir(mode=0o700)
        except FileExistsError:  # another process was quicker
            if not one.is_dir():
                raise
        else:
            one.chmod(0o700)  # a umask may have taken what its owner needs
    if not folder.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(folder))
    found = folder.stat()
    if os.name == "posix" and found.st_uid == os.geteuid() and found.st_mode & OTHERS_MAY_WRITE:
        folder.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS_MAY_WRITE)


def write_text(file: Path, text: str, *, readable: bool = False) -> None:
    """Write a text file. One that is new is 0600, or 0644 if others may read it, whatever the umask. Raises OSError."""
    with _opened(file, os.O_TRUNC, readable) as out:
        out.write(text)


def append_text(file: Path, text: str, *, readable: bool = False) -> None:
    """The same at the end of the file."""
    with _opened(file, os.O_APPEND, readable) as out:
        out.write(text)


def _opened(file: Path, flags: int, readable: bool) -> TextIO:
    mode = 0o644 if readable else 0o600
    return open(os.open(file, os.O_WRONLY | os.O_CREAT | flags, mode), "w", encoding="utf-8")


def home() -> Path:
    """Return the folder of the user's own state, which need not exist: `~/.sessiontap`, or what stands in for it.

    The usual one as long as nothing stands in for it, so that a log that can only be read is found.
    """
    own = _usual_home()
    if own is not None and (_is_writable(own) or not _is_ours(stand_in())):
        return own
    return stand_in()


def prepare_home() -> str | None:
    """Make the folder that `home` gives from then on. Raises OSError if there is none to be had.

    Returns what the user must be told: None, or that another folder stands in for the usual one.
    """
    own, why = _usual_home(), "no home folder is known for this user"
    if own is not None:
        if is_made(own):
            return None
        why = f"{own} cannot be written"
    place = stand_in()
    if os.path.lexists(place) and not _is_ours(place):
        raise PermissionError(13, "It belongs to another user", str(place))
    make(place)
    place.chmod(0o700)
    return f"{why}, so what Sessiontap keeps is in {place}, which may not outlive a restart of this machine"


def is_made(folder: Path) -> bool:
    """Make `folder` if it is missing, and return whether files can be made in it."""
    try:
        make(folder)
    except OSError:
        return False
    return _is_writable(folder)


def stand_in() -> Path:
    """Return the folder that stands in for `~/.sessiontap`: the same for every process of this user."""
    import tempfile  # 5 ms that a start with a usual home does not spend

    user = str(os.geteuid()) if os.name == "posix" else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"sessiontap-{user}"


def user_home() -> Path | None:
    """Return the user's home folder, as far as one is known."""
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and no entry for this user
        return None


def _usual_home() -> Path | None:
    above = user_home()
    return above / ".sessiontap" if above is not None else None


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _is_ours(folder: Path) -> bool:
    """Return True if it is a folder of this user, and no link that somebody else made."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and (os.name != "posix" or found.st_uid == os.geteuid())
