"""OpenRouter: https://openrouter.ai/docs/api/reference

It answers at `/api/v1` in OpenAI's form, and at `/api/v1/messages` in Anthropic's, with a key of its own in
`Authorization`: the app's key of its provider is taken out, the call is OpenRouter's to bill. It names models
`vendor/model`, and names are not rewritten: a call for another name (`gpt-4o`) goes to its own host. Anthropic's names
of its models are taken as they are.

An error of a provider has `error.metadata.provider_name`. Without it OpenRouter speaks for itself.
"""

from __future__ import annotations

from sessiontap.exchange import Headers
from sessiontap.gateways.failure import PROVIDER_ERROR, GatewayFailure, inner, json_body, word
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route
from sessiontap.gateways.routing import Carried, GatewayKey, plan_way
from sessiontap.gateways.urls import BaseUrl, is_below, split_path

OWN = "https://openrouter.ai/api"
ROUTES = ("/chat/completions", "/completions", "/responses", "/embeddings")
KEY = GatewayKey(
    "Authorization",
    "OPENROUTER_API_KEY",
    "Bearer ",
    is_apps_own=lambda sent: sent.removeprefix("Bearer ").startswith("sk-or-"),
)


def carry(call: GatewayCall, _: BaseUrl) -> Carried | str:
    host = call.host.lower().rstrip(".")
    if call.is_websocket:
        return f"WebSockets to {call.host} do not go through OpenRouter"
    split = split_path(host, call.target)
    if split is not None and host == "api.anthropic.com" and is_below(split[1], ("/messages",)):
        return Carried(f"/v1{split[1]}", remove=("x-api-key",))
    if split is None or not is_below(split[1], ROUTES):
        return f"OpenRouter has no route for some paths of {call.host}: those calls go to their own host"
    if "/" not in (call.model or ""):
        return "OpenRouter names models vendor/model: calls for other names go to their own hosts"
    return Carried(f"/v1{split[1]}", remove=("x-api-key", "api-key"))


def plan(call: GatewayCall) -> Route | Direct:
    return plan_way("OpenRouter", OWN, KEY, carry, call)


def failure(status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    if status < 400:
        return None
    error = inner(json_body(body_start), "error")
    if not error or inner(error, "metadata").get("provider_name"):
        return PROVIDER_ERROR
    code = word(error.get("code"))
    if status in (401, 402, 403, 429):
        return GatewayFailure("policy", code)
    if status == 503:  # no provider for this call
        return GatewayFailure("gateway_refused", code)
    # 502: the model is down or answered with nonsense; 400 and 404 may be the provider's words, too
    return GatewayFailure("gateway_unanswered", code) if status in (408, 500) else PROVIDER_ERROR


KIND = GatewayKind("openrouter", plan, frozenset({"openrouter"}), failure, {"id": "x-generation-id"}, needs_key=True)
