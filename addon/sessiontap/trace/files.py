"""A trace folder and the files of its segments: their names, which are live, who may look into them, their errors.

A segment goes by one name, `NAME.mpk`, whether its file is that or `NAME.mpk.zst`. It is plain while it is written and
until it is closed; from then on it is compressed (closing.py). Offsets are those of the plain bytes in both, so that a
reader that knew the one goes on in the other.

The recorder closes the folder to others when it starts. Closing, pruning and replacing the index take `exclusive_lock`.
Everything that reads the log tells a person what is wrong by a `TraceError`.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from sessiontap import private
from sessiontap.trace.folders import logs_in
from sessiontap.trace.seekable import SeekableFile

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = "sessiontap-trace"
VERSION = 2
"""1 had values that calls share in records of their own."""
SUFFIX = ".mpk"
ANNOTATIONS_SUFFIX = "-annotations.mpk"
"""At the end of the name of a segment of labels and scores."""
_FRESH_SECONDS = 60.0
"""Without locks a segment changed this lately counts as live."""
CLOSED_SUFFIX = ".zst"
"""Behind the name of a segment that is closed."""
_ENOUGH_FOR_ID = 128
"""Bytes at the beginning of a segment that hold the id in its header."""


class TraceError(Exception):
    """One sentence that says what is wrong and where; `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotInTrace(TraceError):
    """No session or call, or more than one, is what was asked for; the log itself can be read."""


class Ambiguous(NotInTrace):
    """More than one session or call is what was asked for."""


HOW_TO_RECORD = "`sessiontap exec -- PROGRAM` records a program's calls; --trace DIR names another trace."
"""The hint for a trace without calls."""


def unreadable(folder: Path, error: OSError) -> TraceError:
    """The error of a trace folder, or one of those that are read by way of it, that cannot be listed."""
    folder = Path(error.filename or folder)
    if isinstance(error, FileNotFoundError):
        return TraceError(f"there is no trace folder {folder}", HOW_TO_RECORD)
    message = f"the trace folder {folder} cannot be read: {error.strerror or error}"
    return TraceError(message, "Name another with --trace DIR.")


class PlainFile:
    """A segment file as it was written. It owns `file` and closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.read, self.fileno, self.close = file.seek, file.read, file.fileno, file.close

    @property
    def size(self) -> int:
        """Bytes at this moment."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def is_live(self) -> bool:
        """A writer has it open."""
        return is_live(self._file)

    has_sound_table = True
    is_cut = False
    is_closed = False

    def is_damaged(self, offset: int, size: int) -> bool:
        """Never: plain bytes have no frames of zstd."""
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ClosedFile(SeekableFile):
    """The file of a closed segment."""

    is_live = False
    is_closed = True


SegmentFile = PlainFile | ClosedFile


def open_segment(path: Path) -> SegmentFile:
    """The segment of the name `path`, plain or closed. Raises OSError: FileNotFoundError if there is neither.

    The plain file is tried first: if it has just gone, the closed one has come before.
    """
    if path.suffix != CLOSED_SUFFIX:
        try:
            return PlainFile(path.open("rb", buffering=0))
        except FileNotFoundError:
            path = closed_name(path)
    file = path.open("rb", buffering=0)
    try:
        return ClosedFile(file)
    except BaseException:
        file.close()
        raise


def is_live(file: BinaryIO) -> bool:
    """A writer has this open segment."""
    if fcntl is None:
        return time.time() - os.fstat(file.fileno()).st_mtime < _FRESH_SECONDS
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def is_left(file: BinaryIO) -> bool:
    """No writer has this open segment. False also if that cannot be known: on a file system without locks."""
    if fcntl is None:
        return not is_live(file)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_UN)
    except OSError:
        return False
    return True


class FileStatus(NamedTuple):
    """A segment's file as it is listed."""

    closed: bool
    size: int
    changed: int
    """Unix nanoseconds."""


def segments(folder: Path) -> dict[Path, FileStatus]:
    """The name of each segment, oldest first, and what its file is. Raises OSError: the folder cannot be read.

    Of several folders that are read as one (`folders`) those of all; a segment that was copied from one of them to
    another is listed once.
    """
    logs = logs_in(folder)
    if len(logs) == 1:
        return _segments_in(logs[0])
    found = {path: status for log in logs for path, status in _segments_in(log).items()}
    return {path: found[path] for path in _without_copies(found)}


def _segments_in(folder: Path) -> dict[Path, FileStatus]:
    """The segments of one folder, oldest first.

    It is listed twice: a listing that is under way while a segment is closed may hold neither of its files, and the
    next one then holds the closed one. A named pipe is no segment: opening it would wait for ever.
    """
    found: dict[str, FileStatus] = {}
    for _ in range(2):
        for file in os.listdir(folder):
            name = file.removesuffix(CLOSED_SUFFIX)
            if not name.endswith(SUFFIX) or file.startswith("."):
                continue
            try:
                status = os.stat(os.path.join(folder, file))  # a Path for each takes four times as long
            except OSError:
                continue
            closed = file != name
            if stat.S_ISREG(status.st_mode) and (closed or name not in found):
                found[name] = FileStatus(closed, status.st_size, status.st_mtime_ns)
    return {folder / name: found[name] for name in sorted(found)}


def _without_copies(found: Mapping[Path, FileStatus]) -> list[Path]:
    """The segments by their names; of several that begin with the same header the closed one, else the largest."""
    left = []
    for _, same in groupby(sorted(found, key=lambda path: (path.name, path)), key=attrgetter("name")):
        paths = list(same)
        if len(paths) > 1:
            best = sorted(paths, key=lambda path: (found[path].closed, found[path].size), reverse=True)
            paths = sorted({_beginning(path): path for path in reversed(best)}.values())
        left += paths
    return left


def _beginning(path: Path) -> bytes:
    """The first plain bytes of a segment, which hold its id; its path if it cannot be read."""
    try:
        with open_segment(path) as file:
            file.seek(0)
            return file.read(_ENOUGH_FOR_ID) or bytes(path)
    except OSError:
        return bytes(path)


def holds_annotations(path: Path) -> bool:
    """Return True if the segment of the name `path` holds labels and scores, and no calls."""
    return path.name.endswith(ANNOTATIONS_SUFFIX)


def file_of(path: Path) -> Path:
    """The file of the segment `path`: the closed one if it is there."""
    closed = closed_name(plain_name(path))
    return closed if closed.exists() else plain_name(path)


def closed_name(path: Path) -> Path:
    return path.with_name(path.name + CLOSED_SUFFIX)


def plain_name(path: Path) -> Path:
    """The name that a segment goes by."""
    return path.with_suffix("") if path.suffix == CLOSED_SUFFIX else path


def draft_name(path: Path) -> Path:
    """The file in which a segment is compressed."""
    return path.with_name(f".{plain_name(path).name}{CLOSED_SUFFIX}.draft")


def identity(file: SegmentFile) -> tuple[int, int]:
    """Device and inode of an open file."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


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
