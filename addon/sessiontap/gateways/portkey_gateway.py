"""Portkey's gateway, in its cloud or one's own: https://portkey.ai/docs/api-reference/inference-api/headers

It answers at one base, `/v1`, and is told the provider in `x-portkey-provider`; any other server that speaks OpenAI's
API is told by `x-portkey-custom-host`, its base with it. The app's own key of the provider stays in its place and is
passed on. The cloud wants a key of Portkey's; one's own gateway has none.

Failures as seen with its gateway 1.15: `x-portkey-gateway-exception: true` or a body `{"status": "failure"}` is its own
(from 500 on it may come after the provider answered), 446 and 412 are guardrails and budgets. All else is the
provider's, also a provider that it could not reach.
"""

from __future__ import annotations

from collections.abc import Mapping

from sessiontap.exchange import Headers
from sessiontap.gateways.failure import PROVIDER_ERROR, GatewayFailure, inner, json_body, word
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route
from sessiontap.gateways.routing import Carried, GatewayKey, plan_way
from sessiontap.gateways.urls import BaseUrl, is_below, is_private, origin, split_path

OWN = "https://api.portkey.ai"
KEY = GatewayKey("x-portkey-api-key", "PORTKEY_API_KEY")
OWN_GATEWAYS_KEY = KEY._replace(needed=False)

PROVIDERS: Mapping[str, str] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.deepinfra.com": "deepinfra",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks-ai",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral-ai",
    "api.novita.ai": "novita-ai",
    "api.perplexity.ai": "perplexity-ai",
    "api.studio.nebius.ai": "nebius",
    "api.together.xyz": "together-ai",
    "api.x.ai": "x-ai",
    "openrouter.ai": "openrouter",
}
"""Provider's host -> its name at Portkey."""
COMMON = ("/chat/completions", "/completions", "/embeddings")
ROUTES: Mapping[str, tuple[str, ...]] = {
    "openai": (*COMMON, "/responses", "/images", "/audio", "/realtime"),
    "anthropic": ("/messages",),
}
"""Provider -> what it may be asked through Portkey, if not the `COMMON` routes."""


def carry(call: GatewayCall, at: BaseUrl) -> Carried | str:
    host = call.host.lower().rstrip(".")
    split = split_path(host, call.target)
    known = PROVIDERS.get(host) if (call.scheme, call.port) == ("https", 443) else None
    provider = known or "openai"
    if call.is_websocket and (provider != "openai" or split is None or not is_below(split[1], ("/realtime",))):
        return f"Of the WebSockets to {call.host} only OpenAI's realtime ones go through Portkey"
    if split is None or not is_below(split[1], ROUTES.get(provider, COMMON)):
        return f"Portkey has no route for some paths of {call.host}: those calls go to their own host"
    base, rest = split
    headers = [("x-portkey-provider", provider)]
    if known is None:
        if at.origin == OWN and is_private(host):
            return f"Portkey cannot reach {call.host}: it is on this machine or in its network"
        headers.append(("x-portkey-custom-host", origin(call.scheme, host, call.port) + base))
    return Carried(f"/v1{rest}", tuple(headers))


def plan(call: GatewayCall) -> Route | Direct:
    return plan_way("Portkey", OWN, OWN_GATEWAYS_KEY if call.url else KEY, carry, call)


def failure(status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    if status < 400:
        return None
    body = json_body(body_start)
    if status in (412, 446):
        return GatewayFailure("policy", word(inner(body, "error").get("type")))
    own = (headers.get("x-portkey-gateway-exception") or "").lower() == "true" or body.get("status") == "failure"
    if own or body.get("ok") is False:  # its own 404
        if status >= 500:
            return GatewayFailure("gateway_unanswered")
        return GatewayFailure("policy" if status in (401, 403, 429) else "gateway_refused")
    return PROVIDER_ERROR


KIND = GatewayKind(
    "portkey",
    plan,
    frozenset({"portkey"}),
    failure,
    {"id": "x-portkey-trace-id", "cache": "x-portkey-cache-status", "retries": "x-portkey-retry-attempt-count"},
)
