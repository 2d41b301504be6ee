"""Which session a call ends in: what the app sent, its client's own id, its process, its tree, its environment."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.faults import patches
from tests.e2e.lab import PYTHON, Lab, Proxy
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

from sessiontap.trace import RecordedCall

CHAT = "https://api.openai.com/v1/chat/completions"
MESSAGES = "https://api.anthropic.com/v1/messages"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
KEY = {"authorization": "Bearer sk-test"}
UUID = "0d6b4a0e-6f0a-4b8e-9d1c-2f4f5f6a7b8c"
ANOTHER = "1e7c5b1f-7a1b-4c9f-8e2d-3a5a6a7b8c9d"


def session(rule: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": 1, "rules": [{"session": dict(rule), **more}]}


@pytest.fixture(scope="module")
def upstream(shared_lab: Lab) -> Server:
    return shared_lab.upstream(LlmService())


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, upstream: Server) -> Proxy:
    return shared_lab.proxy()


@pytest.fixture(autouse=True)
def fresh(proxy: Proxy, upstream: Server) -> None:
    proxy.pass_over()
    upstream.requests.clear()


@pytest.fixture
def ask_py(tmp_path: Path) -> Path:
    """A program that asks once, or has others ask: `ask.py [PROGRAM ...]`."""
    path = tmp_path / "ask.py"
    path.write_text(
        f"""
import subprocess, sys, httpx2
if len(sys.argv) > 1:
    for _ in range(2):
        subprocess.run(sys.argv[1:], check=True)
