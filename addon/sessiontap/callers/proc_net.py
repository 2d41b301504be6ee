"""The owner of a TCP connection, read from /proc/net/tcp: for kernels and sandboxes without sock_diag.

Takes milliseconds where there are thousands of connections. Format: proc_net_tcp in the kernel's documentation; each
32-bit word of an address is printed as the machine would print that number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sessiontap.callers.addresses import Address
from sessiontap.callers.sock_diag import LISTEN, Owner

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def encode(address: Address, *, wide: bool) -> str:
    """`0100007F:1F90`: an address as a table prints it, as IPv6 if `wide`."""
    packed = address.packed
    if wide and len(packed) == 4:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address.port:04X}"


def rows(table: str) -> Iterator[tuple[str, str, int, int, int]]:
    """`(local, remote, state, uid, inode)` of each row of a table; what is no row is passed over."""
    for line in table.splitlines()[1:]:
        cells = line.split()
        if len(cells) >= 10:
            yield cells[1], cells[2], int(cells[3], 16), int(cells[7]), int(cells[9])


def match(table: str, local: str, remote: str) -> Owner | None:
    """The owner in the row of that connection."""
    for ours, theirs, state, uid, inode in rows(table):
        if ours == local and theirs == remote and state != LISTEN:
            return Owner(inode, uid if inode or uid else None)
    return None


def owner(local: Address, remote: Address) -> Owner | None:
    """As `SockDiag.owner`. Raises OSError where there are no tables."""
    wide = len(local.packed) == 16
    if not wide:
        found = match(_read(_TABLES[0]), encode(local, wide=False), encode(remote, wide=False))
        if found:
            return found
    return match(_read(_TABLES[1]), encode(local, wide=True), encode(remote, wide=True))


def listening() -> frozenset[int]:
    """As `SockDiag.listening`. Raises OSError where there are no tables."""
    return frozenset(
        inode for path in _TABLES for _, _, state, _, inode in rows(_read(path)) if state == LISTEN and inode
    )


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        if path == _TABLES[1]:  # a kernel without IPv6
            return ""
        raise
