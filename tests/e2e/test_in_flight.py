"""Calls that have not ended, as commands show them while a provider holds its reply until the test lets it go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.e2e.lab import PYTHON, RUN, Lab, Proxy, own_environment, wait_until
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE, Gate

from sessiontap.cli import local_proxies, proxies_of_log
from sessiontap.cli.main import main

RULES: Any = {
    "version": 1,
    "rules": [
        {"match": {"header": {"x-keep": "none"}}, "capture": "none"},
        {"match": {"header": {"x-keep": "ignore"}}, "ignore": True},
        {"session": {"name": "Bot", "id": "process", "path": "/ask"}, "properties": {"mode": "test"}},
    ],
}
ASKS = """
import http.client, json, os, ssl, sys
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTPS_PROXY"])
tls = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=tls, timeout=PATIENCE)
connection.set_tunnel("api.openai.com", 443)
body = json.dumps({"model": "gpt-5", "stream": True, "messages": [{"role": "user", "content": "a secret question"}]})
headers = {"authorization": "Bearer sk-test", "content-type": "application/json", "x-keep": sys.argv[1]}
connection.request("POST", "/v1/chat/completions", body, headers)
print(len(connection.getresponse().read()), flush=True)
sys.stdin.read()
""".replace("PATIENCE", str(PATIENCE))
"""A program that makes one call, and stays until its standard input ends."""
EVENT = b'data: {"choices": [{"delta": {"content": "Because"}}]}\n\n'


class Held:
    """Sends headers and an event when the test opens the first gate, the rest with the second."""

    def __init__(self) -> None:
        self.begins = Gate()
        self.ends = Gate()

    async def __call__(self, request: Request, respond: Respond) -> None:
        await request.body()
        await self.begins.passed()
        await respond.start(200, [("content-type", "text/event-stream")])
        await respond.send(EVENT)
        await self.ends.passed()
        await respond.send(b"data: [DONE]\n\n")
        await respond.end()


Start = Callable[..., "subprocess.Popen[str]"]
Read = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def upstream(lab: Lab) -> Held:
    held = Held()
    lab.upstream(held)
    return held


@pytest.fixture
def start(lab: Lab) -> Iterator[Start]:
    """Start the program, a process tree of its own, behind a proxy; it ends with the test."""
    file = lab.folder / "bot.py"
    file.write_text(ASKS, encoding="utf-8")
    started: list[subprocess.Popen[str]] = []

    def start(proxy: Proxy, keep: str = "full") -> subprocess.Popen[str]:
        app = subprocess.Popen(
            [PYTHON, file, keep],
            env=proxy.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        started.append(app)
        return app

    yield start
    for app in started:
        app.kill()
        app.communicate()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Read:
    """Run a command on a proxy's log, as its user: the rows of its JSON. It waits for an answer as long as it takes."""

    def read(proxy: Proxy, *arguments: str, home: str | None = None) -> list[dict[str, Any]]:
        monkeypatch.setenv("HOME", home or str(proxy.rules_file.parent))
        monkeypatch.setenv("SESSIONTAP_TRACE", str(proxy.trace_folder))
        monkeypatch.delenv("SESSIONTAP_RULES", raising=False)
        monkeypatch.setattr(proxies_of_log, "WITHIN", PATIENCE)
        capsys.readouterr()
        assert main([*arguments, "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


def run(lab: Lab, *arguments: str) -> Proxy:
    return lab.proxy(RULES, **RUN, arguments=arguments)


def said(app: subprocess.Popen[str]) -> str:
    assert app.stdout is not None
    return app.stdout.readline()


@pytest.fixture(params=["run", "mitmdump"])
def proxy(request: pytest.FixtureRequest, lab: Lab, upstream: Held) -> Proxy:
    return run(lab) if request.param == "run" else lab.proxy(RULES)


def test_a_call_from_its_begin_to_its_end(proxy: Proxy, upstream: Held, start: Start, read: Read) -> None:
    assert (read(proxy, "calls"), read(proxy, "ls")) == ([], [])
    app = start(proxy)
    upstream.begins.wait_reached()

    (call,) = read(proxy, "calls")
    assert (call["in_flight"], call["outcome"], call["status"], call["duration"]) == (True, None, None, None)
    assert (call["session_name"], call["path"], call["step"], call["source"]) == ("Bot", "/ask", 0, "process")
    assert (call["process"]["pid"], call["process"]["name"]) == (app.pid, "bot.py")
    assert (call["request_model"], call["host"], call["parent"]) == ("gpt-5", "api.openai.com", None)
    assert (call["request_bytes"] > 0, call["response_bytes"], call["time_to_first_byte"]) == (True, None, None)

    (session,) = read(proxy, "ls")
    assert (session["id"], session["status"]) == (call["session_id"], "active")
    assert (session["calls"], session["calls_in_flight"], session["in_flight_since"]) == (0, 1, call["time"])
    assert (session["properties"], session["models"], session["processes"]) == ({"mode": "test"}, ["gpt-5"], ["bot.py"])
    (shown,) = read(proxy, "show", "@1")
    assert (shown["session"], shown["calls"]) == (session, [call])
    assert [(node["path"], node["calls"], node["calls_in_flight"]) for node in shown["tree"]] == [("/ask", 0, 1)]

    upstream.begins.open()
    upstream.ends.wait_reached()
    wait_until(lambda: read(proxy, "calls")[0]["response_bytes"] == len(EVENT))
    (call,) = read(proxy, "calls")
    assert (call["in_flight"], call["status"], call["time_to_first_byte"] > 0) == (True, 200, True)

    upstream.ends.open()
    assert said(app) == f"{len(EVENT) + len(b'data: [DONE]') + 2}\n"
    proxy.wait_calls(1)
    (ended,) = read(proxy, "calls")
    assert (ended["id"], ended["in_flight"], ended["outcome"]) == (call["id"], False, "ok")
    (session,) = read(proxy, "ls")
    assert (session["calls"], session["calls_in_flight"], session["in_flight_since"]) == (1, 0, None)


@pytest.mark.skipif(sys.platform != "linux", reason="finds clients by /proc")
def test_a_session_is_active_for_as_long_as_its_program_runs(
    lab: Lab, upstream: Held, start: Start, read: Read
) -> None:
    proxy = run(lab)
    for gate in (upstream.begins, upstream.ends):
        gate.open()
    app = start(proxy)
    said(app)
    proxy.wait_calls(1)
    assert [row["status"] for row in read(proxy, "ls")] == ["active"]
    app.communicate("", timeout=PATIENCE)
    assert [row["status"] for row in read(proxy, "ls")] == ["completed"]


@pytest.mark.parametrize("keep", ["none", "ignore"])
def test_what_is_kept_out_of_the_log_is_not_shown(
    lab: Lab, upstream: Held, start: Start, read: Read, keep: str
) -> None:
    proxy = run(lab)
    start(proxy, keep)
    upstream.begins.wait_reached()
    assert (read(proxy, "calls"), read(proxy, "ls")) == ([], [])
    for gate in (upstream.begins, upstream.ends):
        gate.open()


def test_it_shows_neither_content_nor_headers(lab: Lab, upstream: Held, start: Start, read: Read) -> None:
    proxy = run(lab)
    start(proxy)
    upstream.begins.wait_reached()
    text = json.dumps([read(proxy, "calls"), read(proxy, "ls"), proxies_of_log.calls(proxy.trace_folder)])
    assert "gpt-5" in text
    assert ("secret question" in text, "sk-test" in text, "x-keep" in text) == (False, False, False)
    for gate in (upstream.begins, upstream.ends):
        gate.open()


def test_the_calls_of_a_proxy_that_was_killed_are_not_shown(
    lab: Lab, upstream: Held, start: Start, read: Read
) -> None:
    proxy = run(lab)
    start(proxy)
    upstream.begins.wait_reached()
    assert [row["in_flight"] for row in read(proxy, "calls")] == [True]
    os.kill(proxy.process.pid, signal.SIGKILL)
    wait_until(lambda: read(proxy, "calls") == [])
    assert read(proxy, "ls") == []
    for gate in (upstream.begins, upstream.ends):
        gate.open()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_proxy_that_waits_for_its_last_calls_tells_them(
    lab: Lab, upstream: Held, start: Start, read: Read
) -> None:
    proxy = lab.proxy(RULES, **RUN, options={"session_drain": "60s"})
    app = start(proxy)
    upstream.begins.open()
    upstream.ends.wait_reached()
    os.kill(proxy.process.pid, signal.SIGTERM)
    proxy.process.wait_line(lambda line: "1 call is in flight" in line)
    wait_until(lambda: next(local_proxies.running(), None) is None)
    wait_until(lambda: [row["process"]["pid"] for row in read(proxy, "calls")] == [app.pid])
    assert [row["calls_in_flight"] for row in read(proxy, "ls")] == [1]
    upstream.ends.open()
    said(app)
    assert [call.record["outcome"] for call in proxy.stop()] == ["ok"]
    assert [row["in_flight"] for row in read(proxy, "calls")] == [False]


def test_all_proxies_of_a_folder_are_asked(lab: Lab, upstream: Held, start: Start, read: Read) -> None:
    first = run(lab)
    home = str(first.rules_file.parent)
    second = lab.proxy(
        RULES, **RUN, home=home, options={"session_trace": first.trace_folder}
    )
    elsewhere = lab.proxy(RULES, **RUN, home=home)
    apps = [start(proxy) for proxy in (first, second, elsewhere)]
    wait_until(lambda: len(read(elsewhere, "calls", home=home)) == 1 and len(read(first, "calls")) == 2)
    assert {row["process"]["pid"] for row in read(first, "calls")} == {app.pid for app in apps[:2]}
    assert [row["calls_in_flight"] for row in read(first, "ls")] == [1, 1]
    for gate in (upstream.begins, upstream.ends):
        gate.open()
    for app in apps:
        said(app)


@pytest.mark.skipif(sys.platform != "linux", reason="assigns clients to workers by /proc")
def test_the_calls_of_all_workers(lab: Lab, upstream: Held, start: Start, read: Read) -> None:
    proxy = run(lab, "--workers", "2")
    apps = [start(proxy) for _ in range(4)]

    def shown() -> set[int]:
        return {row["process"]["pid"] for row in read(proxy, "calls")}

    wait_until(lambda: shown() == {app.pid for app in apps})
    for gate in (upstream.begins, upstream.ends):
        gate.open()
    for app in apps:
        said(app)
    proxy.wait_calls(4)
    assert [row["in_flight"] for row in read(proxy, "calls")] == [False] * 4


def test_tail_follows_from_one_proxy_to_the_next(lab: Lab, upstream: Held, start: Start) -> None:
    first = run(lab)
    home = str(first.rules_file.parent)
    environ = {**own_environment(), "HOME": home, "SESSIONTAP_TRACE": str(first.trace_folder)}
    words = [PYTHON, "-P", "-m", "sessiontap.cli", "tail", "-f", "-n", "0", "--json"]
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None

        def comes() -> tuple[int, bool, str | None]:
            assert tail.stdout is not None
            row = json.loads(tail.stdout.readline())
            return row["process"]["pid"], row["in_flight"], row["outcome"]

        one = start(first)
        assert comes() == (one.pid, True, None)
        for gate in (upstream.begins, upstream.ends):
            gate.open()
        assert comes() == (one.pid, False, "ok")
        first.stop()
        second = lab.proxy(
            RULES, **RUN, home=home, options={"session_trace": first.trace_folder}
        )
        two = start(second)
        found = comes()
        if found[1]:  # it was seen before it ended
            assert found == (two.pid, True, None)
            found = comes()
        assert found == (two.pid, False, "ok")
        tail.stdout.close()
        assert tail.wait(PATIENCE) == 0
