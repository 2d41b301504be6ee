"""A Helicone of one's own: https://docs.helicone.ai/getting-started/self-host/docker

Its server takes OpenAI's calls below `/v1/gateway/oai` and Anthropic's below `/v1/gateway/anthropic`, as POST alone.
The path behind that, the body and the app's key stay. Azure's deployments share OpenAI's and name their origin. It has
no generic gateway: other providers' calls go to their own hosts.
"""

from __future__ import annotations

from collections.abc import Mapping

from sessiontap.dialects.helicone import KEY_HEADER, KEY_VARIABLE
from sessiontap.dialects.helicone import NAME as HELICONE
from sessiontap.exchange import Headers
from sessiontap.gateways import helicone_gateway
from sessiontap.gateways.failure import GatewayFailure, json_body
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route
from sessiontap.gateways.routing import Carried, GatewayKey, plan_way
from sessiontap.gateways.urls import BaseUrl, origin

PREFIXES: Mapping[str, str] = {"api.openai.com": "/v1/gateway/oai", "api.anthropic.com": "/v1/gateway/anthropic"}
_AZURE = ".openai.azure.com"
_OWN_MESSAGES = ("Invalid provider", "Error creating request wrapper", "Unsupported response body type")
KEY = GatewayKey(KEY_HEADER, KEY_VARIABLE, "Bearer ")


def carry(call: GatewayCall, _: BaseUrl) -> Carried | str:
    host = call.host.lower().rstrip(".")
    if call.is_websocket or call.method != "POST":
        return f"A Helicone of one's own takes POST alone: other calls to {call.host} go to their own host"
    if (call.scheme, call.port) == ("https", 443):
        if host in PREFIXES:
            return Carried(PREFIXES[host] + call.target)
        if host.endswith(_AZURE):
            base = (("Helicone-OpenAI-Api-Base", origin(call.scheme, host, call.port)),)
            return Carried(PREFIXES["api.openai.com"] + call.target, base)
    return f"A Helicone of one's own has no gateway for {call.host}: its calls go to their own host"


def plan(call: GatewayCall) -> Route | Direct:
    return plan_way("A Helicone of one's own", None, KEY, carry, call)


def failure(status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    if status >= 400 and json_body(body_start).get("message") in _OWN_MESSAGES:
        return GatewayFailure("gateway_unanswered" if status >= 500 else "gateway_refused")
    return helicone_gateway.failure(status, headers, body_start)


KIND = GatewayKind(
    *("helicone-selfhosted", plan, frozenset({HELICONE}), failure, helicone_gateway.REPLY),
    needs_url=True,
    needs_key=True,
)
