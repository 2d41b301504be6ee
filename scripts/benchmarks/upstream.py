"""The benchmark's upstream: TLS, HTTP/1.1, canned replies, as little work as Python allows.

    python upstream.py FOLDER [PACE]   makes FOLDER/ca.pem and prints its port

A request whose target ends in `/stream` is answered with EVENTS server-sent events, each in a write of its own, and one
that ends in `/paced` with ten, 20 ms apart; one of the agent's session (`claude.py`) with its reply, PACE milliseconds
between two events on the average; any other with a small chat completion.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

import claude

from sessiontap.demo.certs import Authority

EVENTS = 2000
PACE = float(sys.argv[2]) if __name__ == "__main__" and len(sys.argv) > 2 else 0.0
TEXT = "word " * 120
"""Of a small chat completion."""
BODY = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}},
        ],
        "usage": {"prompt_tokens": 210, "completion_tokens": 120, "total_tokens": 330},
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT = b'data: {"id":"chatcmpl-bench","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
EVENT = b"%x\r\n%s\r\n" % (len(_EVENT), _EVENT)
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection: requests in, canned replies out."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            target = head.split(b" ", 2)[1]
            if target.endswith(b"/stream"):
                self.transport.write(STREAM_HEAD)
                for _ in range(EVENTS):
                    self.transport.write(EVENT)
                self.transport.write(END)
            elif target.endswith(b"/paced"):
                self.pacing = asyncio.ensure_future(self.paced())
            elif target == claude.TARGET.encode():
                self.pacing = asyncio.ensure_future(self.agent(claude.turn_of(body)))
            else:
                self.transport.write(REPLY)

    async def agent(self, turn: int) -> None:
        chance = random.Random()
        self.transport.write(claude.reply_head(turn))
        for chunk in claude.reply_chunks(turn):
            await asyncio.sleep(chance.expovariate(1000 / PACE) if PACE else 0)
            self.transport.write(chunk)

    async def paced(self) -> None:
        self.transport.write(STREAM_HEAD)
        for _ in range(10):
            self.transport.write(EVENT)
            await asyncio.sleep(0.02)
        self.transport.write(END)


async def main() -> None:
    context = Authority(Path(sys.argv[1])).server_context(["api.openai.com", claude.HOST], alpn=["http/1.1"])
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, ssl=context, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
