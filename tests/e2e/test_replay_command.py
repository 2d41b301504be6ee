"""`sessiontap replay`: a program with the real clients says the same again, without a network, a server or keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.e2e.lab import PYTHON, Lab, Proxy, own_environment
from tests.support.dialogue import Request, Respond
from tests.support.llm_server import LlmService

from sessiontap.capture import force
from sessiontap.cli.program import confined_start
from sessiontap.demo.proxy_process import SESSIONTAP_RUN

RULES: Any = {"version": 1, "rules": [{"rule": "all", "session": {"name": "Agent", "path": "/${operation}"}}]}
EVENT = b'data: {"id": "c-1", "choices": [{"index": 0, "delta": {"content": "Once upon"}}]}\n\n'
AGENT = """
import asyncio
import anthropic, openai

chat = openai.OpenAI(max_retries=0)
question = dict(model="gpt-4o", messages=[{"role": "user", "content": "Plan a course."}])
print(chat.chat.completions.create(**question).choices[0].message.content)
for chunk in chat.chat.completions.create(**question, stream=True):
    print(chunk.model_dump_json())
for name in ("limited", "broken"):
    try:
        chat.chat.completions.create(**question, extra_headers={"x-test": name})
    except openai.APIStatusError as error:
        print(error.status_code, error.body, error.response.headers.get("retry-after"))
try:
    for chunk in chat.chat.completions.create(**question, stream=True, extra_headers={"x-test": "cut"}):
        print(chunk.choices[0].delta.content)
except Exception as error:
    print(type(error).__name__)

claude = anthropic.Anthropic(max_retries=0)
tools = [{"name": "web_search", "description": "Search.", "input_schema": {"type": "object", "properties": {}}}]
messages = [{"role": "user", "content": "Plan a course."}]
for turn in range(2):
    reply = claude.messages.create(model="claude-local", max_tokens=100, messages=messages, tools=tools)
    print(reply.model_dump_json())
    messages.append({"role": "assistant", "content": [block.model_dump() for block in reply.content]})
    used = [block for block in reply.content if block.type == "tool_use"]
    if not used:
        break
    results = [{"type": "tool_result", "tool_use_id": one.id, "content": "Bread."} for one in used]
    messages.append({"role": "user", "content": results})

async def several():
    async with anthropic.AsyncAnthropic(max_retries=0) as client:
        async def ask(topic):
            asked = [{"role": "user", "content": topic}]
            async with client.messages.stream(model="claude-local", max_tokens=100, messages=asked) as stream:
                return "".join([text async for text in stream.text_stream])
        for text in await asyncio.gather(*map(ask, ("Bread?", "Beer?", "Cheese?"))):
            print(text)
asyncio.run(several())
"""


class Provider:
    """The test's providers, which fail if a header says so."""

    def __init__(self) -> None:
        self._inner = LlmService()

    async def __call__(self, request: Request, respond: Respond) -> None:
        match request.headers.get("x-test"):
            case "limited":
                await request.body()
                await respond.whole(429, b'{"error": {"message": "Slow down."}}', [*JSON, ("retry-after", "7")])
            case "broken":
                await request.body()
                await respond.whole(500, b'{"error": {"message": "Sorry."}}', JSON)
            case "cut":
                await request.body()
                await respond.start(200, [("content-type", "text/event-stream")])
                await respond.send(EVENT)
                await respond.close()
            case _:
                await self._inner(request, respond)


JSON = [("content-type", "application/json")]


