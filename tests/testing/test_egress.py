"""A test that is replayed reaches its recording and this machine: its own process, and the programs that it starts."""

from __future__ import annotations

import socketserver

import pytest
from tests.support.small_server import serving
from tests.testing.test_plugin import KEY, Model, Project

from sessiontap.capture.force import why_not_seccomp

TESTS = """
import asyncio, multiprocessing, os, socket, subprocess, sys, threading
import advice
import pytest

AWAY = ("192.0.2.1", 9)
REFUSED = "sessiontap: this test is replayed, so {} is not reached"
DIRECT = '''
import http.client, sys
server = http.client.HTTPConnection("telemetry.example", timeout=60)
server.request("GET", "/")
print(server.getresponse().status)
'''


@pytest.fixture
def replays(sessiontap):
    advice.advise("Oslo")
    return "REPLAYED" in os.environ


def datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as away:
        try:
            away.connect(AWAY)
        except OSError as error:
            return str(error)
        return ""


def test_connection(replays):
    if replays:
        with pytest.raises(ConnectionRefusedError, match=REFUSED.format("192.0.2.1:9")):
            socket.create_connection(AWAY)


def test_asyncio(replays):
    if replays:
        with pytest.raises(ConnectionRefusedError, match=REFUSED.format("192.0.2.1:9")):
            asyncio.run(asyncio.open_connection(*AWAY))


def test_look_up(replays):
    if replays:
        with pytest.raises(socket.gaierror, match=REFUSED.format("db.example")):
            socket.create_connection(("db.example", 5432))


def test_name_of_address(replays):
    if replays:
        with pytest.raises(socket.herror, match=REFUSED.format("192.0.2.1")):
            socket.gethostbyaddr("192.0.2.1")


def test_datagrams(replays):
    assert (REFUSED.format("192.0.2.1:9") in datagrams()) == replays


def test_this_machine(replays, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as other:
        socket.create_connection(("localhost", server.getsockname()[1])).close()
        other.bind(str(tmp_path / "s"))
        other.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_program(replays):
    if replays:
        environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        command = [sys.executable, "-c", DIRECT]
        told = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert told.stdout == "501\\n", told.stderr
        with pytest.raises(FileNotFoundError):
            subprocess.run(["/no/such/program"])


def start_directly(told):
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run([sys.executable, "-c", DIRECT], env=environ, capture_output=True, text=True)
    told.put(done.stdout or done.stderr)


def test_program_of_a_fork(replays):
    if replays:
        forks = multiprocessing.get_context("fork")
        told = forks.SimpleQueue()
        process = forks.Process(target=start_directly, args=(told,))
        process.start()
        assert told.get() == "501\\n"
        process.join()


def test_told(replays):
    if replays:
        datagrams()
        raise AssertionError("it fails")


def test_without_the_fixture():
    assert "sessiontap" not in datagrams()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """It was recorded; its server has gone."""
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Model)) as server:
        server.daemon_threads = True
        found = Project(tmp_path_factory.mktemp("project"), server.server_address[1])
        (found.folder / "test_away.py").write_text(TESTS)
        done = found.pytest("--sessiontap-record", "test_away.py", OPENAI_API_KEY=KEY)
        assert done.returncode == 0, done.stdout + done.stderr
    return found


def test_a_replayed_test_reaches_this_machine_alone(project: Project) -> None:
    done = project.pytest("--sessiontap-replay", "test_away.py", REPLAYED="1", COLUMNS="200")
    kept_in = why_not_seccomp() is None
    assert f"{9 if kept_in else 7} passed" in done.stdout, done.stdout + done.stderr
    assert "FAILED test_away.py::test_told - AssertionError: it fails" in done.stdout
    assert "not reached, since the test is replayed: 192.0.2.1:9" in done.stdout
    assert ("Programs that tests start are kept from the network only as far as" in done.stdout) != kept_in


def test_a_suite_that_needs_other_machines_says_so(project: Project) -> None:
    options = ("--sessiontap-replay", "-o", "sessiontap_egress=open")
    done = project.pytest(*options, "test_away.py::test_datagrams")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
