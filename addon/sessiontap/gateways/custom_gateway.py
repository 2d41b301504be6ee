"""A gateway that the rules describe: its address, the path of a call there, and the headers that it needs.

Nothing is known of it but that. Its failures have no signature, so all of them count as the provider's.
"""

from __future__ import annotations

from urllib.parse import quote

from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route
from sessiontap.gateways.routing import Carried, plan_way
from sessiontap.gateways.urls import BaseUrl, climbs

_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"


def carry(call: GatewayCall, _: BaseUrl) -> Carried | str:
    if not call.has_path:
        return Carried(call.target)
    if not call.path:
        return "The gateway's path has no value for some calls: those go to their own hosts"
    path = quote(call.path if call.path.startswith("/") else f"/{call.path}", safe=_PATH_CHARACTERS)
    if climbs(path):
        return "The gateway's path would have . or .. as a segment: such calls go to their own hosts"
    query = call.target.partition("?")[2]
    return Carried(f"{path}?{query}" if query else path)


def plan(call: GatewayCall) -> Route | Direct:
    return plan_way("The gateway", None, None, carry, call)


KIND = GatewayKind("custom", plan, needs_url=True, takes_key=False, has_path=True)
