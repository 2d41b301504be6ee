"""`sessiontap exec`: a real program on a real proxy, whose calls end in the right session."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from tests.support.gate import PATIENCE
from tests.support.small_server import SmallHandler, serving

from sessiontap import trace
from sessiontap.capture import force
from sessiontap.cli import local_proxies
from sessiontap.cli.commands import exec as exec_command
from sessiontap.cli.direct_connections import LOCAL_SERVERS

pytestmark = pytest.mark.e2e

RULES = """\
version: 1
hosts:
  - {host: 127.0.0.1, provider: openai}
rules:
  # mine
  - rule: mine
    session: {name: Mine, path: /mine}
    properties: {mode: test}
"""

# NO_PROXY excepts loopback, where the test's server is: the program goes through the proxy of its own accord.
APP = """
import json, os, sys, urllib.request
for name in ("NO_PROXY", "no_proxy"):
    os.environ.pop(name, None)
def ask():
    body = json.dumps({"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}).encode()
    request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]
"""
OWN = [sys.executable, "-P", "-m", "sessiontap.cli"]
SAYS = APP + "print(ask()); sys.exit(7)"
WAITS = APP + "print(ask(), flush=True); sys.stdin.read()"


class Model(SmallHandler):
    """Answers every call."""

    def do_POST(self) -> None:
        self.body()
        message = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2}
        self.answer(json.dumps({"id": "c-1", "model": "m-1", "choices": [message], "usage": usage}).encode())


@pytest.fixture
def server() -> Iterator[str]:
    with serving(HTTPServer(("127.0.0.1", 0), Model)) as http:
        yield f"http://127.0.0.1:{http.server_port}"


@pytest.fixture
def rules(own_place: Path) -> Path:
    file = own_place / "rules.yaml"
    file.write_text(RULES)
    return file


def sessiontap(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sessiontap.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def recorded(own_place: Path) -> list[tuple[str, str, dict[str, str]]]:
    calls = trace.open(own_place / ".sessiontap" / "trace").calls()
    return [(one.record["session"]["name"], one.record["session"]["path"], one.record["properties"]) for one in calls]


def test_a_program_runs_on_a_proxy_of_its_own(own_place: Path, rules: Path, server: str) -> None:
    done = sessiontap("exec", "--", sys.executable, "-c", SAYS, server)
    assert (done.returncode, done.stdout) == (7, "Hi.\n")
    assert recorded(own_place) == [("Mine", "/mine", {"mode": "test"})]
    first, second = done.stderr.splitlines()
    assert first == "sessiontap: 1 call in 1 session"
    assert second.startswith("  Mine, 1 call, ")
    assert ", 3 tokens in, 2 out  (sessiontap show " in second
    assert list((own_place / ".sessiontap" / "run").iterdir()) == []  # no proxy is left behind


def test_the_environment_names_the_trace_folder(
    own_place: Path, rules: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONTAP_TRACE", str(own_place / "mine"))
    done = sessiontap("exec", "--", sys.executable, "-c", SAYS, server)
    assert (done.returncode, done.stdout) == (7, "Hi.\n"), done.stderr
    assert len(list(trace.open(own_place / "mine").calls())) == 1


def test_name_and_path_come_before_the_users_rules(own_place: Path, rules: Path, server: str) -> None:
    arguments = ["exec", "--name", "No: 1 #x", "--path", "/eval/${model}", sys.executable, "-c", SAYS, server]
    assert sessiontap(*arguments).returncode == 7
    assert recorded(own_place) == [("No: 1 #x", "/eval/m-1", {"mode": "test"})]


def test_a_proxy_that_runs_is_used(own_place: Path, rules: Path, server: str) -> None:
    elsewhere = own_place / "elsewhere"
    command = [sys.executable, "-m", "sessiontap.cli", "run", "--listen-host", "127.0.0.1", "-p", "0"]
    with subprocess.Popen([*command, "--set", f"session_trace={elsewhere}"], stdout=subprocess.DEVNULL) as proxy:
        try:
            assert local_proxies.wait_until_ready(proxy, 60) is not None
            done = sessiontap("exec", "--", sys.executable, "-c", SAYS, server)
            url = sessiontap("env", "--json")
        finally:
            proxy.send_signal(signal.SIGINT)
    assert done.returncode == 7
    assert done.stderr.startswith("sessiontap: 1 call in 1 session\n  Mine, 1 call, ")
    assert len(list(trace.open(elsewhere).calls())) == 1
    assert json.loads(url.stdout)["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert url.stderr == ""


def test_the_summary_waits_for_a_recorder_that_is_behind(own_place: Path, rules: Path, server: str) -> None:
    command = [sys.executable, "-m", "sessiontap.cli", "run", "--listen-host", "127.0.0.1", "-p", "0"]
    says = SAYS.replace("print(ask())", "print(ask()); open('said', 'w')")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as proxy:
        try:
            assert local_proxies.wait_until_ready(proxy, 60) is not None
            (recorder,) = psutil.Process(proxy.pid).children()
            recorder.suspend()
            given = [*OWN, "exec", "--", sys.executable, "-c", says, server]
            with subprocess.Popen(given, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as program:
                while not (own_place / "said").exists():
                    assert program.poll() is None
                threading.Timer(1.0, recorder.resume).start()  # long after all would be quiet
                _, said = program.communicate(timeout=PATIENCE)
        finally:
            proxy.send_signal(signal.SIGINT)
    assert said.startswith("sessiontap: 1 call in 1 session\n  Mine, 1 call, ")


def test_nothing_of_the_working_directory_is_run(own_place: Path, rules: Path, server: str) -> None:
    """The program's own folder may hold anything: to the proxy and its recorder it is data."""
    for name in ("yaml.py", "msgpack.py", "msgspec.py", "struct.py", "sessiontap/__init__.py"):
        (own_place / name).parent.mkdir(exist_ok=True)
        (own_place / name).write_text(f"open({str(own_place / 'was-run')!r}, 'a').write(__file__)\nraise SystemExit(9)")
    done = subprocess.run(
        [*OWN, "exec", "--", sys.executable, "-P", "-c", SAYS, server],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not (own_place / "was-run").exists(), (own_place / "was-run").read_text()
    assert (done.returncode, done.stdout) == (7, "Hi.\n"), done.stderr
    assert recorded(own_place) == [("Mine", "/mine", {"mode": "test"})]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_program_and_the_proxy_and_the_calls_are_kept(
    own_place: Path, rules: Path, server: str, number: signal.Signals, status: int
) -> None:
    command = [sys.executable, "-m", "sessiontap.cli", "exec", "--", sys.executable, "-c", WAITS, server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"Hi.\n"
        process.send_signal(number)
        assert process.wait(PATIENCE) == status
    assert len(recorded(own_place)) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--", "no-such-program"], 127, "sessiontap: there is no program 'no-such-program'"),
        (["--rules", "nosuch.yaml", "true"], 2, "sessiontap: there is no rules file nosuch.yaml"),
        (["--rules", "bad.yaml", "true"], 2, "bad.yaml:1:8: rules: "),
        (["--rules", "bad.yaml", "--name", "x", "true"], 2, "the rules do not validate\nbad.yaml:1:8: rules: "),
        (["--name", "${nosuch}", "true"], 2, "sessiontap: --name: unknown variable 'nosuch'"),
        ([], 2, "sessiontap: missing argument"),
    ],
)
def test_what_cannot_run_is_said_before_anything_runs(
    own_place: Path, arguments: list[str], status: int, says: str
) -> None:
    (own_place / "bad.yaml").write_text("rules: 3\n")
    done = sessiontap("exec", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_makes_no_call_is_told_so(own_place: Path) -> None:
    done = sessiontap("exec", "true")
    assert done.returncode == 0
    assert done.stderr.endswith("sessiontap: no LLM call was seen\n")


def test_what_the_proxy_says_is_printed_at_once_and_once_where_no_program_draws(own_place: Path) -> None:
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(
        [*OWN, "exec", "--", *waits], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        assert "there is no rules.yaml here" in running.stderr.readline()
        running.stdin.close()
        assert running.stderr.read() == "sessiontap: no LLM call was seen\n"


@pytest.mark.skipif(os.name != "posix", reason="there is no terminal to open")
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_that_a_program_may_draw_on_waits_for_its_end(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[bool]()
    proxy = Mock(new_lines=lambda is_last: asked.append(is_last) or "said\n")
    reader, writer = os.openpty() if is_terminal else os.pipe()
    with open(reader, "rb", buffering=0) as shown, open(writer, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        exec_command.tell_news(proxy)
        assert asked == ([] if is_terminal else [False])
        assert is_terminal or shown.read(5) == b"said\n"


ASKS_AGAIN = APP + "print(ask(), flush=True); sys.stdin.readline(); print(ask(), flush=True); sys.stdin.read()"


def test_a_proxy_outlives_an_exec_that_is_killed_as_long_as_its_program(
    own_place: Path, rules: Path, server: str
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent died")
    command = [sys.executable, "-m", "sessiontap.cli", "exec", "--", sys.executable, "-c", ASKS_AGAIN, server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"Hi.\n"
        (state,) = (own_place / ".sessiontap" / "run").glob("*.json")
        proxy = os.pidfd_open(json.loads(state.read_text())["pid"])
        process.kill()
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"Hi.\n"
        process.stdin.close()
        process.stdin = None
        wait_for_end(proxy)
    assert len(recorded(own_place)) == 2


DAEMON = """
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for name in ("stdout", "stderr"):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), 1 if name == "stdout" else 2)
        sys.stdin.readline()
        print(ask(), flush=True)
    os._exit(0)
os.wait()
sys.exit(5)
"""


def test_what_a_program_leaves_running_keeps_the_proxy_and_nobody_waits(
    own_place: Path, rules: Path, server: str
) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems do not give orphans to us")
    pipe = subprocess.PIPE
    command = [*OWN, "exec", "--", sys.executable, "-c", APP + DAEMON, server]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stderr.read()  # ends with exec: the daemon has files of its own
        assert process.wait(PATIENCE) == 5
        (state,) = (own_place / ".sessiontap" / "run").glob("*.json")
        proxy = os.pidfd_open(json.loads(state.read_text())["pid"])
        process.stdin.write("\n")
        process.stdin.flush()
        wait_for_end(proxy)
    assert "sessiontap: no LLM call was seen\nsessiontap: 1 process of it still runs (" in said
    assert (own_place / "stdout").read_text() == "Hi.\n", (own_place / "stderr").read_text()
    assert len(recorded(own_place)) == 1


def test_the_private_proxy_of_one_exec_is_not_anothers(own_place: Path, rules: Path, server: str) -> None:
    """Two terminals: the second would lose its proxy when the first program ends."""
    first = [*OWN, "exec", "--", sys.executable, "-c", WAITS, server]
    with subprocess.Popen(first, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"Hi.\n"
        assert "no proxy runs here" in sessiontap("env").stderr
        second = [*OWN, "exec", "--", sys.executable, "-c", ASKS_AGAIN, server]
        with subprocess.Popen(second, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            assert other.stdout.readline() == b"Hi.\n"
            process.stdin.close()
            process.stdin = None
            assert process.wait(PATIENCE) == 0
            other.stdin.write(b"\n")
            other.stdin.flush()
            assert other.stdout.readline() == b"Hi.\n"


def test_an_exec_within_an_exec_shares_its_proxy(own_place: Path, rules: Path, server: str) -> None:
    done = sessiontap("exec", "--", *OWN, "exec", "--", sys.executable, "-c", SAYS, server)
    assert (done.returncode, done.stdout) == (7, "Hi.\n")
    assert done.stderr.count("sessiontap: 1 call in 1 session\n") == 2
    assert len(recorded(own_place)) == 1


KEEPS_NO_PROXY = APP.replace('for name in ("NO_PROXY", "no_proxy"):\n    os.environ.pop(name, None)\n', "")


@pytest.mark.parametrize("by", ["--host", "hosts: of the rules", "nothing"])
def test_a_server_of_this_machine_is_captured_if_it_is_named(own_place: Path, server: str, by: str) -> None:
    """As the program finds it: nobody takes NO_PROXY away."""
    if by == "hosts: of the rules":
        (own_place / "rules.yaml").write_text("hosts: [{host: 127.0.0.1}]\n")
    named = ["--host", server.removeprefix("http://")] if by == "--host" else []
    done = sessiontap("exec", *named, "--", sys.executable, "-c", KEEPS_NO_PROXY + "print(ask())", server)
    assert (done.returncode, done.stdout) == (0, "Hi.\n")
    assert ("sessiontap: 1 call in 1 session" in done.stderr) is (by != "nothing")


FORCED = """
import http.client, json, os, sys
def ask():
    connection = http.client.HTTPConnection(sys.argv[1].removeprefix("http://"))  # it knows no proxy
    body = json.dumps({"model": "m-1", "messages": [{"role": "user", "content": "hello"}]})
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    return json.load(connection.getresponse())["choices"][0]["message"]["content"]
"""


@pytest.mark.parametrize(
    "program", ["print(ask()); sys.exit(5)", DAEMON], ids=["the program", "what it leaves running"]
)
def test_a_program_that_knows_no_proxy_is_captured_by_force(
    own_place: Path, rules: Path, server: str, program: str
) -> None:
    if why := force.why_not_seccomp():
        pytest.skip(why)
    pipe = subprocess.PIPE
    host = server.removeprefix("http://")
    command = [*OWN, "exec", "--force", "--host", host, "--", sys.executable, "-c", FORCED + program, server]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(PATIENCE) == 5, said
        if program is DAEMON:
            (state,) = (own_place / ".sessiontap" / "run").glob("*.json")
            proxy = os.pidfd_open(json.loads(state.read_text())["pid"])
            process.stdin.write("\n")
            process.stdin.flush()
            wait_for_end(proxy)
            assert (own_place / "stdout").read_text() == "Hi.\n", (own_place / "stderr").read_text()
    assert len(recorded(own_place)) == 1, said


POSTS = (
    APP.replace("/v1/chat/completions", "/ask")
    + """
try:
    ask()
except KeyError:  # no LLM's reply
    pass
"""
)


def test_what_passed_the_proxy_is_told_at_the_end(own_place: Path, server: str) -> None:
    done = sessiontap("exec", "--", sys.executable, "-c", POSTS.replace("choices", "no such key"), server)
    host = server.removeprefix("http://")
    assert "sessiontap: not recorded: " in done.stderr
    assert f" to {host}, 1 request, " in done.stderr
    assert f"To record it: --host {host}, or " in done.stderr
    named = sessiontap("exec", "--host", host, "--", sys.executable, "-c", POSTS, server)
    assert "sessiontap: 1 call in 1 session" in named.stderr
    assert "not recorded" not in named.stderr


CONNECTS = """
import signal, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
    for _ in range(2):
        signal.sigwait([signal.SIGUSR1])
        print("got it", flush=True)
"""


def test_a_connection_past_the_proxy_is_told_at_the_end(own_place: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the tables are Linux's")
    for port in LOCAL_SERVERS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as listening:
            blocked = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]);{CONNECTS}"
            command = [*OWN, "exec", "--", sys.executable, "-c", blocked, str(port)]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
                assert process.stdout is not None
                listening.settimeout(60)
                connection, _ = listening.accept()
                for _ in range(2):  # between two signals that it passes on, the supervisor looks
                    process.send_signal(signal.SIGUSR1)
                    assert process.stdout.readline() == "got it\n"
                _, said = process.communicate(timeout=PATIENCE)
                connection.close()
            assert f"connects directly to localhost:{port}, the usual port of {LOCAL_SERVERS[port]}" in said
            return
    pytest.skip("programs use all of the usual ports here")


def test_what_the_environment_says_against_a_capture_is_told(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("SESSIONTAP_PROXY", dead)
    monkeypatch.setenv("HTTPS_PROXY", dead)
    monkeypatch.setenv("SESSIONTAP_SAVED", json.dumps({"HTTPS_PROXY": None}))
    monkeypatch.setenv("NO_PROXY", ".corp.example")
    done = sessiontap("exec", "--host", "llm.corp.example", "true")
    assert done.returncode == 0
    assert f"the proxy at {dead}, which this terminal's variables name, has ended; another is used" in done.stderr
    assert "NO_PROXY excepts llm.corp.example by '.corp.example'" in done.stderr
    assert f"the proxy at {dead}, which this terminal's variables name, has ended" in sessiontap("env").stderr


def test_a_proxy_in_another_mode_is_not_taken(own_place: Path, server: str) -> None:
    mode = f"reverse:{server}@0"
    command = [*OWN, "run", "--listen-host", "127.0.0.1", "--mode", mode]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as proxy:
        try:
            assert local_proxies.wait_until_ready(proxy, 60) is not None
            assert "no proxy runs here" in sessiontap("env").stderr
        finally:
            proxy.send_signal(signal.SIGINT)


def wait_for_end(pidfd: int) -> None:
    """Until the process has ended; fails after a minute."""
    ready, _, _ = select.select([pidfd], [], [], 60)
    os.close(pidfd)
    assert ready
