"""Which way `exec --force` takes, and what it says if there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.support.gate import PATIENCE
from tests.support.small_server import SmallHandler

from sessiontap.capture import force, seccomp

PROXY = ("127.0.0.1", 8080)


def only_programs(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(force.shutil, "which", lambda name: f"/bin/{name}" if name in names else None)


def test_seccomp_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    if why := force.why_not_seccomp():
        pytest.skip(why)
    only_programs(monkeypatch, "proxychains4")
    with force.forced(PROXY, {}) as way:
        assert (way.name, way.prefix, way.misses) == ("seccomp", [], None)
        assert way.before_exec is not None


def test_proxychains_is_next_and_what_it_misses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(force, "why_not_seccomp", lambda: "the kernel is old")
    only_programs(monkeypatch, "proxychains4")
    with force.forced(PROXY, {}) as way:
        assert (way.name, way.before_exec) == ("proxychains4", None)
        misses = "the kernel is old, so proxychains4 is used: programs in Go and static ones are not captured"
        assert way.misses == misses
        program, quiet, option, configuration = way.prefix
        assert (program, quiet, option) == ("/bin/proxychains4", "-q", "-f")
        assert Path(configuration).read_text().endswith("[ProxyList]\nhttp 127.0.0.1 8080\n")
    assert not Path(configuration).exists()


@pytest.mark.parametrize(
    ("platform", "hint"),
    [("linux", "install it"), ("darwin", "`sessiontap run --mode local:NAME` may capture the program")],
)
def test_if_there_is_no_way_the_reasons_are_said(monkeypatch: pytest.MonkeyPatch, platform: str, hint: str) -> None:
    monkeypatch.setattr(force, "why_not_seccomp", lambda: "the kernel is old")
    monkeypatch.setattr(force.sys, "platform", platform)
    only_programs(monkeypatch)
    with pytest.raises(force.CannotForce) as error, force.forced(PROXY, {}):
        pass
    assert (str(error.value), error.value.hint) == ("the kernel is old, and proxychains4 is not installed", hint)


@pytest.mark.parametrize(
    ("platform", "known", "why"),
    [
        ("darwin", True, "connections can be redirected only on Linux"),
        ("linux", False, "connections cannot be redirected on this processor"),
    ],
)
def test_seccomp_is_linuxs(monkeypatch: pytest.MonkeyPatch, platform: str, known: bool, why: str) -> None:
    monkeypatch.setattr(force.sys, "platform", platform)
    monkeypatch.setattr(seccomp, "is_known_here", lambda: known)
    assert force.why_not_seccomp() == why


REFUSE = """
import ctypes, errno, sys
sys.path.insert(0, sys.argv[1])
from sessiontap.capture import force, seccomp

def refuse(*_):
    raise OSError(int(sys.argv[3]), "no")

setattr(*{"trap": (seccomp.Trap, "install"), "socket": (seccomp, "duplicate_socket"),
          "memory": (seccomp, "read_address")}[sys.argv[2]], refuse)
force._TRIED_WITHIN = 0.3
print(force.why_not_seccomp())
"""


@pytest.mark.parametrize(
    ("what", "error", "why"),
    [
        ("trap", 22, "connections cannot be redirected here: Invalid argument"),
        ("trap", 16, "an exec around this one redirects the program's connections already"),
        ("socket", 1, "connections cannot be redirected here: sockets cannot be taken over"),
        ("memory", 13, "connections cannot be redirected here: sockets cannot be taken over"),
    ],
    ids=["no such kernel call", "nested", "no right to the socket", "no right to the memory"],
)
def test_a_trial_tells_if_the_kernel_lets_us(what: str, error: int, why: str) -> None:
    if reason := force.why_not_seccomp():
        pytest.skip(reason)
    command = [sys.executable, "-c", REFUSE, str(Path(force.__file__).parents[2]), what, str(error)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.stdout, done.returncode) == (f"{why}\n", 0), done.stderr


STARTS = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from sessiontap.capture import force
with force.forced(("127.0.0.1", 8080), {}) as way:
    with subprocess.Popen([sys.executable, "-c", "print('started')"], preexec_fn=way.before_exec):
        way.after_start()
"""


def test_processes_are_forked_before_there_are_threads() -> None:
    """Else a lock that another thread holds is never released in them; Python warns of it."""
    if reason := force.why_not_seccomp():
        pytest.skip(reason)
    command = [sys.executable, "-W", "always", "-c", STARTS, str(Path(force.__file__).parents[2])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.stdout, done.stderr) == ("started\n", "")


def test_an_exec_within_an_exec_is_redirected_already() -> None:
    if reason := force.why_not_seccomp():
        pytest.skip(reason)
    code = "import sys; sys.path[:0] = sys.argv[1:]; import sessiontap.capture.force as f; print(f.why_not_seccomp())"
    with force.forced(PROXY, {}) as way:
        way.after_start()
        command = [sys.executable, "-c", code, str(Path(force.__file__).parents[2])]
        done = subprocess.run(command, preexec_fn=way.before_exec, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "an exec around this one redirects the program's connections already\n", done.stderr


class Proxy(SmallHandler):
    """Answers requests in a tunnel by itself."""

    asked: list[str]

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        self.send_response_only(200)
        self.end_headers()
        self.close_connection = False

    def do_GET(self) -> None:
        self.answer(b"hello")


def test_by_proxychains_the_proxy_is_given_names(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("proxychains4") is None:
        pytest.skip("proxychains4 is not installed")
    monkeypatch.setattr(force, "why_not_seccomp", lambda: "a test")
    Proxy.asked = []
    code = "import urllib.request as r; print(r.urlopen('http://llm.example/').read())"
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        with force.forced(("127.0.0.1", proxy.server_port), {}) as way:
            environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
            command = [*way.prefix, sys.executable, "-c", code]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
        proxy.shutdown()
    assert (done.stdout, Proxy.asked) == ("b'hello'\n", ["llm.example:80"]), done.stderr
