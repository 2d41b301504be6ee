"""`sessiontap ui` as a process: the line that it prints, what it answers, and when it ends."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.cli.recorded import calls, write
from tests.support.gate import PATIENCE

from sessiontap.callers.running import is_alive
from sessiontap.cli.main import main
from sessiontap.cli.page_server import may_open_browser
from sessiontap.proxy import page_port

START = [sys.executable, "-m", "sessiontap.cli"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "trace", calls())


@contextmanager
def page(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the first line that it prints."""
    process = subprocess.Popen([*START, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path)
    found = connection.getresponse().status
    connection.close()
    return found


def test_the_line_has_the_address_that_opens_the_page(folder: Path) -> None:
    with page("ui", "--no-browser", "--port", "0", "--trace", str(folder)) as (process, line):
        found = re.fullmatch(r"sessiontap: the page is at http://127\.0\.0\.1:(\d+)(/\?token=\S+)\n", line)
        assert found is not None
        port = int(found[1])
        assert status(port, "/") == 403
        assert status(port, found[2]) == 303
        assert page_port.leads_to_page("localhost", port)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert not (page_port.folder() / str(port)).exists()


def test_ctrl_c_ends_it_quietly_while_a_page_is_told_what_happens(folder: Path) -> None:
    with page("ui", "--no-browser", "--port", "0", "--trace", str(folder)) as (process, line):
        found = re.search(r":(\d+)(/\?token=\S+)", line)
        assert found is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=PATIENCE)
        connection.request("GET", found[2])
        let_in = connection.getresponse()
        let_in.read()
        cookie = str(let_in.headers["Set-Cookie"]).partition(";")[0]
        connection.request("GET", "/live", headers={"Cookie": cookie})
        told = connection.getresponse()
        assert (told.status, told.readline()[:6]) == (200, b"event:")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        connection.close()


WITHOUT_SIGNALS = """
import asyncio, os, socket, sys
from sessiontap.cli.main import main

def refuse(*_):
    raise NotImplementedError

asyncio.SelectorEventLoop.add_signal_handler = refuse
sys.exit(main(sys.argv[1:]))
"""
"""The command on an event loop that takes no handlers of signals, as on Windows."""


def test_the_page_ends_at_ctrl_c_if_its_event_loop_takes_no_signals(folder: Path) -> None:
    words = ["ui", "--no-browser", "--port", "0", "--trace", str(folder)]
    process = subprocess.Popen([sys.executable, "-c", WITHOUT_SIGNALS, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        found = re.search(r":(\d+)/", said.readline())
        assert found is not None
        assert status(int(found[1]), "/") == 403
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_without_unix_sockets_another_way_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    assert main(["ui", "--unix", "page.sock", "--trace", str(folder)]) == 1
    assert capsys.readouterr().err == (
        "sessiontap: Python has no Unix sockets on this system\nhint: listen at a port of this machine: --port\n"
    )


@pytest.mark.parametrize("is_there", [True, False])
def test_a_process_is_found_without_a_signal_if_the_system_is_windows(
    is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a signal of number 0 is Ctrl-C."""
    (tmp_path / "1").write_text("4711")
    monkeypatch.setattr(page_port, "folder", lambda: tmp_path)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
    monkeypatch.setattr(psutil, "pid_exists", lambda _: is_there)
    monkeypatch.setattr(os, "name", "nt")
    found = is_alive(4711), page_port.leads_to_page("localhost", 1)
    monkeypatch.undo()
    assert found == (is_there, is_there)


def test_a_unix_socket_is_its_users_alone(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "page.sock"
    with page("ui", "--unix", str(place), "--trace", str(folder)) as (_, line):
        assert str(place) in line
        assert place.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place))
            client.sendall(b"GET /.json HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert not place.exists()


def test_a_port_in_use_that_was_named_is_an_error(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*START, "ui", "--port", port, "--trace", str(folder)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "hint: name another with --port" in done.stderr


def test_a_log_that_was_named_must_be_there(tmp_path: Path) -> None:
    done = subprocess.run([*START, "ui", "--trace", str(tmp_path / "none")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "hint:" in done.stderr


def test_the_usual_log_may_be_still_to_come() -> None:
    with page("ui", "--no-browser", "--port", "0") as (_, line):
        assert "the page is at" in line


def test_a_page_beside_ends_with_the_process_that_started_it(folder: Path) -> None:
    starter = (
        "import os, sys; from pathlib import Path; from sessiontap.cli.page_server import start_beside;"
        "start_beside(Path(sys.argv[1]), None); sys.stdin.read()"
    )
    pipe, end = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", starter, str(folder)], stdin=subprocess.PIPE, stderr=end)
    os.close(end)
    with os.fdopen(pipe) as said:
        assert "the page is at" in said.readline()
        process.communicate(timeout=PATIENCE)
        assert said.read() == ""  # the page was the last to hold it


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize(
    ("name", "opens"), [(None, False), ("DISPLAY", True), ("WAYLAND_DISPLAY", True), ("BROWSER", True)]
)
def test_a_browser_is_opened_where_one_would_be_seen(
    name: str | None, opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(variable, raising=False)
    if name is not None:
        monkeypatch.setenv(name, ":0")
    assert may_open_browser() == opens
