"""`sessiontap doctor`: what is wrong, from facts."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.support.small_server import SmallHandler

from sessiontap.cli.main import main
from sessiontap.push.pusher import cursor_of

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        status = main(["doctor", *arguments])
        return status, capsys.readouterr().out

    return run


class Proxy(SmallHandler):
    """Answers for itself as a proxy does."""

    def do_GET(self) -> None:
        answers: dict[str, Any] = self.server.answers  # type: ignore[attr-defined]
        found = next((answer for path, answer in answers.items() if f"invalid{path}" in self.path), None)
        self.answer(json.dumps(found).encode(), 404 if found is None else 200)


@pytest.fixture
def proxy(own_place: Path) -> Iterator[HTTPServer]:
    """A proxy that runs, and its state file."""
    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.answers = {"/recorded": {"recorded": True, "in_flight": 0}}  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = own_place / ".sessiontap" / "run"
        folder.mkdir(parents=True)
        state = {
            "pid": os.getpid(),
            "started": time.time(),
            "uid": os.getuid(),
            "private_to": None,
            "listeners": [{"mode": "regular", "host": "127.0.0.1", "port": server.server_port}],
            "confdir": str(own_place / ".mitmproxy"),
            "trace": str(own_place / ".sessiontap" / "trace"),
            "rules": None,
        }
        (folder / "1.json").write_text(json.dumps(state))
        yield server
        server.shutdown()


def test_all_is_well(run: Run, proxy: HTTPServer) -> None:
    status, out = run()
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["ok", "proxy:"],
        ["ok", "terminal:"],
        ["ok", "rules:"],
        ["ok", "log:"],
        ["ok", "CA:"],
    ]
    assert f"http://127.0.0.1:{proxy.server_port} (pid {os.getpid()}) answers" in out


def test_a_proxy_that_does_not_answer_is_wrong(run: Run, proxy: HTTPServer) -> None:
    proxy.answers = {}  # type: ignore[attr-defined]
    status, out = run()
    assert status == 1
    assert f"wrong  proxy: http://127.0.0.1:{proxy.server_port}" in out


@pytest.mark.parametrize(
    ("store", "said"),
    [
        pytest.param(
            {"away": None, "seconds": None, "local_steps": 0},
            "ok     sessions: shared by redis://store:6379/0; 0 local steps since the proxy started",
            id="it answers",
        ),
        pytest.param(
            {"away": "it does not answer", "seconds": 95.0, "local_steps": 1},
            "wrong  sessions: redis://store:6379/0 is away, for 1m35s now: it does not answer. 1 local step so far",
            id="it is away",
        ),
    ],
)
def test_a_store_of_sessions_that_is_away_is_wrong(
    run: Run, proxy: HTTPServer, store: dict[str, Any], said: str
) -> None:
    proxy.answers["/health"] = {"session_store": {"address": "redis://store:6379/0", **store}}  # type: ignore[attr-defined]
    _, out = run()
    assert next(line for line in out.splitlines() if "sessions:" in line) == said


def test_a_gateway_that_fails_is_wrong(run: Run, proxy: HTTPServer) -> None:
    gateway = {"name": "mine", "origin": "https://gateway.example:443", "seconds": 95.0, "skipped": 7}
    proxy.answers["/health"] = {"gateways": [gateway]}  # type: ignore[attr-defined]
    status, out = run()
    (line,) = (line for line in out.splitlines() if "gateway:" in line)
    assert status == 1
    assert line.startswith("wrong  gateway: mine at https://gateway.example:443 fails, for 1m35s now; its calls go")
    assert "7 calls so far" in line


def test_the_newest_alerts_are_told(run: Run, proxy: HTTPServer) -> None:
    told = {"kind": "alert", "measure": "cost_usd", "per": "session", "value": 1.25, "threshold": 1.0, "within": None}
    alerts = [{**told, "time": number * 10**9, "name": f"budget {number}"} for number in range(4)]
    proxy.answers["/health"] = {"alerts": alerts}  # type: ignore[attr-defined]
    status, out = run()
    assert status == 0
    assert [line.partition(" at ")[0] for line in out.splitlines() if " alert: " in line] == [
        f"ok     alert: budget {number}: cost_usd was $1.25 (of $1.00) per session" for number in (1, 2, 3)
    ]


def test_what_passed_is_told(run: Run, proxy: HTTPServer) -> None:
    item = {"program": "app.py", "pids": [7], "host": "llm.corp.example", "port": 443, "why": "unknown_host"}
    proxy.answers["/passed"] = {"passed": [item | {"connections": 2, "sent": 1, "received": 1}]}  # type: ignore[attr-defined]
    status, out = run()
    assert status == 0
    assert "passed: app.py (pid 7) to llm.corp.example:443, 2 connections, 2 B: not known as an LLM's host" in out


def test_without_a_proxy_that_is_said(run: Run) -> None:
    status, out = run()
    assert status == 0
    assert "proxy: none runs" in out


def test_variables_of_a_dead_proxy_are_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("SESSIONTAP_PROXY", url)
    monkeypatch.setenv("HTTPS_PROXY", url)
    status, out = run()
    assert status == 1
    assert f"wrong  terminal: its variables name the proxy at {url}, which has ended" in out


def test_a_proxy_variable_that_was_changed_since_is_wrong(
    run: Run, proxy: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONTAP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setenv("HTTPS_PROXY", "http://corp.example:3128")
    status, out = run()
    assert status == 1
    assert "HTTPS_PROXY was changed to http://corp.example:3128" in out


def test_rules_that_are_not_valid_are_wrong(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text("rules: 3\n")
    status, out = run()
    assert status == 1
    assert "wrong  rules: not valid: rules.yaml:1:8: rules: " in out


def test_a_log_that_cannot_be_written_is_wrong(run: Run, own_place: Path) -> None:
    (own_place / "file").write_text("")
    status, out = run("--trace", str(own_place / "file"))
    assert status == 1
    assert "wrong  log: " in out


def test_a_log_that_is_not_there_yet_is_not_made(run: Run, own_place: Path) -> None:
    folder = own_place / "logs" / "trace"
    _, out = run("--trace", str(folder))
    assert f"ok     log: {folder} is not there yet" in out
    assert not folder.parent.exists()


def test_a_log_that_cannot_be_made_is_wrong(run: Run, own_place: Path) -> None:
    (own_place / "file").write_text("")
    status, out = run("--trace", str(own_place / "file" / "trace"))
    assert status == 1
    assert f"wrong  log: {own_place / 'file' / 'trace'} cannot be made: {own_place / 'file'} is not a folder" in out


def test_a_push_that_fails_is_wrong_and_what_was_set_aside_is_told(run: Run, own_place: Path) -> None:
    trace = own_place / ".sessiontap" / "trace"
    file, cursor = cursor_of(trace, "otlp", "https://collector.example", None)
    cursor.failed("collector.example could not be found: its name is not known")
    cursor.put_aside("call-1", "400 bad span")
    file.path.parent.mkdir(parents=True)
    file.write(cursor)
    status, out = run()
    told = [line for line in out.splitlines() if " push: " in line]
    assert (status, told) == (
        1,
        [
            "wrong  push: otlp at https://collector.example: collector.example could not be found: its name is not "
            "known. `sessiontap push status` says how many calls wait",
            "ok     push: otlp at https://collector.example did not take 1 item, set aside. `sessiontap push status` "
            "says which, and why",
        ],
    )


def test_rules_that_set_nothing_are_named(run: Run, own_place: Path) -> None:
    recorded.write(own_place / ".sessiontap" / "trace", recorded.calls()[:1])
    (own_place / "rules.yaml").write_text("rules: [{rule: course generator, user: a}, {rule: idle, user: b}]\n")
    _, out = run()
    assert "rules: set nothing in the newest 1 call: idle. `sessiontap rules explain CALL` says why" in out


def test_json(run: Run, proxy: HTTPServer) -> None:
    status, out = run("--json")
    assert status == 0
    assert json.loads(out)[0] == {
        "about": "proxy",
        "text": f"http://127.0.0.1:{proxy.server_port} (pid {os.getpid()}) answers, and records to "
        f"{Path.home() / '.sessiontap' / 'trace'}",
        "is_wrong": False,
    }
