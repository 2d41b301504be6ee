"""A gateway: what it is asked, and what it answers.

The descriptor holds all that a gateway is. To add one: a module with a `GatewayKind` in it, and a line in the list of
`gateways/__init__.py`. What the rules offer and check follows from the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sessiontap.exchange import Headers
from sessiontap.gateways.failure import ReadFailure, unsigned
from sessiontap.header_edit import Edit
from sessiontap.trust import UNKNOWN, Upstream


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
    provider: str | None = None
    """The host's."""
    url: str | None = None
    """The address of a gateway of one's own; None: the kind's own address."""
    key: str | None = None
    """The key of a gateway of one's own; None: the proxy's variable."""
    proxy_env: Mapping[str, str] = field(default_factory=dict)
    signed: bool = False
    """AWS signed the request."""
    upstream: Upstream = UNKNOWN
    """The way that the call would take to its own host."""
    why_not_client: str | None = "it is not known who asks"
    """Why the client may not use the gateway's key; None if it may."""


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
