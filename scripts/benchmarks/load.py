"""The benchmark's client: keep-alive HTTP/1.1 over TLS, straight to the upstream or through a proxy's CONNECT."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

HOST = "api.openai.com"


@dataclass
class Load:
    """`proxy` None: direct to `upstream` (a port)."""

    upstream: int
    proxy: int | None = None
    latencies: list[float] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.proxy is None:
            return await asyncio.open_connection("127.0.0.1", self.upstream, ssl=context, server_hostname=HOST)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy)
        writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(head.decode("latin-1"))
        await writer.start_tls(context, server_hostname=HOST)
        return reader, writer

    async def requests(self, clients: int, count: int, body: bytes | Callable[[int], bytes]) -> float:
        """`count` requests over `clients` connections; requests per second. Latencies in seconds go to `latencies`.

        `body`: of every request, or of each by its number.
        """
        bodies = None if isinstance(body, bytes) else body
        request = _request("/v1/chat/completions", body if isinstance(body, bytes) else body(0))
        connections = await asyncio.gather(*(self.connect() for _ in range(clients)))
        for reader, writer in connections:  # the first request of a connection makes the upstream's too
            await _exchange(reader, writer, request)
        left = iter(range(count))
        latencies: list[float] = []

        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for number in left:
                sent = _request("/v1/chat/completions", bodies(number)) if bodies else request
                started = time.perf_counter()
                await _exchange(reader, writer, sent)
                latencies.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*(one(*connection) for connection in connections))
        took = time.perf_counter() - started
        self.latencies += latencies
        for _, writer in connections:
            writer.close()
        return count / took

    async def stream(self, target: str, body: bytes) -> tuple[float, float, int]:
        """One streamed reply: (seconds to the first event, seconds in all, events)."""
        reader, writer = await self.connect()
        await _exchange(reader, writer, _request("/v1/chat/completions", body))
        started = time.perf_counter()
        writer.write(_request(target, body))
        await reader.readuntil(b"\r\n\r\n")
        first = 0.0
        events = 0
        while size := int(await reader.readline(), 16):
            chunk = await reader.readexactly(size + 2)
            first = first or time.perf_counter() - started
            events += chunk.count(b"data: ")
        await reader.readline()
        took = time.perf_counter() - started
        writer.close()
        return first, took, events


def _request(target: str, body: bytes) -> bytes:
    return (
        f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer sk-bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split(b" ", 2)[1]
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        await reader.readexactly(int(lower[at + 15 :].split(b"\r\n", 1)[0]))
    else:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    if status != b"200":
        raise ConnectionError(head.decode("latin-1"))
