"""Decide by the address alone if a connection is redirected: the program has resolved the name already."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

type _Address = IPv4Address | IPv6Address

_OTHER_PROTOCOLS = """
    ftp 21  ssh 22  telnet 23  smtp 25 465 587  dns 53 853  pop 110 995  ntp 123  smb 139 445  imap 143 993
    ldap 389 636  ipp 631  sql-server 1433  oracle 1521  nfs 2049  mysql 3306  rdp 3389  postgres 5432  amqp 5671 5672
    vnc 5900  redis 6379  cassandra 9042  kafka 9092  git 9418  memcached 11211  mongodb 27017
"""
OTHER_PROTOCOLS = frozenset(int(word) for word in _OTHER_PROTOCOLS.split() if word.isdigit())
"""Ports of protocols that carry no HTTP. Connections there are not redirected."""


class ServerAddress(NamedTuple):
    """The address to which a connection is opened."""

    address: _Address
    port: int


def of_socket_address(data: bytes) -> ServerAddress | None:
    """Return the destination in a `struct sockaddr` of IPv4 or IPv6; None for any other."""
    if len(data) < 8:
        return None
    (family,), (port,) = struct.unpack_from("=H", data), struct.unpack_from("!H", data, 2)
    if family == socket.AF_INET:
        return ServerAddress(IPv4Address(data[4:8]), port)
    if family == socket.AF_INET6 and len(data) >= 24:
        address = IPv6Address(data[8:24])
        return ServerAddress(address.ipv4_mapped or address, port)
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

    def __call__(self, to: ServerAddress) -> bool:
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
