"""What is known of a client's connection: who opened it, its proxy user, and whether its traffic concerns us.

The caller is looked up while the client waits for its CONNECT to be answered (later, the socket may be gone), on a
thread of its own, so that no other call waits.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sessiontap.callers import Caller, Found, find
from sessiontap.llm.hosts import provider_of
from sessiontap.rules import Rules

PATIENCE = 0.1
"""Seconds that a client waits for the look-up at most; it takes about a millisecond."""


@dataclass(slots=True)
class Connection:
    """One client connection. `id` is mitmproxy's own."""

    id: str
    client: tuple[str, int] | None
    found: Found
    proxy_user: str | None = None
    env_names: frozenset[str] = frozenset()
    """The variables that were asked for when the caller was looked up."""
    proxy: tuple[str, int] | None = None
    hosts: tuple[str, ...] = ()
    """The names by which the client asked for the TLS destination: CONNECT or address, and SNI."""
    calls: set[str] = field(default_factory=set)
    """Ids of the flows in flight."""

    @property
    def caller(self) -> Caller | None:
        return self.found.caller

    @property
    def client_ip(self) -> str | None:
        return self.client[0] if self.client else None


class Connections:
    """The open client connections."""

    def __init__(self) -> None:
        self.open: dict[str, Connection] = {}
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="sessiontap-callers")

    async def opened(
        self, id: str, client: tuple[str, int] | None, proxy: tuple[str, int] | None, env_names: frozenset[str]
    ) -> Connection:
        """A new connection, its caller looked up."""
        connection = Connection(id, client, Found(reason="not looked up"), proxy=proxy)
        self.open[id] = connection
        await self.look_up(connection, env_names)
        return connection

    async def look_up(self, connection: Connection, env_names: frozenset[str]) -> None:
        """Find the connection's caller, again where the rules ask for other variables of it."""
        if connection.client is None or connection.proxy is None:
            connection.found = Found(reason="no client address")
            return
        look = asyncio.get_running_loop().run_in_executor(
            self._threads, find, connection.client, connection.proxy, env_names
        )
        try:
            connection.found = await asyncio.wait_for(asyncio.shield(look), PATIENCE)
        except TimeoutError:
            connection.found = Found(reason=f"not found within {PATIENCE:g} s")
        connection.env_names = env_names

    def closed(self, id: str) -> Connection | None:
        """Forget a connection."""
        return self.open.pop(id, None)


def concerns_us(rules: Rules, names: Iterable[str], port: int) -> tuple[str | None, str | None]:
    """(host, provider) of the first of a destination's `names` that is an LLM host or one that the rules name.

    (None, None): none of our business, passed through.
    """
    for name in names:
        if provider := provider_of(name, port):
            return name, provider
        if entry := rules.host_entry(name):
            return name, entry.provider
        if rules.names_host(name):
            return name, None
    return None, None


def proxy_user(header: str | None) -> str | None:
    """The user name of a Proxy-Authorization header with Basic credentials (RFC 7617), None where there is none."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name = base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace").partition(":")[0]
    except (binascii.Error, ValueError):
        return None
    return name or None


def is_local(client: str | None, proxy: str | None) -> bool:
    """Whether a client is on this machine: loopback, or the very address it reached the proxy at."""
    if client is None:
        return False
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or bool(mapped and mapped.is_loopback) or client == proxy


def is_address(name: str) -> bool:
    """Whether a destination is given as an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
