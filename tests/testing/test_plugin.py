"""`pytest --sessiontap-record`, then `--sessiontap-replay`: tests of a small agent with a real client, first live, then
without its server and its key."""

from __future__ import annotations

import json
import os
import re
import socketserver
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.small_server import SmallHandler, serving

from sessiontap import trace

KEY = "sk-of-the-test-0123456789"
DOCS = (Path(__file__).parents[2] / "docs" / "replay.md").read_text()
"""Has the agent, and its first test."""
ADVICE, FIRST_TEST = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
MORE_TESTS = """
import os, subprocess, sys
import advice
import openai
import pytest

CHANGED = os.environ.get("CHANGED")
WARM = "No, 21 degrees is warm."


def test_a_program(sessiontap):
    told = subprocess.run([sys.executable, "advice.py", "Rome"], capture_output=True, text=True)
    assert told.stdout.strip() == WARM, told.stderr


class TestChanges:
    def test_prompt(self, sessiontap):
        assert advice.advise("Bergen" if not CHANGED else "an umbrella in Bergen") == WARM

    def test_tool(self, sessiontap, monkeypatch):
        if CHANGED:
            monkeypatch.setattr(advice, "temperature", lambda city: "20 degrees")
        assert advice.advise("Paris") == WARM

    def test_unnoticed(self, sessiontap):
        advice.advise("Lima")
        if CHANGED:
            try:
                advice.client.embeddings.create(model="text-embedding-3-small", input="Lima")
            except openai.APIStatusError:
                pass

    def test_nothing(self, sessiontap):
        if not CHANGED:
            advice.advise("Lagos")

    def test_skipped(self, sessiontap):
        if CHANGED:
            pytest.skip("not today")
        advice.advise("Oslo")


def test_plain():
    pass


if CHANGED:
    def test_new(sessiontap):
        advice.advise("Delhi")
"""


class Model(SmallHandler):
    """Asks for the temperature, then tells what it was told."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.body())
        results = [one["content"] for one in asked["messages"] if one["role"] == "tool"]
        city = asked["messages"][0]["content"].rpartition(" ")[2].rstrip("?")
        message = {"role": "assistant", "content": f"No, {results[-1]} is warm." if results else None}
        if not results:
            function = {"name": "temperature", "arguments": json.dumps({"city": city})}
            message["tool_calls"] = [{"id": f"call_{os.urandom(8).hex()}", "type": "function", "function": function}]
        choice = {"index": 0, "finish_reason": "stop" if results else "tool_calls", "message": message}
        reply = {"id": f"chatcmpl-{os.urandom(8).hex()}", "object": "chat.completion", "created": 1}
        usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
        self.answer(json.dumps(reply | {"model": "gpt-4o-mini", "usage": usage, "choices": [choice]}).encode())


class Project:
    """A folder with an agent, its tests, and their recordings."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        (folder / "pytest.ini").write_text(f"[pytest]\nsessiontap_hosts = 127.0.0.1:{port}\n")
        (folder / "advice.py").write_text(ADVICE)
        (folder / "test_advice.py").write_text(FIRST_TEST)
        (folder / "test_more.py").write_text(MORE_TESTS)

    def pytest(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        environ |= {"HOME": str(self.folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", **variables}
        environ |= {"OPENAI_BASE_URL": f"http://127.0.0.1:{self.port}/v1"}
        command = [sys.executable, "-m", "pytest", "-p", "sessiontap.testing.plugin", "-p", "no:cacheprovider", "-rA"]
        return subprocess.run([*command, *options], cwd=self.folder, env=environ, capture_output=True, text=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """It was recorded while its server ran; the server has gone."""
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Model)) as server:
        server.daemon_threads = True
        found = Project(tmp_path_factory.mktemp("project"), server.server_address[1])
        done = found.pytest("--sessiontap-record", OPENAI_API_KEY=KEY)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "sessiontap: 14 calls of 7 tests recorded" in done.stdout
    return found


def test_a_recording_is_a_log_without_credentials(project: Project) -> None:
    files = sorted(one.relative_to(project.folder) for one in (project.folder / "recordings").rglob("*.mpk*"))
    folder = project.folder / "recordings" / "test_advice" / "test_advice"
    assert [re.sub(r"[^/]+\.mpk", "N.mpk", str(one)) for one in files if "test_advice" in str(one)] == [
        "recordings/test_advice/test_advice/N.mpk.zst"
    ]
    assert len({one.parent for one in files}) == 7
    calls = list(trace.open(folder).calls())
    assert [call.record["llm"]["finish_reason"] for call in calls] == ["stop", "tool_calls"]
    assert KEY not in repr([(call.record, call.request_body(), call.response_body()) for call in calls])


def test_tests_pass_without_server_and_key(project: Project) -> None:
    done = project.pytest("--sessiontap-replay")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
    assert "sessiontap: 7 tests replayed, requests answered: 14 at exact" in done.stdout


@pytest.fixture(scope="module")
def changed(project: Project) -> str:
    """The output of tests of a changed agent, of whose requests nothing weaker than `tools` is answered."""
    done = project.pytest("--sessiontap-replay", "--sessiontap-strict", "tools", CHANGED="1")
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("FAILED test_more.py::TestChanges::test_prompt", "umbrella", id="a changed prompt"),
        pytest.param("PASSED test_more.py::TestChanges::test_tool", "", id="a tool that answers otherwise"),
        pytest.param(
            "ERROR test_more.py::TestChanges::test_unnoticed",
            "1 request had no recorded call",
            id="a miss that the test does not notice",
        ),
        pytest.param(
            "ERROR test_more.py::TestChanges::test_nothing",
            "none of the calls recorded in",
            id="a recording that nobody asks for",
        ),
        pytest.param(
            "ERROR test_more.py::test_new", "run it live with --sessiontap-record", id="a test without a recording"
        ),
        pytest.param("SKIPPED [1] test_more.py", "not today", id="a test that is skipped"),
        pytest.param("PASSED test_more.py::test_plain", "", id="a test without the fixture"),
    ],
)
def test_a_changed_agent(changed: str, line: str, told: str) -> None:
    assert line in changed
    assert told in changed


def test_a_miss_names_the_options_of_pytest(changed: str) -> None:
    assert "Record the test again with --sessiontap-record, or allow weaker matches with --sessiontap-str" in changed
    assert "--live-on-miss" not in changed


def test_a_test_that_is_skipped_fails_in_no_way(changed: str) -> None:
    assert "test_skipped" not in changed


def test_without_an_option_nothing_is_changed(tmp_path: Path) -> None:
    project = Project(tmp_path, 9)
    (tmp_path / "test_more.py").unlink()
    (tmp_path / "test_advice.py").write_text(
        "import os\ndef test_a(sessiontap):\n    assert 'HTTPS_PROXY' not in os.environ and sessiontap.report is None\n"
    )
    done = project.pytest()
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(["-o", "sessiontap_mode=often"], "it is record, replay or live", id="mode"),
        pytest.param(["--sessiontap-replay", "-o", "sessiontap_strict=very"], "it is one of exact", id="strict"),
    ],
)
def test_a_wrong_setting_is_told(tmp_path: Path, options: list[str], told: str) -> None:
    done = Project(tmp_path, 9).pytest(*options)
    assert done.returncode == 4
    assert told in done.stderr
