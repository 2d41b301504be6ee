"""The session headers of dialects as a real upstream receives them, through a proxy of its own process."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.e2e.lab import Lab, Proxy
from tests.support.dialogue import Request
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

from sessiontap.push.user_turns import UserTurns, link_of
from sessiontap.span_ids import span_id, trace_id

CHAT = "https://api.openai.com/v1/chat/completions"
ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is it?"}]}
TOOLS = [{"type": "function", "function": {"name": "web_search", "parameters": {"type": "object"}}}]
THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
RULES: Any = {
    "version": 1,
    "dialects": {"acme": {"X-Acme-Session": "${session.id}", "X-Acme-Place": "${session.path}#${session.step}"}},
    "rules": [
        {
            "rule": "course",
            "session": {"name": "Größe", "id": "run-number-1", "path": "/a/b"},
            "user": "ann",
            "properties": {"mode": "nightly", "arm": "red"},
            "tags": ["evening"],
            "send": ["litellm", "openrouter", "portkey", "cloudflare", "traceparent", "baggage", "acme"],
        }
    ],
}
VERSIONS = pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])


@pytest.fixture(scope="module")
def provider(shared_lab: Lab) -> Server:
    return shared_lab.upstream(LlmService(), ["api.openai.com", "openrouter.ai"])


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, provider: Server) -> Proxy:
    return shared_lab.proxy(RULES)


@pytest.fixture(autouse=True)
def fresh(proxy: Proxy, provider: Server) -> None:
    provider.requests.clear()
    proxy.pass_over()
    proxy.write_rules(RULES)


def sent(request: Request, *names: str) -> dict[str, str | None]:
    return {name: request.headers.get(name) for name in names}


@VERSIONS
def test_a_server_receives_every_dialect_that_a_rule_sends(proxy: Proxy, provider: Server, version: str) -> None:
    with proxy.client(version) as app:
        app.post(CHAT, json=ASKED, headers={"authorization": "Bearer x"}).raise_for_status()
    (request,) = provider.requests
    (call,) = proxy.take()
    step = call.record["session"]["step"]
    named = '"session_path":"/a/b"'
    assert sent(
        request,
        *("x-litellm-session-id", "x-litellm-end-user-id", "x-litellm-tags", "x-litellm-spend-logs-metadata"),
        *("x-session-id", "x-portkey-trace-id", "x-portkey-span-id", "x-portkey-span-name", "x-portkey-metadata"),
        *("cf-aig-metadata", "cf-aig-otel-trace-id", "cf-aig-otel-parent-span-id", "traceparent", "baggage"),
        *("x-acme-session", "x-acme-place"),
    ) == {
        "x-litellm-session-id": "run-number-1",
        "x-litellm-end-user-id": "ann",
        "x-litellm-tags": "evening",
        "x-litellm-spend-logs-metadata": f'{{"session_name":"Gr\\u00f6\\u00dfe",{named},"session_step":"{step}",'
        '"mode":"nightly","arm":"red"}',
        "x-session-id": "run-number-1",
        "x-portkey-trace-id": "run-number-1",
        "x-portkey-span-id": span_id(call.id),
        "x-portkey-span-name": "/a/b",
        "x-portkey-metadata": '{"_user":"ann","session_name":"Gr\\u00f6\\u00dfe","mode":"nightly","arm":"red"}',
        "cf-aig-metadata": f'{{"session_id":"run-number-1","user_id":"ann",{named},'
        '"session_name":"Gr\\u00f6\\u00dfe","mode":"nightly"}',
        "cf-aig-otel-trace-id": trace_id(call.id),
        "cf-aig-otel-parent-span-id": span_id(call.id),
        "traceparent": f"00-{trace_id(call.id)}-{span_id(call.id)}-01",
        "baggage": "session.id=run-number-1,user.id=ann,session.name=Gr%C3%B6%C3%9Fe,session.path=/a/b,"
        "mode=nightly,arm=red",
        "x-acme-session": "run-number-1",
        "x-acme-place": f"/a/b#{step}",
    }
    assert ["set", "cf-aig-metadata", None, request.headers.get("cf-aig-metadata"),
            "course; arm left out: 5 members at most"] in call.record["changes"]  # fmt: skip


def test_the_calls_of_a_turn_are_of_one_trace(proxy: Proxy, provider: Server) -> None:
    said = list(ASKED["messages"])
    with proxy.client() as app:
        for _ in range(2):
            body = {"model": "gpt-4o", "messages": said, "tools": TOOLS}
            reply = app.post(CHAT, json=body, headers={"authorization": "Bearer x"}).json()["choices"][0]["message"]
            results = [
                {"role": "tool", "tool_call_id": one["id"], "content": "yes"} for one in reply.get("tool_calls", ())
            ]
            said += [reply, *results]
    first, second = proxy.take(2)
    assert [request.headers.get("traceparent") for request in provider.requests] == [
        f"00-{trace_id(first.id)}-{span_id(call.id)}-01" for call in (first, second)
    ]
    pushed = UserTurns(lambda _: None)
    assert [pushed.add(link_of(call.record)).turn for call in (first, second)] == [first.id, first.id]


@VERSIONS
def test_an_apps_own_trace_goes_on_and_its_sets_are_added_to(proxy: Proxy, provider: Server, version: str) -> None:
    own = {
        "traceparent": THEIRS,
        "baggage": "team=a;p, session.id=my-own-session",
        "cf-aig-metadata": json.dumps({"a": 1, "b": 2, "c": 3, "d": 4}),
        "x-litellm-tags": "mine",
        "x-acme-session": "mine",
    }
    with proxy.client(version) as app:
        app.post(CHAT, json=ASKED, headers={"authorization": "Bearer x", **own}).raise_for_status()
    (request,) = provider.requests
    assert sent(request, *own) == {
        "traceparent": THEIRS,
        "baggage": "team=a;p,session.id=my-own-session,user.id=ann,session.name=Gr%C3%B6%C3%9Fe,session.path=/a/b,"
        "mode=nightly,arm=red",
        "cf-aig-metadata": '{"a":1,"b":2,"c":3,"d":4,"session_id":"my-own-session"}',
        "x-litellm-tags": "mine,evening",
        "x-acme-session": "mine",
    }
    (call,) = proxy.take()
    kept = {change[1].lower() for change in call.record["changes"] if change[0] == "keep"}
    assert kept == {"traceparent", "x-acme-session"}


def test_auto_sends_openrouters_header_to_openrouter_alone(proxy: Proxy, provider: Server) -> None:
    proxy.write_rules({"version": 1, "rules": [{"session": {"id": "run-number-1"}, "send": "auto"}]})
    with proxy.client() as app:
        for url in ("https://openrouter.ai/api/v1/chat/completions", CHAT):
            app.post(url, json=ASKED, headers={"authorization": "Bearer x"}).raise_for_status()
    assert [request.headers.get("x-session-id") for request in provider.requests] == ["run-number-1", None]
