"""Made-up gateways that check of a request what the real ones check, and answer as those do.

    with Server(MadeUpGateway(litellm)) as server: ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.support import socket_wire
from tests.support.dialogue import Request, Respond

from sessiontap.demo.provider_replies import Ids, sse

KEY = "key-of-the-gateway-0123456789"
"""The key that opens each of them."""


class Refusal(NamedTuple):
    status: int
    body: Any
    headers: tuple[tuple[str, str], ...] = ()


type Check = Callable[[Request, dict[str, Any]], Refusal | None]
"""Takes a request and its JSON. Returns why the gateway refuses it; None if it takes it."""


@dataclass
class MadeUpGateway:
    """A gateway, with the provider behind it."""

    check: Check
    says: Mapping[str, str]
    """The headers of its own that it adds to replies."""

    async def __call__(self, request: Request, respond: Respond) -> None:
        body = await request.body()
        asked = json.loads(body) if body else {}
        if (refused := self.check(request, asked)) is not None:
            headers = [("content-type", "application/json"), *refused.headers]
            await respond.whole(refused.status, json.dumps(refused.body).encode(), headers)
            return
        if (request.headers.get("upgrade") or "").lower() == "websocket":
            socket = await respond.websocket(list(self.says.items()))
            if request.path.endswith("/responses"):
                await socket_wire.serve_responses(socket, ids=Ids(), delay=0.0)
            else:
                await socket_wire.serve_realtime(socket, name="gpt-realtime", ids=Ids())
            return
        headers = [("x-request-id", "req-of-the-provider"), *self.says.items()]
        if asked.get("stream"):
            await respond.start(200, [("content-type", "text/event-stream"), *headers])
            for delta in ({"role": "assistant", "content": "Because"}, {"content": " so."}):
                await respond.send(sse(_chat(asked, [{"index": 0, "delta": delta}])))
            await respond.send(b"data: [DONE]\n\n")
            await respond.end()
            return
        message = {"role": "assistant", "content": "Because so."}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        reply = json.dumps(_chat(asked, choices)).encode()
        await respond.whole(200, reply, [("content-type", "application/json"), *headers])


def _chat(asked: Mapping[str, Any], choices: list[Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": asked.get("model"), "choices": choices}


def litellm(request: Request, asked: dict[str, Any]) -> Refusal | None:
    """Key, route and model, as LiteLLM 1.106 refuses them."""
    sent = request.headers.get("x-litellm-api-key") or request.headers.get("authorization") or ""
    if sent.removeprefix("Bearer ") != KEY:
        return Refusal(401, _litellm("Authentication Error, Invalid proxy server token", "token_not_found_in_db", 401))
    if request.path not in ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/realtime"):
        return Refusal(404, {"detail": "Not Found"})
    if asked and asked.get("model") not in ("gpt-4o", "llama-4"):
        return Refusal(400, _litellm("Invalid model name passed in", "invalid_request_error", 400))
    return None


def _litellm(message: str, kind: str, code: int) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": str(code)}}


def portkey(request: Request, asked: dict[str, Any]) -> Refusal | None:
    """Provider, custom host and route, as Portkey's gateway 1.15 refuses them."""
    host = request.headers.get("x-portkey-custom-host")
    if request.headers.get("x-portkey-provider") not in ("openai", "groq", "anthropic"):
        return Refusal(400, {"status": "failure", "message": "Invalid provider passed"})
    if host is not None and not host.startswith(("http://127.0.0.1", "https://")):
        return Refusal(400, {"status": "failure", "message": "Invalid custom host"})
    if not request.path.startswith("/v1/"):
        return Refusal(404, {"message": "Not Found", "ok": False})
    return None


def openrouter(request: Request, asked: dict[str, Any]) -> Refusal | None:
    """Key and model, as OpenRouter documents it."""
    if request.headers.get("authorization") != f"Bearer {KEY}" or "x-api-key" in request.headers:
        return Refusal(401, {"error": {"code": 401, "message": "No auth credentials found"}})
    if "/" not in asked["model"] or not request.path.startswith("/api/v1/"):
        return Refusal(400, {"error": {"code": 400, "message": f"{asked['model']} is not a valid model ID"}})
    return None


def cloudflare(request: Request, asked: dict[str, Any]) -> Refusal | None:
    """Account, gateway, authorization and the provider's path, as Cloudflare documents it."""
    if not request.path.startswith("/v1/account/gateway/"):
        return _cloudflare(400, 2001)
    if request.headers.get("cf-aig-authorization") != f"Bearer {KEY}":
        return _cloudflare(401, 2009)
    routes = ("/openai", "/openai/chat/completions", "/groq/chat/completions")  # the first for WebSockets
    if request.path.removeprefix("/v1/account/gateway") not in routes:
        return _cloudflare(400, 2008)
    return None


def _cloudflare(status: int, code: int) -> Refusal:
    return Refusal(status, {"success": False, "result": [], "messages": [], "error": [{"code": code, "message": ""}]})


def helicone_selfhosted(request: Request, asked: dict[str, Any]) -> Refusal | None:
    """The provider in the path, and the key, as Helicone's server has it."""
    if request.path != "/v1/gateway/oai/v1/chat/completions":
        return Refusal(400, {"message": "Invalid provider"})
    if request.headers.get("helicone-auth") != f"Bearer {KEY}":
        return Refusal(401, {"error": "Invalid authentication"})
    return None


def traceforge(request: Request, asked: dict[str, Any]) -> Refusal | None:
    """Roles and content, as TraceForge's server refuses them."""
    for message in asked.get("messages", ()):
        if message["role"] == "tool" or not isinstance(message["content"], str):
            return Refusal(400, {"error": {"message": "Invalid messages"}})
    return None if request.path == "/v1/chat/completions" else Refusal(404, {"error": {"message": "Not Found"}})


def custom(request: Request, asked: dict[str, Any]) -> Refusal | None:
    """A gateway of a company's own: the path begins with the provider, and two headers say the rest."""
    if request.path not in ("/llm/openai/v1/chat/completions", "/llm/openai/v1/realtime"):
        return Refusal(404, {"detail": "no such provider"})
    if request.headers.get("x-gateway-key") != KEY or request.headers.get("x-upstream") != "https://api.openai.com":
        return Refusal(403, {"detail": "who are you?"})
    return None
