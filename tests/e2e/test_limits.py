"""Limits of a real proxy: real client libraries raise at once and show why, and no refused call reaches the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from tests.e2e.lab import Lab, Proxy, own_environment
from tests.support import warm
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

OPENAI, ANTHROPIC = "https://api.openai.com/v1/chat/completions", "https://api.anthropic.com/v1/messages"
SESSION = {"name": "Load", "id": "process"}
ASKED: Any = [{"role": "user", "content": "Why?"}]
CHAT = {"model": "gpt-4o", "messages": ASKED}


def rules(limit: Any, **more: Any) -> dict[str, Any]:
    return {"version": 1, "rules": [{"rule": "agent", "session": SESSION, "limit": limit, **more}]}


@pytest.fixture
def upstream(lab: Lab) -> Server:
    return lab.upstream(LlmService())


def clients(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the client libraries of this process go through the proxy."""
    for name, value in proxy.environment().items():
        if value is not None:
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_openai_s_client_raises_at_once_and_says_why(
    lab: Lab, upstream: Server, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    proxy = lab.proxy(rules({"calls": 1}))
    clients(proxy, monkeypatch)
    app = openai.OpenAI(max_retries=5)
    app.chat.completions.create(model="gpt-4o", messages=ASKED)
    with pytest.raises(openai.PermissionDeniedError) as raised:
        app.chat.completions.create(model="gpt-4o", messages=ASKED, stream=stream)
    assert "Sessiontap refused this call by its limit 'agent': calls is 1, at or above 1" in str(raised.value)
    first, refused = proxy.stop()
    assert (first.record["flags"], refused.record["outcome"]) == ([], "http_error")
    assert "refused" in refused.record["flags"]
    assert refused.record["llm"]["error"]["type"] == "insufficient_quota"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_anthropic_s_client_raises_at_once_and_says_why(
    lab: Lab, upstream: Server, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    proxy = lab.proxy(rules({"calls": 1}))
    clients(proxy, monkeypatch)
    app = anthropic.Anthropic(max_retries=5)
    app.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=ASKED)
    with pytest.raises(anthropic.PermissionDeniedError) as raised:
        app.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=ASKED, stream=stream)
    assert "Sessiontap refused this call by its limit 'agent': calls is 1, at or above 1" in str(raised.value)
    assert len(proxy.stop()) == 2  # it did not ask again


def ask(app: httpx2.Client) -> int:
    return app.post(OPENAI, json=CHAT, headers={"authorization": "Bearer sk-test"}).status_code


def test_a_refused_call_reaches_no_server_is_recorded_and_costs_nothing(lab: Lab) -> None:
    requests: list[str] = []
    service = LlmService()

    async def counting(request: Any, respond: Any) -> None:
        requests.append(request.path)
        await service(request, respond)

    lab.upstream(counting)
    proxy = lab.proxy(rules({"calls": 2}, alert={"calls": 3}))
    with proxy.client() as app:
        assert [ask(app) for _ in range(4)] == [200, 200, 403, 403]
    calls = proxy.wait_calls(4)
    assert len(requests) == 2
    (note,) = proxy.wait_notes("limit")
    assert (note["measure"], note["value"], note["call"]) == ("calls", 2, calls[2].id)
    assert proxy.notes("alert") == []
    assert proxy.process.output.count("Its calls are refused") == 1
    done = warm.sessiontap().run(["calls", "--json", "--trace", str(proxy.trace_folder)], own_environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b'"cost_usd": 0.0,') == 2, done.stdout


def test_an_upgrade_to_a_websocket_is_refused(lab: Lab) -> None:
    lab.upstream(LlmService(websockets=True))
    proxy = lab.proxy(rules({"calls": 1}))
    with proxy.client() as app:
        assert ask(app) == 200
        upgrade = {
            "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }  # fmt: skip
        reply = app.get("https://api.openai.com/v1/realtime?model=gpt-realtime", headers=upgrade)
    assert reply.status_code == 403
    assert "Sessiontap refused this call" in reply.json()["error"]["message"]


def test_a_limit_is_listed_and_lifted_and_stays_so_after_a_restart(lab: Lab, upstream: Server, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    given = rules({"calls": 1})

    def limits(proxy: Proxy, *words: str) -> tuple[int, str]:
        arguments = ["limits", *words, "--trace", str(proxy.trace_folder)]
        done = warm.sessiontap().run(arguments, proxy.environment({"HOME": home}))
        return done.returncode, done.stdout.decode()

    first = lab.proxy(given, home=home)
    with first.client() as app:
        assert [ask(app), ask(app)] == [200, 403]
        _, shown = limits(first)
        id, _, text = shown.partition("  ")
        assert text.startswith("agent: calls is 1, at or above 1, in the processes of ")
        assert limits(first, "--lift", "0")[0] == 2
        assert limits(first, "--lift", id)[1].startswith(f"{id}  lifted in the processes of ")
        assert limits(first) == (0, "")
    first.stop()
    assert [note.get("lifted") for note in first.notes("limit")] == [None, id]
    second = lab.proxy(given, options={"session_trace": first.trace_folder})
    with second.client() as app:
        assert [ask(app), ask(app)] == [200, 403]


def test_a_raised_limit_counts_from_the_next_call(lab: Lab, upstream: Server) -> None:
    proxy = lab.proxy(rules({"calls": 1}))
    with proxy.client() as app:
        assert [ask(app), ask(app)] == [200, 403]
        proxy.write_rules(rules({"calls": 3}))
        assert [ask(app), ask(app), ask(app)] == [200, 200, 403]


def test_a_fault_of_ours_refuses_nothing(lab: Lab, upstream: Server) -> None:
    script = lab.folder / "faulty.py"
    script.write_text(
        "from sessiontap.limits import Tracker\n"
        "def begin(*given, **more): raise RuntimeError('of ours')\n"
        "Tracker.begin = begin\n"
    )
    proxy = lab.proxy(rules({"calls": 1}), scripts=[script])
    with proxy.client() as app:
        assert [ask(app), ask(app)] == [200, 200]
    assert "a fault of its own in alerts" in proxy.process.output
