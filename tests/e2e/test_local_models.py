"""LLM servers of this machine behind a reverse proxy: the program is given its address, and no variables."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from http.server import HTTPServer
from typing import Any

import pytest
from tests.e2e.lab import RUN, Lab, Proxy
from tests.support.gate import PATIENCE
from tests.support.small_server import SmallHandler, serving

pytestmark = pytest.mark.e2e

OPENAI = {
    "id": "c-1",
    "object": "chat.completion",
    "model": "m-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
OLLAMA = {
    "model": "m-1",
    "created_at": "2025-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": "Hi."},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 3,
    "eval_count": 2,
}


class Model(SmallHandler):
    """Answers as Ollama does on its own path, and as all of them do on OpenAI's."""

    def do_POST(self) -> None:
        self.body()
        self.answer(json.dumps(OLLAMA if self.path == "/api/chat" else OPENAI).encode())


@pytest.fixture
def server() -> Iterator[str]:
    with serving(HTTPServer(("127.0.0.1", 0), Model)) as http:
        yield f"http://localhost:{http.server_port}"


def ask(proxy: Proxy, path: str, **more: Any) -> Any:
    body = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}], **more}
    url = f"http://127.0.0.1:{proxy.process.port}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as reply:
        return json.load(reply)


@pytest.mark.parametrize(
    ("path", "more", "reply"),
    [
        pytest.param("/api/chat", {"stream": False}, OLLAMA, id="Ollama"),
        pytest.param("/v1/chat/completions", {}, OPENAI, id="Ollama, LM Studio, llama.cpp and vLLM as OpenAI"),
    ],
)
def test_a_reverse_proxy_records_a_local_model(
    lab: Lab, server: str, path: str, more: dict[str, Any], reply: dict[str, Any]
) -> None:
    proxy = lab.proxy(**RUN, options={"mode": f"reverse:{server}@127.0.0.1:0"})
    assert ask(proxy, path, **more) == reply
    # The lab's own question whether the proxy is up goes to the server, too.
    (call,) = [one for one in proxy.stop() if one.record["request"]["method"] == "POST"]
    assert call.record["llm"]["request_model"] == "m-1"
    assert call.record["llm"]["usage"]["input"] == 3
    assert call.record["llm"]["usage"]["output"] == 2
