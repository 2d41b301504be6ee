"""Cloudflare's AI Gateway: https://developers.cloudflare.com/ai-gateway/

Its address is `https://gateway.ai.cloudflare.com/v1/ACCOUNT/GATEWAY`. Behind it each provider has a name and a path of
its own: `.../openai/chat/completions`, `.../anthropic/v1/messages`. The app's own key of the provider is passed on; a
gateway that wants authorization gets `cf-aig-authorization`. OpenAI's realtime WebSockets go through it.

Its errors are `{"success": false, "error": [{"code"}]}` or have `"name": "AiGatewayError"` and an `internalCode`. 2005
says that the provider failed, though the status is 400.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sessiontap.exchange import Headers
from sessiontap.gateways.failure import GatewayFailure, json_body, word
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route
from sessiontap.gateways.routing import Carried, GatewayKey, plan_way
from sessiontap.gateways.urls import BaseUrl

PATHS: Mapping[str, tuple[str, str]] = {
    "api.openai.com": ("/v1", "/openai"),
    "api.anthropic.com": ("", "/anthropic"),
    "api.cerebras.ai": ("/v1", "/cerebras"),
    "api.deepseek.com": ("", "/deepseek"),
    "api.groq.com": ("/openai/v1", "/groq"),
    "api.mistral.ai": ("", "/mistral"),
    "api.perplexity.ai": ("", "/perplexity-ai"),
    "api.x.ai": ("", "/grok"),
    "generativelanguage.googleapis.com": ("", "/google-ai-studio"),
    "openrouter.ai": ("/api", "/openrouter"),
}
"""Provider's host -> the beginning of its paths, and what stands for it behind the gateway's address."""
_CLOUD = "gateway.ai.cloudflare.com"
_ACCOUNT_AND_GATEWAY = re.compile(r"/v1/[^/]+/[^/]+")
_REALTIME = "/v1/realtime"
KEY = GatewayKey("cf-aig-authorization", "CF_AIG_TOKEN", "Bearer ", needed=False)
_PROVIDER_FAILED = "2005"
_POLICY = frozenset({"2003", "2009", "2016", "2017", "2029", "2030"})
"""Its rate limit, its authorization, guardrails on prompts and replies, and the same of data loss prevention."""


def carry(call: GatewayCall, at: BaseUrl) -> Carried | str:
    host = call.host.lower().rstrip(".")
    if at.host == _CLOUD and not _ACCOUNT_AND_GATEWAY.fullmatch(at.path):
        return f"The url of Cloudflare's gateway is https://{_CLOUD}/v1/ACCOUNT/GATEWAY: calls go to their own hosts"
    if host not in PATHS or (call.scheme, call.port) != ("https", 443):
        return f"Cloudflare's gateway has no name for the provider at {call.host}: its calls go to their own host"
    begins, stands_for = PATHS[host]
    path, mark, query = call.target.partition("?")
    if call.is_websocket:
        if host == "api.openai.com" and path == _REALTIME:
            return Carried(stands_for + mark + query)
        return f"Of the WebSockets to {call.host} only OpenAI's realtime ones go through Cloudflare's gateway"
    if not path.startswith(f"{begins}/"):
        return f"Cloudflare's gateway has no route for some paths of {call.host}: those calls go to their own host"
    return Carried(stands_for + call.target[len(begins) :])


def plan(call: GatewayCall) -> Route | Direct:
    return plan_way("Cloudflare's gateway", None, KEY, carry, call)


def failure(status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    if status < 400:
        return None
    body = json_body(body_start)
    code = _own_code(body)
    if code is None or code == _PROVIDER_FAILED:
        return GatewayFailure("provider_error", code)
    if code in _POLICY or status in (401, 403, 429):
        return GatewayFailure("policy", code)
    return GatewayFailure("gateway_unanswered" if status >= 500 else "gateway_refused", code)


def _own_code(body: Mapping[str, Any]) -> str | None:
    """Return the code of an error of the gateway's own; None if the error is not its own."""
    if body.get("name") == "AiGatewayError":
        return word(body.get("internalCode")) or "AiGatewayError"
    errors = body.get("error") or body.get("errors")
    if body.get("success") is False and isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return word(errors[0].get("code"))
    return None


KIND = GatewayKind(
    "cloudflare",
    plan,
    frozenset({"cloudflare"}),
    failure,
    {"id": "cf-aig-log-id", "cache": "cf-aig-cache-status", "fallbacks": "cf-aig-step"},
    needs_url=True,
)
