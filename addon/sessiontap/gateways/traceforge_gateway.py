"""TraceForge's server: it records what is asked through it, in OpenAI's form at `/v1`, on port 8787.

It asks a provider with a key of its own and drops the app's. It refuses messages of tools, content that is a list, and
bodies over 1 MiB: such calls go to their own hosts. It has no WebSockets.

A call that a policy of its blocks has status 403 and `X-TraceForge-Policy-Blocked`.
"""

from __future__ import annotations

from sessiontap.exchange import Headers
from sessiontap.gateways.failure import PROVIDER_ERROR, GatewayFailure
from sessiontap.gateways.gateway import Direct, GatewayCall, GatewayKind, Route
from sessiontap.gateways.routing import Carried, plan_way
from sessiontap.gateways.urls import BaseUrl, split_path

OWN = "http://127.0.0.1:8787"
ROUTES = frozenset({"/chat/completions", "/completions", "/embeddings"})
MOST_BYTES = 1 << 20


def carry(call: GatewayCall, _: BaseUrl) -> Carried | str:
    if call.is_websocket:
        return f"TraceForge has no WebSockets: those to {call.host} go to their own host"
    split = split_path(call.host.lower().rstrip("."), call.target)
    if call.method != "POST" or split is None or split[1].partition("?")[0] not in ROUTES:
        return f"TraceForge has no route for some calls to {call.host}: those go to their own host"
    if call.body is None:
        return "TraceForge takes only requests that can be read as JSON first: the others go to their own hosts"
    length = call.headers.get("content-length") or ""
    if length.isdigit() and int(length) > MOST_BYTES:
        return "TraceForge takes bodies up to 1 MiB: calls with larger ones go to their own hosts"
    messages = call.body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict) or message.get("role") == "tool" or isinstance(message.get("content"), list):
            return "TraceForge takes no results of tools and no content in parts: such calls go to their own hosts"
    return Carried(f"/v1{split[1]}")


def plan(call: GatewayCall) -> Route | Direct:
    return plan_way("TraceForge", OWN, None, carry, call)


def failure(status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    if status < 400:
        return None
    return GatewayFailure("policy", "blocked") if "x-traceforge-policy-blocked" in headers else PROVIDER_ERROR


KIND = GatewayKind(
    "traceforge", plan, frozenset({"traceforge"}), failure, {"id": "x-traceforge-trace-id"}, takes_key=False
)
