"""Many streams of one HTTP/2 client, none of which ends before all have begun."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx2
from tests.e2e.lab import Proxy
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE, Gate
from tests.support.http_server import Server

NUMBER = 20
FIRST, LAST = b"data: first\n\n", b"data: [DONE]\n\n"
REPLY = FIRST + LAST


class Together:
    """The server's handler, which waits in the midst of each reply."""

    def __init__(self) -> None:
        self._gate = Gate()

    async def __call__(self, request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, [("content-type", "text/event-stream")])
        await respond.send(FIRST)
        await self._gate.passed()
        await respond.send(LAST)
        await respond.end()

    def ask(self, proxy: Proxy, server: Server, url: str, question: Any) -> list[bytes]:
        """Ask `NUMBER` times at once; the replies go on when all have come to the server."""
        return asyncio.run(self._ask(proxy, server, url, question))

    async def _ask(self, proxy: Proxy, server: Server, url: str, question: Any) -> list[bytes]:
        trust = ssl.create_default_context(cafile=proxy.ca)
        options: Any = {"proxy": proxy.url, "verify": trust, "trust_env": False, "timeout": PATIENCE}
        async with httpx2.AsyncClient(http2=True, limits=httpx2.Limits(max_connections=100), **options) as app:
            asking = [asyncio.create_task(app.post(url, json={**question, "stream": True})) for _ in range(NUMBER)]
            try:
                await asyncio.to_thread(server.wait_for, lambda requests: len(requests) == NUMBER)
            finally:
                self._gate.open()
            return [(await task).content for task in asking]
