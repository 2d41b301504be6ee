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
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.e2e.lab import SCRIPTS, Lab, Proxy, wait_until
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE, Gate
from tests.support.http_server import Server
from tests.support.llm_server import LlmService
from tests.support.raw_server import RawServer
from tests.support.socket_app import SocketApp

from sessiontap.demo.certs import ALPN
from sessiontap.demo.proxy_process import SESSIONTAP_RUN
from sessiontap.demo.redirect import Redirect
from sessiontap.proxy.own_address import health_url
from sessiontap.trace import RecordedCall

CALLS = 50
PROVIDER = "llm.example"
SECURE = "api.openai.com"
SOCKETS = "sockets.example"
PATH = "/v1/chat/completions"
TLS_GATEWAY = "gateway.example"
"""Speaks HTTP/2, too."""
SILENT = "silent.gateway.example"
"""Takes connections, and says nothing in TLS."""
LATE_GATEWAY = "late.gateway.example"
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
            case "knows no such model":
                error = {"message": "Invalid model name passed in", "type": "invalid_request_error", "code": "400"}
                await respond.whole(400, json.dumps({"error": error}).encode(), JSON)
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
    by_tls: Server
    sockets: Server
    resetting: RawServer
    silent: RawServer
    closed_port: int
    late_port: int

    def url(self, where: str) -> str:
        match where:
            case "closed":
                return f"http://127.0.0.1:{self.closed_port}"
            case "by TLS":
                return f"https://{TLS_GATEWAY}"
            case "silent":
                return f"https://{SILENT}"
            case "resetting":
                return f"http://127.0.0.1:{self.resetting.port}"
            case _:
                return f"http://127.0.0.1:{self.server.port}"

    def provider_got(self) -> Counter[str]:
        """The calls that the provider has got, itself and through the gateway."""
        own = [asked(request.seen) for request in self.provider.requests if request.path == PATH]
        return Counter([*own, *self.gateway.forwarded])


@pytest.fixture(scope="module")
def stage(shared_lab: Lab) -> Iterator[Stage]:
    gateway = Gateway()
    provider = shared_lab.upstream(provide, [PROVIDER], tls=False)
    secure = shared_lab.upstream(provide, [SECURE])
    provider.requests = secure.requests  # one list: they stand for one provider
    sockets = shared_lab.upstream(LlmService(websockets=True), [SOCKETS], alpn=["http/1.1"])
    server = shared_lab.upstream(gateway, [], tls=False)
    by_tls = shared_lab.upstream(gateway, [TLS_GATEWAY])
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        closed_port, late_port = one.getsockname()[1], other.getsockname()[1]
    with RawServer(reset_at_once) as resetting, RawServer(say_nothing) as silent:
        shared_lab.redirect(Redirect(SILENT, 443, silent.port), Redirect(LATE_GATEWAY, 443, late_port))
        yield Stage(shared_lab, provider, gateway, server, by_tls, sockets, resetting, silent, closed_port, late_port)


@pytest.fixture(scope="module")
def proxy(stage: Stage) -> Proxy:
    return stage.lab.proxy(scripts=[SCRIPTS / "no_probes.py"])


@pytest.fixture(autouse=True)
def fresh(stage: Stage, proxy: Proxy) -> Iterator[None]:
    proxy.pass_over()
    gateway = stage.gateway
    gateway.does, gateway.gate, gateway.seen = "", Gate(), 0
    gateway.forwarded.clear()
    stage.provider.requests.clear()
    stage.by_tls.requests.clear()
    stage.sockets.requests.clear()
    yield
    gateway.gate.open()
    assert "has crashed" not in proxy.process.output
    assert "fault of its own" not in proxy.process.output


