"""Keep a test that is replayed from all but its recording and this machine.

    this process     an audit hook (PEP 578) refuses connections and datagrams to other machines, and look-ups of names.
                     Sockets look the name in an address up before they raise an event: it is looked at before they do.
                     Libraries in C that open their own connections raise no such events
    its programs     `programs.py`

Loopback and Unix sockets stay open. Programs and threads that were there before the test are not touched, but while it
runs the hook is about all threads of this process.
"""

from __future__ import annotations

import errno
import functools
import socket
import sys
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from sessiontap.testing.programs import Programs

_WAY_OUT = "sessiontap_egress = open in pytest's configuration lets it through"


class Egress:
    """Closed while a test is replayed. One for each run."""

    def __init__(self, proxy: tuple[str, int]) -> None:
        self.refused: list[str] = []
        """The addresses and names that the test asked for in vain, each once."""
        self._is_closed = False
        self._programs: Programs | None = None
        self.why_not_programs: str | None = "connections can be redirected only on Linux"
        """Why the programs that a test starts are not kept in; None if they are."""
        if sys.platform == "linux":
            from sessiontap.testing.programs import Programs

            try:
                self._programs, self.why_not_programs = Programs(proxy), None
            except OSError as error:
                self.why_not_programs = f"connections cannot be redirected here: {error.strerror or error}"
        sys.addaudithook(self._audit)

    def close(self, ports: Collection[int], monkeypatch: pytest.MonkeyPatch) -> None:
        """A test begins. `ports`: those of this machine at which calls of its recording were made."""
        self.refused.clear()
        self._is_closed = True
        for name, place in _ADDRESSES.items():
            monkeypatch.setattr(socket.socket, name, self._judged(getattr(socket.socket, name), place))
        if self._programs is not None:
            self._programs.close(ports)

    def open(self) -> None:
        """The test has ended."""
        self._is_closed = False
        if self._programs is not None:
            self._programs.open()

    def end(self) -> None:
        """All tests have ended."""
        self.open()
        if self._programs is not None:
            self._programs.end()

    def _judged(self, method: Callable[..., Any], place: int) -> Callable[..., Any]:
        """Return a method of sockets that refuses names of other machines in an address."""

        @functools.wraps(method)
        def judged(of: socket.socket, *values: Any) -> Any:
            if self._is_closed and of.family in (socket.AF_INET, socket.AF_INET6):
                address = values[place] if len(values) > max(place, 0) else None
                if isinstance(address, tuple) and address and isinstance(address[0], str | bytes):
                    self._judge_name("socket.getaddrinfo", address[0])
            return method(of, *values)

        return judged

    def _audit(self, event: str, values: tuple[Any, ...]) -> None:
        """The audit hook of Python (sys.addaudithook). Raises OSError."""
        if not self._is_closed:
            return
        if event in _LOOK_UPS:
            self._judge_name(event, values[0])
        elif event in _SENDING:
            if values[0].family != _NETLINK:  # this machine's kernel
                self._judge_address(values[1])
        elif event == "socket.getnameinfo":
            try:
                self._judge_address(values[0])
            except ConnectionRefusedError as refused:
                raise socket.gaierror(socket.EAI_NONAME, refused.strerror) from None
        elif self._programs is not None and (why := self._programs.refusal(event)) is not None:
            raise PermissionError(errno.EPERM, f"sessiontap: this test is replayed, and {why}; {_WAY_OUT}")

    def _judge_name(self, event: str, name: Any) -> None:
        if isinstance(name, bytes):
            name = name.decode("ascii", "replace")
        if name and not _is_address(name) and not _is_this_machine(name):
            raise socket.gaierror(socket.EAI_NONAME, self._refuse(str(name)))
        if event == "socket.gethostbyaddr" and not _is_this_machine(name):  # a name server is asked for its name
            raise socket.herror(_HOST_NOT_FOUND, self._refuse(str(name)))

    def _judge_address(self, address: Any) -> None:
        if isinstance(address, tuple) and address and not _is_this_machine(str(address[0])):
            raise ConnectionRefusedError(errno.ECONNREFUSED, self._refuse(":".join(map(str, address[:2]))))

    def _refuse(self, where: str) -> str:
        if where not in self.refused:
            self.refused.append(where)
        return f"sessiontap: this test is replayed, so {where} is not reached; {_WAY_OUT}"


_HOST_NOT_FOUND = 1
"""`h_errno` of netdb.h."""
_NETLINK = getattr(socket, "AF_NETLINK", None)
_LOOK_UPS = frozenset(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"))
_SENDING = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg"))
_ADDRESSES: Mapping[str, int] = {"bind": 0, "connect": 0, "connect_ex": 0, "sendto": -1, "sendmsg": 3}
"""Methods of sockets that look a name up, and which of their values is the address."""


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
