"""`sessiontap exec` where a proxy is set already, such as a company's: every call goes on through it, as before."""

from __future__ import annotations

import base64
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gate import PATIENCE
from tests.support.small_server import SmallHandler, serving

from sessiontap import trace

pytestmark = pytest.mark.e2e

USER, PASSWORD = "me", "p@ss:word"
BODY = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
APP = f"""
import json, os, sys, urllib.request
def ask(url):
    request = urllib.request.Request(url, {json.dumps(BODY).encode()!r}, {{"content-type": "application/json"}})
    with urllib.request.urlopen(request, timeout={PATIENCE}) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]
"""


class Company(SmallHandler):
    """A proxy that wants user and password. It answers for every host behind it, and opens tunnels to an echo."""

    def do_POST(self) -> None:
        self.body()
        if self._may_pass():
            message = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
            self.answer(json.dumps({"id": "c-1", "model": "m-1", "choices": [message]}).encode())

    def do_CONNECT(self) -> None:
        if self._may_pass():
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"echo of " + self.rfile.readline())
            self.close_connection = True

    def _may_pass(self) -> bool:
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        passes = self.headers.get("proxy-authorization") == expected
        self.server.seen.append((self.command, self.path, passes))  # type: ignore[attr-defined]
        if not passes:
            self.answer(b"", 407)
        return passes


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bool]] = []
        super().__init__(("127.0.0.1", 0), Company)


@pytest.fixture
def company() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    (home / "rules.yaml").write_text("hosts: [{host: llm.corp.test, provider: openai}, {host: 127.0.0.1}]\n")
    return home


def run(home: Path, company: Server, program: str, **more: str) -> subprocess.CompletedProcess[str]:
    url = f"http://{USER}:p%40ss%3Aword@127.0.0.1:{company.server_address[1]}"
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environ |= {"HOME": str(home), "TMPDIR": str(home), "HTTPS_PROXY": url, "HTTP_PROXY": url, **more}
    command = [sys.executable, "-P", "-m", "sessiontap.cli", "exec", "--", sys.executable, "-c", APP + program]
    return subprocess.run(
        command, cwd=home, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )


def test_a_call_goes_on_through_the_proxy_that_was_set(home: Path, company: Server) -> None:
    done = run(home, company, "print(ask('http://llm.corp.test/v1/chat/completions'))")
    assert (done.returncode, done.stdout) == (0, "Hi.\n"), done.stderr
    assert company.seen == [("POST", "http://llm.corp.test/v1/chat/completions", True)]
    (call,) = trace.open(home / ".sessiontap" / "trace").calls()
    assert call.record["host"] == "llm.corp.test"
    assert PASSWORD not in repr(call.record)


def test_so_does_a_tunnel_to_any_other_host(home: Path, company: Server) -> None:
    program = """
import socket
host, port = os.environ["HTTPS_PROXY"].removeprefix("http://").split(":")
with socket.create_connection((host, int(port))) as tunnel:
    tunnel.sendall(b"CONNECT other.test:993 HTTP/1.1\\r\\nHost: other.test:993\\r\\n\\r\\n")
    assert b" 200 " in tunnel.recv(1000)
    tunnel.sendall(b"\\x16\\x00 no HTTP\\n")
    print(tunnel.recv(1000).decode())
"""
    done = run(home, company, program)
    assert (done.returncode, done.stdout) == (0, "echo of \x16\0 no HTTP\n\n"), done.stderr
    assert company.seen == [("CONNECT", "other.test:993", True)]


def test_a_server_of_this_machine_is_reached_directly(home: Path, company: Server) -> None:
    """The rules capture it, so NO_PROXY does not except it any more."""
    with Server() as local:
        threading.Thread(target=local.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{local.server_address[1]}/v1/chat/completions"
        run(home, company, f"ask({url!r})")
        local.shutdown()
    assert company.seen == []
    assert local.seen == [("POST", "/v1/chat/completions", False)]  # nor does it get the company's password


def test_user_and_password_stand_on_no_command_line(home: Path, company: Server) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("there is no /proc")
    program = """
import glob
state = json.load(open(glob.glob(os.path.expanduser("~/.sessiontap/run/*.json"))[0]))
print(open(f"/proc/{state['pid']}/cmdline").read().replace("\\0", " "))
"""
    done = run(home, company, program)
    assert f"upstream:http://127.0.0.1:{company.server_address[1]}" in done.stdout
    assert "ss:word" not in done.stdout
    assert "%40ss" not in done.stdout


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (
            "socks5://127.0.0.1:1080",
            "HTTPS_PROXY names a socks5 proxy, and mitmproxy goes on only through HTTP proxies",
        ),
        ("http://:3128", "HTTPS_PROXY names no proxy"),
        ("http://[::1:3128", "HTTPS_PROXY names no proxy"),
    ],
)
def test_a_proxy_that_cannot_be_gone_through_is_said_before_anything_runs(
    home: Path, company: Server, value: str, says: str
) -> None:
    done = run(home, company, "print('ran')", HTTPS_PROXY=value)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