def through(proxy: Proxy, url: str, **options: Any) -> str:
    """Have calls go through a gateway of which no breaker knows yet. Return its name."""
    name = f"gateway-{next(numbers)}"
    gateway = {"kind": "helicone", "url": url, "key": GATEWAY_KEY, **options}
    rule = {"rule": "all", "session": {"name": "App"}, "gateway": name, "headers": {"set": {"X-Both": "to both"}}}
    proxy.write_rules(
        {
            "version": 1,
            "send": "none",
            "hosts": [{"host": host, "provider": "openai"} for host in (PROVIDER, SOCKETS)],
            "gateways": {name: gateway},
            "rules": [{"match": {"route": "/about"}, "ignore": True}, rule],
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
    """Make that many calls at once; by HTTP/2 on one connection."""
    secure = host == SECURE
    options: dict[str, Any] = {
        "proxy": proxy.url,
        "verify": ssl.create_default_context(cafile=proxy.ca) if secure else False,
        "trust_env": False,
        "timeout": PATIENCE,
        "http2": version == "HTTP/2",
        "http1": version != "HTTP/2",
        "limits": httpx2.Limits(max_connections=1 if version == "HTTP/2" else number),
    }

    async def ask_together() -> list[Result]:
        async with httpx2.AsyncClient(**options) as app:
            origin = f"{'https' if secure else 'http'}://{host}"
            if version == "HTTP/2":
                await app.get(f"{origin}/about")  # a client uses a connection for many at once only when it stands
            url = f"{origin}{PATH}"
            asking = asyncio.gather(*(ask(app, url, f"call {one}") for one in range(number)))
            if meanwhile is not None:
                await asyncio.to_thread(meanwhile)
            return await asking

    return asyncio.run(ask_together())


GOT_BY_PROVIDER = (200, PROVIDERS_FAILURE[0])
"""Statuses that only the provider gives, directly or through the gateway."""


@pytest.mark.parametrize(
    ("where", "does", "options", "statuses", "skips"),
    [
        pytest.param("closed", "", {}, {200}, True, id="refuses the connection"),
        pytest.param("silent", "", {"connect_timeout": "1s"}, {200}, True, id="hangs before it is connected"),
        pytest.param("open", "fails by itself", {}, {200}, True, id="fails by itself"),
        pytest.param("open", "fails by itself, without end", {}, {200}, True, id="fails by itself and does not end"),
        pytest.param("open", "flaps", {}, {200}, None, id="flaps"),
        pytest.param("open", "works", {}, {200}, False, id="works"),
        pytest.param("open", "keeps a policy", {}, {429}, False, id="keeps a policy"),
        pytest.param("open", "passes a failure on", {}, {503}, False, id="passes a provider's failure on"),
        pytest.param("resetting", "", {}, {200, 502}, True, id="resets before it reads"),
        pytest.param("open", "resets", {}, {502}, True, id="resets behind the request"),
        pytest.param("resetting", "", {"retry_unanswered": True}, {200}, True, id="resets before it reads, retried"),
        pytest.param("open", "resets", {"retry_unanswered": True}, {200}, True, id="resets behind it, retried"),
        pytest.param(
            "open",
            "says nothing",
            {"retry_unanswered": True, "answer_timeout": "1s"},
            {200},
            True,
            id="says nothing, retried",
        ),
        pytest.param("closed", "", {"fail": "closed"}, {502}, False, id="refuses, fail closed"),
        pytest.param("open", "fails by itself", {"fail": "closed"}, {500}, False, id="fails, fail closed"),
    ],
)
def test_fifty_calls_at_once_through_a_gateway_that(
    proxy: Proxy,
    stage: Stage,
    where: str,
    does: str,
    options: dict[str, Any],
    statuses: set[int],
    skips: bool | None,
) -> None:
    """`statuses`: all that clients may get; a reset is seen before the request is sent, or behind it. `skips`: a later
    call does not go to the gateway any more; None: it may."""
    stage.gateway.does = does
    name = through(proxy, stage.url(where), **options)
    results = ask_all(proxy)
    assert {one.status for one in results} <= statuses
    assert stage.provider_got() == Counter(
        f"call {number}" for number, one in enumerate(results) if one.status in GOT_BY_PROVIDER
    )
    assert max(one.seconds for one in results) < PATIENCE / 2

    calls = proxy.take(CALLS)
    ways = Counter(change[0] for call in calls for change in call.record["changes"] if change[0] in ("route", "direct"))
    hosts = Counter(call.record["forwarded_host"] for call in calls)
    assert ways["direct"] == hosts[PROVIDER] == sum("from the provider" in one.text for one in results)
    assert ways["route"] == CALLS - ways["direct"]
    opened = [note for note in proxy.notes("gateway") if note["gateway"] == name and "until it answers" in note["text"]]
    if skips is not None:
        assert bool(opened) is skips
    if opened:
        assert sum(f"the gateway {name}" in line for line in proxy.process.lines) == len(opened) == 1
        before = stage.gateway.seen
        stage.gateway.does = "works"
        (later,) = ask_all(proxy, 1)
        (call,) = proxy.take()
        assert (later.status, stage.gateway.seen) == (200, before)
        assert [change[4].partition(":")[0] for change in call.record["changes"] if change[0] == "direct"] == [
            "gateway_skipped"
        ]


SAVED = [
    pytest.param("closed", "", {}, id="cannot be reached"),
    pytest.param("silent", "", {"connect_timeout": "1s"}, id="hangs before it is connected"),
    pytest.param("open", "fails by itself", {}, id="fails by itself"),
    pytest.param("by TLS", "fails by itself", {}, id="fails by itself, by TLS"),
    pytest.param("by TLS", "fails by itself, without end", {}, id="fails by itself without end, by TLS"),
    pytest.param("by TLS", "resets", {"retry_unanswered": True}, id="resets, by TLS"),
    pytest.param(
        "by TLS", "says nothing", {"retry_unanswered": True, "answer_timeout": "1s"}, id="says nothing, by TLS"
    ),
]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(("where", "does", "options"), SAVED)
def test_clients_and_servers_of_both_versions(
    proxy: Proxy, stage: Stage, where: str, does: str, options: dict[str, Any], version: str
) -> None:
    stage.gateway.does = does
    through(proxy, stage.url(where), **options)
    results = ask_all(proxy, 4, SECURE, version)
    assert {(one.status, "from the provider" in one.text) for one in results} == {(200, True)}
    assert stage.provider_got() == Counter(f"call {number}" for number in range(4))
    proxy.take(4)
    if where == "by TLS":
        assert {one.http_version for one in stage.by_tls.requests} == {version}
    request = stage.provider.requests[-1]
    assert (request.host, request.headers.get("authorization")) == (SECURE, APP_KEY)
    assert [name for name, _ in request.headers if name.lower().startswith("helicone")] == []
    assert GATEWAY_KEY not in str(list(request.headers))


OTHERS = r"elsewhere\.example"


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"ignore_hosts": OTHERS}, id="ignore_hosts"),
        pytest.param({"allow_hosts": rf"{SECURE}|{PROVIDER}"}, id="allow_hosts"),
        pytest.param({"tcp_hosts": OTHERS}, id="tcp_hosts"),
    ],
)
def test_the_same_where_an_option_of_mitmproxys_chooses_the_hosts(
    stage: Stage, options: dict[str, str], version: str
) -> None:
    proxy = stage.lab.proxy(options=options)
    for host in (SECURE, PROVIDER) if version == "HTTP/1.1" else (SECURE,):
        for where, does in (("closed", ""), ("open", "fails by itself"), ("by TLS", "fails by itself, without end")):
            stage.gateway.does = does
            through(proxy, stage.url(where))
            results = ask_all(proxy, 4, host, version)
            assert {(one.status, "from the provider" in one.text) for one in results} == {(200, True)}
            proxy.take(4)
    stage.gateway.does = "keeps a policy"
    through(proxy, stage.url("open"))
    assert [one.status for one in ask_all(proxy, 1, SECURE, version)] == [POLICY[0]]


