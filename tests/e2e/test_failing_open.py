"""Gateways that fail: what clients get, what the provider gets, none lost, none doubled, none that waits for long."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import Lab, Proxy, wait_until
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE, Gate
from tests.support.http_server import Server
from tests.support.raw_server import RawServer

from sessiontap.demo.proxy_process import SESSIONTAP_RUN
from sessiontap.demo.redirect import Redirect
from sessiontap.proxy.own_address import health_url

CALLS = 50
PROVIDER = "llm.example"
SECURE = "api.openai.com"
PATH = "/v1/chat/completions"
SILENT = "silent.gateway.example"
"""Takes connections, and says nothing in TLS."""
APP_KEY = "Bearer sk-the-apps-own"
GATEWAY_KEY = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyz01"
FOR_GATEWAY = "for the gateway alone"
OWN_FAILURE = (500, [("helicone-error", "true")])
POLICY = (429, [("helicone-ratelimit-remaining", "0")])
PROVIDERS_FAILURE = (503, [("retry-after", "1")])
numbers = count(1)


def chat(by: str) -> bytes:
    message = {"role": "assistant", "content": f"from the {by}"}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    return json.dumps({"id": "chatcmpl-1", "model": "gpt-4o", "choices": choices}).encode()


JSON = [("content-type", "application/json")]


async def provide(request: Request, respond: Respond) -> None:
    await request.body()
    await respond.whole(200, chat("provider"), JSON)


@dataclass
class Gateway:
    """A gateway that does what the test of the moment says."""

    does: str = ""
    gate: Gate = field(default_factory=Gate)
    forwarded: list[str] = field(default_factory=list)
    """The calls that it has passed on to the provider, whose part it plays."""
    seen: int = 0

    async def __call__(self, request: Request, respond: Respond) -> None:
        body = await request.body()
        self.seen += 1
        match self.does:
            case "fails by itself":
                await respond.whole(OWN_FAILURE[0], b"{}", [*JSON, *OWN_FAILURE[1]])
            case "fails by itself, without end":
                await respond.start(OWN_FAILURE[0], [("content-type", "text/event-stream"), *OWN_FAILURE[1]])
                await respond.send(b"data: sorry\n\n")
                await respond.gone.wait()
            case "keeps a policy":
                await respond.whole(POLICY[0], b"{}", [*JSON, *POLICY[1]])
            case "passes a failure on":
                self.forwarded.append(asked(body))
                await respond.whole(PROVIDERS_FAILURE[0], b'{"error": {}}', [*JSON, *PROVIDERS_FAILURE[1]])
            case "resets":
                await respond.reset()
            case "says nothing":
                await self.gate.passed()
                if not respond.gone.is_set():
                    await self._pass_on(body, respond)
            case "stops behind the first byte":
                self.forwarded.append(asked(body))
                await respond.start(200, [("content-type", "text/event-stream")])
                await respond.send(b"data: one\n\n")
                await self.gate.passed()
                await respond.reset()
            case "flaps" if self.seen % 2:
                await respond.whole(OWN_FAILURE[0], b"{}", [*JSON, *OWN_FAILURE[1]])
            case _:
                await self._pass_on(body, respond)

    async def _pass_on(self, body: bytes, respond: Respond) -> None:
        self.forwarded.append(asked(body))
        await respond.whole(200, chat("gateway"), JSON)


def asked(body: bytes) -> str:
    found: str = json.loads(body)["messages"][0]["content"]
    return found


def reset_at_once(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def say_nothing(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


@dataclass
class Stage:
    """A provider, a gateway that may fail, and ways to both."""

    lab: Lab
    provider: Server
    gateway: Gateway
    server: Server
    resetting: RawServer
    closed_port: int

    def url(self, where: str) -> str:
        match where:
            case "closed":
                return f"http://127.0.0.1:{self.closed_port}"
            case "silent":
                return f"https://{SILENT}"
            case "resetting":
                return f"http://127.0.0.1:{self.resetting.port}"
            case _:
                return f"http://127.0.0.1:{self.server.port}"

    def provider_got(self) -> Counter[str]:
        """The calls that the provider has got, itself and through the gateway."""
        own = [asked(request.seen) for request in self.provider.requests]
        return Counter([*own, *self.gateway.forwarded])


@pytest.fixture(scope="module")
def stage(shared_lab: Lab) -> Iterator[Stage]:
    gateway = Gateway()
    provider = shared_lab.upstream(provide, [PROVIDER], tls=False)
    secure = shared_lab.upstream(provide, [SECURE])
    provider.requests = secure.requests  # one list: they stand for one provider
    server = shared_lab.upstream(gateway, ["gateway.example"], tls=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed_port = taken.getsockname()[1]
    with RawServer(reset_at_once) as resetting, RawServer(say_nothing) as silent:
        shared_lab.redirect(Redirect(SILENT, 443, silent.port))
        yield Stage(shared_lab, provider, gateway, server, resetting, closed_port)
        shared_lab.close_proxies() if hasattr(shared_lab, "close_proxies") else None


@pytest.fixture(scope="module")
def proxy(stage: Stage) -> Proxy:
    return stage.lab.proxy()


@pytest.fixture(autouse=True)
def fresh(stage: Stage) -> Iterator[None]:
    gateway = stage.gateway
    gateway.does, gateway.gate, gateway.seen = "", Gate(), 0
    gateway.forwarded.clear()
    stage.provider.requests.clear()
    yield
    gateway.gate.open()


def through(proxy: Proxy, url: str, **options: Any) -> str:
    """Have calls go through a gateway of which no breaker knows yet. Return its name."""
    name = f"gateway-{next(numbers)}"
    gateway = {"kind": "helicone", "url": url, "key": GATEWAY_KEY, **options}
    rule = {"rule": "all", "session": {"name": "App"}, "gateway": name, "headers": {"set": {"X-Both": "to both"}}}
    proxy.write_rules(
        {
            "version": 1,
            "send": "none",
            "hosts": [{"host": PROVIDER, "provider": "openai"}],
            "gateways": {name: gateway},
            "rules": [rule],
        }
    )
    return name


@dataclass
class Result:
    status: int | None
    """None if the connection broke."""
    text: str
    seconds: float


async def ask(app: httpx2.AsyncClient, url: str, text: str) -> Result:
    began = time.monotonic()
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    try:
        reply = await app.post(url, json=body, headers={"authorization": APP_KEY})
        return Result(reply.status_code, reply.text, time.monotonic() - began)
    except httpx2.TransportError as error:
        return Result(None, str(error), time.monotonic() - began)


def ask_all(
    proxy: Proxy, number: int = CALLS, host: str = PROVIDER, version: str = "HTTP/1.1", meanwhile: Any = None
) -> list[Result]:
    """Make that many calls at once."""
    secure = host == SECURE
    options: dict[str, Any] = {
        "proxy": proxy.url,
        "verify": ssl.create_default_context(cafile=proxy.ca) if secure else False,
        "trust_env": False,
        "timeout": PATIENCE,
        "http2": version == "HTTP/2",
        "http1": version != "HTTP/2",
        "limits": httpx2.Limits(max_connections=number),
    }

    async def ask_together() -> list[Result]:
        async with httpx2.AsyncClient(**options) as app:
            url = f"{'https' if secure else 'http'}://{host}{PATH}"
            asking = asyncio.gather(*(ask(app, url, f"call {one}") for one in range(number)))
            if meanwhile is not None:
                await asyncio.to_thread(meanwhile)
            return await asking

    return asyncio.run(ask_together())


EACH_ONCE = Counter({f"call {one}": 1 for one in range(CALLS)})
NONE: Counter[str] = Counter()


@pytest.mark.parametrize(
    ("where", "does", "options", "statuses", "provider_got", "skips"),
    [
        pytest.param("closed", "", {}, {200}, EACH_ONCE, True, id="refuses the connection"),
        pytest.param(
            "silent", "", {"connect_timeout": "1s"}, {200}, EACH_ONCE, True, id="hangs before it is connected"
        ),
        pytest.param("open", "fails by itself", {}, {200}, EACH_ONCE, True, id="fails by itself"),
        pytest.param(
            "open", "fails by itself, without end", {}, {200}, EACH_ONCE, True, id="fails by itself, and does not end"
        ),
        pytest.param("open", "flaps", {}, {200}, EACH_ONCE, None, id="flaps"),
        pytest.param("open", "works", {}, {200}, EACH_ONCE, False, id="works"),
        pytest.param("open", "keeps a policy", {}, {429}, NONE, False, id="keeps a policy"),
        pytest.param("open", "passes a failure on", {}, {503}, EACH_ONCE, False, id="passes a provider's failure on"),
        pytest.param("resetting", "", {}, {502}, NONE, True, id="resets before it reads"),
        pytest.param("open", "resets", {}, {502}, NONE, True, id="resets behind the request"),
        pytest.param(
            "resetting", "", {"retry_unanswered": True}, {200}, EACH_ONCE, True, id="resets before it reads, retried"
        ),
        pytest.param(
            "open", "resets", {"retry_unanswered": True}, {200}, EACH_ONCE, True, id="resets behind it, retried"
        ),
        pytest.param(
            "open",
            "says nothing",
            {"retry_unanswered": True, "answer_timeout": "1s"},
            {200},
            EACH_ONCE,
            True,
            id="says nothing, retried",
        ),
        pytest.param("closed", "", {"fail": "closed"}, {502}, NONE, False, id="refuses, fail closed"),
        pytest.param("open", "fails by itself", {"fail": "closed"}, {500}, NONE, False, id="fails, fail closed"),
    ],
)
def test_fifty_calls_at_once_through_a_gateway_that(
    proxy: Proxy,
    stage: Stage,
    where: str,
    does: str,
    options: dict[str, Any],
    statuses: set[int],
    provider_got: Counter[str],
    skips: bool | None,
) -> None:
    """`skips`: a call after them does not go to the gateway any more; None: either may be."""
    stage.gateway.does = does
    name = through(proxy, stage.url(where), **options)
    results = ask_all(proxy)
    assert {one.status for one in results} == statuses
    assert stage.provider_got() == provider_got
    assert max(one.seconds for one in results) < PATIENCE / 2
    is_open = any(name in note["text"] and "until it answers" in note["text"] for note in proxy.notes("gateway"))
    stage.gateway.does = "works"
    if skips is not None:
        assert is_open is skips
    if where == "open" and skips is not None:
        before = stage.gateway.seen
        (later,) = ask_all(proxy, 1)
        assert later.status == 200
        assert stage.gateway.seen - before == (0 if skips else 1)
    if where != "open" and skips:
        (later,) = ask_all(proxy, 1)
        assert later.status == 200
