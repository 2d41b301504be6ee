"""Every kind of gateway end to end: made-up ones that check of a call what the real ones check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from tests.e2e import streams_at_once
from tests.e2e.lab import Lab, Proxy
from tests.support import made_up_gateways as made_up
from tests.support.http_server import Server
from tests.support.llm_server import LlmService
from tests.support.made_up_gateways import KEY, MadeUpGateway
from tests.support.socket_app import SocketApp

from sessiontap.trace.files import open_segment

APP_KEY = "sk-the-apps-own-0123456789"
CHAT = "https://api.openai.com/v1/chat/completions"
GROQ = "https://api.groq.com/openai/v1/chat/completions"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
VERSIONS = pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])


class Kind(NamedTuple):
    """A gateway of the tests: what it is in the rules, and what is known of a call that went through it."""

    check: made_up.Check
    says: Mapping[str, str]
    recorded: Mapping[str, Any]
    url: str | None = "http://127.0.0.1:{port}"
    """None: its own address, to which the proxy is led."""
    host: str | None = None
    """Of that address."""
    item: Mapping[str, Any] = {"key": "${proxy_env.GATEWAY_KEY}"}


KINDS: Mapping[str, Kind] = {
    "litellm": Kind(
        made_up.litellm,
        {"x-litellm-call-id": "c-1", "x-litellm-response-cost": "2e-06", "x-litellm-attempted-fallbacks": "0"},
        {"id": "c-1", "cost": 2e-06, "fallbacks": 0},
    ),
    "portkey": Kind(
        made_up.portkey,
        {"x-portkey-trace-id": "t-1", "x-portkey-cache-status": "MISS", "x-portkey-retry-attempt-count": "1"},
        {"id": "t-1", "cache": "MISS", "retries": 1},
        item={},
    ),
    "openrouter": Kind(
        *(made_up.openrouter, {"X-Generation-Id": "gen-1"}, {"id": "gen-1"}),
        *(None, "openrouter.ai", {"key": "${proxy_env.GATEWAY_KEY}"}),
    ),
    "cloudflare": Kind(
        *(made_up.cloudflare, {"cf-aig-log-id": "l-1", "cf-aig-cache-status": "HIT"}, {"id": "l-1", "cache": "HIT"}),
        *("https://gateway.ai.cloudflare.com/v1/account/gateway", "gateway.ai.cloudflare.com"),
    ),
    "helicone-selfhosted": Kind(made_up.helicone_selfhosted, {"Helicone-Id": "h-1"}, {"id": "h-1"}),
    "traceforge": Kind(made_up.traceforge, {"X-TraceForge-Trace-ID": "tf-1"}, {"id": "tf-1"}, item={}),
    "custom": Kind(
        *(made_up.custom, {}, {}, "http://127.0.0.1:{port}/llm", None),
        {
            "path": "/${provider}${path}",
            "headers": {
                "X-Gateway-Key": "${proxy_env.GATEWAY_KEY}",
                "X-Upstream": "${origin}",
                "X-Session": "${session.id}",
            },
        },
    ),
}


class Stand(NamedTuple):
    """Kind by kind a gateway, and one proxy before all of them; the rule is chosen by a header of the app's."""

    proxy: Proxy
    provider: Server
    gateways: Mapping[str, Server]


@pytest.fixture(scope="module")
def stand(shared_lab: Lab) -> Stand:
    provider = shared_lab.upstream(LlmService(websockets=True), ["api.openai.com", "api.groq.com"])
    gateways: dict[str, Server] = {}
    items: dict[str, Any] = {}
    for name, kind in KINDS.items():
        service = MadeUpGateway(kind.check, kind.says)
        server = shared_lab.upstream(service, [kind.host] if kind.host else [], tls=kind.host is not None)
        gateways[name] = server
        items[f"my-{name}"] = {"kind": name, **kind.item}
        if kind.url is not None:
            items[f"my-{name}"]["url"] = kind.url.format(port=server.port)
    rules = [
        {
            "rule": name,
            "match": {"header": {"x-through": name}},
            "session": {"name": "Kinds", "id": "run-number-1"},
            "send": "none",
            "gateway": f"my-{name}",
        }
        for name in KINDS
    ]
    rules.append({"rule": "cloud", "match": {"header": {"x-through": "helicone"}}, "gateway": "helicone"})
    rules.append({"rule": "strict", "match": {"header": {"x-fail": "closed"}}, "fail": "closed"})
    proxy = shared_lab.proxy({"version": 1, "gateways": items, "rules": rules}, environment={"GATEWAY_KEY": KEY})
    return Stand(proxy, provider, gateways)


@pytest.fixture(autouse=True)
def fresh(stand: Stand) -> None:
    stand.proxy.pass_over()
    for server in (stand.provider, *stand.gateways.values()):
        server.requests.clear()


