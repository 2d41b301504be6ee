"""Keep a program of a replay from all but the replay and this machine (Linux). No root is needed.

All its connections to other machines lead to the proxy (`redirector.py`), whatever their port; there they are answered
from the recording, or closed. Loopback stays as it is, but for the ports at which recorded calls were made: the
program's own servers and databases still work. Datagrams do not leave loopback. Names are looked up at a server of
ours (`name_server.py`), so that nobody else is asked and none is needed. What cannot be redirected is refused.

This keeps in a program that means no harm. One that does finds other ways.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sessiontap.capture import destinations, seccomp
from sessiontap.capture.force import CannotForce, Way, why_not_seccomp
from sessiontap.capture.name_server import PORT, NameServer
from sessiontap.capture.redirector import Redirector, is_tcp, reached_by
from sessiontap.capture.seccomp import ConnectCall, SocketCall

_RESOLVERS = (
    b"/run/systemd/resolve/", b"/run/nscd/", b"/var/run/nscd/", b"/run/avahi-daemon/", b"/var/run/avahi-daemon/",
)  # fmt: skip
"""Folders of the sockets of services that look names up for programs."""
_LOOPBACK_DEVICE = b"lo"


@contextmanager
def confined(proxy: tuple[str, int], ports: Collection[int], *, looks_up: bool) -> Iterator[Way]:
    """Give the way for one program, which starts and ends within the block. Raises CannotForce.

    `proxy`: IP address and port; `ports`: those of loopback that lead to the proxy, too; `looks_up`: names are looked
    up as ever, since calls may go on to their servers.
    """
    if why := why_not_seccomp():
        raise CannotForce(why, "run it where there is no network")
    with NameServer() as names:
        confinement = Confinement(proxy, ports, None if looks_up else names.address)

        def start() -> None:
            names.start()
            confinement.start()

        try:
            yield Way("seccomp", before_exec=confinement.before_exec, after_start=start)
        finally:
            confinement.close()


class Confinement(Redirector):
    """Answers the calls of one program and of all that it starts."""

    failed = errno.ECONNREFUSED

    def __init__(self, proxy: tuple[str, int], ports: Collection[int], names: tuple[str, int] | None) -> None:
        """`names`: the server at which names are looked up. None: they are looked up as ever, and datagrams may be
        sent anywhere."""
        super().__init__(proxy, lambda to: True, confined=names is not None)
        self._names = names
        self.replay_ports(ports)

    def replay_ports(self, ports: Collection[int]) -> None:
        """Have these ports of loopback lead to the proxy, too, and no others."""
        self._ports = frozenset(ports) - {self._proxy[1]}

    def _answer(self, listener: int, call: ConnectCall | SocketCall) -> None:
        if isinstance(call, SocketCall):
            _give_socket(listener, call)
        else:
            super()._answer(listener, call)

    def _redirect(self, listener: int, call: ConnectCall) -> int | None:
        """Decide about a connect call. Return the error number to answer; None: let the call through."""
        address = seccomp.read_address(call)
        to = destinations.of_socket_address(address)
        if to is None:
            return self.failed if self._names is not None and address[2:].startswith(_RESOLVERS) else None
        is_local = to.address.is_loopback or to.address.is_unspecified
        with socket.socket(fileno=seccomp.duplicate_socket(call)) as copy:
            if not seccomp.still_waits(listener, call):
                return self.failed
            if copy.type == socket.SOCK_DGRAM:
                if to.port == PORT and self._names is not None:
                    copy.connect(reached_by(copy, self._names))
                    return 0
                return None if is_local or to.port == PORT else errno.ENETUNREACH
            if is_local and to.port not in self._ports:
                return None
            error = self._connect(copy, to) if is_tcp(copy) else None
            return self.failed if error is None else error


def _give_socket(listener: int, call: SocketCall) -> None:
    """Answer with a socket whose datagrams stay on loopback; a raw one is refused."""
    error = errno.EPERM
    if call.kind & 0xF == socket.SOCK_DGRAM:
        try:
            with socket.socket(call.family, call.kind, call.protocol) as given:
                given.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _LOOPBACK_DEVICE)
                seccomp.give_socket(listener, call, given)
            return
        except OSError as failed:
            error = failed.errno or error
    with contextlib.suppress(OSError):
        seccomp.answer(listener, call, error)
