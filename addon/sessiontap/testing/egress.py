"""Keep a test that is replayed from all but its recording and this machine.

    this process     an audit hook (PEP 578) refuses connections and datagrams to other machines, and look-ups of names.
                     Libraries in C that open their own connections raise no such events
    its programs     on Linux, those that `subprocess` starts are kept in as those of `sessiontap replay` are
                     (capture/confinement.py). A filter of system calls cannot be taken off again: it is on a thread
                     that does nothing but start programs, which inherit it

Loopback and Unix sockets stay open. A process that a test forks starts programs from a thread of its own: no thread
comes along with a fork. Programs and threads that were there before the test are not touched, but while it
runs the hook is about all threads of this process.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from ipaddress import ip_address
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from sessiontap.capture.confinement import Confinement

_WAY_OUT = "sessiontap_egress = open in pytest's configuration lets it through"


class Egress:
    """Closed while a test is replayed. One for each run."""

    def __init__(self, proxy: tuple[str, int]) -> None:
        self.refused: list[str] = []
        """The addresses and names that the test asked for in vain, each once."""
        self._is_closed = False
        self._exit = ExitStack()
        self._proxy = proxy
        self._ports: Collection[int] = ()
        self._lock = Lock()
        self._confinement: Confinement | None = None
        self._start_programs: ThreadPoolExecutor | None = None
        """The thread from which programs are started."""
        self.why_not_programs: str | None = None
        """Why the programs that a test starts are not kept in; None if they are."""
        try:
            self._confine()
        except OSError as error:
            self._exit.close()
            self.why_not_programs = f"connections cannot be redirected here: {error.strerror or error}"
        sys.addaudithook(self._audit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _confine(self) -> None:
        """Make the thread from which programs are started. Raises OSError."""
        if sys.platform != "linux":
            self.why_not_programs = "connections can be redirected only on Linux"
            return
        from sessiontap.capture import seccomp
        from sessiontap.capture.confinement import Confinement
        from sessiontap.capture.name_server import NameServer

        if not seccomp.is_known_here():
            self.why_not_programs = "connections cannot be redirected on this processor"
            return
        names = self._exit.enter_context(NameServer())
        names.start()
        self._confinement = Confinement(self._proxy, self._ports, names.address)
        self._exit.callback(self._confinement.close)
        self._confinement.start()
        starting = self._exit.enter_context(ThreadPoolExecutor(1, "sessiontap-programs"))
        starting.submit(self._confinement.before_exec).result()
        self._start_programs = starting

    def _forked(self) -> None:
        """This is a process that a test has forked. What stands behind the thread is its parent's."""
        self._lock, self._exit, self._start_programs = Lock(), ExitStack(), None

    def _starting(self) -> ThreadPoolExecutor:
        """Return the thread from which this process starts programs. Raises OSError."""
        with self._lock:
            if self._start_programs is None:
                self._confine()
            assert self._start_programs is not None
            return self._start_programs

    def close(self, ports: Collection[int], monkeypatch: pytest.MonkeyPatch) -> None:
        """A test begins. `ports`: those of this machine at which calls of its recording were made."""
        self.refused.clear()
        self._is_closed = True
        if self._confinement is None or self.why_not_programs is not None:
            return
        self._ports = ports
        self._confinement.replay_ports(ports)
        start: Callable[..., None] = subprocess.Popen._execute_child  # type: ignore[attr-defined]

        def start_confined(*values: Any) -> None:
            self._starting().submit(start, *values).result()

        monkeypatch.setattr(subprocess.Popen, "_execute_child", start_confined)

    def open(self) -> None:
        """The test has ended."""
        self._is_closed = False

    def end(self) -> None:
        """All tests have ended."""
        self.open()
        self._exit.close()

    def _audit(self, event: str, values: tuple[Any, ...]) -> None:
        """The audit hook of Python (sys.addaudithook)."""
        if self._is_closed and (place := _PLACES.get(event)) is not None:
            self._judge(event, values[place])

    def _judge(self, event: str, place: Any) -> None:
        """Raise OSError if an address or a name is not this machine's."""
        if event in _LOOK_UPS:
            name = place.decode("ascii", "replace") if isinstance(place, bytes) else place
            if name and not _is_address(name) and not _is_this_machine(name):
                raise socket.gaierror(socket.EAI_NONAME, self._refuse(str(name)))
            if event == "socket.gethostbyaddr" and not _is_this_machine(name):  # a name server is asked for its name
                raise socket.herror(_HOST_NOT_FOUND, self._refuse(str(name)))
        elif isinstance(place, tuple) and place and not _is_this_machine(str(place[0])):
            where = ":".join(map(str, place[:2]))
            raise ConnectionRefusedError(errno.ECONNREFUSED, self._refuse(where))

    def _refuse(self, where: str) -> str:
        if where not in self.refused:
            self.refused.append(where)
        return f"sessiontap: this test is replayed, so {where} is not reached; {_WAY_OUT}"


_HOST_NOT_FOUND = 1
"""`h_errno` of netdb.h."""
_LOOK_UPS = frozenset(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"))
_PLACES: Mapping[str, int] = {
    **dict.fromkeys(_LOOK_UPS, 0), "socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1,
}  # fmt: skip
"""Audit events, and which of their values is the address or the name."""


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_this_machine(name: str) -> bool:
    """Return True for loopback, by address or name."""
    if not _is_address(name):
        return name in ("", "localhost", socket.gethostname()) or name.endswith(".localhost")
    address = ip_address(name.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified
