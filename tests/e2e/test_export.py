"""What passed a real mitmdump, exported, and opened again by a real mitmdump: every body byte for byte."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import SCRIPTS, Lab, Proxy, wait_until
from tests.e2e.test_mitmweb import MITMWEB, TOKEN, free_port
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService
from tests.support.socket_app import SocketApp

from sessiontap.cli.main import main
from sessiontap.demo.proxy_process import MITMDUMP, ProxyProcess, mitmdump
from sessiontap.trace import RecordedCall

HOST = "https://api.anthropic.com"
RULES: Any = {"version": 1, "rules": [{"rule": "all", "session": {"name": "Exports", "id": "process", "path": "/p"}}]}
TEXT = '{"content": [{"type": "text", "text": "Größe: 3 €"}]}'.encode()
EVENTS = 'event: message\ndata: {"text": "Straße"}\n\n'.encode()
AUDIO = bytes(range(256)) * 40
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + AUDIO + b"\r\n--x--\r\n"
JSON = [("content-type", "application/json")]


async def answer(request: Request, respond: Respond) -> None:
    """By path, all that a reply can be."""
    await request.body()
    match request.path.rpartition("/")[2]:
        case "plain":
            await respond.whole(200, TEXT, JSON)
        case "gzip":
            await respond.whole(200, TEXT * 50, JSON, coding="gzip")
        case "stream" | "gone" as which:
            await respond.start(200, [("content-type", "text/event-stream")])
            await respond.send(EVENTS)
            await respond.send(EVENTS)
            await (respond.end() if which == "stream" else respond.reset())
        case "error":
            await respond.whole(429, b'{"error": {"type": "rate_limit_error", "message": "Slow down."}}', JSON)
        case "binary":
            await respond.whole(200, AUDIO, [("content-type", "audio/mpeg")])
        case "unknown":
            await respond.whole(200, AUDIO, [("content-type", "audio/mpeg"), ("content-encoding", "x-own")])
        case "silence":
            await respond.reset()


REQUESTS: dict[str, tuple[bytes, str]] = {
    "plain": (b'{"model": "claude"}', "application/json"),
    "gzip": ('{"model": "claude", "say": "ö"}'.encode(), "application/json"),
    "stream": (b'{"model": "claude", "stream": true}', "application/json"),
    "gone": (b'{"model": "claude", "stream": true}', "application/json"),
    "error": (b'{"model": "claude"}', "application/json"),
    "binary": (FORM, "multipart/form-data; boundary=x"),
    "unknown": (b'{"model": "claude"}', "application/json"),
    "silence": (b'{"model": "claude"}', "application/json"),
}


@pytest.fixture(scope="module")
def recorded(shared_lab: Lab) -> tuple[Proxy, dict[str, RecordedCall]]:
    """The proxy, stopped, and what it recorded of each request and of a turn on a WebSocket."""
    shared_lab.upstream(LlmService(websockets=True), ["api.openai.com"])
    shared_lab.upstream(answer, ["api.anthropic.com"])
    proxy = shared_lab.proxy(RULES)
    with proxy.client() as app:
        for name, (body, kind) in REQUESTS.items():
            try:
                app.post(f"{HOST}/v1/{name}", content=body, headers={"content-type": kind})
            except httpx2.HTTPError:
                assert name in ("gone", "silence", "unknown")
    with SocketApp("wss://api.openai.com/v1/responses", proxy=proxy.url, ca=proxy.ca) as socket:
        socket.send(json.dumps({"type": "response.create", "model": "gpt-4o", "input": "Why, Ödön?"}))
        while json.loads(socket.receive())["type"] != "response.completed":
            pass
    calls = proxy.stop()
    names = {call.record["request"]["url"].rpartition("/")[2]: call for call in calls}
    assert set(names) == {*REQUESTS, "responses"}
    return proxy, names


Reopen = Callable[[str], dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def reopened(recorded: tuple[Proxy, Any], tmp_path_factory: pytest.TempPathFactory) -> Reopen:
    """What mitmdump says of an export in this format, by the last part of its path."""
    proxy, _ = recorded
    known: dict[str, dict[str, dict[str, Any]]] = {}

    def reopen(name: str) -> dict[str, dict[str, Any]]:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            file, told = folder / f"calls.{name}", folder / "told"
            assert main(["--trace", str(proxy.trace_folder), "export", "-f", name, "-o", str(file)]) == 0
            run(file, told)
            flows = [json.loads(line) for line in told.read_text().splitlines()]
            known[name] = {flow["url"].rpartition("/")[2]: flow for flow in flows}
        return known[name]

    return reopen


def run(file: Path, told: Path) -> None:
    command = [sys.executable, *MITMDUMP, "-n", "-r", str(file), "-s", str(SCRIPTS / "tell_flows.py")]
    command += ["--set", f"tell_flows_to={told}", "--set", f"confdir={told.parent}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def content(flow: dict[str, Any], side: str) -> bytes:
    return base64.b64decode(flow[side] or "")


@pytest.mark.parametrize("format", ["har", "flow"])
@pytest.mark.parametrize("name", REQUESTS)
def test_bodies_are_those_of_the_log(
    recorded: tuple[Proxy, dict[str, RecordedCall]], reopened: Reopen, name: str, format: str
) -> None:
    call, flow = recorded[1][name], reopened(format)[name]
    assert content(flow, "request") == call.request_body() == REQUESTS[name][0]
    assert content(flow, "response") == (call.response_body() or b"")


@pytest.mark.parametrize("format", ["har", "flow"])
@pytest.mark.parametrize(
    ("name", "body"),
    [("plain", TEXT), ("gzip", TEXT * 50), ("stream", EVENTS * 2), ("gone", EVENTS * 2), ("binary", AUDIO)],
    ids=["plain", "gzip", "stream", "gone", "binary"],
)
def test_bodies_are_those_that_the_app_got(reopened: Reopen, name: str, body: bytes, format: str) -> None:
    assert content(reopened(format)[name], "response") == body


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("plain", 200, None),
        ("error", 429, None),
        ("gone", 200, "upstream_gone"),
        ("silence", None, "upstream_gone"),
        ("responses", 101, None),
    ],
)
def test_how_calls_ended(
    recorded: tuple[Proxy, dict[str, RecordedCall]], reopened: Reopen, name: str, status: int | None, error: str | None
) -> None:
    flow = reopened("flow")[name]
    assert (flow["id"], flow["comment"]) == (recorded[1][name].id, "Exports /p")
    assert (flow["status"], flow["error"]) == (status, error)
    assert reopened("har")[name]["status"] == (status or 0)


def test_a_web_sockets_messages(recorded: tuple[Proxy, dict[str, RecordedCall]], reopened: Reopen) -> None:
    call = recorded[1]["responses"]
    sent, came = ((body or b"").decode().splitlines() for body in (call.request_body(), call.response_body()))
    assert len(came) > 2
    messages = reopened("flow")["responses"]["messages"]
    assert messages == [*([True, line] for line in sent), *([False, line] for line in came)]


def test_json_lines_hold_the_same(recorded: tuple[Proxy, dict[str, RecordedCall]], tmp_path: Path) -> None:
    proxy, calls = recorded
    file = tmp_path / "calls.jsonl"
    assert main(["--trace", str(proxy.trace_folder), "export", "-f", "jsonl", "-o", str(file)]) == 0
    lines = {line["id"]: line for line in map(json.loads, file.read_text().split("\n")[:-1])}
    assert set(lines) == {call.id for call in calls.values()}
    for call in calls.values():
        line = lines[call.id]
        for side, body in (("request", call.request_body()), ("response", call.response_body())):
            message = line[side] or {}
            text, binary = message.get("body"), message.get("body_base64")
            found = base64.b64decode(binary) if binary is not None else None if text is None else text.encode()
            assert found == body


def test_mitmweb_shows_it(recorded: tuple[Proxy, dict[str, RecordedCall]], tmp_path: Path) -> None:
    proxy, calls = recorded
    file = tmp_path / "calls.flow"
    assert main(["--trace", str(proxy.trace_folder), "export", "-f", "flow", "-o", str(file)]) == 0
    port = free_port()
    options: dict[str, str | Path] = {"web_port": str(port), "web_open_browser": "false", "web_password": TOKEN}
    with (
        ProxyProcess(mitmdump(options=options | {"rfile": file, "confdir": tmp_path}, program=MITMWEB), tmp_path),
        httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=PATIENCE,
        ) as web,
    ):
        shown: dict[str, Any] = {}

        def read() -> bool:
            shown.update({flow["id"]: flow for flow in web.get("/flows").raise_for_status().json()})
            return len(shown) == len(calls)

        wait_until(read, lambda: f"mitmweb shows {shown}")
        for name, call in calls.items():
            assert shown[call.id]["comment"] == "Exports /p"
            if name not in ("silence", "responses"):
                content = web.get(f"/flows/{call.id}/response/content.data").content
                assert content == call.response_body()
        first, *_ = web.get(f"/flows/{calls['responses'].id}/messages/content/auto.json").raise_for_status().json()
        assert (first["from_client"], json.loads(first["text"])["input"]) == (True, "Why, Ödön?")