def model_for(kind: str) -> str:
    return "vendor/gpt-4o" if kind == "openrouter" else "gpt-4o"


@VERSIONS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", KINDS)
def test_a_call_goes_through_and_says_so(stand: Stand, name: str, stream: bool, version: str) -> None:
    body = json.dumps({**QUESTION, "model": model_for(name), "stream": stream}, indent=3).encode()
    headers = {"authorization": f"Bearer {APP_KEY}", "content-type": "application/json", "x-through": name}
    with stand.proxy.client(version, headers=headers) as app:
        reply = app.post(CHAT, content=body)
    assert reply.status_code == 200, reply.text
    assert ("data: [DONE]" in reply.text) is stream
    assert stand.provider.requests == []
    (request,) = stand.gateways[name].requests
    assert request.seen == body
    own = None if name == "openrouter" else f"Bearer {APP_KEY}"
    assert request.headers.get("authorization") == (own or f"Bearer {KEY}")
    (call,) = stand.proxy.take()
    assert call.record["gateway"] == {"kind": name, "name": f"my-{name}", **KINDS[name].recorded}
    assert (call.record["outcome"], call.record["llm"]["provider"]) == ("ok", "openai")
    assert call.record["request"]["url"] == CHAT


def test_what_a_custom_gateway_is_told(stand: Stand) -> None:
    with stand.proxy.client(headers={"x-through": "custom"}) as app:
        assert app.post(CHAT, json=QUESTION).status_code == 200
    (request,) = stand.gateways["custom"].requests
    assert request.headers.get("x-session") == "run-number-1"
    (call,) = stand.proxy.take()
    changes = {change[1]: change for change in call.record["changes"]}
    assert changes["X-Upstream"] == ["set", "X-Upstream", None, "https://api.openai.com", "gateway"]
    assert changes[None][3].endswith("/llm/openai/v1/chat/completions")


@pytest.mark.parametrize("name", ["litellm", "portkey", "cloudflare"])
def test_another_providers_base_gives_way_to_the_gateways(stand: Stand, name: str) -> None:
    with stand.proxy.client(headers={"x-through": name}) as app:
        assert app.post(GROQ, json={**QUESTION, "model": "llama-4"}).status_code == 200
    assert stand.provider.requests == []
    assert len(stand.gateways[name].requests) == 1
    (call,) = stand.proxy.take()
    assert (call.record["host"], call.record["llm"]["provider"]) == ("api.groq.com", "groq")


@pytest.mark.parametrize(
    ("name", "question", "reason"),
    [
        ("openrouter", QUESTION, "vendor/model"),
        ("traceforge", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]}, "in parts"),
        ("helicone-selfhosted", QUESTION, "no gateway for api.groq.com"),
    ],
)
def test_what_a_gateway_cannot_carry_goes_to_its_own_host(
    stand: Stand, name: str, question: Mapping[str, Any], reason: str
) -> None:
    url = GROQ if "groq" in reason else CHAT
    with stand.proxy.client(headers={"x-through": name, "authorization": f"Bearer {APP_KEY}"}) as app:
        assert app.post(url, json={**QUESTION, **question}).status_code == 200
    assert stand.gateways[name].requests == []
    (request,) = stand.provider.requests
    assert KEY not in str(list(request.headers))
    (call,) = stand.proxy.take()
    (direct,) = [change for change in call.record["changes"] if change[0] == "direct"]
    assert reason in direct[4]
    assert call.record["gateway"] is None


UNKNOWN_MODEL = {**QUESTION, "model": "gpt-4o-mini"}


def test_a_refusal_is_classified_in_the_record(stand: Stand) -> None:
    with stand.proxy.client(headers={"x-through": "litellm", "x-fail": "closed"}) as app:
        assert app.post(CHAT, json=UNKNOWN_MODEL).status_code == 400
    (call,) = stand.proxy.take()
    gateway = call.record["gateway"]
    assert (gateway["failure"], gateway["failure_code"]) == ("gateway_refused", "invalid_request_error")


def test_calls_that_a_gateway_refuses_go_to_their_own_host_and_open_no_breaker(stand: Stand) -> None:
    number = 8
    with stand.proxy.client(headers={"x-through": "litellm", "authorization": f"Bearer {APP_KEY}"}) as app:
        for _ in range(number):
            assert app.post(CHAT, json=UNKNOWN_MODEL).status_code == 200
    assert len(stand.gateways["litellm"].requests) == len(stand.provider.requests) == number
    assert stand.provider.requests[0].path == "/v1/chat/completions"
    assert KEY not in str(list(stand.provider.requests[0].headers))
    assert [call.record["gateway"] for call in stand.proxy.take(number)] == [None] * number


