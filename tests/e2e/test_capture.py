"""Programs that ignore the proxy's variables, run by `exec`: by Node's first file, and by force."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.exec_stage import ExecStage
from tests.e2e.lab import PYTHON, Lab

from sessiontap.capture import force
from sessiontap.demo.certs import Authority

NODE = """
const https = require('https');
const options = { method: 'POST', headers: { authorization: 'Bearer sk-test' }, agent: new https.Agent() };
https.request('https://api.openai.com/v1/chat/completions', options, (reply) => {
  reply.resume().on('end', () => { process.exitCode = 7; });
}).end(JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Why?' }] }));
"""
PYTHON_CLIENT = """
import http.client, json, subprocess, sys
question = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]})
for _ in range(int(sys.argv[1])):
    connection = http.client.HTTPSConnection("api.openai.com")
    connection.request("POST", "/v1/chat/completions", question, {"authorization": "Bearer sk-test"})
    assert connection.getresponse().status == 200
if len(sys.argv) > 2:
    subprocess.run([sys.executable, __file__, sys.argv[2]])
sys.exit(7)
"""
LEAVES_IT_BEHIND = """
import subprocess, sys
nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
subprocess.Popen([sys.executable, "-c", "import os, sys, time, runpy\\n"
    "while not os.path.exists(sys.argv[2]): time.sleep(0.01)\\n"
    "path = sys.argv[1]; sys.argv[1:] = ['1']; runpy.run_path(path)", *sys.argv[1:]], start_new_session=True, **nowhere)
sys.exit(7)
"""


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, confdir: Path) -> Iterator[ExecStage]:
    lab = Lab(tmp_path, authority, confdir)
    yield ExecStage(lab, tmp_path)
    lab.close()


def test_an_agent_of_nodes_is_captured(stage: ExecStage, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    (tmp_path / "ask.cjs").write_text(NODE)
    stage.run([node, tmp_path / "ask.cjs"])
    (call,) = stage.calls()
    assert (call.record["session"]["name"], call.record["llm"]["request_model"]) == ("ask.cjs", "gpt-4o")
    assert call.record["outcome"] == "ok"


def test_http_client_is_captured_by_force_and_its_process_is_found(stage: ExecStage, tmp_path: Path) -> None:
    """Whoever opened the connections for it is never taken for the program."""
    if why := force.why_not_seccomp():
        pytest.skip(why)
    (tmp_path / "ask.py").write_text(PYTHON_CLIENT)
    stage.run([PYTHON, tmp_path / "ask.py", "12", "3"], "--force")
    callers = [call.caller for call in stage.calls()]
    assert len(callers) == 15
    assert {caller and caller["name"] for caller in callers} == {"ask.py"}
    assert len({caller and caller["pid"] for caller in callers[:12]}) == 1
    assert len({caller and caller["pid"] for caller in callers}) == 2
    assert "15 calls in" in stage.said


def test_http_client_is_missed_without(stage: ExecStage, tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text(PYTHON_CLIENT)
    with pytest.raises(AssertionError, match="ended with 1"):
        stage.run([PYTHON, tmp_path / "ask.py", "1"])
    assert stage.calls() == []


def test_what_a_program_leaves_running_is_captured_by_force_too(stage: ExecStage, tmp_path: Path) -> None:
    if why := force.why_not_seccomp():
        pytest.skip(why)
    (tmp_path / "ask.py").write_text(PYTHON_CLIENT)
    stage.run([PYTHON, "-c", LEAVES_IT_BEHIND, tmp_path / "ask.py", tmp_path / "go"], "--force")
    assert stage.calls() == []
    (tmp_path / "go").touch()
    (call,) = stage.proxy.wait_calls(1)
    assert call.record["llm"]["request_model"] == "gpt-4o"
