"""What is told of a session, and to whom: Helicone's gateway, TraceForge's headers, signed and hostile requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from tests.e2e import streams_at_once
from tests.e2e.lab import PYTHON, Lab, Proxy, Stage
from tests.support.dialogue import Request, Respond
from tests.support.gate import Gate
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

from sessiontap.demo.provider_replies import sse
from sessiontap.trace.files import open_segment

HELICONE_KEY = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyz01"
APP_KEY = "Bearer sk-the-apps-own"
PROVIDERS = ("api.openai.com", "api.anthropic.com", "api.odd.example", "bedrock-runtime.us-east-1.amazonaws.com")
CHAT = "https://api.openai.com/v1/chat/completions"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
VERSIONS = pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
RULES: Any = {
    "version": 1,
    "hosts": [{"host": "api.odd.example", "provider": "odd"}],
    "rules": [
        {
            "rule": "through Helicone",
            "session": {"name": "Rerouted", "id": "run-number-1", "path": "/a/b"},
            "user": "somebody",
            "properties": {"tool": "search"},
            "gateway": "helicone",
        }
    ],
}


@pytest.fixture(scope="module")
def llm() -> LlmService:
    return LlmService()


@pytest.fixture(scope="module")
def stage(llm: LlmService) -> Stage:
    return Stage(llm)


@pytest.fixture(scope="module")
def provider(shared_lab: Lab, stage: Stage) -> Server:
    return shared_lab.upstream(stage, PROVIDERS)


@pytest.fixture(scope="module")
def helicone(shared_lab: Lab, stage: Stage) -> Server:
    return shared_lab.upstream(stage, ["*.helicone.ai"])


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, provider: Server, helicone: Server) -> Proxy:
    return shared_lab.proxy(RULES, environment={"HELICONE_API_KEY": HELICONE_KEY})


@pytest.fixture(autouse=True)
def fresh(proxy: Proxy, stage: Stage, llm: LlmService, provider: Server, helicone: Server) -> None:
    stage.act = llm
    provider.requests.clear()
    helicone.requests.clear()
    proxy.pass_over()
    proxy.write_rules(RULES)


def told(request: Request, prefix: str) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers if name.lower().startswith(prefix)}


SESSION = {
    "helicone-session-id": "run-number-1",
    "helicone-session-name": "Rerouted",
    "helicone-session-path": "/a/b",
    "helicone-user-id": "somebody",
    "helicone-property-tool": "search",
}
AUTH = {"helicone-auth": f"Bearer {HELICONE_KEY}"}


# -- Helicone's gateway -----------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_goes_to_helicone_as_it_is(
    proxy: Proxy, provider: Server, helicone: Server, version: str, stream: bool
) -> None:
    target = "/v1/chat/completions?api-version=2026-01-01&odd=%2Fa%20b"
    body = json.dumps({**QUESTION, "stream": stream}, indent=3).encode()
    with proxy.client(version) as app:
        reply = app.post(
            f"https://api.openai.com{target}",
            content=body,
            headers={"authorization": APP_KEY, "content-type": "application/json", "x-app": "its own"},
        )
    assert reply.status_code == 200
    assert reply.headers["helicone-status"] == "success"
    assert ("data: [DONE]" in reply.text) is stream

    assert provider.requests == []
    (request,) = helicone.requests
    assert (request.host, request.target, request.seen) == ("oai.helicone.ai", target, body)
    assert (request.headers.get("authorization"), request.headers.get("x-app")) == (APP_KEY, "its own")
    assert told(request, "helicone-") == SESSION | AUTH

    (call,) = proxy.take()
    assert (call.record["host"], call.record["forwarded_host"]) == ("api.openai.com", "oai.helicone.ai")
    assert ["route", None, "api.openai.com", "https://oai.helicone.ai:443", "through Helicone"] in call.record[
        "changes"
    ]
    assert call.record["llm"]["stream"] is stream
    assert call.record["outcome"] == "ok"
    assert "Lowercased" not in proxy.process.output


@VERSIONS
def test_events_arrive_in_step_through_the_gateway(proxy: Proxy, stage: Stage, version: str) -> None:
    events = [sse({"number": number}) for number in range(3)]
    gates = [Gate() for _ in events]

    async def in_step(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, [("content-type", "text/event-stream")])
        for gate, event in zip(gates, events, strict=True):
            await gate.passed()
            await respond.send(event)
        await respond.end()

    stage.act = in_step
    with proxy.client(version) as app, app.stream("POST", CHAT, json={**QUESTION, "stream": True}) as reply:
        pieces = reply.iter_raw()
        for gate, event in zip(gates, events, strict=True):
            gate.open()
            assert next(pieces) == event
        assert b"".join(pieces) == b""
    (call,) = proxy.take()
    assert call.response_body() == b"".join(events)


@pytest.mark.parametrize(
    ("url", "host", "more"),
    [
        ("https://api.anthropic.com/v1/messages", "anthropic.helicone.ai", {}),
        (
            "https://api.odd.example/v1/chat/completions",
            "gateway.helicone.ai",
            {"helicone-target-url": "https://api.odd.example"},
        ),
    ],
    ids=["a provider with a host of its own there", "any other"],
)
def test_the_gateway_of_each_provider(
    proxy: Proxy, provider: Server, helicone: Server, url: str, host: str, more: Mapping[str, str]
) -> None:
    headers = {"x-api-key": "sk-ant-own", "authorization": APP_KEY}
    body = QUESTION
    if "anthropic" in url:
        headers["anthropic-version"] = "2023-06-01"
        body = {**QUESTION, "model": "claude-local", "max_tokens": 20}
    with proxy.client(headers=headers) as app:
        assert app.post(url, json=body).status_code == 200
    (call,) = proxy.take()
    assert call.record["forwarded_host"] == host
    assert provider.requests == []
    (request,) = helicone.requests
    assert request.host == host
    assert told(request, "helicone-") == SESSION | AUTH | more
    assert (request.headers.get("x-api-key"), request.headers.get("authorization")) == ("sk-ant-own", APP_KEY)


def test_twenty_streams_of_one_client_at_once_on_a_gateway_of_http1(lab: Lab) -> None:
    """mitmproxy lets an HTTP/2 client have five at a time there, and the sixth wait for ever."""
    together = streams_at_once.Together()
    gateway = lab.upstream(together, ["*.helicone.ai"], alpn=["http/1.1"])
    proxy = lab.proxy(RULES, environment={"HELICONE_API_KEY": HELICONE_KEY})
    replies = together.ask(proxy, gateway, CHAT, QUESTION)
    assert replies == [streams_at_once.REPLY] * streams_at_once.NUMBER
    assert [call.record["outcome"] for call in proxy.stop()] == ["ok"] * streams_at_once.NUMBER


def test_without_a_key_calls_go_to_their_own_host_and_it_is_said_once(
    shared_lab: Lab, proxy: Proxy, provider: Server, helicone: Server
) -> None:
    keyless = shared_lab.proxy(RULES)
    with keyless.client(headers={"authorization": APP_KEY}) as app:
        for _ in range(3):
            assert app.post(CHAT, json=QUESTION).status_code == 200
    assert helicone.requests == []
    assert [told(request, "helicone-") for request in provider.requests] == [SESSION] * 3
    calls = keyless.stop()
    reasons = {change[4] for call in calls for change in call.record["changes"] if change[0] == "direct"}
    (reason,) = reasons
    assert "HELICONE_API_KEY is not set" in reason
    assert sum(reason in line for line in keyless.process.lines) == 1


def test_the_key_is_for_helicone_alone_and_in_no_file(proxy: Proxy, provider: Server, helicone: Server) -> None:
    proxy.write_rules({"version": 1, "rules": [{"session": {"name": "Direct", "path": "/a/b"}}]})
    with proxy.client(headers={"authorization": APP_KEY}) as app:
        assert app.post(CHAT, json=QUESTION).status_code == 200
        assert app.post("https://oai.helicone.ai/v1/chat/completions", json=QUESTION).status_code == 200
    assert "helicone-auth" not in provider.requests[0].headers
    assert helicone.requests[0].headers.get("helicone-auth") == AUTH["helicone-auth"]
    proxy.take(2)
    written = b""
    for segment in proxy.trace.segments():
        with open_segment(segment.path) as file:
            written += file.read()
    assert b"chat/completions" in written
    assert HELICONE_KEY.encode() not in written
    assert APP_KEY.removeprefix("Bearer ").encode() not in written
    assert HELICONE_KEY not in proxy.process.output


# -- TraceForge -------------------------------------------------------------------------------------------------------

TRACEFORGE: Any = {
    "version": 1,
    "send": ["traceforge"],
    "rules": [{"rule": "all", "session": {"name": "Told", "id": "run-number-2"}, "state": {"phase": "plan"}}],
}
TOOL_CALL = {"id": "call_1234567890", "type": "function", "function": {"name": "search", "arguments": "{}"}}


def test_traceforge_is_told_and_tells_the_app(proxy: Proxy, provider: Server, stage: Stage) -> None:
    async def answer(request: Request, respond: Respond) -> None:
        await request.body()
        message = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
        choices = [{"index": 0, "finish_reason": "tool_calls", "message": message}]
        body = {"id": "chatcmpl-1", "model": "gpt-4o", "choices": choices}
        await respond.whole(200, json.dumps(body).encode(), [("content-type", "application/json")])

    stage.act = answer
    proxy.write_rules(TRACEFORGE)
    follow_up = [
        *QUESTION["messages"],
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
        {"role": "tool", "tool_call_id": TOOL_CALL["id"], "content": "found"},
    ]
    with proxy.client(headers={"authorization": APP_KEY}) as app:
        first = app.post(CHAT, json=QUESTION)
        second = app.post(CHAT, json={**QUESTION, "messages": follow_up})
        third = app.post(CHAT, json={**QUESTION, "messages": [{"role": "user", "content": "Another question"}]})

    replies = [told_to_app(reply) for reply in (first, second, third)]
    assert [(reply["session-id"], reply["next-step"]) for reply in replies] == [
        ("run-number-2", "1"),
        ("run-number-2", "2"),
        ("run-number-2", "3"),
    ]
    calls = proxy.take(3)
    assert [reply["trace-id"] for reply in replies] == [call.id for call in calls]
    sent = [told(request, "x-traceforge-") for request in provider.requests]
    common = {"x-traceforge-session-id": "run-number-2", "x-traceforge-state": '{"phase":"plan"}'}
    assert sent == [
        {**common, "x-traceforge-step-index": "0"},
        {**common, "x-traceforge-step-index": "1", "x-traceforge-parent-trace-id": calls[0].id},
        {**common, "x-traceforge-step-index": "2"},  # the last call is not its parent for being the last
    ]
    assert [told(request, "helicone-") for request in provider.requests] == [{}] * 3


def test_what_a_traceforge_server_says_itself_stays(proxy: Proxy, stage: Stage) -> None:
    async def answer(request: Request, respond: Respond) -> None:
        await request.body()
        own = [("X-TraceForge-Trace-ID", "trace-9"), ("X-TraceForge-Next-Step", "42")]
        await respond.whole(200, b"{}", [("content-type", "application/json"), *own])

    stage.act = answer
    proxy.write_rules(TRACEFORGE)
    with proxy.client() as app:
        reply = told_to_app(app.post(CHAT, json=QUESTION))
    assert reply == {"session-id": "run-number-2", "trace-id": "trace-9", "next-step": "42"}
    proxy.take()


def told_to_app(reply: httpx2.Response) -> dict[str, str]:
    prefix = "x-traceforge-"
    return {name.removeprefix(prefix): value for name, value in reply.headers.items() if name.startswith(prefix)}


# -- what must not be touched, and what must not get through ----------------------------------------------------------


@VERSIONS
def test_what_aws_signed_stays(proxy: Proxy, provider: Server, helicone: Server, version: str, stage: Stage) -> None:
    async def answer(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.whole(200, b"{}", [("content-type", "application/json")])

    stage.act = answer
    rule = {**RULES["rules"][0], "existing": "replace", "headers": {"set": {"X-Amz-Date": "now", "X-New": "new"}}}
    proxy.write_rules({**RULES, "rules": [rule]})
    host, target = PROVIDERS[3], "/model/anthropic.claude-3%3A0/converse"
    signed = {
        "content-type": "application/json",
        "helicone-session-name": "Signed",
        "x-amz-date": "20261121T050000Z",
    }
    names = ";".join(sorted(["host", *signed]))
    scope = "AKIDEXAMPLE/20261121/us-east-1/bedrock/aws4_request"
    signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature=5d67"
    headers = {**signed, "authorization": signature}
    with proxy.client(version) as app:
        assert app.post(f"https://{host}{target}", content=b'{"messages": []}', headers=headers).status_code == 200
    assert helicone.requests == []
    (request,) = provider.requests
    assert (request.host, request.target, request.seen) == (host, target, b'{"messages": []}')
    for name, value in headers.items():
        assert request.headers.all(name) == [value]
    assert request.headers.get("x-new") == "new"
    assert request.headers.get("helicone-session-id") == "run-number-1"
    (call,) = proxy.take()
    withheld = {change[1].lower(): change[4] for change in call.record["changes"] if change[0] == "withhold"}
    assert withheld == {"x-amz-date": "AWS signed it", "helicone-session-name": "AWS signed it"}


@VERSIONS
def test_no_value_breaks_out_of_its_header(lab: Lab, proxy: Proxy, provider: Server, version: str) -> None:
    rule = {
        "session": {"name": "${env.NAME}", "path": "/${env.NAME}"},
        "properties": {"from-caller": "${env.NAME}", "price": "5 € ☃"},
        "headers": {"set": {"X-Own": "${env.NAME}"}},
    }
    proxy.write_rules({"version": 1, "rules": [rule]})
    app = lab.folder / "ask.py"
    app.write_text(
        f"""
import ssl, sys, httpx2
with httpx2.Client(http2=sys.argv[1] == "HTTP/2", http1=sys.argv[1] != "HTTP/2", timeout=None) as app:
    app.post({CHAT!r}, json={QUESTION!r}, headers={{"authorization": "Bearer x"}}).raise_for_status()
""",
        encoding="utf-8",
    )
    name = "Übersicht\r\nX-Injected: 1\r\n\r\nGET / \x00\x7f—"
    proxy.run([PYTHON, app, version], {"NAME": name.replace("\x00", "\x01")})
    (request,) = provider.requests
    assert "x-injected" not in request.headers
    for header in ("helicone-session-name", "helicone-property-from-caller", "x-own"):
        value = request.headers.get(header) or ""
        assert value.isprintable()
        assert value.replace(" ", "") == "UbersichtX-Injected:1GET/-"
    assert request.headers.get("helicone-property-price") == "5 %E2%82%AC %E2%98%83"
    path = request.headers.get("helicone-session-path") or ""
    assert path.isascii()
    assert path.count("/") == 1
    (call,) = proxy.take()
    assert call.record["outcome"] == "ok"
