"""Which addresses are redirected."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

import pytest

from sessiontap.capture.destinations import Redirected, ServerAddress, of_socket_address

LOOPBACK = "localhost,127.0.0.1,::1"
PROXY = ("127.0.0.1", 8080)


def ipv6(address: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + ip_address(address).packed + bytes(4)


@pytest.mark.parametrize(
    ("data", "to"),
    [
        (struct.pack("=H", socket.AF_INET) + b"\x01\xbb\xcb\x00\x71\x07" + bytes(8), ("203.0.113.7", 443)),
        (ipv6("2001:db8::1", 443), ("2001:db8::1", 443)),
        (ipv6("::ffff:203.0.113.7", 80), ("203.0.113.7", 80)),
        (struct.pack("=H", socket.AF_UNIX) + b"/run/some.sock", None),
        (struct.pack("=H", socket.AF_INET6) + bytes(10), None),
        (struct.pack("=H", socket.AF_INET), None),
        (struct.pack("=H", socket.AF_UNSPEC) + bytes(14), None),
        (b"", None),
    ],
    ids=["IPv4", "IPv6", "IPv4 in IPv6", "a file", "IPv6 cut short", "IPv4 cut short", "disconnect", "nothing"],
)
def test_a_destination_is_read_as_the_kernel_has_it(data: bytes, to: tuple[str, int] | None) -> None:
    assert of_socket_address(data) == (to and ServerAddress(ip_address(to[0]), to[1]))


@pytest.mark.parametrize(
    ("address", "port", "no_proxy", "redirected"),
    [
        ("203.0.113.7", 443, LOOPBACK, True),
        ("203.0.113.7", 80, LOOPBACK, True),
        ("10.1.2.3", 8000, LOOPBACK, True),
        ("2001:db8::1", 443, LOOPBACK, True),
        ("203.0.113.7", 443, "", True),
        ("203.0.113.7", 443, "*", False),
        ("203.0.113.7", 443, "203.0.113.7", False),
        ("203.0.113.7", 443, "203.0.113.7:443", False),
        ("203.0.113.7", 443, "203.0.113.0/24", False),
        ("203.0.113.7", 443, "203.0.112.0/24 , x.example", True),
        ("2001:db8::1", 443, "[2001:db8::1]:443", False),
        ("2001:db8::1", 443, "2001:db8::/32", False),
        ("127.0.0.1", 443, LOOPBACK, False),
        ("127.0.0.53", 443, LOOPBACK, False),
        ("::1", 11434, LOOPBACK, False),
        ("0.0.0.0", 11434, LOOPBACK, False),
        ("127.0.0.1", 11434, "", True),
        ("127.0.0.1", 11434, "x.example", True),
        ("127.0.0.1", 11434, "127.0.0.0/8", False),
        ("127.0.0.1", 8080, "", False),
        ("169.254.169.254", 80, "", False),
        ("fe80::1", 443, "", False),
        ("203.0.113.7", 22, "", False),
        ("203.0.113.7", 53, "", False),
        ("203.0.113.7", 5432, "", False),
        ("203.0.113.7", 0, "", False),
    ],
)
def test_http_beyond_this_machine_is_redirected(address: str, port: int, no_proxy: str, redirected: bool) -> None:
    is_redirected = Redirected(PROXY, {"no_proxy": no_proxy})
    assert is_redirected(ServerAddress(ip_address(address), port)) == redirected
