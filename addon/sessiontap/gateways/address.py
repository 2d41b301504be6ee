"""Addresses: where a gateway is, and the origin that a call is meant for. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

DEFAULT_PORT = {"https": 443, "http": 80}
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "intranet")


class Address(NamedTuple):
    """Where a gateway is."""

    scheme: str
    host: str
    port: int
    path: str
    """What stands before every path there, without a slash at its end; mostly empty."""

    @property
    def origin(self) -> str:
        return origin(self.scheme, self.host, self.port)


@lru_cache(maxsize=256)
def address_of(url: str) -> Address | None:
    """Return the address that a URL names; None if it has no host or no right port."""
    try:
        at = urlsplit(url)
        if at.scheme not in DEFAULT_PORT or not at.hostname or at.port == 0:
            return None
        return Address(at.scheme, at.hostname, at.port or DEFAULT_PORT[at.scheme], at.path.rstrip("/"))
    except ValueError:
        return None


def origin(scheme: str, host: str, port: int) -> str:
    """`https://HOST`, with the port if it is not the usual one."""
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" + ("" if DEFAULT_PORT.get(scheme) == port else f":{port}")


@lru_cache(maxsize=1024)
def is_private(host: str) -> bool:
    """True if a host is out of reach from the internet, as far as its name tells."""
    try:
        return not ip_address(host.strip("[]").partition("%")[0]).is_global
    except ValueError:
        return "." not in host or any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)


def climbs(target: str) -> bool:
    """True if a path has `.` or `..` among its segments, also encoded: it could leave the part that it begins with."""
    path = unquote(target.partition("?")[0]).replace("\\", "/")
    return any(segment in (".", "..") for segment in path.split("/"))
