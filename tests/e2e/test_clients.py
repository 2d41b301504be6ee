"""Real clients, unmodified: they find the proxy and its CA by their variables, and the log tells their calls apart."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import PYTHON, Lab, Proxy
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

from sessiontap.demo import run_demo
from sessiontap.trace import RecordedCall

RULES: Any = {
    "version": 1,
    "rules": [{"rule": "all", "session": {"name": "${process.name}", "path": "/${operation}"}}],
}
QUESTION = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]%s}'


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def upstream(lab: Lab) -> Server:
    return lab.upstream(LlmService())


@pytest.fixture
def proxy(lab: Lab, upstream: Server) -> Proxy:
    return lab.proxy(RULES)


def facts(call: RecordedCall) -> tuple[Any, ...]:
    llm, session = call.record["llm"], call.record["session"]
    return session["name"], session["path"], llm["provider"], llm["family"], llm["stream"], llm["finish_reason"]


def assert_one_session(calls: list[RecordedCall], upstream: Server) -> None:
    """All calls are one session, steps in order, and the server was told what the log says."""
    assert len({call.session_id for call in calls}) == 1
    assert [call.record["session"]["step"] for call in calls] == list(range(len(calls)))
    told = [(r.headers.get("helicone-session-id"), r.headers.get("helicone-session-name")) for r in upstream.requests]
    assert told == [(call.session_id, call.record["session"]["name"]) for call in calls]


def test_openai_package(lab: Lab, proxy: Proxy, upstream: Server) -> None:
    app = program(
        lab.folder,
        "ask_openai.py",
        """
import openai
client = openai.OpenAI()
question = dict(model="gpt-4o", messages=[{"role": "user", "content": "Why?"}])
print(client.chat.completions.create(**question).choices[0].message.content)
print("".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(**question, stream=True)))
print(client.responses.create(model="gpt-4.1", input="Why?").output_text)
print(len(client.embeddings.create(model="text-embedding-3-small", input="Why?").data))
""",
    )
    said = proxy.run([PYTHON, app]).stdout.splitlines()
    assert said[0] == said[1]
    assert said[3] == "1"
    calls = proxy.stop()
    assert [facts(call) for call in calls] == [
        ("ask_openai.py", "/chat", "openai", "openai-chat", False, "stop"),
        ("ask_openai.py", "/chat", "openai", "openai-chat", True, "stop"),
        ("ask_openai.py", "/chat", "openai", "openai-responses", False, None),
        ("ask_openai.py", "/embeddings", "openai", "openai-embeddings", False, None),
    ]
    usages = [call.record["llm"]["usage"] for call in calls]
    assert usages[0]["input"] == 1 + 3
    assert usages[1] is None  # it did not ask for it
    assert_one_session(calls, upstream)


def test_anthropic_package(lab: Lab, proxy: Proxy, upstream: Server) -> None:
    app = program(
        lab.folder,
        "ask_anthropic.py",
        """
import anthropic
client = anthropic.Anthropic()
question = dict(model="claude-local", max_tokens=100, messages=[{"role": "user", "content": "Why?"}])
print(client.messages.create(**question).content[0].text)
with client.messages.stream(**question) as stream:
    print("".join(stream.text_stream))
""",
    )
    said = proxy.run([PYTHON, app]).stdout.splitlines()
    assert said[0] == said[1]
    calls = proxy.stop()
    assert [facts(call) for call in calls] == [
        ("ask_anthropic.py", "/chat", "anthropic", "anthropic-messages", False, "end_turn"),
        ("ask_anthropic.py", "/chat", "anthropic", "anthropic-messages", True, "end_turn"),
    ]
    assert calls[0].record["llm"]["usage"] == calls[1].record["llm"]["usage"]
    assert_one_session(calls, upstream)


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_curl(proxy: Proxy, upstream: Server, curl: str, version: str, stream: bool) -> None:
    flag = "--http2" if version == "HTTP/2" else "--http1.1"
    body = QUESTION % (', "stream": true' if stream else "")
    headers = ["-H", "Authorization: Bearer sk-test", "-H", "Content-Type: application/json"]
    url = "https://api.openai.com/v1/chat/completions"
    done = proxy.run([curl, "--silent", "--fail", flag, *headers, "-d", body, url])
    assert ("data: [DONE]" if stream else '"finish_reason": "stop"') in done.stdout
    calls = proxy.stop()
    assert [facts(call) for call in calls] == [("curl", "/chat", "openai", "openai-chat", stream, "stop")]
    assert calls[0].record["request"]["http_version"].startswith(version)
    assert_one_session(calls, upstream)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_node_fetch(lab: Lab, proxy: Proxy, upstream: Server, node_modules: Path, stream: bool) -> None:
    node = shutil.which("node")
    assert node is not None  # or node_modules would have skipped
    app = program(
        lab.folder,
        "ask_node.mjs",
        f"""
import {{ createRequire }} from 'node:module';
const {{ fetch, ProxyAgent }} = createRequire({str(node_modules)!r} + '/')('undici');
const dispatcher = new ProxyAgent({{ uri: process.env.HTTPS_PROXY }});
const reply = await fetch('https://api.openai.com/v1/chat/completions', {{
  method: 'POST',
  headers: {{ authorization: 'Bearer sk-test', 'content-type': 'application/json' }},
  body: process.argv[2],
  dispatcher,
}});
console.log(reply.status, await reply.text());
await dispatcher.close();
""",
    )
    said = proxy.run([node, app, QUESTION % (', "stream": true' if stream else "")]).stdout
    assert said.startswith("200 ")
    assert ("data: [DONE]" if stream else '"finish_reason": "stop"') in said
    calls = proxy.stop()
    assert [facts(call) for call in calls] == [("ask_node.mjs", "/chat", "openai", "openai-chat", stream, "stop")]
    assert_one_session(calls, upstream)


def test_the_demos_own_programs(lab: Lab, proxy: Proxy, upstream: Server) -> None:
    for name, *arguments in run_demo.RUNS:
        proxy.run([PYTHON, run_demo.PROGRAMS / name, *arguments])
    calls = proxy.stop()
    names = [call.record["session"]["name"] for call in calls]
    assert names == ["chat.py"] * 2 + ["course_agent.py"] * 5 + ["embed_lessons.py"]
    searched = calls[2].record["llm"]
    assert searched["tools_offered"] == ["web_search"]
    assert searched["tool_calls"] == ["web_search"]
    assert calls[3].record["llm"]["tool_results"] == ["web_search"]
    assert [call.record["outcome"] for call in calls] == ["ok"] * 8