def talk(stand: Stand, name: str, path: str, *frames: Mapping[str, Any], last: str) -> None:
    """Open a WebSocket at OpenAI, to go through a kind of gateway, send frames, and wait for the last event."""
    headers = {"Authorization": f"Bearer {APP_KEY}", "x-through": name}
    url = f"wss://api.openai.com{path}"
    with SocketApp(url, proxy=stand.proxy.url, ca=stand.proxy.ca, additional_headers=headers) as socket:
        for frame in frames:
            socket.send(json.dumps(frame))
        while json.loads(socket.receive())["type"] != last:
            pass


ASK = {"type": "response.create", "model": "gpt-4o", "input": "Why?"}
"""A turn of the Responses API."""
SAID = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Why?"}]}
TALK = ({"type": "conversation.item.create", "item": SAID}, {"type": "response.create"})
"""A turn of the realtime API."""
REALTIME = "/v1/realtime?model=gpt-realtime"


@pytest.mark.parametrize(
    ("name", "at_gateway"),
    [
        ("litellm", REALTIME),
        ("portkey", REALTIME),
        ("cloudflare", "/v1/account/gateway/openai?model=gpt-realtime"),
        ("custom", f"/llm/openai{REALTIME}"),
    ],
)
def test_a_realtime_websocket_goes_through(stand: Stand, name: str, at_gateway: str) -> None:
    talk(stand, name, REALTIME, *TALK, last="response.done")
    (request,) = stand.gateways[name].requests
    assert request.target == at_gateway
    assert request.headers.get("authorization") == f"Bearer {APP_KEY}"
    assert (KEY in str(list(request.headers))) is (name != "portkey")
    assert stand.provider.requests == []
    (call,) = stand.proxy.take()
    assert call.record["gateway"] == {"kind": name, "name": f"my-{name}", **KINDS[name].recorded}
    assert call.record["llm"]["request_model"] == "gpt-realtime"


def test_a_websocket_of_the_responses_api_goes_through_litellm(stand: Stand) -> None:
    talk(stand, "litellm", "/v1/responses", ASK, last="response.completed")
    (request,) = stand.gateways["litellm"].requests
    assert (request.path, request.headers.get("x-litellm-api-key")) == ("/v1/responses", f"Bearer {KEY}")
    (call,) = stand.proxy.take()
    assert (call.record["gateway"]["kind"], call.record["gateway"]["id"]) == ("litellm", "c-1")


@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        ("helicone", REALTIME, "WebSockets to api.openai.com do not go through Helicone"),
        ("helicone-selfhosted", REALTIME, "A Helicone of one's own takes POST alone"),
        ("openrouter", REALTIME, "WebSockets to api.openai.com do not go through OpenRouter"),
        ("traceforge", REALTIME, "TraceForge has no WebSockets"),
        ("portkey", "/v1/responses", "only OpenAI's realtime ones go through Portkey"),
        ("cloudflare", "/v1/responses", "only OpenAI's realtime ones go through Cloudflare's gateway"),
    ],
)
def test_a_websocket_that_a_gateway_does_not_take_goes_to_its_own_host(
    stand: Stand, name: str, path: str, reason: str
) -> None:
    frames, last = ((ASK,), "response.completed") if path == "/v1/responses" else (TALK, "response.done")
    talk(stand, name, path, *frames, last=last)
    assert not any(server.requests for server in stand.gateways.values())
    (request,) = stand.provider.requests
    assert (request.target, request.headers.get("authorization")) == (path, f"Bearer {APP_KEY}")
    (call,) = stand.proxy.take()
    assert call.record["gateway"] is None
    (direct,) = [change for change in call.record["changes"] if change[0] == "direct"]
    assert reason in direct[4]
    stand.proxy.process.wait_line(lambda line: reason in line)


def test_no_key_of_a_gateway_is_in_a_file_or_on_the_terminal(stand: Stand) -> None:
    for name in KINDS:
        with stand.proxy.client(headers={"x-through": name}) as app:
            assert app.post(CHAT, json={**QUESTION, "model": model_for(name)}).status_code == 200
    stand.proxy.take(len(KINDS))
    written = b""
    for segment in stand.proxy.trace.segments():
        with open_segment(segment.path) as file:
            written += file.read()
    assert b"my-cloudflare" in written
    assert KEY.encode() not in written
    assert KEY not in stand.proxy.process.output


def test_twenty_streams_of_an_http2_client_on_a_plain_gateway(lab: Lab) -> None:
    together = streams_at_once.Together()
    gateway = lab.upstream(together, [], tls=False)
    item = {"kind": "litellm", "url": f"http://127.0.0.1:{gateway.port}"}
    proxy = lab.proxy({"version": 1, "gateways": {"mine": item}, "rules": [{"gateway": "mine"}]})
    replies = together.ask(proxy, gateway, CHAT, QUESTION)
    assert replies == [streams_at_once.REPLY] * streams_at_once.NUMBER
