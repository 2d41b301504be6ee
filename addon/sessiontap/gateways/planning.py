"""The gateways that a rule may name."""

from __future__ import annotations

from collections.abc import Mapping

from sessiontap.exchange import Headers
from sessiontap.gateways import helicone
from sessiontap.gateways.route import Direct, Route
from sessiontap.trust import Upstream

GATEWAYS = {"helicone": helicone.plan}


def plan(
    name: str,
    *,
    scheme: str,
    host: str,
    port: int,
    headers: Headers,
    provider: str | None = None,
    url: str | None = None,
    key: str | None = None,
    proxy_env: Mapping[str, str],
    signed: frozenset[str] | bool,
    upstream: Upstream,
    why_not_client: str | None,
) -> Route | Direct:
    """The way of a call through the gateway `name`; see the gateway's own `plan`.

    `url` and `key` are those of an item of the rules' `gateways:`; None: the gateway's own, and the proxy's variable.

    `signed`: the headers that AWS signed (`headers.signed_headers`), or whether it did.
    """
    gateway = GATEWAYS.get(name)
    if gateway is None:
        return Direct(f"There is no gateway {name!r}: calls go to their own hosts")
    return gateway(
        scheme=scheme,
        host=host,
        port=port,
        headers=headers,
        provider=provider,
        url=url,
        key=key,
        proxy_env=proxy_env,
        signed=bool(signed),
        upstream=upstream,
        why_not_client=why_not_client,
    )
