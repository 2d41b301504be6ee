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
    "listen_host": "127.0.0.1",
    "listen_port": 8080,
    "confdir": "/home/me/.mitmproxy",
    "trace": "/home/me/.sessiontap/trace",
    "rules": None,
}


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which something answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def leave(folder: Path, name: str, **values: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(STATE | values))


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
    proxy = local_proxies.parse(json.dumps(STATE | {"listen_host": listens_on}))
    assert proxy is not None
    assert proxy.url == url


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", json.dumps(STATE | {"listen_port": None}), json.dumps(STATE | {"started": "now"})],
)
def test_what_is_no_state_is_no_proxy(text: str) -> None:
    assert local_proxies.parse(text) is None


def test_the_newest_that_answers_is_found(tmp_path: Path, port: int) -> None:
    leave(tmp_path, "1", pid=os.getpid(), listen_port=port, started=1.0)
    leave(tmp_path, "2", pid=os.getpid(), listen_port=port, started=2.0)
    (tmp_path / "3.json").write_text("half a fi")
    found = local_proxies.newest(tmp_path)
    assert found is not None
    assert found.started == 2.0


def test_files_of_dead_proxies_are_passed_over(tmp_path: Path, port: int) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    leave(tmp_path, "dead", pid=gone.pid, listen_port=port)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    leave(tmp_path, "deaf", pid=os.getpid(), listen_port=free)
    assert local_proxies.newest(tmp_path) is None


def test_no_folder_is_no_proxy(tmp_path: Path) -> None:
    assert local_proxies.newest(tmp_path / "nowhere") is None


SAYS_READY = "import json, os, sys, time; d = json.loads(sys.argv[2]); d['pid'] = os.getpid(); \
open(f'{sys.argv[1]}/{os.getpid()}.json', 'w').write(json.dumps(d)); sys.stdin.read()"


def test_a_started_proxy_is_waited_for(tmp_path: Path) -> None:
    state = json.dumps(STATE | {"started": time.time()})
    with subprocess.Popen([sys.executable, "-c", SAYS_READY, str(tmp_path), state], stdin=subprocess.PIPE) as process:
        ready = local_proxies.wait_until_ready(process, within=30, folder=tmp_path)
        assert ready is not None
        assert ready.pid == process.pid


def test_one_that_dies_is_noticed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(2)"]) as process:
        assert local_proxies.wait_until_ready(process, within=30, folder=tmp_path) is None
        assert process.returncode == 2


def test_a_dead_namesakes_file_is_not_taken_for_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        leave(tmp_path, str(process.pid), pid=process.pid, started=time.time() - 3600)
        assert local_proxies.wait_until_ready(process, within=30, folder=tmp_path) is None
