"""Ask the Linux kernel for the owner of a TCP connection: by netlink, or from /proc/net/tcp.

- Netlink (sock_diag(7), linux/inet_diag.h): an exact look-up takes about 5 microseconds on a socket that stays open.
- /proc/net/tcp, for kernels and sandboxes without sock_diag: milliseconds if there are thousands of connections. Its
  format is in the kernel's documentation (proc_net_tcp); each 32-bit word of an address is printed as the machine
  would print that number.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from sessiontap.callers.caller import Address

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NO_COOKIE = 0xFFFFFFFF
_ANY_STATE = 0xFFFFFFFF
LISTEN = 10

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
_REQUEST = struct.Struct("=BBBBI")  # family, protocol, extensions, padding, states
_PORTS = struct.Struct("!HH")
_TAIL = struct.Struct("=III")  # interface, cookie
_REPLY = struct.Struct("=BBBB")  # family, state, timer, retransmits
_NUMBERS = struct.Struct("=IIIII")  # expires, receive queue, send queue, uid, inode
_REPLY_PORTS, _REPLY_NUMBERS = 16 + 4, 16 + 4 + 48

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


@dataclass(frozen=True, slots=True)
class Owner:
    """The socket's inode number, 0 if its process has closed it; `uid` is None if the kernel no longer knows."""

    inode: int
    uid: int | None


class SockDiag:
    """One netlink socket, opened at first use and again after a fault or a fork; calls take turns."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._pid = 0
        self._sequence = 0

    def owner(self, local: Address, remote: Address, interface: int = 0) -> Owner | None:
        """Return the owner of the socket at `local` that is connected to `remote`; None if there is none.

        `interface` is that of a socket bound to a device. Raises OSError if the kernel cannot be asked.
        """
        body = _REQUEST.pack(local.family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE) + b"".join(
            (
                _PORTS.pack(local.port, remote.port),
                local.packed.ljust(16, b"\0"),
                remote.packed.ljust(16, b"\0"),
                _TAIL.pack(interface, _NO_COOKIE, _NO_COOKIE),
            )
        )
        with self._lock:
            sequence = self._send(body, _NLM_F_REQUEST)
            while True:
                reply = self._receive(8192)
                if _HEADER.unpack_from(reply)[3] == sequence:
                    break
        if _HEADER.unpack_from(reply)[1] == _NLMSG_ERROR:
            code = -struct.unpack_from("=i", reply, _HEADER.size)[0]
            if code == errno.ENOENT:
                return None
            raise OSError(code, os.strerror(code))
        _, state, _, _ = _REPLY.unpack_from(reply, _HEADER.size)
        # If no connection matches, the kernel answers with a listener on the local port, which is somebody else.
        if state == LISTEN or _PORTS.unpack_from(reply, _REPLY_PORTS) != (local.port, remote.port):
            return None
        _, _, _, uid, inode = _NUMBERS.unpack_from(reply, _REPLY_NUMBERS)
        return Owner(inode, uid if inode or uid else None)  # closed: uid 0 may only mean "no longer known"

    def listening(self) -> frozenset[int]:
        """Return the inodes of all listening TCP sockets of this network namespace. Raises OSError."""
        return self._listening(socket.AF_INET) | self._listening(socket.AF_INET6)

    def _listening(self, family: int) -> frozenset[int]:
        body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << LISTEN) + bytes(48)
        inodes: set[int] = set()
        with self._lock:
            sequence = self._send(body, _NLM_F_REQUEST | _NLM_F_DUMP)
            while True:
                data, at = self._receive(65536), 0
                while at + _HEADER.size <= len(data):
                    length, kind, _, number, _ = _HEADER.unpack_from(data, at)
                    if number == sequence:
                        if kind == _NLMSG_DONE:
                            return frozenset(inodes)
                        if kind == _NLMSG_ERROR:
                            code = -struct.unpack_from("=i", data, at + _HEADER.size)[0]
                            raise OSError(code, os.strerror(code))
                        inodes.add(_NUMBERS.unpack_from(data, at + _REPLY_NUMBERS)[4])
                    at += max(length + 3 & ~3, _HEADER.size)

    def _send(self, body: bytes, flags: int) -> int:
        if self._socket is None or self._pid != os.getpid():
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_SOCK_DIAG
            )
            self._pid = os.getpid()
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        message = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, flags, self._sequence, 0) + body
        try:
            self._socket.send(message)
        except OSError:
            self._close()
            raise
        return self._sequence

    def _receive(self, size: int) -> bytes:
        """The kernel has answered by the time `send` returns: nothing here waits."""
        assert self._socket is not None
        try:
            data = self._socket.recv(size)
        except OSError:
            self._close()
            raise
        if len(data) < _HEADER.size:
            self._close()
            raise OSError(errno.EBADMSG, "a cut netlink answer")
        return data

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def encode_address(address: Address, *, wide: bool) -> str:
    """Return an address as a table prints it (`0100007F:1F90`), as IPv6 if `wide`."""
    packed = address.packed
    if wide and len(packed) == 4:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address.port:04X}"


def _rows(table: str) -> Iterator[tuple[str, str, int, int, int]]:
    """Yield `(local, remote, state, uid, inode)` of each row of a table; other lines are passed over."""
    for line in table.splitlines()[1:]:
        cells = line.split()
        if len(cells) >= 10:
            yield cells[1], cells[2], int(cells[3], 16), int(cells[7]), int(cells[9])


def match_row(table: str, local: str, remote: str) -> Owner | None:
    """Return the owner in the row of that connection."""
    for ours, theirs, state, uid, inode in _rows(table):
        if ours == local and theirs == remote and state != LISTEN:
            return Owner(inode, uid if inode or uid else None)
    return None


def owner_by_table(local: Address, remote: Address) -> Owner | None:
    """Return what `SockDiag.owner` returns, from the tables. Raises OSError if there are none."""
    wide = len(local.packed) == 16
    if not wide:
        local_cell, remote_cell = encode_address(local, wide=False), encode_address(remote, wide=False)
        found = match_row(_read_table(_TABLES[0]), local_cell, remote_cell)
        if found:
            return found
    return match_row(_read_table(_TABLES[1]), encode_address(local, wide=True), encode_address(remote, wide=True))


def listening_by_table() -> frozenset[int]:
    """Return what `SockDiag.listening` returns, from the tables. Raises OSError if there are none."""
    return frozenset(
        inode for path in _TABLES for _, _, state, _, inode in _rows(_read_table(path)) if state == LISTEN and inode
    )


def _read_table(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        if path == _TABLES[1]:  # a kernel without IPv6
            return ""
        raise
