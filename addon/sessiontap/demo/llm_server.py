"""A local stand-in for LLM providers: OpenAI's, Anthropic's and Gemini's wire shapes in front of a deterministic model.

    with Server(LlmService(), tls=authority.server_context(HOSTS)) as server: ...

Any API key will do, none is a 401 in the provider's shape. What is asked of it and what it answers: see `model`.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from sessiontap.demo import anthropic_wire, gemini_wire, openai_wire, responses_wire, socket_wire
from sessiontap.demo.dialogue import Request, Respond
from sessiontap.demo.websocket import WebSocket
from sessiontap.demo.wire import BadRequest, Events, Headers, Ids, Whole

HOSTS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.groq.com",
    "api.mistral.ai",
    "api.deepseek.com",
    "openrouter.ai",
    "*.helicone.ai",
    "localhost",
    "127.0.0.1",
)
"""What a certificate for it should name, and a redirect bring to it."""

_ROUTE = re.compile(r"/(chat/completions|responses|embeddings|models(?:/[^/]+)?|messages(?:/count_tokens)?)$")
_GEMINI = re.compile(r"/v1(?:beta)?/models/([^/:]+):(\w+)$")


class LlmService:
    """A handler for `Server`; `event_delay` is in seconds, before each event of a stream but the first."""

    def __init__(self, *, event_delay: float = 0.0, websockets: bool = False) -> None:
        """`websockets` False: an upgrade is refused by 426, and clients ask by POST."""
        self._delay = event_delay
        self._websockets = websockets
        self._ids = Ids()

    async def __call__(self, request: Request, respond: Respond) -> None:
        body = await request.body()
        if self._websockets and (serve := self._socket(request)):
            await serve(await respond.websocket(_provider_headers(request, self._ids)))
            return
        try:
            reply = self._reply(request, body)
        except BadRequest as bad:
            reply = bad.reply
        headers = _provider_headers(request, self._ids)
        if isinstance(reply, Events):
            await respond.start(200, [("content-type", "text/event-stream; charset=utf-8"), *headers])
            for number, event in enumerate(reply.events):
                if number and self._delay:
                    await asyncio.sleep(self._delay)
                await respond.send(event)
            await respond.end()
        else:
            gzip = "gzip" in (request.headers.get("accept-encoding") or "")
            await respond.whole(
                reply.status,
                json.dumps(reply.body).encode(),
                [("content-type", "application/json"), *headers, *reply.headers],
                coding="gzip" if gzip else None,
            )

    def _socket(self, request: Request) -> Callable[[WebSocket], Awaitable[None]] | None:
        """What serves the WebSocket that is asked for, if one is."""
        if (request.headers.get("upgrade") or "").lower() != "websocket":
            return None
        if request.path.endswith("/responses"):
            return partial(socket_wire.serve_responses, ids=self._ids, delay=self._delay)
        if request.path.endswith("/realtime"):
            name = parse_qs(request.target.partition("?")[2]).get("model", ["gpt-realtime"])[0]
            return partial(socket_wire.serve_realtime, name=name, ids=self._ids)
        return None

    def _reply(self, request: Request, body: bytes) -> Whole | Events:
        found = _ROUTE.search(request.path)
        route = f"{request.method} {found[1]}" if found else ""
        if _is_anthropic(request):
            return self._anthropic(request, route, body)
        if gemini := _GEMINI.search(request.path):
            return self._gemini(request, gemini[1], gemini[2], body)
        return self._openai(request, route, body)

    def _openai(self, request: Request, route: str, body: bytes) -> Whole | Events:
        if not (request.headers.get("authorization") or "").startswith("Bearer "):
            raise BadRequest(
                openai_wire.error(
                    401, "You didn't provide an API key. Use HTTP Bearer auth (Authorization: Bearer YOUR_KEY)."
                )
            )
        match route:
            case "POST chat/completions":
                return openai_wire.chat(_openai_json(body), self._ids)
            case "GET responses" if (request.headers.get("upgrade") or "").lower() == "websocket":
                raise BadRequest(openai_wire.error(426, "This server speaks no WebSocket: ask by POST."))
            case "POST responses":
                return responses_wire.responses(_openai_json(body), self._ids)
            case "POST embeddings":
                return openai_wire.embeddings(_openai_json(body))
            case "GET models":
                return openai_wire.models()
            case _ if route.startswith("GET models/"):
                return openai_wire.one_model(route.removeprefix("GET models/"))
        raise BadRequest(openai_wire.error(404, f"Invalid URL ({request.method} {request.path})"))

    def _gemini(self, request: Request, name: str, method: str, body: bytes) -> Whole | Events:
        if not any(key in request.headers for key in ("x-goog-api-key", "authorization")):
            raise BadRequest(gemini_wire.error(403, "Method doesn't allow unregistered callers."))
        try:
            asked = json.loads(body)
        except ValueError:
            raise BadRequest(gemini_wire.error(400, "Invalid JSON payload received.")) from None
        return gemini_wire.generate(name, method, asked, self._ids)

    def _anthropic(self, request: Request, route: str, body: bytes) -> Whole | Events:
        if not route:  # what Claude Code asks beside its messages: settings, policies, ...
            raise BadRequest(anthropic_wire.error(404, "Not Found"))
        if "x-api-key" not in request.headers and "authorization" not in request.headers:
            raise BadRequest(anthropic_wire.error(401, "x-api-key header is required"))
        if "anthropic-version" not in request.headers:
            raise BadRequest(anthropic_wire.error(400, "anthropic-version: header is required"))
        match route:
            case "POST messages":
                return anthropic_wire.messages(_anthropic_json(body), self._ids)
            case "POST messages/count_tokens":
                return anthropic_wire.count_tokens(_anthropic_json(body))
            case "GET models":
                return anthropic_wire.models()
        raise BadRequest(anthropic_wire.error(404, "Not Found"))


def _is_anthropic(request: Request) -> bool:
    return "/messages" in request.path or "anthropic-version" in request.headers or "anthropic" in request.host


def _openai_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        message = (
            "We could not parse the JSON body of your request. "
            "(HINT: This likely means you aren't using your HTTP library correctly.)"
        )
        raise BadRequest(openai_wire.error(400, message)) from None


def _anthropic_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise BadRequest(anthropic_wire.error(400, "The request body is not valid JSON")) from None


def _provider_headers(request: Request, ids: Ids) -> Headers:
    if _is_anthropic(request):
        headers = anthropic_wire.reply_headers(ids)
    else:
        headers = [] if _GEMINI.search(request.path) else openai_wire.reply_headers(ids)
    if request.host.partition(":")[0].endswith(".helicone.ai"):
        headers += [("helicone-id", str(uuid.uuid4())), ("helicone-status", "success")]
    return headers
