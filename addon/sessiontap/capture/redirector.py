"""Answer the connect calls of a program on Linux, so that its connections lead to the proxy. No root is needed.

For each connect call (`seccomp.py`) `exec` takes the socket (pidfd_getfd(2)) and connects it to the proxy in the
program's stead. Then it writes the destination line and answers the call. The socket stays the program's own: the proxy
finds its process, and what the program does on this machine (loopback, Unix sockets, listening, DNS) is not touched. If
anything fails, the program's own call is made.

The line is handed to the kernel with MSG_MORE, so that it leaves with the program's first bytes. By then this process
has closed its copy of the socket, and whoever looks for the holder of the socket finds the program alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sessiontap import destination_line
from sessiontap.capture import destinations, seccomp
from sessiontap.capture.destinations import ServerAddress
from sessiontap.capture.seccomp import ConnectCall, SocketCall

_ACCEPTED_WITHIN = 5000
"""Milliseconds. The proxy is on this machine: it takes part of one, unless its queue is full."""
_THREADS = 16
"""Connect calls that are answered at the same time: a proxy that is slow to accept one holds up no other."""
_TCP = (socket.IPPROTO_TCP, 262)  # 262: MPTCP


class Redirector:
    """Serves programs and all that they start, on threads, until it is closed.

    The threads begin with `start`, once the program has been forked: a lock that a thread held at that moment would
    never be released in the program's process. Until then its connect calls wait.
    """

    failed: int | None = None
    """The error number to answer if anything fails; None: the program's own call is made."""

    def __init__(
        self, proxy: tuple[str, int], is_redirected: Callable[[ServerAddress], bool], *, confined: bool = False
    ) -> None:
        """Raises OSError. `proxy`: an IP address and a port."""
        self._proxy = proxy
        self._is_redirected = is_redirected
        self._trap = seccomp.Trap(confined=confined)
        self._ours, self._programs = socket.socketpair()
        self._thread: threading.Thread | None = None

    def before_exec(self) -> None:
        """Run in the program's process before the program does: trap its connect calls. Raises OSError.

        It may run in several processes (a shell script without `#!` is started a second time), and in threads alone.
        """
        listener = self._trap.install()
        socket.send_fds(self._programs, [b"\0"], [listener])
        os.close(listener)

    def start(self) -> None:
        """Answer the connect calls."""
        self._thread = threading.Thread(target=self._serve, name="redirector", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop. A program that is still there cannot open connections any more."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join()
        self._ours.close()
        self._programs.close()

    def _serve(self) -> None:
        """Serve each process that comes on a thread of its own."""
        serving: list[threading.Thread] = []
        with contextlib.suppress(OSError):
            while received := socket.recv_fds(self._ours, 1, 1)[1]:
                thread = threading.Thread(target=self._serve_process, args=received, name="redirector", daemon=True)
                thread.start()
                serving = [*(one for one in serving if one.is_alive()), thread]
        for one in serving:
            one.join()

    def _serve_process(self, listener: int) -> None:
        """Serve a process and what it starts, until none is left."""
        waiting = select.poll()
        waiting.register(listener, select.POLLIN)
        waiting.register(self._ours, 0)  # closed: POLLHUP comes unasked
        try:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="redirector") as answering:
                while True:
                    ready = dict(waiting.poll())
                    if self._ours.fileno() in ready or ready.get(listener, 0) & (select.POLLHUP | select.POLLERR):
                        return
                    call = seccomp.receive(listener)
                    if call is not None:
                        answering.submit(self._answer, listener, call)
        finally:
            os.close(listener)

    def _answer(self, listener: int, call: ConnectCall | SocketCall) -> None:
        try:
            error = self._redirect(listener, call) if isinstance(call, ConnectCall) else None
        except (OSError, ValueError):
            error = self.failed
        with contextlib.suppress(OSError):
            if error is None:
                seccomp.let_through(listener, call)
            else:
                seccomp.answer(listener, call, error)

    def _redirect(self, listener: int, call: ConnectCall) -> int | None:
        """Connect the call's socket to the proxy. Return the error number to answer; None: let the call through."""
        to = destinations.of_socket_address(seccomp.read_address(call))
        if to is None or not self._is_redirected(to):
            return None
        with socket.socket(fileno=seccomp.duplicate_socket(call)) as copy:
            if not is_tcp(copy) or not seccomp.still_waits(listener, call):
                return None
            return self._connect(copy, to)

    def _connect(self, copy: socket.socket, to: ServerAddress) -> int | None:
        """Connect a TCP socket to the proxy. Return the error number to answer; None: that cannot be done."""
        if _is_connected(copy) or copy.getsockopt(socket.IPPROTO_TCP, _FASTOPEN_CONNECT):
            return None
        waits = not fcntl.fcntl(copy, fcntl.F_GETFL) & os.O_NONBLOCK
        try:
            copy.connect(reached_by(copy, self._proxy))
        except BlockingIOError:
            if not _is_writable(copy):
                return errno.ETIMEDOUT
            if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return None  # there is no proxy
        copy.send(destination_line.write(str(to.address), to.port), socket.MSG_MORE | socket.MSG_NOSIGNAL)
        return 0 if waits else errno.EINPROGRESS


def reached_by(copy: socket.socket, address: tuple[str, int]) -> tuple[str, int]:
    """Return the address by which a socket reaches an address of IPv4 or IPv6."""
    host, port = address
    if copy.family == socket.AF_INET6 and ":" not in host:
        copy.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return f"::ffff:{host}", port
    return host, port


_FASTOPEN_CONNECT = 30


def is_tcp(copy: socket.socket) -> bool:
    """Return True for a socket that can be connected to the proxy."""
    return copy.type == socket.SOCK_STREAM and copy.proto in _TCP


def _is_connected(copy: socket.socket) -> bool:
    try:
        copy.getpeername()
    except OSError:
        return False
    return True


def _is_writable(copy: socket.socket) -> bool:
    waiting = select.poll()
    waiting.register(copy, select.POLLOUT)
    return bool(waiting.poll(_ACCEPTED_WITHIN))
