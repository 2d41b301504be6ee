"""`sessiontap run --workers 2`: two proxies behind one port, and a log that looks as if one had written it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from tests.e2e.faults import patches
from tests.e2e.lab import PYTHON, Lab, Proxy, own_environment, run_to_its_end, wait_until
from tests.push.receiver import Received, receiver
from tests.support.gate import PATIENCE, HalfReply
from tests.support.llm_server import LlmService

from sessiontap.cli import local_proxies
from sessiontap.demo.proxy_process import SESSIONTAP_RUN
from sessiontap.proxy.own_address import health_url
from sessiontap.trace import RecordedCall
from sessiontap.trace.files import open_segment
from sessiontap.trace.walk import StoredRecord, walk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the workers, and their clients, by /proc")

PROGRAMS = 20
TURNS = 6
RULES: Any = {
    "version": 1,
    "rules": [{"session": {"name": "App", "id": "process-tree", "path": "/${process.name}"}}],
}
ASK = """
import http.client, json, os, ssl, sys
from urllib.parse import urlsplit

proxy = urlsplit(os.environ["HTTPS_PROXY"])
trust = ssl.create_default_context()

def connect():
    connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=trust, timeout=PATIENCE)
    connection.set_tunnel("api.openai.com", 443)
    return connection

def wait_until_recorded():
    question = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=PATIENCE)
    question.request("GET", f"http://sessiontap.invalid/recorded?pid={os.getpid()}")
    assert json.loads(question.getresponse().read()) == {"recorded": True, "in_flight": 0}

