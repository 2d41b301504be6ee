"""Three proxies on machines of their own names, and their logs read as one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import Lab, Proxy, own_environment
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService

from sessiontap import own_python, trace
from sessiontap.demo.proxy_process import MITMDUMP
from sessiontap.trace import Filters, Trace

MACHINES = ("web-1", "web-2", "web-3")
ON_MACHINE = Path(__file__).parent / "scripts" / "on_machine.py"
URL = "https://api.openai.com/v1/chat/completions"
BODY = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello?"}]}'
FIELDS = ("content-type: application/json", "authorization: Bearer sk-test")
RULES: Any = {"version": 1, "rules": [{"session": {"name": "${header.x-session}", "id": "${header.x-session}"}}]}
CALLS = {"one": "123123", "two": "231", "web-2 alone": "22"}
"""Session -> the numbers of the machines that its calls go through, in their order."""
READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77
if touch "$1/file" 2>/dev/null; then exit 77; fi
shift
exec "$@"
"""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "unshare") or os.geteuid() != 0, reason="namespaces are made by root, on Linux, from Python 3.12 on"
)


@pytest.fixture(scope="module")
def proxies(shared_lab: Lab) -> list[Proxy]:
    """The proxies, through which `CALLS` went."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    shared_lab.upstream(LlmService())
    try:
        proxies = [shared_lab.proxy(RULES, program=(str(ON_MACHINE), name, *MITMDUMP)) for name in MACHINES]
    except Exception as error:
        pytest.skip(f"a namespace cannot be had here: {error}")
    for session, through in CALLS.items():
        for number in through:
            proxy = proxies[int(number) - 1]
            command = [curl, "-sS", "--fail", "--proxy", proxy.process.url, "--cacert", str(proxy.ca), "-d", BODY]
            command += [word for field in (*FIELDS, f"x-session: {session}") for word in ("-H", field)]
            done = subprocess.run([*command, URL], env=own_environment(), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    for number, proxy in enumerate(proxies, 1):
        proxy.take(sum(through.count(str(number)) for through in CALLS.values()))
    return proxies


@pytest.fixture
def log(proxies: list[Proxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trace:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return trace.open([proxy.trace.folder for proxy in proxies])


def id_of(log: Trace, name: str) -> str:
    """The id of the session of this name: each proxy made it of the same header."""
    (row,) = log.query_sessions(Filters(name=name))
    return str(row["id"])


def test_sessions_that_cross_machines_are_one(log: Trace) -> None:
    found = {row["name"]: (row["calls"], row["machines"]) for row in log.query_sessions()}

    assert found == {
        session: (len(through), sorted({MACHINES[int(number) - 1] for number in through}))
        for session, through in CALLS.items()
    }


def test_calls_are_in_the_order_in_which_they_were_made(log: Trace) -> None:
    rows = log.query_session(id_of(log, "one"))["calls"]

    assert [row["machine"] for row in rows] == [MACHINES[int(number) - 1] for number in CALLS["one"]]
    assert [row["step"] for row in rows] == [0, 0, 0, 1, 1, 1], "each proxy counts for itself"
    assert log.query_clock_gaps() == []


def test_sums_are_those_of_the_parts(log: Trace, proxies: list[Proxy]) -> None:
    parts = [trace.open(proxy.trace.folder) for proxy in proxies]
    whole, tokens = log.query_sums(), "input_tokens"

    for key in ("calls", "body_bytes"):
        assert whole[key] == sum(part.query_sums()[key] for part in parts)
    assert whole["calls"] == sum(map(len, CALLS.values()))
    (every,) = log.stats("model")
    assert every[tokens] == sum(part.stats("model")[0][tokens] for part in parts) > 0
    assert {row["machine"]: row["calls"] for row in log.stats("machine")} == {
        name: part.query_sums()["calls"] for name, part in zip(MACHINES, parts, strict=True)
    }


def test_processes_of_machines_are_told_apart(log: Trace) -> None:
    callers = {call.caller["id"] for call in log.calls() if call.caller is not None}

    assert len(callers) == sum(map(len, CALLS.values()))  # a curl each
    assert len(log.query_calls(Filters(machine="web-2"))) == 5


def test_bodies_are_read_from_each_of_them(log: Trace) -> None:
    assert {call.request_body() for call in log.session(id_of(log, "two")).calls} == {BODY.encode()}


def test_folders_that_can_only_be_read(proxies: list[Proxy], tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    for name, proxy in zip(MACHINES, proxies, strict=True):
        shutil.copytree(proxy.trace.folder, logs / name, ignore=shutil.ignore_patterns("index.sqlite*"))
    before = sorted(logs.rglob("*"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = own_python.command("-m", "sessiontap.cli", *arguments, "--trace", str(logs))
        script = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(logs), *command]
        home = own_environment() | {"HOME": str(tmp_path / "home")}
        done = subprocess.run(script, env=home, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode == 77:
            pytest.skip(f"nothing can be mounted here: {done.stderr}")
        return done

    listed = run("ls", "--json")
    assert {row["name"]: row["calls"] for row in map(json.loads, listed.stdout.splitlines())} == {
        session: len(through) for session, through in CALLS.items()
    }
    refused = run("score", "@2", "helpful=1")
    assert refused.returncode == 1
    assert f"nothing was written: the call is in {logs / 'web-1'}, which can only be read" in refused.stderr
    assert sorted(logs.rglob("*")) == before
