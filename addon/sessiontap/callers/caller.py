"""The values of a look-up: the addresses that it takes, and the process that it returns.

The ids of processes need no memory: two proxies on a machine, or one restarted, give the same process the same id.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from uuid import UUID, uuid5

_NAMESPACE = UUID("6b1d6c53-5f0e-5f52-9c43-6f1f9d1f0c27")
_MAPPED = b"\0" * 10 + b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Address:
    """A socket address as the kernel's tables hold it.

    An IPv4 address is 4 bytes, also if it came as `::ffff:a.b.c.d`: the kernel looks those up as IPv4.
    """

    packed: bytes
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET if len(self.packed) == 4 else socket.AF_INET6

    @property
    def host(self) -> str:
        return socket.inet_ntop(self.family, self.packed)


@dataclass(frozen=True, slots=True)
class Process:
    """A process as an ancestor; `started` is Unix nanoseconds."""

    pid: int
    name: str
    started: int | None
    names: tuple[str, ...] = ()
    """Every name a rule may match, as `Caller.names`."""
    id: str | None = None
    """As `Caller.id`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The process that opened a connection. Unknown is None (or empty), never a guess."""

    id: str
    """UUIDv5 of machine, pid and start time: the same process has the same id in every proxy."""
    pid: int
    started: int | None
    """Unix nanoseconds."""
    name: str | None
    """The name that a person uses: an interpreter's is its script's."""
    names: tuple[str, ...] = ()
    """Every name a rule may match: comm, base names of argv[0] and exe, the script's for an interpreter."""
    exe: str | None = None
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    user: str | None = None
    uid: int | None = None
    ancestors: tuple[Process, ...] = ()
    """Parent first, up to pid 1."""
    container: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    """Only the variables that a rule names, as the process was started with them."""
    tree: Process | None = None
    """The root of the process tree that the id source `process-tree` stands for."""
    env_unread: bool = False
    """Variables may be missing in `env` because they could not be read."""
    listens: bool | None = None
    """It has a listening TCP socket: it is a server."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a look-up: a caller, or the reason why there is none."""

    caller: Caller | None = None
    uid: int | None = None
    """The socket's owner, known even if the process is not."""
    reason: str | None = None
    """Why there is no caller: `remote client`, `gone`, `not permitted`, ..."""


def process_id(machine: str, pid: int, start: int | str) -> str:
    """Return the UUIDv5 of a machine (see `machine`), a pid and a start time in whatever unit that machine counts."""
    return str(uuid5(_NAMESPACE, f"{machine}\n{pid}\n{start}"))


@cache
def machine() -> str:
    """Return this boot of this machine and the pid namespace that we see: in it, pid and start time name a process."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def parse_address(address: tuple[str, int]) -> Address:
    """Read `(host, port)`, or what getpeername gives for IPv6, zone and all. Raises ValueError for anything else."""
    try:
        host, port = str(address[0]).partition("%")[0], int(address[1])
        packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, TypeError, IndexError) as error:
        raise ValueError(f"not an address: {address!r}") from error
    if not 0 < port < 65536:
        raise ValueError(f"not a port: {port}")
    return Address(packed[12:] if packed.startswith(_MAPPED) else packed, port)


def is_local_address(address: Address) -> bool:
    """Return True if the address is one of this machine's: only those can be bound. Takes microseconds, no traffic."""
    if (address.packed[0] == 127 and len(address.packed) == 4) or address.packed == b"\0" * 15 + b"\1":
        return True
    if address.family == socket.AF_INET6 and address.packed[0] == 0xFE and address.packed[1] & 0xC0 == 0x80:
        # Link-local: the address means something only on one interface, and we may not know which.
        return any(_can_bind(address, (address.host, 0, 0, index)) for index, _ in socket.if_nameindex())
    return _can_bind(address, (address.host, 0))


def _can_bind(address: Address, name: tuple[str, int] | tuple[str, int, int, int]) -> bool:
    try:
        with socket.socket(address.family, socket.SOCK_DGRAM) as probe:
            probe.bind(name)
    except OSError:
        return False
    return True
