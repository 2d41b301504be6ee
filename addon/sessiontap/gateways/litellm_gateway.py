"""LiteLLM's proxy: https://docs.litellm.ai/docs/simple_proxy

It answers for all providers at one base, `/v1`, in OpenAI's form (and `/v1/messages` in Anthropic's, Gemini's own below
`/v1beta/models`), and chooses the provider by the model's name in its own list. So the provider's base gives way to
`/v1`, and calls to any host can go through it; model and body stay. Its key goes in `x-litellm-api-key`, which it
looks at before `Authorization`; the app's own key stays where it is. Only routes of its model API are carried: the key
may be one that opens its administration, too. WebSockets of the realtime and Responses APIs go through it.

Failures as seen with LiteLLM 1.106: what a provider answered has its headers as `llm_provider-*`; one that it could not
reach is named in the message (`OpenAIException - Connection error.`). All other errors are its own;
from 500 on it failed in the midst, and a provider may have been asked.
"""

from __future__ import annotations

import re

from sessiontap.exchange import Headers
from sessiontap.gateways.failure import PROVIDER_ERROR, GatewayFailure, inner, json_body, word
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route
from sessiontap.gateways.routing import Carried, GatewayKey, plan_way
from sessiontap.gateways.urls import BaseUrl, is_below, split_path

ROUTES = (
    *("/chat/completions", "/completions", "/embeddings", "/responses", "/messages", "/models", "/moderations"),
    *("/images", "/audio", "/rerank", "/realtime"),
)
"""Of its model API, below `/v1`."""
SOCKETS = ("/realtime", "/responses")
"""The same of its WebSockets."""
_GEMINI = "/v1beta/models/"
_AZURE = "/openai/deployments/"
KEY = GatewayKey("x-litellm-api-key", "LITELLM_API_KEY", "Bearer ", needed=False)

_PROVIDERS_WORDS = re.compile(r"\b\w+Exception - ")
_AMID_THE_CALL = re.compile(r"litellm\.\w+: ")
"""The beginning of what it raises while it asks a provider, such as for a time-out."""
_OF_ITS_LIMITS = frozenset({"llm_provider-retry-after", "llm_provider-content-length"})
"""The headers of a reply that it makes up for a limit of its own, as if a provider had sent it."""
_POLICY = frozenset({
    "budget_exceeded", "key_model_access_denied", "team_model_access_denied", "user_model_access_denied",
    "customer_model_access_denied", "org_model_access_denied", "project_model_access_denied",
    "agent_model_access_denied", "token_not_found_in_db", "expired_key", "auth_error",
})  # fmt: skip
"""Types of errors by which it keeps budgets and the rights of keys."""


def carry(call: GatewayCall, _: BaseUrl) -> Carried | str:
    host = call.host.lower().rstrip(".")
    split = split_path(host, call.target)
    if split is not None and is_below(split[1], SOCKETS if call.is_websocket else ROUTES):
        return Carried(f"/v1{split[1]}")
    if call.is_websocket:
        return f"LiteLLM has no WebSockets for some paths of {call.host}: those go to their own host"
    if call.target.startswith(_GEMINI) or (call.provider == "azure" and call.target.startswith(_AZURE)):
        return Carried(call.target)
    return f"LiteLLM has no route for some paths of {call.host}: those calls go to their own host"


def plan(call: GatewayCall) -> Route | Direct:
    return plan_way("LiteLLM", None, KEY, carry, call)


def failure(status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    if status < 400:
        return None
    names = {name.lower() for name, _ in headers} - _OF_ITS_LIMITS
    if not body_start or any(name.startswith("llm_provider-") for name in names):
        return PROVIDER_ERROR
    error = inner(json_body(body_start), "error")
    message = str(error.get("message") or "")
    if _PROVIDERS_WORDS.search(message):
        return PROVIDER_ERROR
    kind = word(error.get("type"))
    guardrail = inner(error, "provider_specific_fields").get("guardrail_name")
    if kind == "no_db_connection":  # 400: it knows of no keys but the master key, and this is not it
        return GatewayFailure("policy" if status == 400 else "gateway_refused", kind)
    if kind in _POLICY or guardrail or status in (401, 403, 429):
        return GatewayFailure("policy", "guardrail" if guardrail else kind)
    is_amid = status >= 500 or status == 408 or _AMID_THE_CALL.match(message) is not None
    return GatewayFailure("gateway_unanswered" if is_amid else "gateway_refused", kind)


KIND = GatewayKind(
    "litellm",
    plan,
    frozenset({"litellm"}),
    failure,
    {
        "id": "x-litellm-call-id",
        "fallbacks": "x-litellm-attempted-fallbacks",
        "retries": "x-litellm-attempted-retries",
        "cost": "x-litellm-response-cost",
        "upstream": "x-litellm-model-api-base",
    },
    needs_url=True,
)