httpx2.post({CHAT!r}, json={QUESTION!r}, headers={KEY!r}, timeout=None).raise_for_status()
""",
        encoding="utf-8",
    )
    return path


def curl_call(
    proxy: Proxy, curl: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None, url: str = CHAT
) -> RecordedCall:
    """One call with these headers; its record."""
    sent = {**KEY, "content-type": "application/json", **headers}
    if url == MESSAGES:
        sent["anthropic-version"] = "2023-06-01"
    fields = [word for name, value in sent.items() for word in ("-H", f"{name}: {value}")]
    proxy.run([curl, "--silent", "--fail", *fields, "-d", json.dumps({**QUESTION, **(body or {})}), url])
    (call,) = proxy.take()
    return call


def facts(call: RecordedCall) -> tuple[Any, ...]:
    found = call.record["session"]
    return found["id"], found["name"], found["source"], found["step"]


# -- what the client itself says --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "url", "agent", "subagent", "path"),
    [
        pytest.param(
            {"user-agent": "claude-cli/2.1.0 (external, cli)", "x-claude-code-session-id": UUID},
            {"model": "claude-local", "max_tokens": 50},
            MESSAGES,
            "claude-code",
            None,
            "/main",
            id="Claude Code",
        ),
        pytest.param(
            {
                "user-agent": "claude-cli/2.1.0 (external, cli)",
                "x-claude-code-session-id": UUID,
                "x-claude-code-agent-id": "a1b2c3",
                "x-claude-code-agent-type": "Explore",
                "x-claude-code-request-class": "subagent",
            },
            {"model": "claude-local", "max_tokens": 50},
            MESSAGES,
            "claude-code",
            "Explore",
            "/main/Explore",
            id="Claude Code's sub-agent",
        ),
        pytest.param(
            {"user-agent": "claude-cli/1.0.0"},
            {
                "model": "claude-local",
                "max_tokens": 50,
                "metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": UUID})},
            },
            MESSAGES,
            "claude-code",
            None,
            "/main",
            id="Claude Code by its body",
        ),
        pytest.param(
            {"user-agent": "codex_cli_rs/0.169.0 (Linux)", "session-id": ANOTHER, "thread-id": ANOTHER},
            {},
            CHAT,
            "codex",
            None,
            "/main",
            id="Codex",
        ),
    ],
)
def test_a_known_clients_own_id(
    proxy: Proxy,
    curl: str,
    headers: dict[str, str],
    body: dict[str, Any],
    url: str,
    agent: str,
    subagent: str | None,
    path: str,
) -> None:
    proxy.write_rules(session({"id": "auto"}))
    call = curl_call(proxy, curl, headers, body, url)
    assert facts(call)[:3] == (ANOTHER if agent == "codex" else UUID, agent, "native")
    assert (call.record["agent"], call.record["subagent"], call.record["session"]["path"]) == (agent, subagent, path)


def test_a_name_that_anybody_may_use_is_no_id(proxy: Proxy, curl: str) -> None:
    proxy.write_rules(session({"id": "auto"}))
    call = curl_call(proxy, curl, {"session-id": UUID, "thread-id": UUID})
    assert facts(call)[1:] == ("curl", "process", 0)


@pytest.mark.parametrize(
    ("existing", "told"),
    [("keep", ("app-session-1", "App's", "/its/own")), ("replace", ("by-rule-1", "By rule", "/by/rule"))],
)
def test_a_session_that_the_app_declares(
    proxy: Proxy, upstream: Server, curl: str, existing: str, told: tuple[str, str, str]
) -> None:
    rule = {"name": "By rule", "id": "by-rule-1", "path": "/by/rule"}
    proxy.write_rules(session(rule, existing=existing))
    names = ("Helicone-Session-Id", "Helicone-Session-Name", "Helicone-Session-Path")
    own = dict(zip(names, ("app-session-1", "App's", "/its/own"), strict=True))
    call = curl_call(proxy, curl, own)
    recorded = call.record["session"]
    assert (recorded["id"], recorded["name"], recorded["path"]) == told
    assert recorded["source"] == ("app" if existing == "keep" else "literal")
    assert tuple(upstream.requests[0].headers.get(name) for name in names) == told


# -- what its process says --------------------------------------------------------------------------------------------


def test_who_is_calling(proxy: Proxy, ask_py: Path, tmp_path: Path) -> None:
    proxy.write_rules(session({"id": "process", "name": "${env.TEAM:-none}"}))
    secret = "sk-proj-" + "a1B2" * 12
    before = time.time_ns()
    command = f"cd {tmp_path} && {PYTHON} -u {ask_py} true --key {secret}; exit $?"
    proxy.run(["sh", "-c", command], {"TEAM": "blue", "NOT_ASKED_FOR": "private"})
    (call,) = proxy.take()
    caller = call.caller
    assert caller is not None
    assert (caller["name"], caller["cwd"]) == ("ask.py", str(tmp_path))
    assert caller["argv"][1:4] == ["-u", str(ask_py), "true"]
    assert secret not in str(caller)
    assert Path(caller["exe"]).samefile(PYTHON)
    assert (caller["user"], caller["uid"]) == (getpass.getuser(), os.getuid())
    assert caller["env"] == {"TEAM": "blue"}
    assert before - 10**9 <= caller["started"] <= time.time_ns()
    shell, above, *_ = caller["ancestors"]
    assert shell["name"] == "sh"
    assert above["pid"] == os.getpid()


def test_two_processes_are_two_sessions(proxy: Proxy, ask_py: Path) -> None:
    proxy.write_rules(session({"id": "process"}))
    for _ in range(2):
        proxy.run([PYTHON, ask_py])
    first, second = proxy.take(2)
    assert facts(first)[1:] == facts(second)[1:] == ("ask.py", "process", 0)
    assert first.session_id != second.session_id


def test_a_script_and_its_helpers_are_one_tree(proxy: Proxy, ask_py: Path, tmp_path: Path) -> None:
    proxy.write_rules(session({"id": "process-tree", "name": "Tree"}))
    helper = tmp_path / "helper.py"
    helper.write_text(ask_py.read_text(), encoding="utf-8")
    proxy.run(["setsid", "--wait", PYTHON, ask_py, PYTHON, helper])
    proxy.run(["setsid", "--wait", PYTHON, ask_py])
    *together, apart = proxy.take(4)
    assert [call.caller["name"] for call in together if call.caller] == ["helper.py", "helper.py", "ask.py"]
    assert [facts(call)[1:] for call in together] == [("Tree", "process-tree", step) for step in range(3)]
    assert len({call.session_id for call in together}) == 1
    assert apart.session_id != together[0].session_id
    assert len({call.caller["pid"] for call in [*together, apart] if call.caller}) == 4


@pytest.mark.parametrize(
    ("environment", "source", "id", "name"),
    [
        pytest.param({"RUN_ID": "run-2026-11-21", "TEAM": "blue"}, "template", "run-2026-11-21", "Team blue", id="set"),
        pytest.param({"RUN_ID": "short"}, "template", None, "Team nobody", id="too short to be used as it is"),
        pytest.param({}, "process", None, "Team nobody", id="not set"),
    ],
)
def test_the_callers_environment(
    proxy: Proxy, ask_py: Path, environment: dict[str, str], source: str, id: str | None, name: str
) -> None:
    proxy.write_rules(session({"id": ["${env.RUN_ID}", "process"], "name": "Team ${env.TEAM:-nobody}"}))
    for _ in range(2):
        proxy.run([PYTHON, ask_py], environment)
    calls = proxy.take(2)
    assert {facts(call)[1:3] for call in calls} == {(name, source)}
    assert [facts(call)[3] for call in calls] == ([0, 1] if "RUN_ID" in environment else [0, 0])
    if id is not None:
        assert {call.session_id for call in calls} == {id}


# -- what memory says -------------------------------------------------------------------------------------------------


def ask(proxy: Proxy, times: int = 1) -> list[RecordedCall]:
    with proxy.client(headers=KEY) as app:
        for _ in range(times):
            assert app.post(CHAT, json=QUESTION).status_code == 200
    return proxy.take(times)


def steps(calls: Sequence[RecordedCall]) -> list[tuple[int, int]]:
    """Of each call the number of its session, counted as they come, and its step."""
    numbers: dict[str | None, int] = {}
    return [(numbers.setdefault(call.session_id, len(numbers)), call.record["session"]["step"]) for call in calls]


def test_a_session_of_so_many_calls(proxy: Proxy) -> None:
    proxy.write_rules(session({"name": "Three at a time", "id": "process", "max_calls": 3}))
    assert steps(ask(proxy, 7)) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]


def test_a_session_ends_by_silence_and_outlives_a_restart(lab: Lab) -> None:
    """Steps, silence and the first name are read back from the log."""
    lab.upstream(LlmService())
    ahead = lab.folder / "seconds-ahead"
    log = lab.folder / "log"

    def proxy_at(seconds: int, rules: dict[str, Any]) -> Proxy:
        ahead.write_text(f"0 {seconds}")
        proxy = lab.proxy(
            rules,
            options={"session_trace": log},
            patch=patches.SET_CLOCK,
            environment={"CLOCK": str(ahead)},
        )
        proxy.pass_over()
        return proxy

    rules = {
        "version": 1,
        "rules": [
            {"match": {"header": {"x-run": "*"}}, "session": {"id": "${header.x-run}", "name": "${header.x-name}"}},
            {"session": {"name": "Silent", "id": "process", "idle": "10m"}},
        ],
    }

    def ask_at(proxy: Proxy, seconds: int, **headers: str) -> RecordedCall:
        ahead.write_text(f"0 {seconds}")
        with proxy.client(headers={**KEY, **headers}) as app:
            assert app.post(CHAT, json=QUESTION).status_code == 200
        (call,) = proxy.take()
        return call

    first = proxy_at(0, rules)
    calls = [ask_at(first, 0), ask_at(first, 500), ask_at(first, 1000), ask_at(first, 1700)]
    assert steps(calls) == [(0, 0), (0, 1), (0, 2), (1, 0)]  # 500 s of silence twice, then 700
    named = [ask_at(first, 1700, **{"x-run": "run-number-1", "x-name": "First"})]
    assert first.process.stop() == 0

    second = proxy_at(1800, rules)
    calls += [ask_at(second, 1800), ask_at(second, 2500)]
    assert steps(calls)[4:] == [(1, 1), (2, 0)]  # goes on, and ends as it would have
    named.append(ask_at(second, 2500, **{"x-run": "run-number-1", "x-name": "Second"}))
    assert [facts(call) for call in named] == [
        ("run-number-1", "First", "template", 0),
        ("run-number-1", "First", "template", 1),
    ]
    assert named[1].record["session"]["renamed_to"] == "Second"
