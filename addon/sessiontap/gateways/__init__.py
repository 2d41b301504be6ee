"""The gateways: the list of their kinds, and the way of a call through one of them.

`gateway.py` is the descriptor, `failure.py` the classes of failures behind a gateway; `failing_open.py` and
`breaker.py` say which calls then go to their own hosts. Each kind has a module of its own. May import `dialects`, whose
headers and keys the gateways know; the rules read the list.
"""

from collections.abc import Mapping
from dataclasses import replace

from sessiontap.exchange import Headers
from sessiontap.gateways import helicone_gateway
from sessiontap.gateways.failure import Failure
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route

KINDS: Mapping[str, GatewayKind] = {
    kind.name: kind
    for kind in (
        helicone_gateway.KIND,
    )
}
"""All kinds of gateways, by name."""

LATER = ("helicone-selfhosted", "langfuse", "litellm", "portkey", "openrouter", "cloudflare", "braintrust")
"""Words of the rules' language that this version knows nothing else of."""


def plan(kind: str, call: GatewayCall) -> Route | Direct:
    """The way of a call through a gateway of this kind, or why it goes to its own host."""
    gateway = KINDS.get(kind)
    if gateway is None:
        return Direct(f"There is no gateway {kind!r}: calls go to their own hosts")
    way = gateway.plan(call)
    return replace(way, kind=kind) if isinstance(way, Route) else way


def failure_of(kind: str, status: int, headers: Headers, body_start: bytes) -> Failure | None:
    """Return whose failure a reply is that came through a gateway of this kind; None if it is none."""
    gateway = KINDS.get(kind)
    return gateway.failure(status, headers, body_start) if gateway is not None else None


__all__ = ["KINDS", "LATER", "Direct", "Failure", "GatewayCall", "GatewayKind", "Route", "failure_of", "plan"]
