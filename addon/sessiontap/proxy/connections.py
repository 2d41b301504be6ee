"""What is known of a client's connection: who opened it, its proxy user, and whether its traffic concerns us.

The caller is looked up while the client waits for its CONNECT to be answered (later, the socket may be gone), on a
thread of its own, so that no other call waits.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from sessiontap.callers import Caller, Found, find, find_known
from sessiontap.llm.hosts import is_llm_host, provider_of
from sessiontap.rules import Rules
from sessiontap.trust import host_name

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
    in_tunnel: bool = False
    """A CONNECT was granted: what follows is for the server."""
    unverified: bool = False
    """TLS with a server was established for it without the server's certificate being verified."""

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
        connection.env_names = env_names
        known = find_known(connection.client, connection.proxy, env_names)
        if known is not None:
            connection.found = known
            return
        look = asyncio.get_running_loop().run_in_executor(
            self._threads, find, connection.client, connection.proxy, env_names
        )
        try:
            connection.found = await asyncio.wait_for(asyncio.shield(look), PATIENCE)
        except TimeoutError:
            connection.found = Found(reason=f"not found within {PATIENCE:g} s")

    def closed(self, id: str) -> Connection | None:
        """Forget a connection."""
        return self.open.pop(id, None)


class Destinations:
    """Which destinations concern us, by the table of LLM hosts and the rules. One for each `Rules`: it remembers."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.find = lru_cache(maxsize=4096)(self._find)

    def _find(self, names: tuple[str, ...], port: int) -> Destination | None:
        for name in names:
            entry = self._rules.host_entry(name, port)
            if entry is not None:
                return Destination(name, entry.provider or provider_of(name, port), entry.operation)
            if is_llm_host(name, port) or self._rules.names_host(name):
                return Destination(name, provider_of(name, port))
        return None


@dataclass(frozen=True, slots=True)
class Destination:
    """A host that concerns us, by the name that says so."""

    host: str
    provider: str | None
    operation: str | None = None


@lru_cache(maxsize=4096)
def destinations(address: str, name: str | None) -> tuple[str, ...]:
    """The names of a destination. A client that connects to an IP address names the host in SNI or Host alone; where it
    connects to a host, another name there counts for nothing: the address is where the call goes."""
    if name is None or not is_address(address):
        return (address.lower(),)
    return (host_name(name), address)


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


def is_address(name: str) -> bool:
    """Whether a destination is given as an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