def is_chat(call: RecordedCall) -> bool:
    return bool(call.record["llm"]["operation"] == "chat")


def test_the_same_for_clients_of_a_reverse_proxy_by_tls(stage: Stage) -> None:
    proxy = stage.lab.proxy(arguments=["--mode", f"reverse:https://{SECURE}"])
    stage.gateway.does = "fails by itself"
    through(proxy, stage.url("open"))
    address = proxy.url.replace("http:", "https:")
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
    with httpx2.Client(verify=False, trust_env=False, http2=True, timeout=PATIENCE) as app:
        assert app.post(f"{address}{PATH}", json=body).text == chat("provider").decode()
    calls = proxy.wait_calls(lambda calls: any(map(is_chat, calls)))  # the first looked whether the proxy listens
    (call,) = filter(is_chat, calls)
    assert call.record["forwarded_host"] == SECURE


def test_a_gateway_that_comes_back_is_used_by_the_very_client_that_it_failed(proxy: Proxy, stage: Stage) -> None:
    """mitmproxy remembers a failed connection as long as the client's lasts."""
    gateway = Gateway("works")
    through(proxy, stage.url("closed"))
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
    with proxy.client() as app:
        ask_again: Callable[[], str] = lambda: app.post(f"http://{PROVIDER}{PATH}", json=body).text  # noqa: E731
        assert "from the provider" in ask_again()
        with Server(gateway, port=stage.closed_port):
            assert "from the gateway" in ask_again()
        assert "from the provider" in ask_again()
    proxy.take(3)


def test_a_gateway_that_hung_is_connected_anew_by_the_very_client_that_waited(proxy: Proxy, stage: Stage) -> None:
    through(proxy, f"https://{LATE_GATEWAY}", connect_timeout="1s")
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
    with ExitStack() as held, proxy.client() as app:
        with socket.create_server(("127.0.0.1", stage.late_port)) as listener:
            assert "from the provider" in app.post(f"http://{PROVIDER}{PATH}", json=body).text
            held.enter_context(listener.accept()[0])
        tls = stage.lab.authority.server_context([LATE_GATEWAY], ALPN)
        with Server(Gateway("works"), port=stage.late_port, tls=tls):
            assert "from the gateway" in app.post(f"http://{PROVIDER}{PATH}", json=body).text
    proxy.take(2)


