"""Find the process behind a connection on Linux: its socket by sock_diag, the process by /proc."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable

from sessiontap.bounded import BoundedDict
from sessiontap.callers import addresses, details, socket_owner
from sessiontap.callers.addresses import Address
from sessiontap.callers.caller import Caller, Found, machine, process_id
from sessiontap.callers.procfs import ProcessFolder
from sessiontap.callers.scan import NotFound, Scan
from sessiontap.callers.search import Search
from sessiontap.callers.socket_owner import Owner, SockDiag

_ASK_AGAIN = 5.0
"""Seconds after which a process may have begun to listen, or ceased to."""


class Finder:
    """One look-up and its memory. Safe to use from several threads; every method answers and none raises."""

    def __init__(self) -> None:
        self._sockets = SockDiag()
        self._scan = Scan()
        self._details = details.Details()
        self._listens: BoundedDict[str, tuple[bool, float]] = BoundedDict(512)

    def find(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found:
        """Return the process at the other end of an accepted connection; see `sessiontap.callers.find`."""
        return self._guarded(lambda: self._find(client, proxy, env_names))

    def find_known(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found | None:
        """Return what `find` does, if that takes no long search; see `sessiontap.callers.find_known`."""
        return self._guarded(lambda: self._find_known(client, proxy, env_names))

    def listens(self, caller: Caller) -> bool | None:
        """Whether the process has a listening TCP socket; None if that cannot be known (any more)."""
        try:
            return self._listening(caller)
        except Exception:
            return None

    def warm_up(self) -> None:
        """Do what would make the first look-up slow."""
        machine()
        details.warm_up()
        with contextlib.suppress(OSError):
            self._sockets.listening()  # opens the netlink socket

    def search(self) -> Search:
        """Return a search that look-ups share."""
        return Search(self, self._scan)

    def forget(self) -> None:
        """Empty all memory."""
        self._scan.forget()
        self._details.forget()
        self._listens.clear()

    def _find(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found:
        owner = self._owner(client, proxy)
        if isinstance(owner, Found):
            return owner
        near = self._near(owner, env_names)
        if near is not None:
            return near
        try:
            folder = self._scan.search(owner.inode)
        except NotFound as why:
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
        if not details.knows_user(owner.uid):  # a directory service may be slow to name one
            return None
        return self._near(owner, env_names)

    def _near(self, owner: Owner, env_names: frozenset[str]) -> Found | None:
        folder = self._scan.known(owner.inode) or self._scan.newest(owner.inode, owner.uid)
        return self.described(folder, owner, env_names) if folder else None

    def described(self, folder: ProcessFolder, owner: Owner, env_names: frozenset[str]) -> Found | None:
        """Return the holder with all that is known of it, None if it has ended. Closes the folder."""
        with folder:
            try:
                return Found(self._details.read(folder, env_names), uid=owner.uid)
            except (OSError, ValueError):
                return None

    def _owner(self, client: tuple[str, int], proxy: tuple[str, int], *, tables: bool = True) -> Owner | Found:
        """Return the socket's owner, or the answer if there is none. Raises OSError if the kernel cannot be asked."""
        try:
            local, remote = addresses.parse(client), addresses.parse(proxy)
        except ValueError as error:
            return Found(reason=str(error))
        if local.family != remote.family:
            return Found(reason="addresses of two kinds")
        owner = self._look_up(local, remote, tables)
        if owner is None:
            return Found(reason="gone" if addresses.is_local(local) else "remote client")
        if owner.inode == 0:
            return Found(uid=owner.uid, reason="gone")
        return owner

    def _look_up(self, local: Address, remote: Address, tables: bool) -> Owner | None:
        try:
            owner = self._sockets.owner(local, remote)
            if owner is None and addresses.is_local(local):
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
        seen = self._listens.get(caller.id)
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
        self._listens.put(caller.id, (answer, time.monotonic() + _ASK_AGAIN))
        return answer

    @staticmethod
    def _guarded[T: Found | None](look: Callable[[], T]) -> T | Found:
        try:
            return look()
        except Exception as error:
            logging.getLogger(__name__).debug("a caller look-up failed", exc_info=True)
            return Found(reason=f"look-up failed: {type(error).__name__}: {error}")
