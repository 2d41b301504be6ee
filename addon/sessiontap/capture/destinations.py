"""Which connections of a program are redirected, by their address alone: the program has resolved the name already."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

type _Address = IPv4Address | IPv6Address

OTHER_PROTOCOLS = frozenset(
    # FTP, SSH, Telnet, mail, DNS, POP, NTP, SMB, IMAP, LDAP, printing, SQL Server, Oracle, NFS, MySQL, RDP, PostgreSQL,
    # AMQP, VNC, Redis, Cassandra, Kafka, git, memcached, MongoDB
    (21, 22, 23, 25, 53, 110, 123, 139, 143, 389, 445, 465, 587, 631, 636, 853, 993, 995, 1433, 1521, 2049, 3306, 3389)
    + (5432, 5671, 5672, 5900, 6379, 9042, 9092, 9418, 11211, 27017)
)
"""Ports of protocols that carry no HTTP. Connections there are not redirected."""


class Destination(NamedTuple):
    """Where a connection is going."""

    address: _Address
    port: int


def of_socket_address(data: bytes) -> Destination | None:
    """Return the destination in a `struct sockaddr` of IPv4 or IPv6; None for any other."""
    if len(data) < 8:
        return None
    (family,), (port,) = struct.unpack_from("=H", data), struct.unpack_from("!H", data, 2)
    if family == socket.AF_INET:
        return Destination(IPv4Address(data[4:8]), port)
    if family == socket.AF_INET6 and len(data) >= 24:
        address = IPv6Address(data[8:24])
        return Destination(address.ipv4_mapped or address, port)
    return None


class Redirected:
    """Tells which destinations are redirected, for one proxy and one value of NO_PROXY.

    Names in NO_PROXY cannot be compared with an address, but what loopback is can: it is redirected only if no name or
    address of it is excepted.
    """

    def __init__(self, proxy: tuple[str, int], environ: Mapping[str, str]) -> None:
        self._proxy_port = proxy[1]
        given = (environ.get("NO_PROXY") or environ.get("no_proxy") or "").replace(",", " ").split()
        self._all = "*" in given
        self._networks = [network for network in map(_network, given) if network is not None]
        self._loopback = not any(
            entry.lower() == "localhost" or (network is not None and network.is_loopback)
            for entry, network in zip(given, map(_network, given), strict=True)
        )

    def __call__(self, to: Destination) -> bool:
        address = to.address
        if self._all or to.port in OTHER_PROTOCOLS or to.port == 0:
            return False
        if address.is_loopback or address.is_unspecified:
            return self._loopback and to.port != self._proxy_port
        if address.is_link_local or address.is_multicast:
            return False
        return not any(address in network for network in self._networks)


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    """Return the addresses that an entry of NO_PROXY stands for; None if it is a name."""
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        pass
    try:  # with a port: the address is excepted as a whole
        return ip_network(ip_address(entry.rpartition(":")[0].strip("[]")))
    except ValueError:
        return None