@pytest.mark.parametrize(
    ("where", "does"), [("closed", ""), ("open", "fails by itself")], ids=["cannot be reached", "fails by itself"]
)
def test_a_call_whose_client_does_not_wait_for_its_reply(proxy: Proxy, stage: Stage, where: str, does: str) -> None:
    stage.gateway.does = does
    through(proxy, stage.url(where))
    address = urlsplit(proxy.url)
    for number in range(4):
        body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": f"call {number}"}]}).encode()
        head = f"POST http://{PROVIDER}{PATH} HTTP/1.1\r\nHost: {PROVIDER}\r\nContent-Type: application/json\r\n"
        with socket.create_connection((address.hostname or "", address.port or 0), PATIENCE) as wire:
            wire.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    stage.provider.wait_for(lambda requests: sum(one.whole for one in requests) == 4)
    proxy.take(4)
    assert stage.provider_got() == Counter(f"call {number}" for number in range(4))


@pytest.mark.parametrize(
    ("where", "does"),
    [("silent", ""), ("open", "says nothing"), ("open", "fails by itself, without end")],
    ids=["before it is connected", "before it answers", "while its error is held"],
)
def test_a_client_that_gives_up_breaks_nothing(proxy: Proxy, stage: Stage, where: str, does: str) -> None:
    stage.gateway.does = does
    through(proxy, stage.url(where), answer_timeout="1s", connect_timeout="1s", retry_unanswered=True)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
    connections = stage.silent.connections
    wait_until_there = {
        "silent": lambda: wait_until(lambda: stage.silent.connections > connections),
        "open": lambda: wait_until(lambda: stage.gateway.seen == 1),
    }[where]

    async def give_up() -> None:
        trust = ssl.create_default_context(cafile=proxy.ca)
        async with httpx2.AsyncClient(proxy=proxy.url, verify=trust, trust_env=False, http2=True, http1=False) as app:
            asking = asyncio.create_task(app.post(f"https://{SECURE}{PATH}", json=body, timeout=PATIENCE))
            await asyncio.to_thread(wait_until_there)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(give_up())
    stage.gateway.does = "works"
    through(proxy, stage.url("open"))
    assert [one.status for one in ask_all(proxy, 3)] == [200] * 3
    proxy.take(4)  # the next test gets none of these


def test_the_gateways_own_secrets_stay_there(stage: Stage) -> None:
    proxy = stage.lab.proxy(environment={"GATEWAY_WORD": FOR_GATEWAY})
    gateway = {"kind": "helicone", "url": stage.url("open"), "key": GATEWAY_KEY}
    rule = {
        "rule": "all",
        "session": {"name": "App"},
        "gateway": "mine",
        "headers": {"set": {"X-For-Gateway": "${proxy_env.GATEWAY_WORD}", "X-Both": "to both"}},
    }
    rules = {"version": 1, "send": "none", "gateways": {"mine": gateway}, "rules": [rule]}
    proxy.write_rules(rules)
    stage.gateway.does = "works"
    assert [one.text for one in ask_all(proxy, 1, SECURE)] == [chat("gateway").decode()]
    (at_gateway,) = stage.server.requests[-1:]
    assert at_gateway.headers.get("x-for-gateway") == FOR_GATEWAY
    stage.gateway.does = "fails by itself"
    assert [one.text for one in ask_all(proxy, 1, SECURE)] == [chat("provider").decode()]
    (request,) = stage.provider.requests
    assert request.headers.get("x-both") == "to both"
    assert "x-for-gateway" not in request.headers
    assert FOR_GATEWAY not in str(list(request.headers))
    first, second = proxy.stop()
    assert (first.record["forwarded_host"], second.record["forwarded_host"]) == ("127.0.0.1", SECURE)


