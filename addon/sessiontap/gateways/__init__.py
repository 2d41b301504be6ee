"""The gateways: the list of their kinds, and the way of a call through one of them.

`gateway.py` is the descriptor; each kind has a module of its own. `routing.py` plans the way, `urls.py` takes URLs
apart. `failure.py` has the classes of failures behind a gateway; `failing_open.py` and `breaker.py` say which calls
then go to their own hosts. May import `dialects`, whose headers and keys the gateways know; the rules read the list.
"""

from collections.abc import Mapping
from dataclasses import replace

from sessiontap.exchange import Headers
from sessiontap.gateways import (
    cloudflare_gateway,
    custom_gateway,
    helicone_gateway,
    helicone_selfhosted_gateway,
    litellm_gateway,
    openrouter_gateway,
    portkey_gateway,
    traceforge_gateway,
)
from sessiontap.gateways.failure import GatewayFailure
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route, as_fact

KINDS: Mapping[str, GatewayKind] = {
    kind.name: kind
    for kind in (
        helicone_gateway.KIND,
        helicone_selfhosted_gateway.KIND,
        litellm_gateway.KIND,
        portkey_gateway.KIND,
        openrouter_gateway.KIND,
        cloudflare_gateway.KIND,
        traceforge_gateway.KIND,
        custom_gateway.KIND,
    )
}
"""All kinds of gateways, by name."""

LATER = ("langfuse", "braintrust")
"""Words of the rules' language that this version knows nothing else of."""


def plan(kind: str, call: GatewayCall) -> Route | Direct:
    """The way of a call through a gateway of this kind, or why it goes to its own host."""
    gateway = KINDS.get(kind)
    if gateway is None:
        return Direct(f"There is no gateway {kind!r}: calls go to their own hosts")
    way = gateway.plan(call)
    return replace(way, kind=kind, name=call.name or kind) if isinstance(way, Route) else way


def failure_of(kind: str, status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    """Return whose failure a reply through a gateway of this kind is; None if it is none. `body_start` is decoded."""
    gateway = KINDS.get(kind)
    return gateway.failure(status, headers, body_start) if gateway is not None else None


def gateway_facts(kind: str, headers: Headers) -> dict[str, str | int | float]:
    """Return what a gateway of this kind states of a call in its reply's headers, of the facts in `FACTS`."""
    gateway = KINDS.get(kind)
    found: dict[str, str | int | float] = {}
    for fact, header in gateway.reply.items() if gateway is not None else ():
        value = (headers.get(header) or "").strip()
        if value and (known := as_fact(fact, value)) is not None:
            found[fact] = known
    return found


__all__ = [
    "KINDS",
    "LATER",
    "Direct",
    "GatewayCall",
    "GatewayFailure",
    "GatewayKind",
    "Route",
    "failure_of",
    "gateway_facts",
    "plan",
]
