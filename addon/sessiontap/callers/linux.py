"""Find the process behind a connection on Linux: its socket by sock_diag, the process by /proc."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sessiontap.bounded_dict import BoundedDict
from sessiontap.callers import process_tree, procfs, socket_owner
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
from sessiontap.callers.process_search import Search
from sessiontap.callers.procfs import ProcessFolder, Stat
from sessiontap.callers.scan import Scan, SocketNotFound
from sessiontap.callers.socket_owner import Owner, SockDiag

_ASK_AGAIN = 5.0
"""Seconds after which a process may have begun to listen, or ceased to."""
_CALLERS = 512
_ANCESTORS = 1024
_DEPTH = 64


class LinuxFinder:
    """One look-up and its memory. Safe to use from several threads; every method answers and none raises."""

    def __init__(self) -> None:
        self._sockets = SockDiag()
        self._scan = Scan()
        self._reader = ProcessReader()
        self._listeners: BoundedDict[str, tuple[bool, float]] = BoundedDict(512)

    def find(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found:
        """Return the process at the other end of an accepted connection; see `sessiontap.callers.find`."""
        return self._guarded(lambda: self._find(client, proxy, env_names))

    def find_known(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found | None:
        """Return what `find` does, if that takes no long search; see `sessiontap.callers.find_known`."""
        return self._guarded(lambda: self._find_known(client, proxy, env_names))

    def listens(self, caller: Caller) -> bool | None:
        """Return True if the process has a listening TCP socket; None if that cannot be known (any more)."""
        try:
            return self._listening(caller)
        except Exception:
            return None

    def warm_up(self) -> None:
        """Do what would make the first look-up slow."""
        machine()
        procfs.user_name(os.geteuid())  # most clients are its processes, too
        with contextlib.suppress(OSError):
            self._sockets.listening()  # opens the netlink socket

    def expect(self, pid: int) -> None:
        """Begin the next look-ups with this process."""
        self._scan.expect(pid)

    def search(self) -> Search:
        """Return a search that look-ups share."""
        return Search(self, self._scan)

    def forget(self) -> None:
        """Empty all memory."""
        self._scan.forget()
        self._reader.forget()
        self._listeners.clear()

    def _find(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found:
        owner = self._owner(client, proxy)
        if isinstance(owner, Found):
            return owner
        near = self._near(owner, env_names)
        if near is not None:
            return near
        try:
            folder = self._scan.search(owner.inode)
        except SocketNotFound as why:
            return self.without(client, proxy, owner, str(why))
        return self.described(folder, owner, env_names) or Found(uid=owner.uid, reason="gone")

    def owner(self, client: tuple[str, int], proxy: tuple[str, int]) -> Owner | Found:
        """Return the socket's owner, or the answer if there is none. Raises OSError if only a table would tell."""
        return self._owner(client, proxy, tables=False)

    def without(self, client: tuple[str, int], proxy: tuple[str, int], owner: Owner, why: str) -> Found:
        """Return the answer after a walk that did not find the holder: it may have closed the socket meanwhile."""
        later = self._guarded(lambda: self._gone(client, proxy))
        return later or Found(uid=owner.uid, reason=why)

    def _gone(self, client: tuple[str, int], proxy: tuple[str, int]) -> Found | None:
        owner = self._owner(client, proxy)
        return owner if isinstance(owner, Found) else None

    def _find_known(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found | None:
        try:
            owner = self._owner(client, proxy, tables=False)
        except OSError:  # no sock_diag here: the tables take long
            return None
        if isinstance(owner, Found):
            return owner
        if not procfs.knows_user(owner.uid):  # a directory service may be slow to name one
            return None
        return self._near(owner, env_names)

    def _near(self, owner: Owner, env_names: frozenset[str]) -> Found | None:
        folder = self._scan.known(owner.inode) or self._scan.newest(owner.inode, owner.uid)
        return self.described(folder, owner, env_names) if folder else None

    def described(self, folder: ProcessFolder, owner: Owner, env_names: frozenset[str]) -> Found | None:
        """Return the holder with all that is known of it, None if it has ended. Closes the folder."""
        with folder:
            try:
                return Found(self._reader.read(folder, env_names), uid=owner.uid)
            except (OSError, ValueError):
                return None

    def _owner(self, client: tuple[str, int], proxy: tuple[str, int], *, tables: bool = True) -> Owner | Found:
        """Return the socket's owner, or the answer if there is none. Raises OSError if the kernel cannot be asked."""
        try:
            local, remote = parse_address(client), parse_address(proxy)
        except ValueError as error:
            return Found(reason=str(error))
        if local.family != remote.family:
            return Found(reason="addresses of two kinds")
        owner = self._look_up(local, remote, tables)
        if owner is None:
            return Found(reason="gone" if is_local_address(local) else "remote client")
        if owner.inode == 0:
            return Found(uid=owner.uid, reason="gone")
        return owner

    def _look_up(self, local: Address, remote: Address, tables: bool) -> Owner | None:
        try:
            owner = self._sockets.owner(local, remote)
            if owner is None and is_local_address(local):
                # A socket that is bound to a device is found by that device only.
                for index, _ in socket.if_nameindex():
                    owner = self._sockets.owner(local, remote, index)
                    if owner is not None:
                        break
            return owner
        except OSError:
            if not tables:
                raise
            return socket_owner.owner_by_table(local, remote)

    def _listening(self, caller: Caller) -> bool | None:
        seen = self._listeners.get(caller.id)
        if seen is not None and time.monotonic() < seen[1]:
            return seen[0]
        with ProcessFolder(caller.pid) as folder:
            if process_id(machine(), caller.pid, folder.stat().ticks) != caller.id:
                return None  # the number is another process's by now
            sockets = folder.sockets()
        try:
            listening = self._sockets.listening()
        except OSError:
            listening = socket_owner.listening_by_table()
        answer = not listening.isdisjoint(sockets)
        self._listeners.put(caller.id, (answer, time.monotonic() + _ASK_AGAIN))
        return answer

    @staticmethod
    def _guarded[T: Found | None](look: Callable[[], T]) -> T | Found:
        try:
            return look()
        except Exception as error:
            logging.getLogger(__name__).debug("a caller look-up failed", exc_info=True)
            return Found(reason=f"look-up failed: {type(error).__name__}: {error}")


type _Image = tuple[str, str | None, bytes, int]
"""comm, executable, command line, and the mark that an exec(2) changes."""


@dataclass(frozen=True, slots=True)
class _ReadBefore:
    """The facts that a Caller was made from, to tell whether it still holds."""

    image: _Image
    asked: frozenset[str]
    """The variables that were looked for."""
    env: Mapping[str, str]
    caller: Caller


class ProcessReader:
    """Reads a process into its `Caller`, remembered per (pid, start time). Safe to use from several threads.

    What a program can change under the same pid is read anew at each look-up, for about 20 microseconds: comm,
    executable, command line (exec(2), a title) and working folder. The rest is read once. Ancestors stay as first seen:
    they are who started the process, which a parent that has ended since does not change.
    """

    def __init__(self) -> None:
        self._seen: BoundedDict[tuple[int, int], _ReadBefore] = BoundedDict(_CALLERS)
        self._members: BoundedDict[tuple[int, int, str], process_tree.TreeMember] = BoundedDict(_ANCESTORS)

    def read(self, folder: ProcessFolder, env_names: frozenset[str]) -> Caller:
        """Return the caller as it is now. Raises OSError or ValueError if the process has ended or cannot be read."""
        stat = folder.stat()
        image = (stat.comm, folder.link("exe"), folder.command_line(), stat.stack)
        key = (folder.pid, stat.ticks)
        seen = self._seen.get(key)
        if stat.state in "ZX":  # it ends while we look: what is left of it is less than we knew
            if seen is None:
                raise ProcessLookupError(f"process {folder.pid} has ended")
            return seen.caller if env_names <= seen.asked else replace(seen.caller, env_unread=True)
        cwd = folder.link("cwd")
        if seen is not None and seen.image == image:
            caller, asked, env, unread = seen.caller, seen.asked, seen.env, seen.caller.env_unread
        else:
            caller = self._make(folder, stat, image, seen.caller if seen else None)
            asked, env, unread = frozenset(), {}, False
        if not env_names <= asked:
            asked |= env_names
            found = folder.environ(asked)
            env, unread = found or {}, found is None
        shown = env if asked == env_names else {name: env[name] for name in env_names if name in env}
        if caller.cwd != cwd or caller.env != shown or caller.env_unread != unread:
            caller = replace(caller, cwd=cwd, env=shown, env_unread=unread)
        if seen is None or caller is not seen.caller or asked is not seen.asked:
            self._seen.put(key, _ReadBefore(image, asked, env, caller))
        return caller

    def forget(self) -> None:
        """Empty the memory."""
        self._seen.clear()
        self._members.clear()

    def _make(self, folder: ProcessFolder, stat: Stat, image: _Image, before: Caller | None) -> Caller:
        comm, exe, command_line, _ = image
        argv = procfs.parse_command_line(command_line)
        named = names(comm, exe, argv)
        group = procfs.parse_cgroup(folder.cgroup())
        uid = folder.uid()
        id = process_id(machine(), folder.pid, stat.ticks)
        member = _member(folder.pid, id, stat, named, group)
        process = member.process
        if before is None:
            lineage = self._lineage(stat)
            ancestors, root = tuple(each.process for each in lineage), process_tree.root((member, *lineage))
        else:
            ancestors, root = before.ancestors, before.tree
            if root is not None and root.id == id:  # exec: still the root, by its new name
                root = process
        return Caller(
            id=id,
            pid=process.pid,
            started=process.started,
            name=named.name,
            names=named.all,
            exe=exe,
            argv=argv,
            user=procfs.user_name(uid),
            uid=uid,
            ancestors=ancestors,
            container=group.container,
            tree=root,
        )

    def _lineage(self, stat: Stat) -> list[process_tree.TreeMember]:
        """The ancestors, parent first, as far up as can be seen."""
        chain: list[process_tree.TreeMember] = []
        while stat.ppid > 0 and len(chain) < _DEPTH:
            try:
                with ProcessFolder(stat.ppid) as folder:
                    above = folder.stat()
                    if above.ticks > stat.ticks:  # a later process by its parent's old number
                        break
                    chain.append(self._ancestor(folder, above))
                    stat = above
            except (OSError, ValueError):
                break
        return chain

    def _ancestor(self, folder: ProcessFolder, stat: Stat) -> process_tree.TreeMember:
        key = (folder.pid, stat.ticks, stat.comm)
        member = self._members.get(key)
        if member is None:
            argv = procfs.parse_command_line(folder.command_line())
            named = names(stat.comm, folder.link("exe"), argv)
            id = process_id(machine(), folder.pid, stat.ticks)
            member = _member(folder.pid, id, stat, named, procfs.parse_cgroup(folder.cgroup()))
            self._members.put(key, member)
        return replace(member, session=stat.session, group=stat.group)


def _member(pid: int, id: str, stat: Stat, named: Names, group: procfs.ControlGroup) -> process_tree.TreeMember:
    process = Process(pid, named.name or "", procfs.started(stat.ticks), named.all, id)
    return process_tree.TreeMember(process, stat.session, stat.group, named.shell, group.container, group.unit)
