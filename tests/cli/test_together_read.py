"""Commands that read bodies, or go on reading, on the logs of two machines: a session whose calls went through both."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest
from tests.push.logs import Log, call
from tests.support.gate import PATIENCE

SESSIONTAP = [sys.executable, "-m", "sessiontap.cli"]
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "What is a monad?"}]
AGAIN = [*ASKED, {"role": "assistant", "content": "A pattern."}, {"role": "user", "content": "And a functor?"}]
TOOL = {"name": "read", "arguments": "{}"}
FIRST, SECOND, THIRD = (f"0190a000-{number:04x}-7000-8000-000000000000" for number in range(3))
PROGRAM = f"""
import json, os, ssl, urllib.request
for messages in ({ASKED!r}, {AGAIN!r}):
    body = json.dumps({{"model": "gpt-4o", "messages": messages}}).encode()
    asked = urllib.request.Request(
        "https://api.openai.com/v1/chat/completions", body, {{"content-type": "application/json"}}
    )
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    print(json.load(urllib.request.urlopen(asked, context=context))["choices"][0]["message"]["content"])
"""


def chat(id: str, at: float, step: int, messages: list[dict[str, Any]], reply: str, **more: Any) -> dict[str, Any]:
    calls = [{"id": "t1", "type": "function", "function": TOOL}]
    message = {"role": "assistant", "content": reply, "tool_calls": calls}
    asked = json.dumps({"model": "gpt-4o", "messages": messages}).encode()
    answered = json.dumps({"choices": [{"message": message}]}).encode()
    return call(id, at, step=step, conversation="c", asked=asked, answered=answered, asks=["read"], **more)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for machine, one in (
        ("a", chat(FIRST, 0, 0, ASKED, "A pattern.")),
        ("b", chat(SECOND, 2, 1, AGAIN, "One with map.", parent=FIRST)),
    ):
        write(tmp_path / "logs" / machine, one)
    return tmp_path / "logs"


def write(folder: Path, *calls: dict[str, Any]) -> None:
    log = Log(folder, host=folder.name)
    log.write(calls)
    log.close()


@pytest.fixture(params=["options", "a folder of folders"])
def named(request: pytest.FixtureRequest, logs: Path) -> list[str]:
    if request.param == "options":
        return ["--trace", str(logs / "a"), "--trace", str(logs / "b")]
    return ["--trace", str(logs)]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a user with an empty home."""
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return {**kept, "HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        pytest.param(["search", "pattern", "--whole"], [FIRST[:18], "A pattern."], id="search: the first machine's"),
        pytest.param(["search", "functor", "--whole"], [SECOND[:18], "functor"], id="search: the other one's"),
        pytest.param(["context", "@1"], ["\n   0  /", "\n   1  /"], id="context"),
        pytest.param(["cache", "@1"], [FIRST[:18], SECOND[:18]], id="cache"),
        pytest.param(["waste", "@1"], ["Tools sent and never called"], id="waste"),
        pytest.param(["tools", "@1"], ["read"], id="tools"),
        pytest.param(
            ["replay", "@1", "--", sys.executable, "-c", PROGRAM],
            ["A pattern.\nOne with map.\n", "replay of 2 requests: 2 at exact"],
            id="replay",
        ),
    ],
)
def test_a_command_reads_the_bodies_of_both(
    named: list[str], environment: dict[str, str], command: list[str], printed: list[str]
) -> None:
    done = subprocess.run(
        [*SESSIONTAP, command[0], *named, *command[1:]], env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for text in printed:
        assert text in said


def test_the_page_shows_a_session_of_both(named: list[str], environment: dict[str, str]) -> None:
    command = [*SESSIONTAP, "ui", "--no-browser", "--port", "0", *named]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as ui:
        try:
            assert ui.stdout is not None
            found = re.search(r"(http://[^/]+/)(\?token=\S+)", ui.stdout.readline())
            assert found is not None
            browser = build_opener(HTTPCookieProcessor(), ProxyHandler({}))
            browser.open(found[1] + found[2], timeout=PATIENCE).close()
            with browser.open(found[1] + "sessions/s1.json", timeout=PATIENCE) as answer:
                shown = answer.read().decode()
        finally:
            ui.terminate()
    assert FIRST in shown
    assert SECOND in shown


def test_tail_goes_on_with_calls_of_either(named: list[str], logs: Path, environment: dict[str, str]) -> None:
    command = [*SESSIONTAP, "tail", "-f", "--json", *named]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as tail:
        try:
            assert tail.stdout is not None
            shown = [json.loads(tail.stdout.readline())["id"] for _ in range(2)]
            write(logs / "a", chat(THIRD, 4, 2, AGAIN, "As I said."))
            shown.append(json.loads(tail.stdout.readline())["id"])
        finally:
            tail.send_signal(signal.SIGINT)
    assert shown == [FIRST, SECOND, THIRD]
