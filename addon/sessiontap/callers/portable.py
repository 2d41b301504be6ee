"""Find the process behind a connection by psutil: on macOS, Windows and the BSDs.

psutil has no look-up of one connection, only lists, which take tens of milliseconds: of the whole machine
(Windows, BSD), or, if that needs root, of one process at a time (macOS), those found lately first and then the
newest. Sessions and process groups are asked of the system if it has them; control groups are unknown here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any

from sessiontap.bounded_dict import BoundedDict
from sessiontap.callers import process_tree
from sessiontap.callers.caller import (
    Address,
    Caller,
    Found,
    Process,
    is_local_address,
    machine,
    parse_address,
    process_id,
)
from sessiontap.callers.names import Names, names
from sessiontap.callers.procfs import text

if TYPE_CHECKING:
    import psutil

_CALLERS = 512
_ASK_FIRST = 8
_DEADLINE = 2.0
"""Seconds for a search through all processes."""


class PortableFinder:
    """As `linux.LinuxFinder`, slower. psutil is imported when one is made. Raises ImportError."""

    def __init__(self, *, whole_table: bool = sys.platform != "darwin") -> None:
        import psutil

        self._psutil = psutil
        self._whole_table = whole_table
        self._callers: BoundedDict[str, Caller] = BoundedDict(_CALLERS)
        self._found_before: BoundedDict[int, bool] = BoundedDict(_CALLERS)
        self._listing = Lock()
        self._listed: tuple[float, list[Any]] = (-1.0, [])
        """The last list of connections, and when it was begun (monotonic)."""

    def find(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found:
        """Return the process at the other end of an accepted connection; see `sessiontap.callers.find`."""
        try:
            return self._find(client, proxy, env_names)
        except Exception as error:
            logging.getLogger(__name__).debug("a caller look-up failed", exc_info=True)
            return Found(reason=f"look-up failed: {type(error).__name__}: {error}")

    def find_known(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found | None:
        """Return None: every answer takes a search here."""
        return None

    def listens(self, caller: Caller) -> bool | None:
        """Return True if the process has a listening TCP socket; None if that cannot be known (any more)."""
        try:
            process = self._psutil.Process(caller.pid)
            if identity(process) != caller.id:
                return None  # the number is another process's by now
            return any(item.status == self._psutil.CONN_LISTEN for item in process.net_connections("tcp"))
        except Exception:
            return None

    def expect(self, pid: int) -> None:
        """Begin the next look-ups with this process."""
        self._found_before.put(pid, True)

    def warm_up(self) -> None:
        """Do what would make the first look-up slow."""
        machine()

    def search(self) -> None:
        """Return None: here a look-up waits for the system, so it needs a thread of its own."""

    def forget(self) -> None:
        """Empty all memory."""
        self._callers.clear()
        self._found_before.clear()

    def _find(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found:
        try:
            ends = parse_address(client), parse_address(proxy)
        except ValueError as error:
            return Found(reason=str(error))
        if ends[0].family != ends[1].family:
            return Found(reason="addresses of two kinds")
        if not is_local_address(ends[0]):
            return Found(reason="remote client")
        try:
            holder = self._in_table(ends) if self._whole_table else self._search(ends)
            if holder is None:
                return Found(reason="gone")
            opener = self._opener(holder, ends)
            self._found_before.put(opener.pid, True)
            caller = self._describe(opener, env_names)
        except self._psutil.AccessDenied:
            return Found(reason="not permitted")
        except self._psutil.NoSuchProcess:
            return Found(reason="gone")
        except TimeoutError as why:
            return Found(reason=str(why))
        return Found(caller, uid=caller.uid)

    def _in_table(self, ends: tuple[Address, Address]) -> psutil.Process | None:
        """Return the holder by the list of the whole machine. Raises AccessDenied if the list hides the process."""
        for item in self._table():
            if _ends(item.laddr, item.raddr) == ends and item.status != self._psutil.CONN_TIME_WAIT:
                if item.pid is None:
                    raise self._psutil.AccessDenied()
                return self._psutil.Process(item.pid)
        return None

    def _table(self) -> list[Any]:
        """Return the connections of the whole machine, listed after this was called: waiting threads share a list."""
        called = time.monotonic()
        with self._listing:
            if self._listed[0] <= called:
                now = time.monotonic()
                self._listed = now, list(self._psutil.net_connections("tcp"))
            return self._listed[1]

    def _search(self, ends: tuple[Address, Address]) -> psutil.Process | None:
        """Return the holder by asking each process. Raises AccessDenied if it may be one that cannot be asked."""
        until = time.monotonic() + _DEADLINE
        denied = None
        for process in self._candidates():
            try:
                if _holds(process, ends):
                    return process
            except self._psutil.AccessDenied as error:
                denied = error
            except self._psutil.Error:
                continue
            if time.monotonic() > until:
                raise TimeoutError("not found in time")
        if denied is not None:
            raise denied
        return None

    def _candidates(self) -> Iterator[psutil.Process]:
        """Yield the processes found lately, then all others, the highest pids first; our own last."""
        us = os.getpid()
        known = [pid for pid, _ in self._found_before.newest(_ASK_FIRST) if pid != us]
        others = sorted(set(self._psutil.pids()).difference(known, (us,)), reverse=True)
        for pid in (*known, *others, us):
            with contextlib.suppress(self._psutil.Error):
                yield self._psutil.Process(pid)

    def _opener(self, process: psutil.Process, ends: tuple[Address, Address]) -> psutil.Process:
        """Return the topmost ancestor that holds the connection too: descriptors pass from parent to child."""
        with contextlib.suppress(self._psutil.Error):
            while (parent := process.parent()) is not None and _holds(parent, ends):
                process = parent
        return process

    def _describe(self, process: psutil.Process, env_names: frozenset[str]) -> Caller:
        """Return the caller as it is now, its ancestors as first seen. Raises psutil.Error if it has ended."""
        key = identity(process)
        before = self._callers.get(key)
        named, exe, argv = self._named(process)
        environ = self._ask(process.environ) if env_names else {}
        cwd, user = self._ask(process.cwd), self._ask(process.username)
        uids = self._ask(process.uids) if hasattr(process, "uids") else None
        if before is None:
            lineage = [self._member(each) for each in self._ask(process.parents) or ()]
            ancestors = tuple(each.process for each in lineage)
            root = process_tree.root((self._member(process), *lineage))
        else:
            ancestors, root = before.ancestors, before.tree
            if root is not None and root.id == key:  # exec: still the root, by its new name
                root = self._member(process).process
        caller = Caller(
            id=key,
            pid=process.pid,
            started=_nanoseconds(process),
            name=named.name,
            names=named.all,
            exe=exe,
            argv=argv,
            cwd=text(cwd) if cwd else None,
            user=text(user) if user else None,
            uid=uids.effective if uids else None,
            ancestors=ancestors,
            env={name: text(environ[name]) for name in env_names if environ and name in environ},
            env_unread=environ is None,
            tree=root,
        )
        if caller == before:
            return before
        self._callers.put(key, caller)
        return caller

    def _member(self, process: psutil.Process) -> process_tree.TreeMember:
        """Return the process as a member of its tree. Raises psutil.Error if it has ended."""
        named, _, _ = self._named(process)
        value = Process(process.pid, named.name or "", _nanoseconds(process), named.all, identity(process))
        return process_tree.TreeMember(
            value, _leader("getsid", process.pid), _leader("getpgid", process.pid), named.shell
        )

    def _named(self, process: psutil.Process) -> tuple[Names, str | None, tuple[str, ...]]:
        exe, comm = self._ask(process.exe), self._ask(process.name)
        argv = tuple(text(word) for word in self._ask(process.cmdline) or ())
        path = text(exe) if exe else None
        return names(text(comm) if comm else None, path, argv), path, argv

    def _ask[T](self, fact: Callable[[], T]) -> T | None:
        """Return a fact; None if it may not be known, or is no longer."""
        try:
            return fact()
        except (self._psutil.Error, OSError):
            return None


def _holds(process: psutil.Process, ends: tuple[Address, Address]) -> bool:
    return any(_ends(item.laddr, item.raddr) == ends for item in process.net_connections("tcp"))


def _ends(local: tuple[str, int] | tuple[()], remote: tuple[str, int] | tuple[()]) -> tuple[Address, Address] | None:
    """Return both ends of a listed connection; None if it has no other end."""
    try:
        return (parse_address(local), parse_address(remote)) if local and remote else None
    except ValueError:
        return None


def identity(process: psutil.Process) -> str:
    return process_id(machine(), process.pid, f"{process.create_time():.6f}")


def _nanoseconds(process: psutil.Process) -> int:
    return round(process.create_time() * 1e6) * 1000


def _leader(function: str, pid: int) -> int | None:
    """Return the pid of the leader of a process's session or group; None if the system has none or will not say."""
    ask = getattr(os, function, None)
    if ask is None:
        return None
    try:
        return int(ask(pid))
    except OSError:
        return None
