"""Each program asks a model once. The call is recorded with its process, session, model, tokens, stream and end."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.agents import packages as installed
from tests.apps import packages
from tests.e2e.exec_stage import ExecStage
from tests.e2e.lab import PYTHON

PROGRAMS = Path(__file__).parent / "programs"


class Asked(NamedTuple):
    """What the record of a call says."""

    session: str
    provider: str
    model: str
    stream: bool
    input: int
    output: bool = True


def assert_recorded(stage: ExecStage, expected: Asked) -> None:
    (call,) = stage.calls()
    record, llm = call.record, call.record["llm"]
    assert call.caller is not None
    assert (call.caller["name"], record["session"]["name"]) == (expected.session, expected.session)
    assert (llm["provider"], llm["request_model"]) == (expected.provider, expected.model)
    assert llm["stream"] == expected.stream
    assert llm["usage"]["input"] == expected.input
    assert (llm["usage"]["output"] > 0) == expected.output
    assert record["outcome"] == "ok"
    assert "1 call in 1 session" in stage.said


NODE = Asked("ask.cjs", "openai", "gpt-4o", False, 4)
LIBRARIES = {
    "https": NODE,
    "fetch": NODE,
    "undici": NODE,
    "axios": NODE,
    "got": NODE,
    "openai4": NODE._replace(stream=True),
    "openai6": NODE,
    "bedrock": NODE._replace(provider="bedrock", model="amazon.nova-lite-v1:0"),
    "ws": NODE._replace(model="gpt-realtime", stream=True, input=27),
    "https-proxy-agent": NODE,
}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("version", packages.NODE_VERSIONS)
def test_node(stage: ExecStage, version: int, library: str) -> None:
    """By the file that Node loads first; nothing is asked of `exec`."""
    if (version, library) in ((18, "undici"),):
        pytest.skip("undici 7 runs on Node 20 and later")
    modules = installed.npm(*packages.NODE)
    stage.run([packages.node(version), PROGRAMS / "ask.cjs", library, modules])
    assert_recorded(stage, LIBRARIES[library])


PYTHON_PROGRAMS = {
    "ask_aiohttp.py": False,
    "ask_httpx.py": True,
    "ask_urllib3.py": False,
    "ask_http_client.py": False,
}
"""Program -> whether it streams."""


@pytest.mark.parametrize("program", PYTHON_PROGRAMS)
def test_python(stage: ExecStage, program: str) -> None:
    stage.run([installed.python(*packages.PYTHON), PROGRAMS / program], "--force")
    assert_recorded(stage, Asked(program, "openai", "gpt-4o", PYTHON_PROGRAMS[program], 4))


def test_python_without_force_is_missed_and_goes_its_own_way(stage: ExecStage) -> None:
    with pytest.raises(AssertionError, match="ended with 1"):
        stage.run([PYTHON, PROGRAMS / "ask_http_client.py"])
    assert stage.calls() == []
    assert "no LLM call" in stage.said


def test_a_program_that_trusts_its_own_certificates_alone_is_missed_and_told_of(stage: ExecStage) -> None:
    said = stage.run([installed.python(*packages.PYTHON), PROGRAMS / "ask_httpx_certifi.py"], "--force")
    assert said == "certificate\n"
    assert stage.calls() == []
    stage.proxy.process.wait_line(lambda line: "trust" in line)


def test_node_20_fetch_by_force_alone(stage: ExecStage) -> None:
    """A Node that does not load our file."""
    stage.run(["env", "-u", "NODE_OPTIONS", packages.node(20), PROGRAMS / "ask.cjs", "fetch"], "--force")
    assert_recorded(stage, NODE)


def test_go_without_libc(stage: ExecStage, tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")
    program = tmp_path / "ask-go"
    environ = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod"}
    subprocess.run([go, "build", "-o", program, PROGRAMS / "ask.go"], env=environ, check=True, timeout=300)
    assert stage.run([program], "--force") == "200 true\n"
    assert_recorded(stage, NODE._replace(session="ask-go"))


def test_java_that_is_told_to_use_no_proxy(stage: ExecStage) -> None:
    java = shutil.which("java")
    if java is None or shutil.which("javac") is None:
        pytest.skip("a JDK is not installed")
    assert stage.run([java, PROGRAMS / "Ask.java"], "--force") == "200\n"
    assert_recorded(stage, NODE._replace(session="Ask.java"))


def test_php_streams(stage: ExecStage) -> None:
    php = shutil.which("php")
    if php is None:
        pytest.skip("PHP is not installed")
    stage.run([php, PROGRAMS / "ask.php"], "--force")
    assert_recorded(stage, NODE._replace(session="ask.php"))
