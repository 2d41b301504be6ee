"""Close segments: compress each that nobody writes to any more, beside it, and put the result in its place.

The draft is written, synced and renamed to `NAME.mpk.zst`, then the plain file goes. Whatever stops this in between, a
kill or a full disk, leaves the plain file; the next start does it again. What was pruned meanwhile does not come back:
the last step is done under the folder's lock, and only if the plain file is still the one that was read.

`Closer` does it on a thread of its own, so that nothing that is recorded waits for it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sessiontap.trace import seekable
from sessiontap.trace.files import CLOSED_SUFFIX, SUFFIX, closed_name, draft_name, exclusive_lock, is_left, segments
from sessiontap.trace.seekable import BLOCK, SeekableFile, most_plain

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

OnFault = Callable[[str, str], None]
"""Called with a kind and a sentence."""


class _StoppedError(Exception):
    """The time for closing is over."""


def close_segment(path: Path, *, ours: bool = False, stop: Callable[[], bool] = lambda: False) -> bool:
    """Compress the segment `path`; its closed file takes its place. Raises OSError, and the plain file is as it was.

    False: a writer may have it, another process closes it, it is empty or gone, it would be denser than readers accept,
    or `stop` said so between two blocks.
    `ours`: this process wrote it and has left it, so nobody needs to be asked.
    """
    try:
        plain = path.open("rb", buffering=0)
    except FileNotFoundError:
        return False
    with plain:
        status = os.fstat(plain.fileno())
        if not status.st_size or not (ours or is_left(plain)):
            return False
        draft = _own_draft(draft_name(path))
        if draft is None:
            return False
        with draft:
            try:
                size = compress(plain, draft, stop)
                if size > most_plain(draft.tell()):
                    return False
                with exclusive_lock(path.parent):
                    if not _is_still(path, status) or path.stat().st_size != size:
                        return False
                    os.utime(draft_name(path), ns=(status.st_atime_ns, status.st_mtime_ns))  # no call in it began later
                    os.replace(draft_name(path), closed_name(path))
                    path.unlink()
                    return True
            except _StoppedError:
                return False
            finally:
                if not _is_still(closed_name(path), os.fstat(draft.fileno())):
                    draft_name(path).unlink(missing_ok=True)


def compress(plain: BinaryIO, out: BinaryIO, stop: Callable[[], bool] = lambda: False) -> int:
    """Write the closed form of what is in `plain`, and see that the disk has it. Its plain bytes. Raises OSError."""
    sizes: list[tuple[int, int]] = []
    while block := _read(plain, BLOCK):
        if stop():
            raise _StoppedError
        packed = seekable.compress(block)
        out.write(packed)
        sizes.append((len(packed), len(block)))
        if len(block) < BLOCK:  # the last one, also if the file grows now
            break
    out.write(seekable.table(sizes))
    out.flush()
    os.fsync(out.fileno())
    return sum(size for _, size in sizes)


def tidy(folder: Path) -> None:
    """Take away what a closing that was killed has left: drafts, and one of two files of a segment. Raises OSError."""
    for path in folder.glob(f".*{SUFFIX}{CLOSED_SUFFIX}.draft"):
        draft = _own_draft(path)
        if draft is not None:
            path.unlink(missing_ok=True)
            draft.close()
    for path in segments(folder):
        if path.exists() and closed_name(path).exists():
            with exclusive_lock(folder), contextlib.suppress(FileNotFoundError):
                settle(path)


def settle(path: Path) -> None:
    """Of the two files of the segment `path` keep one: the closed one if it is whole. Under the folder's lock.

    Raises FileNotFoundError: there is but one.
    """
    size = path.stat().st_size
    with SeekableFile(closed_name(path).open("rb", buffering=0)) as closed:
        whole = closed.has_sound_table and closed.size == size
    (path if whole else closed_name(path)).unlink()


class Closer:
    """Closes segments of `folder` on a thread of its own: at first those that others left, then those it is told of.

    `on_fault` is called there, once for each kind of fault.
    """

    def __init__(self, folder: Path, on_fault: OnFault) -> None:
        self._folder = folder
        self._on_fault = on_fault
        self._told: set[str] = set()
        self._queue: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sessiontap-closing", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def left(self, path: Path) -> None:
        """This process writes no more to the segment `path`. From any thread."""
        self._queue.put(path)

    def close(self, seconds: float) -> bool:
        """Close what is left within `seconds`. False: they were not enough; the next start does the rest."""
        self._queue.put(None)
        self._thread.join(seconds)
        self._stop.set()
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            tidy(self._folder)
            behind = list(segments(self._folder))
        except OSError as error:
            self._report(self._folder, error)
            behind = []
        for path in behind:
            self._close(path, ours=False)
        while (left := self._queue.get()) is not None:
            self._close(left, ours=True)

    def _close(self, path: Path, *, ours: bool) -> None:
        try:
            if not self._stop.is_set():
                close_segment(path, ours=ours, stop=self._stop.is_set)
        except OSError as error:
            self._report(path, error)

    def _report(self, path: Path, error: OSError) -> None:
        why = error.strerror or str(error)
        if why not in self._told:
            self._told.add(why)
            self._on_fault("closing", f"{path} cannot be compressed, and stays as it is: {why}")


def _own_draft(path: Path) -> BinaryIO | None:
    """The draft, empty, for this process alone; None while another one has it. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
    try:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks ...
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(handle)
                    return None
        if not _is_still(path, os.fstat(handle)):  # it was renamed or taken away before it was locked
            os.close(handle)
            return None
        os.ftruncate(handle, 0)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(handle)
        raise
    return os.fdopen(handle, "wb", buffering=BLOCK)


def _is_still(path: Path, status: os.stat_result) -> bool:
    """The file at `path` is that of `status`."""
    try:
        now = path.stat()
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino)


def _read(file: BinaryIO, size: int) -> bytes:
    """`size` bytes, fewer only at the end: an unbuffered file may give them in pieces."""
    pieces = []
    while size and (piece := file.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
