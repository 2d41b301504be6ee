"""A gateway: what it is asked, and what it answers.

The descriptor holds all that a gateway is. To add one: a module with a `GatewayKind` in it, and a line in the list of
`gateways/__init__.py`. What the rules offer and check follows from the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sessiontap.exchange import Headers
from sessiontap.gateways.failure import ReadFailure, unsigned
from sessiontap.header_edit import Edit
from sessiontap.trust import UNKNOWN, Upstream

FACTS: Mapping[str, type] = {
    "id": str,
    "cache": str,
    "fallbacks": int,
    "retries": int,
    "cost": float,
    "upstream": str,
}
"""The facts that a gateway may state of a call in its reply: its own id of it; whether a cache answered; how often it
fell back to another model and tried again; US dollars; the address that it asked."""
LONGEST_FACT = 256
"""Characters."""
MOST = 1_000_000_000
"""Of a number."""


def as_fact(fact: str, text: str) -> str | int | float | None:
    """Return a header's value as the fact that it states; None if it is none: too long, no number, below 0."""
    if FACTS[fact] is str:
        return text if len(text) <= LONGEST_FACT and text.isprintable() else None
    try:
        number = float(text)
    except ValueError:
        return None
    if not 0 <= number <= MOST:
        return None
    return number if FACTS[fact] is float else int(number)


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """A call that a rule sends to a gateway: as the app asked for it, and what may be used for it."""

    scheme: str
    host: str
    port: int
    headers: Headers
    """The app's own."""
    target: str = "/"
    """Path and query, as the app sent them."""
    method: str = "POST"
    provider: str | None = None
    """The host's."""
    model: str | None = None
    """As the app asks for it."""
    body: Mapping[str, Any] | None = None
    """The request's JSON; None if it was not read."""
    url: str | None = None
    """The address of a gateway of one's own; None: the kind's own address."""
    key: str | None = None
    """The key of a gateway of one's own; None: the proxy's variable."""
    has_path: bool = False
    """The rules say which path the call has at the gateway."""
    path: str | None = None
    """That path, filled in; None: it has no value."""
    own_headers: Mapping[str, str] = field(default_factory=dict)
    """The headers that the rules give the gateway, filled in."""
    own_headers_use_keys: bool = False
    """Path or headers hold a value of the proxy's own environment."""
    proxy_env: Mapping[str, str] = field(default_factory=dict)
    signed: bool = False
    """AWS signed the request."""
    name: str = ""
    """The gateway's name in the rules."""
    upstream: Upstream = UNKNOWN
    """The way that the call would take to its own host."""
    why_not_client: str | None = "it is not known who asks"
    """Why the client may not use the gateway's key; None if it may."""


    @property
    def is_websocket(self) -> bool:
        """It opens a WebSocket."""
        return (self.headers.get("upgrade") or "").lower() == "websocket"


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a call to another host than its own."""

    scheme: str
    host: str
    port: int
    edits: tuple[Edit, ...] = ()
    """Headers that the gateway needs: its auth, its target."""
    notes: tuple[str, ...] = ()
    """Things that the user should know, though the call goes."""
    target: str | None = None
    """Path and query as the gateway needs them; None: the app's own."""
    kind: str = ""
    """The kind of the gateway."""
    name: str = ""
    """Its name in the rules."""


@dataclass(frozen=True, slots=True)
class Direct:
    """The call goes to its own host."""

    reason: str
    """A sentence and a hint, without values that differ from call to call: it is said once."""


@dataclass(frozen=True, slots=True)
class GatewayKind:
    """All that a kind of gateway is."""

    name: str
    """As `gateway` and `gateways.kind` in the rules name it."""
    plan: Callable[[GatewayCall], Route | Direct]
    """Return the way of a call through it, or why it goes to its own host."""
    reads: frozenset[str] = frozenset()
    """Names of the dialects that it reads."""
    failure: ReadFailure = unsigned
    """Return whose failure a reply is that came through it."""
    reply: Mapping[str, str] = field(default_factory=dict)
    """Fact (`FACTS`) -> the response header in which the gateway states it."""
    needs_url: bool = False
    """It has no address of its own: the rules must give one."""
    needs_key: bool = False
    """Without a key it would take no call."""
    takes_key: bool = True
    """It is opened by a key, which the rules may give."""
    has_path: bool = False
    """The rules may say the path that a call has there."""
