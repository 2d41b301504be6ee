"""Linux's seccomp user notification (seccomp_unotify(2)), for the system call that opens connections: connect(2).

A process that calls `Trap.install` waits in each of its connect calls, and so does every process that it starts, until
whoever holds the descriptor that it returned has answered. All other system calls are as quick as before. If it is to
be confined, it waits also when it makes a socket for datagrams (UDP) or a raw one, and it has no io_uring.

Nothing but the kernel's interface is here; `redirector.py` and `confinement.py` decide what to answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_USER_NOTIF, _ALLOW, _ERRNO = 0x7FC00000, 0x7FFF0000, 0x00050000
_SET_MODE_FILTER = 1
_SPEC_ALLOW, _NEW_LISTENER, _WAIT_KILLABLE = 1 << 2, 1 << 3, 1 << 5
_CONTINUE = 1
_SET_NO_NEW_PRIVS = 38
_PIDFD_GETFD = 438
_IO_URING_SETUP = 425
_RECEIVE, _SEND, _IS_VALID, _ADD_DESCRIPTOR = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_ADDED = struct.Struct("=QIIII")


class _Numbers(NamedTuple):
    """Of a processor: the value of seccomp_data.arch, and three system calls."""

    arch: int
    connect: int
    socket: int
    seccomp: int


_PROCESSORS = {"x86_64": _Numbers(0xC000003E, 42, 41, 317), "aarch64": _Numbers(0xC00000B7, 203, 198, 277)}


class ConnectCall(NamedTuple):
    """A connect call that waits for an answer."""

    id: int
    thread: int
    descriptor: int
    address: int
    """The place of the socket address in the memory of the thread's process."""
    length: int


class SocketCall(NamedTuple):
    """A call for a socket for datagrams, or a raw one, that waits for an answer."""

    id: int
    family: int
    kind: int
    """With the flags SOCK_NONBLOCK and SOCK_CLOEXEC."""
    protocol: int


def is_known_here() -> bool:
    """True if the numbers of this processor are in the table."""
    return platform.machine() in _PROCESSORS and ctypes.sizeof(ctypes.c_void_p) == 8