@pytest.mark.parametrize(
    ("where", "does"),
    [("closed", ""), ("open", "knows no such model")],
    ids=["cannot be reached", "refuses the upgrade"],
)
def test_a_websocket_whose_gateway_fails_is_opened_to_its_own_host(
    proxy: Proxy, stage: Stage, where: str, does: str
) -> None:
    stage.gateway.does = does
    through(proxy, stage.url(where), kind="litellm")
    headers = {"Authorization": APP_KEY}
    with SocketApp(f"wss://{SOCKETS}/v1/responses", proxy=proxy.url, ca=proxy.ca, additional_headers=headers) as app:
        app.send(json.dumps({"type": "response.create", "model": "gpt-4o", "input": "Why?"}))
        events = [json.loads(app.receive())]
        while events[-1]["type"] not in ("response.completed", "error"):
            events.append(json.loads(app.receive()))
    assert events[-1]["type"] == "response.completed"
    (request,) = stage.sockets.requests
    assert (request.host, request.headers.get("authorization")) == (SOCKETS, APP_KEY)
    assert "x-litellm-api-key" not in request.headers
    (call,) = proxy.take()
    assert (call.record["forwarded_host"], call.record["gateway"]) == (SOCKETS, None)


@pytest.mark.parametrize("fail", ["closed", "open"])
def test_a_rules_fail_stands_above_its_gateways(proxy: Proxy, stage: Stage, fail: str) -> None:
    gateway = {"kind": "helicone", "url": stage.url("closed"), "key": GATEWAY_KEY, "fail": "closed"}
    rule = {"rule": "all", "session": {"name": "App"}, "gateway": "x", "fail": fail}
    proxy.write_rules({"version": 1, "gateways": {"x": gateway}, "rules": [rule]})
    (result,) = ask_all(proxy, 1, SECURE)
    assert result.status == {"closed": 502, "open": 200}[fail]
    proxy.take()


def test_a_reply_that_has_begun_is_the_gateways_to_the_end(proxy: Proxy, stage: Stage) -> None:
    stage.gateway.does = "stops behind the first byte"
    through(proxy, stage.url("open"), retry_unanswered=True)

    def release() -> None:
        wait_until(lambda: len(stage.gateway.forwarded) == CALLS)
        stage.gateway.gate.open()

    results = ask_all(proxy, meanwhile=release)
    assert {one.status for one in results} == {None}
    assert stage.provider.requests == []
    assert [call.record["outcome"] for call in proxy.take(CALLS)] == ["upstream_gone"] * CALLS


def test_a_slow_gateway_is_waited_for_while_its_breaker_opens(proxy: Proxy, stage: Stage) -> None:
    stage.gateway.does = "says nothing"
    name = through(proxy, stage.url("open"), answer_timeout="1s")

    def release() -> None:
        wait_until(lambda: any(note["gateway"] == name for note in proxy.notes("gateway")))
        stage.gateway.gate.open()

    results = ask_all(proxy, meanwhile=release)
    assert {one.text for one in results} == {chat("gateway").decode()}
    assert stage.provider.requests == []
    proxy.take(CALLS)
    (opened,) = (note["text"] for note in proxy.notes("gateway") if note["gateway"] == name)
    assert "until it answers again" in opened


@pytest.mark.parametrize(
    ("where", "does", "status", "at_provider"),
    [("closed", "", 200, 1), ("open", "fails by itself", 500, 0)],
    ids=["before it is connected", "behind the upload"],
)
def test_an_upload_that_streams(
    proxy: Proxy, stage: Stage, where: str, does: str, status: int, at_provider: int
) -> None:
    """Nobody has what has gone by already: only a failure before it begins can be helped."""
    stage.gateway.does = does
    through(proxy, stage.url(where))
    text = "x" * 64_000
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 4096):
            yield body[at : at + 4096]

    with proxy.client(headers={"content-type": "application/octet-stream"}) as app:
        reply = app.post(f"http://{PROVIDER}{PATH}", content=pieces())
    assert reply.status_code == status
    (call,) = proxy.take()
    assert "streamed_request" in call.record["flags"]
    assert [request.seen for request in stage.provider.requests] == [body] * at_provider


def test_the_same_with_workers_of_our_own_runner_which_tell_what_is_open(stage: Stage) -> None:
    proxy = stage.lab.proxy(program=SESSIONTAP_RUN, entry=None, arguments=["--workers", "2"])
    stage.gateway.does = "fails by itself"
    name = through(proxy, stage.url("open"))
    for host in (PROVIDER, SECURE):
        results = ask_all(proxy, 12, host)
        assert {(one.status, "from the provider" in one.text) for one in results} == {(200, True)}
    assert set(stage.provider_got().values()) == {2}
    proxy.wait_calls(24)  # else health may find the recorders still writing
    with proxy.client() as app:
        health = app.get(health_url()).json()
    assert health["ok"] is True
    (gateway,) = health["gateways"]
    assert (gateway["name"], gateway["origin"], gateway["skipped"] > 0) == (name, stage.url("open"), True)
    assert len(proxy.stop()) == 24
