"""Find the process that holds a socket, by the socket's inode number in /proc/PID/fd.

Three steps, each dearer than the one before: the processes that were found lately (tens of microseconds), those that
were just started, as most are that connect for the first time (a fifth of a millisecond), and all others from the
newest on (milliseconds, some fifty microseconds a process; bounded by SEARCH). The last is what connections that wait
at the same time share: see `process_search.py`.

Several may hold it: descriptors pass from parent to child at fork(2), by the same number, never upwards. So if the
holder was started only just now, its ancestors are asked, and the topmost that holds the socket there is the caller.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from sessiontap.bounded_dict import BoundedDict
from sessiontap.callers import procfs
from sessiontap.callers.procfs import ProcessFolder

SEARCH = 0.5
"""Seconds of this thread's own time for a walk over all processes, of which waiting for a lock takes little."""
_AT_ONCE = 0.001
"""The same for those found lately, and for the newest: a process may hold thousands of descriptors."""
_YOUNG = 10.0
"""Seconds; a process that is older did not inherit a connection that the proxy has just accepted."""
_RECENT = 128
"""So many of the last numbers given are tried: threads take numbers too."""
_KNOWN = 256
_ASK_FIRST = 8
_ANCESTORS = 16


class SocketNotFound(Exception):
    """No process that we may look at holds the socket; the message is the reason in a few words."""


class Scan:
    """Remembers at which descriptor a process had its last connection. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: BoundedDict[int, int] = BoundedDict(_KNOWN)

    def known(self, inode: int) -> ProcessFolder | None:
        """Return the holder, if it is one of those found lately; the caller of this closes the folder."""
        until = time.thread_time() + _AT_ONCE
        found_before = self._known.newest(_ASK_FIRST)
        target = f"socket:[{inode}]"
        for pid, number in found_before:
            # The lowest free number is given: the one of the last connection again, or the next.
            for guess in (number, number + 1):
                if _holds_at(pid, guess, target):
                    return self._pinned(pid, guess, inode)
        for pid, _ in found_before:
            try:
                found = _number(pid, target, until)
            except FileNotFoundError:
                self._known.pop(pid)
                continue
            except OSError:
                continue
            except SocketNotFound:
                break
            if found is not None:
                return self._pinned(pid, found, inode)
        return None

    def expect(self, pid: int) -> None:
        """Take the process `pid` for one that was found lately."""
        if pid in self._known:
            self._known.use(pid)
        else:
            self._known.put(pid, 0)

    def newest(self, inode: int, uid: int | None) -> ProcessFolder | None:
        """Return the holder, if it is one of its user's newest processes; the caller of this closes it."""
        until = time.thread_time() + _AT_ONCE
        target = f"socket:[{inode}]"
        for pid in _last_given():
            if pid == os.getpid() or not _is_of(pid, uid):
                continue
            try:
                number = _number(pid, target, until)
            except OSError:
                continue
            except SocketNotFound:
                break
            if number is not None and (folder := self._pinned(pid, number, inode)):
                return self._opener(folder, inode, number)
        return None

    def search(self, inode: int) -> ProcessFolder:
        """Return the holder among all processes; the caller of this closes the folder.

        Raises SocketNotFound, and OSError if /proc cannot be read.
        """
        until = time.thread_time() + SEARCH
        walk = self.walk()
        for count, held in enumerate(walk):
            if held is not None and held.inode == inode and (folder := self.holder(held)):
                return folder
            if count % 16 == 0 and time.thread_time() > until:
                raise SocketNotFound("not found in time")
        raise SocketNotFound("not permitted" if walk.denied else "not visible")

    def walk(self) -> Walk:
        """Return a walk over the sockets of all processes: those found lately, then the newest. Raises OSError."""
        return Walk([pid for pid, _ in self._known.newest(_ASK_FIRST)])

    def holder(self, held: Held) -> ProcessFolder | None:
        """The process that has had this socket from the start, None if it is gone; the caller closes the folder."""
        folder = self._pinned(held.pid, held.number, held.inode)
        return self._opener(folder, held.inode, held.number) if folder is not None else None

    def forget(self) -> None:
        """Empty the memory."""
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

    def _opener(self, holder: ProcessFolder, inode: int, number: int) -> ProcessFolder:
        """Return the topmost ancestor that holds the socket at that descriptor too, or the holder itself."""
        best = holder
        try:
            stat = holder.stat()
            for _ in range(_ANCESTORS):
                if procfs.age(stat.ticks) > _YOUNG or stat.ppid <= 0:
                    break
                folder = self._pinned(stat.ppid, number, inode)
                if folder is None:
                    break
                best.close()
                best = folder
                stat = best.stat()
        except (OSError, ValueError):
            pass
        return best


class Held(NamedTuple):
    """A socket that a process holds at a descriptor."""

    inode: int
    pid: int
    number: int


class Walk:
    """The sockets of all processes, one after the other. Iterate it once; None stands for work without a find.

    Each item takes a few microseconds, a process without sockets included: who iterates decides when to pause.
    """

    def __init__(self, first: Iterable[int]) -> None:
        """The processes are listed here: one that starts later is not seen. Raises OSError."""
        us = os.getpid()
        all_pids = _by_age(map(int, filter(str.isdigit, os.listdir("/proc"))), _last_number())
        self._pids = [pid for pid in dict.fromkeys(chain(first, all_pids)) if pid != us]
        self._pids.append(us)
        self.denied = False
        """There are processes that we may not look into."""

    def __iter__(self) -> Iterator[Held | None]:
        for pid in self._pids:
            folder = f"/proc/{pid}/fd/"
            try:
                names = os.listdir(folder)
            except PermissionError:
                self.denied = True
                yield None
                continue
            except OSError:  # it has ended
                yield None
                continue
            yield None
            for name in reversed(names):
                try:
                    inode = procfs.parse_socket(os.readlink(folder + name))
                except OSError:  # closed since
                    inode = None
                yield Held(inode, pid, int(name)) if inode is not None else None


def _by_age(pids: Iterable[int], last: int) -> list[int]:
    """The newest first: numbers are given in a circle, so those above the last one given are the oldest."""
    return sorted(pids, key=lambda pid: (pid <= last, pid), reverse=True)


def _is_of(pid: int, uid: int | None) -> bool:
    try:
        return uid is None or os.stat(f"/proc/{pid}").st_uid == uid
    except OSError:
        return False


def _last_given() -> Iterator[int]:
    """The processes with the last numbers that were given, without listing /proc: that alone can take 0.5 ms."""
    pidfd_open = getattr(os, "pidfd_open", None)  # missing if Python was built for an old kernel
    if pidfd_open is None:
        return
    for number in range(last := _last_number(), max(last - _RECENT, 0), -1):
        try:
            os.close(pidfd_open(number))
        except OSError:  # there is none, or it is a thread's
            continue
        yield number


def _last_number() -> int:
    """Return the last number that a process or thread was given; 0 if that is not known."""
    try:
        with open("/proc/loadavg", "rb", buffering=0) as file:
            return int(file.read(128).split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def _number(pid: int, target: str, until: float) -> int | None:
    """Return the descriptor at which the process holds the socket, the highest numbers tried first.

    Raises OSError if they may not be seen, SocketNotFound when this thread's time is `until`.
    """
    folder = f"/proc/{pid}/fd/"
    for count, name in enumerate(reversed(os.listdir(folder))):
        if count % 16 == 0 and time.thread_time() > until:
            raise SocketNotFound("not found in time")
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
