"""cat as a user and a program see it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.cli.command import Run
from tests.cli.recorded import REPORT, call_id

from sessiontap.exchange import Headers
from sessiontap.gateways import Route


@pytest.mark.parametrize(
    ("call", "id"),
    [("@1", call_id(5)), ("@5", call_id(1)), (call_id(3), call_id(3)), (call_id(3)[:15], call_id(3))],
)
def test_cat_takes_prefixes_and_numbers(run: Run, call: str, id: str) -> None:
    assert json.loads(run("cat", call, "--json").out)["id"] == id


def test_cat_writes_the_bodies_byte_for_byte(folder: Path) -> None:
    seen = recorded.calls()[2]
    assert seen.request.body is not None
    assert seen.response is not None
    assert seen.response.body is not None
    for side, data in (("--request", seen.request.body.data), ("--response", seen.response.body.data)):
        command = [sys.executable, "-m", "sessiontap.cli", "--trace", str(folder), "cat", call_id(3), side]
        done = subprocess.run(command, capture_output=True)
        assert (done.stdout, done.stderr, done.returncode) == (data, b"", 0)


def test_a_body_is_written_without_what_reads_it(folder: Path) -> None:
    code = (
        "import sys; from sessiontap.cli.main import main;"
        f"main(['cat', '--trace', {str(folder)!r}, {call_id(3)!r}, '--request']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"sessiontap.llm", "sessiontap.analysis", "sessiontap.prices", "sessiontap.rules", "yaml"}
    assert heavy & set(done.stderr.split()) == set()


def test_cat_text(run: Run) -> None:
    assert run("cat", call_id(1), "--text").out == (
        "--- 1 tool offered\nweb_search\n\n"
        "--- system\nYou plan courses.\n\n"
        "--- user\nPlan a course on Brotbäckerei.\n\n"
        '--- tool call web_search\n{"q": "sourdough"}\n'
    )


def test_cat_headers_without_the_credentials(run: Run) -> None:
    out = run("cat", "@1", "--headers").out
    assert out.startswith("POST /v1/chat/completions HTTP/2.0\nhost: api.openai.com\nauthorization: Bearer [redacted:")
    assert out.endswith("\n\nHTTP/2.0 429\ncontent-type: application/json\n")


def test_cat_changes(run: Run) -> None:
    assert run("cat", "@1", "--changes").out == (
        "ACTION  HEADER                 OLD  NEW                  RULE OR REASON\n"
        "set     Helicone-Session-Id    -    nightly-report-0001  course generator\n"
        "set     Helicone-Session-Path  -    /report              course generator\n"
    )


def test_cat_curl_is_the_apps_own_request(run: Run) -> None:
    said = run("cat", "@2", "--curl")
    assert said.out.startswith(
        "curl https://api.openai.com/v1/chat/completions \\\n  -H 'authorization: Bearer [redacted:"
    )
    assert "Helicone" not in said.out
    assert said.out.endswith(
        """--data-raw '{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}'\n"""
    )
    assert said.err == "sessiontap: 1 of its headers is redacted: put your own key in\n"


def test_curl_does_not_stand_for_a_web_socket(tmp_path: Path, run: Run) -> None:
    turn = recorded.chat(1, session=(REPORT, "Report", "/report", 0), caller=None, flags=["websocket"])
    trace = recorded.write(tmp_path / "sockets", [turn])
    said = run("--trace", str(trace), "cat", "@1", "--curl")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"sessiontap: call {turn.id} was a turn of a WebSocket, which curl does not send\n")


def test_cat_shows_the_gateway_and_what_it_said(tmp_path: Path, run: Run) -> None:
    route = Route("http", "127.0.0.1", 4000, kind="litellm", name="team")
    call = recorded.chat(1, session=(REPORT, "Report", "/report", 0), caller=None, gateway=route)
    assert call.response is not None
    told = [("x-litellm-call-id", "c-1"), ("x-litellm-response-cost", "2e-06"), ("x-litellm-attempted-retries", "1")]
    refused = replace(call.response, status=429, headers=Headers(told))
    trace = recorded.write(tmp_path / "gateway", [replace(call, response=refused)])
    out = run("--trace", str(trace), "cat", "@1").out
    assert "\ngateway    team (litellm), id c-1, retries 1, cost $0.000002, failure policy\n" in out
    assert json.loads(run("--trace", str(trace), "cat", "@1", "--json").out)["gateway"]["cost"] == 2e-06


def test_cat_shows_everything(run: Run) -> None:
    out = run("cat", "@1").out
    for expected in (
        "call       019aa4c8-a808-7000-8000-000000000005\n",
        "session    Nightly report (nightly-report-0001, by process)\n",
        "process    report.py (pid 4712) in /home/ada\n",
        "result     http_error: rate_limit_error: Slow down, please.\n",
        "Helicone-Session-Id: nightly-report-0001\n",
        '"type": "rate_limit_error",\n',
    ):
        assert expected in out