class Trap:
    """Traps calls of a process. It is made before the process is: after fork(2) little may be done."""

    def __init__(self, *, confined: bool = False) -> None:
        """Raises KeyError for a processor that is not in the table."""
        self._numbers = _PROCESSORS[platform.machine()]
        self._libc = ctypes.CDLL(None, use_errno=True)
        program = b"".join((_confined if confined else _redirected)(self._numbers))
        self._instructions = ctypes.create_string_buffer(program, len(program))
        self._program = struct.pack("@HP", len(program) // 8, ctypes.addressof(self._instructions))

    def install(self) -> int:
        """Trap the calls of this process from now on. Return the descriptor to answer them. Raises OSError.

        A process without the right to do so gives up setuid programs first (no_new_privs).
        """
        try:
            return self._listener()
        except PermissionError:
            self._libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            return self._listener()

    def _listener(self) -> int:
        flags = _SPEC_ALLOW | _NEW_LISTENER
        try:
            return self._seccomp(flags | _WAIT_KILLABLE)
        except OSError as error:
            if error.errno != errno.EINVAL:  # before Linux 5.19, a signal may interrupt a call that waits
                raise
        return self._seccomp(flags)

    def _seccomp(self, flags: int) -> int:
        descriptor: int = self._libc.syscall(self._numbers.seccomp, _SET_MODE_FILTER, flags, self._program)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return descriptor


def _redirected(numbers: _Numbers) -> Iterator[bytes]:
    """The filter's program (seccomp(2)): connect calls wait."""
    yield _statement(_LOAD, _ARCH)
    yield _jump(numbers.arch, 0, 3)
    yield _statement(_LOAD, _NUMBER)
    yield _jump(numbers.connect, 0, 1)
    yield _statement(_RETURN, _USER_NOTIF)
    yield _statement(_RETURN, _ALLOW)


def _confined(numbers: _Numbers) -> Iterator[bytes]:
    """The same, and calls for sockets that send without a connect call; io_uring, which needs none, is missing."""
    yield _statement(_LOAD, _ARCH)
    yield _jump(numbers.arch, 0, 11)  # to "allow"
    yield _statement(_LOAD, _NUMBER)
    yield _jump(numbers.connect, 10, 0)  # to "wait"
    yield _jump(_IO_URING_SETUP, 10, 0)  # to "missing"
    yield _jump(numbers.socket, 0, 7)  # to "allow"
    yield _statement(_LOAD, _FAMILY)
    yield _jump(socket.AF_INET, 1, 0)
    yield _jump(socket.AF_INET6, 0, 4)  # to "allow"
    yield _statement(_LOAD, _KIND)
    yield _statement(_AND, 0xF)
    yield _jump(socket.SOCK_DGRAM, 2, 0)  # to "wait"
    yield _jump(socket.SOCK_RAW, 1, 0)  # to "wait"
    yield _statement(_RETURN, _ALLOW)
    yield _statement(_RETURN, _USER_NOTIF)
    yield _statement(_RETURN, _ERRNO | errno.ENOSYS)


def receive(listener: int) -> ConnectCall | SocketCall | None:
    """Return the next call that waits; None if it has gone. Raises OSError."""
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except FileNotFoundError:  # it was interrupted, or its process killed
        return None
    id, thread, _, number, _, _, first, second, third, *_ = _NOTIFICATION.unpack(buffer)
    if number == _PROCESSORS[platform.machine()].socket:
        return SocketCall(id, first & 0xFFFFFFFF, second & 0xFFFFFFFF, third & 0xFFFFFFFF)
    return ConnectCall(id, thread, first & 0xFFFFFFFF, second, third & 0xFFFFFFFF)


def still_waits(listener: int, call: ConnectCall) -> bool:
    """True if the call waits still: if so, what was read of its thread meanwhile was that thread's."""
    try:
        fcntl.ioctl(listener, _IS_VALID, struct.pack("=Q", call.id))
    except OSError:
        return False
    return True


def answer(listener: int, call: ConnectCall | SocketCall, error: int = 0) -> None:
    """Let the call return 0, or fail by an error number, without having been made."""
    _respond(listener, _RESPONSE.pack(call.id, 0, -error, 0))


def give_socket(listener: int, call: SocketCall, given: socket.socket) -> None:
    """Let the call return a socket of ours. Raises OSError."""
    flags = os.O_CLOEXEC if call.kind & socket.SOCK_CLOEXEC else 0
    wanted = bytearray(_ADDED.pack(call.id, 0, given.fileno(), 0, flags))
    descriptor = fcntl.ioctl(listener, _ADD_DESCRIPTOR, wanted)
    _respond(listener, _RESPONSE.pack(call.id, descriptor, 0, 0))


def let_through(listener: int, call: ConnectCall | SocketCall) -> None:
    """Let the call be made as if nobody had looked."""
    _respond(listener, _RESPONSE.pack(call.id, 0, 0, _CONTINUE))


def read_address(call: ConnectCall) -> bytes:
    """Return the socket address that the call names. Raises OSError if its process may not be looked into."""
    memory = os.open(f"/proc/{call.thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, min(call.length, 128), call.address)
    finally:
        os.close(memory)


def duplicate_socket(call: ConnectCall) -> int:
    """Return a descriptor of our own for the call's socket. Raises OSError if it may not be had."""
    process = os.pidfd_open(_process_of(call.thread))
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        found: int = libc.syscall(_PIDFD_GETFD, process, call.descriptor, 0)
        if found < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return found
    finally:
        os.close(process)


def _process_of(thread: int) -> int:
    with open(f"/proc/{thread}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Tgid:"):
                return int(line[5:])
    raise ProcessLookupError(errno.ESRCH, "the thread has no process")


def _respond(listener: int, response: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):  # nobody waits for it any more
        fcntl.ioctl(listener, _SEND, response)


_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_NUMBER, _ARCH, _FAMILY, _KIND = 0, 4, 16, 24
"""Of seccomp_data: `nr`, `arch`, and the lower halves of the first two arguments."""


def _statement(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(value: int, equal: int, other: int) -> bytes:
    return struct.pack("=HBBI", 0x15, equal, other, value)