def ask(connection, messages, **more):
    body = json.dumps({"model": "gpt-4o-mini", "messages": messages, **more})
    headers = {"authorization": "Bearer sk-test", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    reply = connection.getresponse()
    return reply.status, reply.read()
""".replace("PATIENCE", str(PATIENCE))
CONVERSES = (
    ASK
    + """
said, kept = [], connect()
for turn in range(TURNS):
    said.append({"role": "user", "content": f"{sys.argv[1]} asks for the {turn}. time"})
    status, reply = ask(kept if turn % 2 else connect(), said)
    assert status == 200, reply
    said.append({"role": "assistant", "content": json.loads(reply)["choices"][0]["message"]["content"]})
    wait_until_recorded()  # so that the next turn's parent depends on nobody's speed
print("done", flush=True)
sys.stdin.read()
""".replace("TURNS", str(TURNS))
)
"""An agent's conversation, each second turn on a connection of its own. The process stays until it may end."""
ASKS_BY_LINE = (
    ASK
    + """
for line in sys.stdin:
    print(ask(connect(), [{"role": "user", "content": line}])[0], flush=True)
"""
)
PUSH_KEY = {"HELICONE_API_KEY": "sk-helicone-test"}
ASKS_ONCE = ASK + "print(ask(connect(), [], stream=True)[1].decode(), flush=True)"


def run(lab: Lab, *arguments: str, **options: Any) -> Proxy:
    words = ["--workers", "2", *arguments]
    return lab.proxy(program=SESSIONTAP_RUN, entry=None, arguments=words, patch=patches.PATIENT_FRONT, **options)


def workers(proxy: Proxy) -> list[int]:
    """The pids of the workers, the first one first."""
    found = [one for one in psutil.Process(proxy.process.pid).children() if "sessiontap.proxy.worker" in one.cmdline()]
    return [one.pid for one in sorted(found, key=lambda one: one.cmdline()[6])]


def pushers(proxy: Proxy) -> list[psutil.Process]:
    """The processes that push, of all workers."""
    found = []
    for one in psutil.Process(proxy.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if {"sessiontap.cli", "push"} <= set(one.cmdline()):
                found.append(one)
    return found


def pushing_to(received: Received) -> dict[str, Any]:
    return {**RULES, "push": [{"to": "helicone", "endpoint": received.url}]}


def calls_by_worker(proxy: Proxy) -> dict[int, list[dict[str, Any]]]:
    """The calls in the log, by the pid of the proxy that wrote them."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for segment in proxy.trace.segments():
        assert segment.header is not None
        with open_segment(segment.path) as file:
            records = [one.record for one in walk(file) if isinstance(one, StoredRecord)]
        found[segment.header["writer"]["pid"]] += [one for one in records if one["type"] == "call"]
    return found


def start(proxy: Proxy, *command: str | Path) -> subprocess.Popen[str]:
    """Start a program as a process tree of its own."""
    return subprocess.Popen(
        [PYTHON, *command],
        env=proxy.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ask(app: subprocess.Popen[str], text: str) -> None:
    """Have a program of `ASKS_BY_LINE` make a call."""
    assert app.stdin is not None
    assert app.stdout is not None
    app.stdin.write(f"{text}\n")
    app.stdin.flush()
    assert app.stdout.readline() == "200\n"


def end(app: subprocess.Popen[str]) -> str:
    """Let a program that waits for its standard input end; what it said."""
    said, _ = app.communicate("", timeout=PATIENCE)
    assert app.returncode == 0
    return said


def by_session(calls: list[RecordedCall]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in calls:
        found[str(call.session_id)].append(call.record)
    return found


def script(lab: Lab, name: str, text: str) -> Path:
    file = lab.folder / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab) -> Proxy:
    """A proxy with two workers, for tests that leave it as it is."""
    shared_lab.upstream(LlmService())
    return run(shared_lab, rules=RULES)


def test_each_program_has_one_session_with_all_steps_and_parents(shared_lab: Lab, proxy: Proxy) -> None:
    pids = workers(proxy)
    file = script(shared_lab, "converses.py", CONVERSES)
    apps = [start(proxy, file, f"program {number}") for number in range(PROGRAMS)]
    for app in apps:
        assert app.stdout is not None
        assert app.stdout.readline() == "done\n"
    for app in apps:
        end(app)
    calls = proxy.take(PROGRAMS * TURNS)
    sessions = by_session(calls)
    assert len(sessions) == PROGRAMS
    for records in sessions.values():
        assert [call["session"]["step"] for call in records] == list(range(TURNS))
        assert [call["parent"] for call in records] == [None, *(call["id"] for call in records[:-1])]
        assert len({call["conversation"] for call in records}) == 1
    shares = {pid: {call["session"]["id"] for call in written} for pid, written in calls_by_worker(proxy).items()}
    # To each its part: how many exactly goes by the connections that are open when a program begins.
    assert min(len(shares[pid] & set(sessions)) for pid in pids) >= PROGRAMS // 4
    assert shares[pids[0]].isdisjoint(shares[pids[1]])


def test_the_processes_of_one_tree_share_a_session_without_gaps(shared_lab: Lab, proxy: Proxy) -> None:
    file = script(shared_lab, "converses.py", CONVERSES)
    tree = script(
        shared_lab,
        "tree.py",
        "import subprocess, sys\n"
        f"apps = [subprocess.Popen([sys.executable, {str(file)!r}, f'part {{n}}'], stdin=subprocess.DEVNULL)"
        " for n in range(4)]\n"
        "sys.exit(any([app.wait() for app in apps]))\n",
    )
    end(start(proxy, tree))
    calls = proxy.take(4 * TURNS)
    (records,) = by_session(calls).values()
    assert sorted(call["session"]["step"] for call in records) == list(range(4 * TURNS))
    assert len({call["caller"] for call in records}) == 4


def test_exec_says_all_that_both_workers_recorded(shared_lab: Lab, proxy: Proxy) -> None:
    home = proxy.rules_file.parent
    states = home / ".sessiontap" / "run"
    state = local_proxies.read(states / f"{proxy.process.pid}.json")
    assert state is not None
    assert [(one.mode, one.host, one.port) for one in state.listeners] == [("regular", "127.0.0.1", proxy.process.port)]
    assert len(list(states.iterdir())) == 1

    # Each command of the program is a process tree of its own; all are there at once, so both workers have some.
    file = script(shared_lab, "converses.py", CONVERSES)
    program = script(
        shared_lab,
        "program.py",
        "import subprocess, sys\n"
        f"apps = [subprocess.Popen([sys.executable, {str(file)!r}, f'command {{n}}'], stdin=subprocess.PIPE,"
        " stdout=subprocess.PIPE, start_new_session=True) for n in range(4)]\n"
        "done = [app.stdout.readline() for app in apps]\n"
        "sys.exit(any([app.communicate() and app.returncode for app in apps]))\n",
    )
    done = subprocess.run(
        [PYTHON, "-P", "-m", "sessiontap.cli", "exec", "--", PYTHON, str(program)],
        cwd=home,
        env={**own_environment(), "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not recorded" not in done.stderr
    ids = {call.id for call in proxy.take(4 * TURNS)}
    assert f"{4 * TURNS} calls" in done.stderr
    shares = [len(ids & {call["id"] for call in written}) for written in calls_by_worker(proxy).values()]
    assert (len(shares), min(shares) > 0, sum(shares)) == (2, True, 4 * TURNS)


def test_a_request_to_the_proxy_itself_is_refused(proxy: Proxy) -> None:
    with httpx2.Client(proxy=proxy.url, trust_env=False, timeout=PATIENCE) as app:
        reply = app.get(f"{proxy.url}/v1/models")
    assert reply.status_code == 502
    assert "Unable to figure out where this request should be forwarded to" in reply.text


def test_the_health_of_all_workers(proxy: Proxy) -> None:
    with httpx2.Client(proxy=proxy.url, trust_env=False, timeout=PATIENCE) as app:
        reply = app.get(health_url())
    assert reply.status_code == 200
    found = reply.json()
    assert found["workers"] == {"running": 2, "of": 2}
    assert found["listening"] == [f"127.0.0.1:{proxy.process.port}"]


def test_a_port_that_is_taken_is_one_sentence(proxy: Proxy, tmp_path: Path, confdir: Path) -> None:
    port = str(proxy.process.port)
    listen = ["--listen-host", "127.0.0.1", "-p", port]
    done = run_to_its_end(tmp_path, "--workers", "2", *listen, "--set", f"confdir={confdir}")
    assert done.returncode == 1
    assert f"failed to listen on 127.0.0.1:{port}" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_worker_that_is_killed_is_started_again_and_its_sessions_go_on(lab: Lab) -> None:
    lab.upstream(LlmService())
    proxy = run(lab, rules=RULES)
    file = script(lab, "asks.py", ASKS_BY_LINE)
    apps = [start(proxy, file) for _ in range(4)]
    for text in ("before", "still before"):
        for app in apps:
            ask(app, text)
    before = workers(proxy)
    proxy.wait_calls(8)
    mine = {call["session"]["id"] for call in calls_by_worker(proxy)[before[1]]}
    assert 0 < len(mine) < 4  # the first two go to a worker each, the others by the connections that are open then
    os.kill(before[1], signal.SIGKILL)
    proxy.process.wait_line(lambda line: "worker 2 was ended by signal 9" in line and "started again" in line)
    for text in ("after", "still after"):
        for app in apps:
            ask(app, text)
    for app in apps:
        end(app)
    after = workers(proxy)
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert proxy.wait_notes("worker")[0]["text"].startswith("worker 2 was ended by signal 9")
    sessions = by_session(proxy.stop())
    assert [[call["session"]["step"] for call in calls] for calls in sessions.values()] == [[0, 1, 2, 3]] * 4
    assert {call["session"]["id"] for call in calls_by_worker(proxy)[after[1]]} == mine


def test_one_process_pushes_the_calls_of_all_workers_and_survives_the_first_one(lab: Lab) -> None:
    lab.upstream(LlmService())
    with receiver() as received:
        proxy = run(lab, rules=pushing_to(received), environment=PUSH_KEY)
        file = script(lab, "asks.py", ASKS_BY_LINE)
        apps = [start(proxy, file) for _ in range(2)]
        for app in apps:
            ask(app, "before")
        assert received.wait_for(lambda received: len(received.ids) == 2)
        assert len(calls_by_worker(proxy)) == 2
        (pusher,) = pushers(proxy)
        first = workers(proxy)[0]
        assert pusher.ppid() == first
        os.kill(first, signal.SIGKILL)
        proxy.process.wait_line(lambda line: "worker 1 was ended by signal 9" in line and "started again" in line)
        for app in apps:
            ask(app, "after")
        assert received.wait_for(lambda received: len(received.ids) == 4)
        wait_until(lambda: len(pushers(proxy)) == 1)
        wait_until(lambda: not pusher.is_running())
        for app in apps:
            ask(app, "by the next one")
            end(app)
        calls = proxy.stop()
        assert received.wait_for(lambda received: len(received.ids) == 6)
    assert len(calls) == len(received.ids) == len(set(received.ids))


def test_push_follows_rules_that_only_the_other_worker_has_seen(lab: Lab) -> None:
    lab.upstream(LlmService())
    with receiver() as received:
        proxy = run(lab, rules=RULES, environment=PUSH_KEY)
        file = script(lab, "asks.py", ASKS_BY_LINE)
        apps = [start(proxy, file) for _ in range(2)]
        for app in apps:
            ask(app, "before")
        proxy.wait_calls(2)
        ids = {call["id"] for call in calls_by_worker(proxy)[workers(proxy)[1]]}
        (pid,) = {call.caller["pid"] for call in proxy.trace.calls() if call.id in ids and call.caller is not None}
        (of_second,) = (app for app in apps if app.pid == pid)
        proxy.write_rules(pushing_to(received))
        ask(of_second, "with the rules that push")
        wait_until(lambda: len(pushers(proxy)) == 1)
        assert received.wait_for(lambda received: len(received.ids) == 3)
        proxy.write_rules(RULES)
        ask(of_second, "with those that do not")
        wait_until(lambda: not pushers(proxy))
        for app in apps:
            end(app)


def test_sigterm_lets_the_calls_of_all_workers_end(lab: Lab) -> None:
    upstream = HalfReply()
    lab.upstream(upstream)
    proxy = run(lab, options={"session_drain": "60s"})
    app = start(proxy, script(lab, "once.py", ASKS_ONCE))
    upstream.gate.wait_reached()
    for pid in (proxy.process.pid, *workers(proxy)):  # as a service manager does
        os.kill(pid, signal.SIGTERM)
    proxy.process.wait_line(lambda line: "1 call is in flight" in line)
    wait_until(lambda: not local_proxies.answers("127.0.0.1", proxy.process.port))
    upstream.gate.open()
    assert end(app).split() == ["data:", "one", "data:", "two"]
    (call,) = proxy.stop()
    assert call.record["outcome"] == "ok"


def test_changed_rules_are_told_once(lab: Lab) -> None:
    lab.upstream(LlmService())
    proxy = run(lab)
    proxy.write_rules(RULES)
    proxy.process.wait_line(lambda line: "changed, 1 rule in force" in line)
    for command in ("first", "second"):  # so that both have read them
        end(start(proxy, script(lab, f"{command}.py", ASKS_ONCE)))
    proxy.wait_calls(2)
    assert proxy.process.output.count("in force") == 1
    assert len([note for note in proxy.notes("rules") if "in force" in note["text"]]) == 1


def test_sighup_is_passed_on(lab: Lab) -> None:
    proxy = run(lab)
    os.kill(proxy.process.pid, signal.SIGHUP)
    proxy.process.wait_line(lambda line: "rules in force" in line)
    assert proxy.process.stop() == 0


def test_the_workers_end_with_a_front_that_is_killed(lab: Lab) -> None:
    proxy = run(lab)
    found = [psutil.Process(pid) for pid in workers(proxy)]
    os.kill(proxy.process.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(found, timeout=PATIENCE)
    assert (len(gone), alive) == (2, [])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--mode", "reverse:http://localhost:11434"], 2, "--workers cannot be combined with --mode reverse:"),
        (["-w", "flows"], 2, "--workers cannot be combined with -w"),
        (["--set", "session_memory=16MB"], 2, "is too small for 2 workers. Give at least '32MB'"),
        (["--set", "session_rules=none.yaml"], 2, "does not exist"),
        (["--modify-headers", "/~nonsense/a/b"], 1, "Cannot parse modify_headers option"),
        (["--options"], 0, "session_rules:"),
    ],
    ids=["another mode", "one file for all", "too little memory", "no rules file", "mitmdump's own", "it only prints"],
)
def test_what_it_refuses_is_said_once(tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    done = run_to_its_end(tmp_path, "--workers", "2", *arguments)
    assert (done.returncode, done.stdout.count(words)) == (status, 1), done.stdout
    assert "Traceback" not in done.stdout


def test_the_front_loads_no_mitmproxy() -> None:
    code = "import sys, sessiontap.proxy.front; sys.exit('mitmproxy.proxy' in sys.modules)"
    subprocess.run([PYTHON, "-c", code], env=own_environment(), check=True, timeout=PATIENCE)
