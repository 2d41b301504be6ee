"""The facts about a client's connection: who opened it, its proxy user, and whether its traffic concerns us.

The caller is looked up while the client waits for its CONNECT to be answered: later, the socket may be gone. Look-ups
that take a search share it, and it is done on the loop a few milliseconds at a time, so that no call waits for long.
An answer that comes late is taken all the same: by the connection, by its later calls, and by those not yet recorded.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
from dataclasses import dataclass, field, replace
from functools import lru_cache

from sessiontap.callers import Caller, Found, find_known
from sessiontap.callers.names import program_of
from sessiontap.llm.hosts import is_llm_host, provider_of, serves
from sessiontap.proxy.look_ups import LookUps
from sessiontap.rules import Rules
from sessiontap.trust import host_name

PATIENCE = 0.1
"""Seconds that a client waits for the look-up at most; it takes about a millisecond."""
PROTECTING_PATIENCE = 1.0
"""The same if a rule by its process may keep its calls out of the log: from when the connection was opened."""
_REMOTE = "remote client"
_NOT_YET = "not found in time"


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
    in_tunnel: bool = False
    """A CONNECT was granted: what follows is for the server."""
    unverified: bool = False
    """TLS with a server was established for it without the server's certificate being verified."""
    tls_host: str | None = None
    """The host that its TLS is for, by the name that concerns us."""
    tls_port: int = 443
    program: str = ""
    """`who`, when that was decided."""
    tls_began: float | None = None
    """When its TLS began that is decrypted, by the clock of `Distrust`."""
    is_accepted: bool = False
    """The client has sent something in its TLS."""
    sni: str | None = None
    """The server name in its TLS."""
    has_spoken: bool = False
    """The client has said something behind the address that it wants."""
    is_decided: bool = False
    """Its TLS is decrypted: the client's hello was asked about already."""
    may_reroute: bool = False
    """A rule may send calls of its TLS elsewhere."""
    hello: str = ""
    """Fingerprint of the client's TLS, if its process is not known."""
    opened: float = 0.0
    """By the loop's clock."""
    look: asyncio.Task[Found] | None = field(default=None, repr=False)
    """The look-up under way."""

    @property
    def caller(self) -> Caller | None:
        return self.found.caller

    @property
    def who(self) -> str:
        """The program, as far as it can be told from others; if its process is not known, by its address, proxy user
        and TLS."""
        if self.caller is not None:
            return program_of(self.caller)
        return "\n".join((self.client_ip or "", self.proxy_user or "", self.hello))

    @property
    def is_remote(self) -> bool:
        """The client is on another machine: its process can never be known."""
        return self.found.reason == _REMOTE

    @property
    def client_ip(self) -> str | None:
        return self.client[0] if self.client else None


class Connections:
    """The open client connections."""

    def __init__(self) -> None:
        self.open: dict[str, Connection] = {}
        self._look_ups = LookUps()

    def warm_up(self) -> None:
        """Before the proxy listens: the first client is found as quickly as any other."""
        self._look_ups.warm_up()

    async def opened(
        self, id: str, client: tuple[str, int] | None, proxy: tuple[str, int] | None, env_names: frozenset[str]
    ) -> Connection:
        """A new connection, its caller looked up."""
        now = asyncio.get_running_loop().time()
        connection = Connection(id, client, Found(reason="not looked up"), proxy=proxy, opened=now)
        self.open[id] = connection
        await self.look_up(connection, env_names)
        return connection

    async def look_up(self, connection: Connection, env_names: frozenset[str]) -> None:
        """Find the connection's caller, again if the rules ask for other variables of it. Waits `PATIENCE` seconds."""
        if connection.client is None or connection.proxy is None:
            connection.found = Found(reason="no client address")
            return
        connection.env_names = env_names
        known = find_known(connection.client, connection.proxy, env_names)
        if known is not None:
            connection.look = None
            connection.found = _newer(connection.found, known)
            return
        look = asyncio.create_task(self._look_ups.find(connection.client, connection.proxy, env_names))
        connection.look = look
        look.add_done_callback(lambda done: _adopt(connection, done))
        await asyncio.wait([look], timeout=PATIENCE)
        if not look.done():
            connection.found = _newer(connection.found, Found(reason=_NOT_YET))

    async def settled(self, connection: Connection) -> None:
        """Wait for a look-up under way, until `PROTECTING_PATIENCE` seconds after the connection was opened."""
        look = connection.look
        if look is not None and not look.done():
            left = connection.opened + PROTECTING_PATIENCE - asyncio.get_running_loop().time()
            await asyncio.wait([look], timeout=max(left, 0.0))

    def closed(self, id: str) -> Connection | None:
        """Forget a connection."""
        return self.open.pop(id, None)


def _adopt(connection: Connection, look: asyncio.Task[Found]) -> None:
    """Take over what a look-up found, however late, if no other one was begun since."""
    if connection.look is look:
        connection.look = None
        if not look.cancelled() and look.exception() is None:
            connection.found = _newer(connection.found, look.result())


def _newer(before: Found, now: Found) -> Found:
    """Return the better of two look-ups: a process that has closed its socket meanwhile is still who opened it."""
    if now.caller is None and before.caller is not None:
        return replace(before, caller=replace(before.caller, env_unread=True))
    return now


class Destinations:
    """The destinations that concern us, by the table of LLM hosts and the rules. One for each `Rules`: it remembers."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.find = lru_cache(maxsize=4096)(self._find)

    def find_call(self, names: tuple[str, ...], port: int, path: str) -> Destination | None:
        """The same for a request: of a host that serves other things as well, only its LLM API concerns us. If the
        rules name the host, all of it does."""
        found = self.find(names, port)
        if found is None or not found.by_table or serves(found.host, path):
            return found
        return None

    def _find(self, names: tuple[str, ...], port: int) -> Destination | None:
        for name in names:
            entry = self._rules.host_entry(name, port)
            if entry is not None:
                return Destination(name, entry.provider or provider_of(name, port), entry.operation)
            if self._rules.names_host(name):
                return Destination(name, provider_of(name, port))
            if is_llm_host(name):
                return Destination(name, provider_of(name, port), by_table=True)
        return None


@dataclass(frozen=True, slots=True)
class Destination:
    """A host that concerns us, by the name that says so."""

    host: str
    provider: str | None
    operation: str | None = None
    by_table: bool = False
    """The table of LLM hosts alone says that it concerns us."""


@lru_cache(maxsize=4096)
def destinations(address: str, name: str | None) -> tuple[str, ...]:
    """The names of a destination. A client that connects to an IP address names the host in SNI or Host alone; if it
    connects to a host, another name there counts for nothing: the address is where the call goes."""
    if name is None or not is_address(address):
        return (address.lower(),)
    return (host_name(name), address)


def proxy_user(header: str | None) -> str | None:
    """The user name of a Proxy-Authorization header with Basic credentials (RFC 7617), None if there is none."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name = base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace").partition(":")[0]
    except (binascii.Error, ValueError):
        return None
    return name or None


def is_address(name: str) -> bool:
    """True if a destination is given as an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
