"""Socket addresses as the kernel's tables hold them."""

from __future__ import annotations

import socket
from dataclasses import dataclass

_MAPPED = b"\0" * 10 + b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address is 4 bytes, also where it came as `::ffff:a.b.c.d`: the kernel looks those up as IPv4."""

    packed: bytes
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET if len(self.packed) == 4 else socket.AF_INET6

    @property
    def host(self) -> str:
        return socket.inet_ntop(self.family, self.packed)


def parse(address: tuple[str, int]) -> Address:
    """Read `(host, port)`, or what getpeername gives for IPv6, zone and all. Raises ValueError for anything else."""
    try:
        host, port = str(address[0]).partition("%")[0], int(address[1])
        packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, TypeError, IndexError) as error:
        raise ValueError(f"not an address: {address!r}") from error
    if not 0 < port < 65536:
        raise ValueError(f"not a port: {port}")
    return Address(packed[12:] if packed.startswith(_MAPPED) else packed, port)


def is_local(address: Address) -> bool:
    """Whether the address is one of this machine's: only those can be bound. Costs a few microseconds, no traffic."""
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
