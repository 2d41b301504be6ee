"""Helicone's gateways: the provider's host gives way to Helicone's; path, query, body and the app's key stay.

A provider with a gateway of its own has a label in `LABELS`; Azure's deployments share OpenAI's and name their origin;
any other origin, and any with a scheme or port of its own, goes to the generic gateway, which reads the origin from
`Helicone-Target-URL`, as does a generic gateway of one's own. Never to ai-gateway.helicone.ai, which has keys and model
names of its own.

A call goes to its own host, for a reason that is said, if Helicone could not carry it: it would fail or lose its
signature. A key of an unusual shape goes with a note: whoever sets it knows better than our pattern of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sessiontap import trust
from sessiontap.dialects.helicone import KEY_HEADER, KEY_SHAPE, KEY_VARIABLE, bearer, is_helicone
from sessiontap.dialects.helicone import NAME as HELICONE
from sessiontap.exchange import Headers
from sessiontap.gateways.failure import PROVIDER_ERROR, GatewayFailure, inner, json_body, word
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route
from sessiontap.gateways.urls import base_url_of, is_private, origin
from sessiontap.header_edit import Edit

LABELS: Mapping[str, str] = {
    "api.openai.com": "oai",
    "api.anthropic.com": "anthropic",
    "api.groq.com": "groq",
    "api.together.xyz": "together",
    "openrouter.ai": "openrouter",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral",
    "api.fireworks.ai": "fireworks",
    "api.deepinfra.com": "deepinfra",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x",
    "api.cerebras.ai": "cerebras",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.novita.ai": "novita",
    "api.studio.nebius.ai": "nebius",
    "api.llama.com": "llama",
    "integrate.api.nvidia.com": "nvidia",
}
"""Provider's host -> label of its host under helicone.ai."""
GENERIC = "gateway"
_BLOCKS = ("PROMPT_THREAT_DETECTED", "PROMPT_FLAGGED_FOR_MODERATION")
_AZURE = ".openai.azure.com"


def plan(call: GatewayCall) -> Route | Direct:
    """The way of a call through Helicone, or why it goes to its own host.

    If the call has a `url`, that is a generic gateway of one's own, which gets no key but the call's `key`.
    """
    host, url, headers = call.host.lower().rstrip("."), call.url, call.headers
    meant_for = origin(call.scheme, host, call.port)
    reason = _why_not(host, call) or (_why_not_by(url, meant_for) if url else _why_not_cloud(host))
    if reason is not None:
        return Direct(reason)
    way, edits = _way_by(url, meant_for, headers) if url else _way_to_cloud(host, call, meant_for)
    exposed = trust.why_exposed(call.upstream.rerouted(way.scheme, way.host, way.port), way.host)
    if exposed:  # then it may get nothing that the rules send it, be its own key the app's
        return Direct(f"The gateway's calls go to their own hosts, for their keys would be exposed: {exposed}")
    if KEY_HEADER in headers:
        return replace(way, edits=edits)

    env = {KEY_VARIABLE: call.key} if call.key is not None else {} if url else call.proxy_env
    auth = bearer(env)
    if auth is None:
        return Direct(_no_key(env, url))
    if call.why_not_client:
        return Direct(
            "A client on another machine does not get the gateway's key. To let it, name it in the rule that sets the "
            "gateway: match: {client: ...}"
        )
    notes: tuple[str, ...] = ()
    if not url and not KEY_SHAPE.match(auth.removeprefix("Bearer ")):
        notes = (f"{KEY_VARIABLE} does not look like a key of Helicone's (sk-helicone-...): it may refuse it",)
    own = Edit("set", KEY_HEADER, None, auth, KEY_VARIABLE if env is call.proxy_env else "gateway")
    return replace(way, edits=(own, *edits), notes=notes)


def _way_by(url: str, meant_for: str, headers: Headers) -> tuple[Route, tuple[Edit, ...]]:
    """The way through a gateway of one's own, and what it is told."""
    at = base_url_of(url)
    assert at is not None
    return Route(at.scheme, at.host, at.port), (_target("Helicone-Target-URL", meant_for, headers),)


def _way_to_cloud(host: str, call: GatewayCall, meant_for: str) -> tuple[Route, tuple[Edit, ...]]:
    """The way through Helicone's own gateway for this host, and what it is told."""
    edits: tuple[Edit, ...] = ()
    plain = (call.scheme, call.port) == ("https", 443)
    if plain and (label := LABELS.get(host)):
        pass
    elif plain and host.endswith(_AZURE):
        label = LABELS["api.openai.com"]
        edits = (_target("Helicone-OpenAI-Api-Base", meant_for, call.headers),)
    else:
        label = GENERIC
        edits = (_target("Helicone-Target-URL", meant_for, call.headers),)
    return Route("https", f"{label}.helicone.ai", 443), edits


def _why_not(host: str, call: GatewayCall) -> str | None:
    if is_helicone(host):
        return f"Already at Helicone: the app itself calls {host}"
    if call.signed:
        return f"The call to {host} is signed by AWS for that host, so it cannot go through Helicone"
    if call.provider == "bedrock":
        return f"Helicone has no gateway that takes Bedrock's calls as they are, so {host} is called itself"
    if call.is_websocket:
        return f"WebSockets to {host} do not go through Helicone"
    return None


def _why_not_cloud(host: str) -> str | None:
    return f"Helicone cannot reach {host}: it is on this machine or in its network" if is_private(host) else None


def _why_not_by(url: str, meant_for: str) -> str | None:
    """Why a gateway of one's own cannot be used."""
    at = base_url_of(url)
    if at is None:
        return f"The gateway's url {url!r} has no host or no right port: calls go to their own hosts"
    if at.path:
        return f"The gateway's url {url!r} has a path, which calls cannot be given: calls go to their own hosts"
    return f"Already at the gateway: the app itself calls {at.origin}" if at.origin == meant_for else None


def _no_key(env: Mapping[str, str], url: str | None) -> str:
    name = "The gateway's key" if url else KEY_VARIABLE
    if env.get(KEY_VARIABLE, "").strip():
        return f"{name} holds characters that no header can: calls go to their own hosts. Set it anew."
    if url:
        return (
            "The gateway has no key, so its calls go to their own hosts. Give it one in the rules: "
            'gateways: {NAME: {key: "${proxy_env.HELICONE_API_KEY}"}}, with that variable set where the proxy runs'
        )
    return (
        f"{KEY_VARIABLE} is not set where the proxy runs, so calls for the gateway go to their own hosts. "
        f"Start the proxy with {KEY_VARIABLE}=sk-helicone-..."
    )


def _target(header: str, meant_for: str, headers: Headers) -> Edit:
    return Edit("set", header, headers.get(header), meant_for, "helicone")


def failure(status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    """Helicone's own failures: a fault of its worker, its rate limit, and prompts that it blocks."""
    if status < 400:
        return None
    if (headers.get("helicone-error") or "").lower() == "true":
        return GatewayFailure("gateway_refused", "helicone-error")
    if status == 429 and (headers.get("helicone-ratelimit-remaining") or "").strip() == "0":
        return GatewayFailure("policy", "rate_limited")
    code = word(inner(json_body(body_start), "error").get("code"))
    return GatewayFailure("policy", code) if code in _BLOCKS else PROVIDER_ERROR


REPLY = {"id": "helicone-id", "cache": "helicone-cache", "fallbacks": "helicone-fallback-index"}
KIND = GatewayKind("helicone", plan, frozenset({HELICONE}), failure, REPLY, needs_key=True)
