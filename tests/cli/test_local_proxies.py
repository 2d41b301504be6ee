"""Which proxies run, by the files that they leave."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessiontap.cli import local_proxies

STATE: dict[str, Any] = {
    "pid": 4711,
    "started": 1_750_000_000.5,
    "uid": os.getuid(),
    "private_to": None,
    "listeners": [{"mode": "regular", "host": "127.0.0.1", "port": 8080}],
    "confdir": "/home/me/.mitmproxy",
    "trace": "/home/me/.sessiontap/trace",
    "rules": None,
}


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which something answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def listener(port: int, mode: str = "regular", host: str = "127.0.0.1") -> dict[str, Any]:
    return {"mode": mode, "host": host, "port": port}


def leave(folder: Path, name: str, port: int, mode: str = "regular", **values: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(STATE | {"listeners": [listener(port, mode)]} | values))


@pytest.mark.parametrize(
    ("listens_on", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("192.168.1.2", "http://192.168.1.2:8080"),
    ],
)
def test_where_a_program_of_this_machine_reaches_it(listens_on: str, url: str) -> None:
    proxy = local_proxies.parse(json.dumps(STATE | {"listeners": [listener(8080, host=listens_on)]}))
    assert proxy is not None
    assert proxy.url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        json.dumps(STATE | {"listeners": []}),
        json.dumps(STATE | {"listeners": [{}]}),
        json.dumps(STATE | {"started": "now"}),
    ],
)
def test_what_is_no_state_is_no_proxy(text: str) -> None:
    assert local_proxies.parse(text) is None


def test_the_newest_that_answers_is_found(tmp_path: Path, port: int) -> None:
    leave(tmp_path, "1", port, pid=os.getpid(), started=1.0)
    leave(tmp_path, "2", port, pid=os.getpid(), started=2.0)
    (tmp_path / "3.json").write_text("half a fi")
    assert [one.started for one in local_proxies.running(tmp_path)] == [2.0, 1.0]


def test_files_of_dead_proxies_are_passed_over(tmp_path: Path, port: int) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    leave(tmp_path, "dead", port, pid=gone.pid)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    leave(tmp_path, "deaf", free, pid=os.getpid())
    assert list(local_proxies.running(tmp_path)) == []


def test_no_folder_is_no_proxy(tmp_path: Path) -> None:
    assert list(local_proxies.running(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("values", "is_usable"),
    [
        pytest.param({}, True, id="a proxy of this user"),
        pytest.param({"mode": "upstream"}, True, id="one behind another"),
        pytest.param({"mode": "reverse"}, False, id="a reverse proxy"),
        pytest.param({"mode": "transparent"}, False, id="a transparent one"),
        pytest.param({"mode": "socks5"}, False, id="a SOCKS proxy"),
        pytest.param({"uid": os.getuid() + 1}, False, id="another user's"),
        pytest.param({"private_to": 2**22}, False, id="the one of another exec"),
        pytest.param({"private_to": os.getpid()}, True, id="the one of our own exec"),
        pytest.param({"private_to": os.getppid()}, True, id="the one of an exec above"),
    ],
)
def test_a_proxy_is_taken_if_it_can_serve_and_is_ours(
    tmp_path: Path, port: int, values: dict[str, Any], is_usable: bool
) -> None:
    leave(tmp_path, "1", port, **{"pid": os.getpid(), **values})
    assert bool(list(local_proxies.usable(tmp_path))) is is_usable


def test_the_plain_listener_of_several_is_taken(tmp_path: Path, port: int) -> None:
    both = [listener(1, "reverse"), listener(port)]
    leave(tmp_path, "1", port, pid=os.getpid(), listeners=[both[1], both[0]])
    (found,) = local_proxies.usable(tmp_path)
    assert found.url == f"http://127.0.0.1:{port}"


def test_an_execs_own_proxy_comes_before_a_newer_one(tmp_path: Path, port: int) -> None:
    leave(tmp_path, "1", port, pid=os.getpid(), started=1.0, private_to=os.getpid())
    leave(tmp_path, "2", port, pid=os.getpid(), started=2.0)
    assert [one.started for one in local_proxies.usable(tmp_path)] == [1.0, 2.0]


def test_a_dead_proxy_in_the_environment_is_noticed(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]

    def found(url: str, named: str | None = None) -> str | None:
        return local_proxies.dead_proxy({"SESSIONTAP_PROXY": url, "HTTPS_PROXY": named or url})

    assert found(f"http://127.0.0.1:{free}") == f"http://127.0.0.1:{free}"
    assert found(f"http://127.0.0.1:{port}") is None
    assert found(f"http://127.0.0.1:{free}", "http://corp.example:3128") is None
    assert local_proxies.dead_proxy({}) is None


SAYS_READY = "import json, os, sys, time; d = json.loads(sys.argv[2]); d['pid'] = os.getpid(); \
open(f'{sys.argv[1]}/{os.getpid()}.json', 'w').write(json.dumps(d)); sys.stdin.read()"


def test_a_started_proxy_is_waited_for(tmp_path: Path) -> None:
    state = json.dumps(STATE | {"started": time.time()})
    with subprocess.Popen([sys.executable, "-c", SAYS_READY, str(tmp_path), state], stdin=subprocess.PIPE) as process:
        ready = local_proxies.wait_until_ready(process, within=30, folder=tmp_path)
        assert ready is not None
        assert ready.pid == process.pid


def test_a_proxy_that_makes_its_users_folder_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then a folder of an earlier time, among the temporary files, stands in for it."""
    folders = iter([tmp_path / "stand-in"])
    monkeypatch.setattr(local_proxies.state_file, "folder", lambda: next(folders, tmp_path))
    state = json.dumps(STATE | {"started": time.time()})
    with subprocess.Popen([sys.executable, "-c", SAYS_READY, str(tmp_path), state], stdin=subprocess.PIPE) as process:
        ready = local_proxies.wait_until_ready(process, within=5)
        assert ready is not None
        assert ready.pid == process.pid


def test_one_that_dies_is_noticed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(2)"]) as process:
        assert local_proxies.wait_until_ready(process, within=30, folder=tmp_path) is None
        assert process.returncode == 2


def test_a_dead_namesakes_file_is_not_taken_for_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        leave(tmp_path, str(process.pid), 8080, pid=process.pid, started=time.time() - 3600)
        assert local_proxies.wait_until_ready(process, within=30, folder=tmp_path) is None
