"""The demo's providers and what tests ask for besides: Gemini, OpenAI's Responses API, WebSockets, HTTP/2, delays.

    with Server(LlmService(), tls=authority.server_context(HOSTS)) as server: ...
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qs

from tests.support import gemini_wire, responses_wire, socket_wire
from tests.support.dialogue import Request, Respond
from tests.support.websocket import WebSocket

from sessiontap.demo import openai_wire
from sessiontap.demo.provider_replies import BadRequest, HeaderList, Ids, StreamedReply, WholeReply
from sessiontap.demo.provider_server import HOSTS as HOSTS
from sessiontap.demo.provider_server import (
    ReceivedRequest,
    check_openai_key,
    gateway_headers,
    openai_json,
    reply_headers,
    reply_to,
)

_GEMINI = re.compile(r"/v1(?:beta)?/models/([^/:]+):(\w+)$")


class LlmService:
    """A handler for `Server`; `event_delay` is in seconds, before each event of a stream but the first."""

    def __init__(self, *, event_delay: float = 0.0, websockets: bool = False) -> None:
        """`websockets` False: an upgrade is refused by 426, and clients ask by POST."""
        self._delay = event_delay
        self._websockets = websockets
        self._ids = Ids()

    async def __call__(self, request: Request, respond: Respond) -> None:
        asked = ReceivedRequest(request.method, request.path, request.host, request.headers, await request.body())
        if self._websockets and (serve := self._socket(request)):
            offered = request.headers.get("sec-websocket-protocol") or ""
            chosen = [("sec-websocket-protocol", "realtime")] if "realtime" in offered else []
            await serve(await respond.websocket([*self._headers(asked), *chosen]))
            return
        try:
            reply = self._reply(asked)
        except BadRequest as bad:
            reply = bad.reply
        headers = self._headers(asked)
        if isinstance(reply, StreamedReply):
            await respond.start(200, [("content-type", reply.content_type), *headers])
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
        """The conversation on the WebSocket that the request opens; None if it opens none."""
        if (request.headers.get("upgrade") or "").lower() != "websocket":
            return None
        if request.path.endswith("/responses"):
            return partial(socket_wire.serve_responses, ids=self._ids, delay=self._delay)
        if request.path.endswith("/realtime"):
            name = parse_qs(request.target.partition("?")[2]).get("model", ["gpt-realtime"])[0]
            return partial(socket_wire.serve_realtime, name=name, ids=self._ids)
        return None

    def _headers(self, asked: ReceivedRequest) -> HeaderList:
        return gateway_headers(asked.host) if _GEMINI.search(asked.path) else reply_headers(asked, self._ids)

    def _reply(self, asked: ReceivedRequest) -> WholeReply | StreamedReply:
        if asked.is_anthropic:
            return reply_to(asked, self._ids)
        if gemini := _GEMINI.search(asked.path):
            return _gemini(asked, gemini[1], gemini[2], self._ids)
        if asked.path.endswith("/responses"):
            check_openai_key(asked)
            if asked.method == "POST":
                return responses_wire.responses(openai_json(asked.body), self._ids)
            if (asked.headers.get("upgrade") or "").lower() == "websocket":
                raise BadRequest(openai_wire.error(426, "This server speaks no WebSocket: ask by POST."))
        return reply_to(asked, self._ids)


def _gemini(asked: ReceivedRequest, name: str, method: str, ids: Ids) -> WholeReply | StreamedReply:
    if not any(key in asked.headers for key in ("x-goog-api-key", "authorization")):
        raise BadRequest(gemini_wire.error(403, "Method doesn't allow unregistered callers."))
    try:
        body = json.loads(asked.body)
    except ValueError:
        raise BadRequest(gemini_wire.error(400, "Invalid JSON payload received.")) from None
    return gemini_wire.generate(name, method, body, ids)

