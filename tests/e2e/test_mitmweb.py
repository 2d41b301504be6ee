"""mitmweb with the addon: its interface finds a session by `~comment`, and shows what was streamed."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mitmproxy.io import FlowReader
from tests.e2e.lab import Lab, wait_until
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService

from sessiontap.demo.proxy_process import ProxyFailed

MITMWEB = ("-c", "from mitmproxy.tools.main import mitmweb; mitmweb()")
TOKEN = "a-token-of-the-tests"
CHAT = "https://api.openai.com/v1/chat/completions"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
RULES: Any = {
    "version": 1,
    "rules": [
        {"match": {"stream": True}, "session": {"name": "Streamed", "path": "/in/events"}},
        {"session": {"name": "Whole", "path": "/at/once"}},
    ],
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_session_is_found_by_its_comment(lab: Lab, tmp_path: Path) -> None:
    lab.upstream(LlmService())
    port = free_port()
    options = {"web_port": str(port), "web_open_browser": "false", "web_password": TOKEN}
    proxy = lab.proxy(RULES, program=MITMWEB, options=options)
    with proxy.client(headers={"authorization": "Bearer sk-test"}) as app:
        whole = app.post(CHAT, json=QUESTION)
        streamed = app.post(CHAT, json={**QUESTION, "stream": True})
    assert (whole.status_code, streamed.status_code) == (200, 200)

    with httpx2.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"authorization": f"Bearer {TOKEN}"},
        trust_env=False,
        timeout=PATIENCE,
    ) as web:
        shown: list[Any] = []

        def over() -> bool:
            shown[:] = web.get("/flows").raise_for_status().json()
            return [bool(flow["response"] and flow["response"]["timestamp_end"]) for flow in shown] == [True, True]

        wait_until(over, lambda: f"mitmweb shows {shown}")
        assert [flow["comment"] for flow in shown] == ["Whole /at/once", "Streamed /in/events"]
        bodies = [web.get(f"/flows/{flow['id']}/response/content.data").content for flow in shown]
        assert json.loads(bodies[0]) == whole.json()
        assert bodies[1] == streamed.content
        assert bodies[1].endswith(b"data: [DONE]\n\n")

        found = tmp_path / "found"
        found.write_bytes(web.get("/flows/dump", params={"filter": "~comment Streamed"}).content)
    with found.open("rb") as file:
        (flow,) = FlowReader(file).stream()
    assert flow.id == shown[1]["id"]
    assert flow.metadata["sessiontap"]["session_name"] == "Streamed"
    assert flow.metadata["sessiontap"]["path"] == "/in/events"
    assert len(proxy.stop()) == 2


def test_bad_input_ends_it_with_the_same_sentence(lab: Lab) -> None:
    with pytest.raises(ProxyFailed, match="session_fsync='banana' is not understood"):
        lab.proxy(
            RULES,
            program=MITMWEB,
            options={"web_port": str(free_port()), "web_open_browser": "false", "session_fsync": "banana"},
        )