class Recorded:
    """A program that has run, its output and its log."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        lab.upstream(Provider())
        self.proxy: Proxy = lab.proxy(RULES)
        self.app = folder / "agent.py"
        self.app.write_text(AGENT, encoding="utf-8")
        self.said = self.proxy.run([PYTHON, self.app]).stdout
        self.calls = self.proxy.stop()
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / ".mitmproxy").symlink_to(self.proxy.ca.parent)

    def replay(self, *options: str, program: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run it again, or another `program`, by `sessiontap replay` where there is no network."""
        words = [PYTHON, "-P", "-m", "sessiontap.cli", "replay", "@1", *options, "--"]
        command = [*words, *(program or (PYTHON, str(self.app)))]
        return subprocess.run(
            [*without_network(), *command],
            cwd=self.home,
            env={**own_environment(), "HOME": str(self.home), "SESSIONTAP_TRACE": str(self.proxy.trace_folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def without_network() -> list[str]:
    """The words before a command that is to have no network but its own loopback; skips the test if that cannot be."""
    unshare = shutil.which("unshare")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    words = [str(unshare), *user, "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']
    if unshare is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a network namespace cannot be had here")
    return words


@pytest.fixture(scope="module")
def recorded(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(shared_lab, tmp_path_factory.mktemp("recorded"))


def test_the_program_says_the_same_again(recorded: Recorded, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    done = recorded.replay("--strict", "exact", "--report", str(file))
    assert (done.returncode, done.stdout) == (0, recorded.said), done.stderr
    assert "sessiontap: set for the program, since they were not: ANTHROPIC_API_KEY, OPENAI_API_KEY\n" in done.stderr
    report = json.loads(file.read_text())
    assert oct(file.stat().st_mode)[-3:] == "600"  # it quotes prompts
    assert (report["clean"], report["rungs"]) == (True, {"exact": len(recorded.calls)})
    # What was recorded says that this is about something: errors, a cut, tools, parallel streams.
    for said in ("429 {'message': 'Slow down.'} 7", "500 {'message': 'Sorry.'} None", "Once upon", "tool_use"):
        assert said in recorded.said


def test_a_changed_prompt_is_told_with_its_difference(recorded: Recorded, curl: str) -> None:
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Plan a trip."}]}
    url = "https://api.openai.com/v1/chat/completions"
    program = [curl, "-sS", "-d", json.dumps(asked), url, "https://telemetry.example/"]
    done = recorded.replay("--strict", "canonical", program=program)
    assert done.returncode == 3, done.stderr  # curl itself succeeds
    error, other = (json.loads(line)["error"] for line in done.stdout.splitlines())
    assert "it goes to no host of the recording" in other["message"]
    assert "  1 request to other hosts refused: telemetry.example\n" in done.stderr
    for told in (error["message"], done.stderr):
        assert f"POST {url}" in told
        assert "message 1 (user): “trip.” instead of “course.”" in told


ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Plan a course."}]}
PYTHON_DIRECT = """
import http.client, json, sys
server = http.client.HTTPSConnection(sys.argv[1])
server.request("POST", "/v1/chat/completions", sys.argv[2], {"Content-Type": "application/json"})
reply = server.getresponse()
print(reply.status, json.loads(reply.read()))
"""
NODE_DIRECT = """
const [host, body] = process.argv.slice(1);
const options = { host, path: '/v1/chat/completions', method: 'POST', headers: { 'Content-Type': 'application/json' } };
const request = require('https').request(options, (reply) => {
  let said = '';
  reply.on('data', (more) => (said += more));
  reply.on('end', () => console.log(reply.statusCode, said));
});
request.end(body);
"""
DIRECT = {
    "Python": [PYTHON, "-c", PYTHON_DIRECT],
    "Node": ["env", "-u", "NODE_OPTIONS", "-u", "NODE_USE_ENV_PROXY", "node", "-e", NODE_DIRECT],
}
"""Programs that ignore the proxy's variables, and what of ours Node loads."""


@pytest.fixture
def direct(request: pytest.FixtureRequest) -> list[str]:
    if why := force.why_not_seccomp():
        pytest.skip(why)
    command = DIRECT[request.param]
    if "node" in command and shutil.which("node") is None:
        pytest.skip("node is not installed")
    return command


@pytest.mark.parametrize("direct", DIRECT, indirect=True)
def test_a_program_that_ignores_the_proxy_is_replayed_too(recorded: Recorded, direct: list[str]) -> None:
    done = recorded.replay(program=[*direct, "api.openai.com", json.dumps(ASKED)])
    assert (done.returncode, done.stderr.count("not replayed")) == (0, 0), done.stderr
    assert recorded.said.splitlines()[0] in done.stdout


@pytest.mark.parametrize("direct", DIRECT, indirect=True)
def test_a_program_that_ignores_the_proxy_reaches_no_other_host(recorded: Recorded, direct: list[str]) -> None:
    done = recorded.replay(program=[*direct, "telemetry.example", json.dumps(ASKED)])
    assert "  1 request to other hosts refused: telemetry.example\n" in done.stderr
    assert done.stdout.startswith("501 ")


def test_if_a_program_cannot_be_kept_in_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sessiontap.capture.confinement.why_not_seccomp", lambda: "the kernel is old")
    plain = SimpleNamespace(local_host="127.0.0.1", port=1)
    with confined_start(["agent"], SimpleNamespace(plain=plain), [], is_live=False) as start:  # type: ignore[arg-type]
        assert (start.command, start.before_exec) == (["agent"], None)
    said = "sessiontap: the program is kept from the network only as far as it heeds HTTPS_PROXY: the kernel is old\n"
    assert capsys.readouterr().err == said


def asked_of_a_running_proxy(recorded: Recorded, lab: Lab, asked: dict[str, Any], *options: str) -> tuple[Any, str]:
    """The reply by `sessiontap run --replay @1` with more options, and what it said at its end."""
    proxy = lab.proxy(
        None,
        program=SESSIONTAP_RUN,
        entry=None,
        arguments=["--replay", "@1", *options],
        environment={"SESSIONTAP_TRACE": str(recorded.proxy.trace_folder)},
    )
    with proxy.client() as client:
        reply = client.post(
            "https://api.openai.com/v1/chat/completions", json=asked, headers={"authorization": "Bearer any"}
        )
    proxy.process.stop()
    return reply, proxy.process.output


def test_a_proxy_that_runs_replays_for_programs_started_elsewhere(recorded: Recorded, shared_lab: Lab) -> None:
    reply, said = asked_of_a_running_proxy(recorded, shared_lab, ASKED)
    assert reply.json()["choices"][0]["message"]["content"] == recorded.said.splitlines()[0]
    assert "sessiontap: replay of 1 request: 1 at " in said


def test_a_proxy_that_runs_is_as_strict_as_it_is_told_to_be(recorded: Recorded, shared_lab: Lab) -> None:
    asked = {"messages": [{"role": "user", "content": "Plan a course."}], "model": "gpt-4o"}
    reply, said = asked_of_a_running_proxy(recorded, shared_lab, asked, "--strict", "exact")
    assert (reply.status_code, reply.json()["error"]["type"]) == (501, "replay_miss")
    assert "the lowest allowed is exact" in said


def test_a_proxy_that_runs_sends_on_what_was_not_recorded_if_it_is_to(recorded: Recorded, shared_lab: Lab) -> None:
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Plan a trip to the moon."}]}
    reply, said = asked_of_a_running_proxy(recorded, shared_lab, asked, "--strict", "canonical", "--live-on-miss")
    assert reply.status_code == 200
    assert "1 request went on live" in said
