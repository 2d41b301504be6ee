"""A socket's inode number -> the process that holds it, found in /proc/PID/fd.

Processes that were found lately are looked at first, then all others from the newest on: who connects was often just
started. The search ends at the first that holds the socket, or at DEADLINE.

Several may hold it: descriptors pass from parent to child at fork(2), never upwards. So where the holder was started
only just now, its ancestors are asked, and the topmost that holds the socket is the caller.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from sessiontap.callers import procfs
from sessiontap.callers.lru import Lru
from sessiontap.callers.procfs import ProcessFolder

DEADLINE = 0.05
"""Seconds; hundreds of processes take a tenth of it."""
_YOUNG = 10.0
"""Seconds; a process that is older did not inherit a connection that the proxy has just accepted."""
_KNOWN = 256
_ASK_FIRST = 8
_ANCESTORS = 16


class NotFound(Exception):
    """No process that we may look at holds the socket; the message is the reason in a few words."""


class Scan:
    """Remembers at which descriptor a process had its last connection. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: Lru[int, int] = Lru(_KNOWN)

    def known(self, inode: int) -> ProcessFolder | None:
        """The holder, if it is one of those found lately; the caller of this closes the folder."""
        lately = self._known.newest(_ASK_FIRST)
        target = f"socket:[{inode}]"
        for pid, number in lately:
            # The lowest free number is given: the one of the last connection again, or the next.
            for guess in (number, number + 1):
                if _holds_at(pid, guess, target):
                    return self._pinned(pid, guess, inode)
        for pid, _ in lately:
            try:
                found = _number(pid, target)
            except FileNotFoundError:
                self._known.drop(pid)
                continue
            except OSError:
                continue
            if found is not None:
                return self._pinned(pid, found, inode)
        return None

    def search(self, inode: int, uid: int | None) -> ProcessFolder:
        """The holder among all processes, those of the socket's owner first; the caller of this closes the folder.

        Raises NotFound, and OSError where /proc cannot be read.
        """
        until = time.monotonic() + DEADLINE
        target = f"socket:[{inode}]"
        denied = False
        for pid in _candidates(uid):
            try:
                number = _number(pid, target)
            except PermissionError:
                denied = True
                continue
            except OSError:  # it has ended
                continue
            if number is not None:
                folder = self._pinned(pid, number, inode)
                if folder is not None:
                    return self._opener(folder, inode, target)
            if time.monotonic() > until:
                raise NotFound(f"not found within {DEADLINE * 1000:.0f} ms")
        raise NotFound("not permitted" if denied else "not visible")

    def forget(self) -> None:
        """Empties the memory."""
        self._known.clear()

    def _pinned(self, pid: int, number: int, inode: int) -> ProcessFolder | None:
        """The process's folder, held open, if it still has that socket: the number may be another's by now."""
        try:
            folder = ProcessFolder(pid)
        except OSError:
            return None
        if folder.socket_at(number) != inode:
            folder.close()
            return None
        self._known.put(pid, number)
        return folder

    def _opener(self, holder: ProcessFolder, inode: int, target: str) -> ProcessFolder:
        """The topmost ancestor that holds the socket too, or the holder itself."""
        best = holder
        try:
            stat = holder.stat()
            for _ in range(_ANCESTORS):
                if procfs.age(stat.ticks) > _YOUNG or stat.ppid <= 0:
                    break
                number = _number(stat.ppid, target)
                folder = self._pinned(stat.ppid, number, inode) if number is not None else None
                if folder is None:
                    break
                best.close()
                best = folder
                stat = best.stat()
        except (OSError, ValueError):
            pass
        return best


def _candidates(uid: int | None) -> Iterator[int]:
    """All pids, the highest first, those of other users after all of `uid`; our own last."""
    us = os.getpid()
    others = []
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):
        if pid == us:
            continue
        try:
            same = uid is None or os.stat(f"/proc/{pid}").st_uid == uid
        except OSError:
            continue
        if same:
            yield pid
        else:
            others.append(pid)
    yield from others
    yield us


def _number(pid: int, target: str) -> int | None:
    """The descriptor at which the process holds the socket, the highest numbers tried first. Raises OSError."""
    folder = f"/proc/{pid}/fd/"
    for name in reversed(os.listdir(folder)):
        try:
            if os.readlink(folder + name) == target:
                return int(name)
        except FileNotFoundError:  # closed since
            continue
    return None


def _holds_at(pid: int, number: int, target: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}") == target
    except OSError:
        return False
