"""What the rules may look at: the facts of one call, as far as they are known."""

from __future__ import annotations

from dataclasses import dataclass

from sessiontap.callers import Caller
from sessiontap.exchange import Request
from sessiontap.llm.call import Call


@dataclass(frozen=True, slots=True)
class Facts:
    """`request` and `call` are None while only the connection is known (see `Rules.connection`)."""

    host: str | None
    caller: Caller | None = None
    is_remote: bool = False
    """The client is on another machine: it has no process that a rule could mean. Else a caller of None is unknown."""
    client_ip: str | None = None
    proxy_user: str | None = None
    provider: str | None = None
    request: Request | None = None
    """As the app sent it; its body None where it streams through."""
    call: Call | None = None
    time: int | None = None
    """When the call came, Unix nanoseconds: what `${date}` says. None is now."""
    client_is_local: bool = False
    """The client is certainly on this machine (`trust.is_local`)."""
    exposed: str | None = "it is not known how the call travels"
    """Why a key of the proxy's may not travel to `host` (`trust.why_exposed`); None: it may."""
