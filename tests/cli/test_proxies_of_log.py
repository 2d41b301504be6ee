"""Which proxies are asked for calls in flight, and what commands draw of them."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.recorded import COURSE, call_id

from sessiontap import units
from sessiontap.cli import listing, options, proxies_of_log, tree
from sessiontap.cli.local_proxies import Asking
from sessiontap.cli.main import main
from sessiontap.cli.table import Row
from sessiontap.trace.values import iso

NOW = recorded.START + 100 * recorded.SECOND
LOG = "/log"


def told(number: int = 9, **more: Any) -> dict[str, Any]:
    """A call as a proxy tells it."""
    return {
        "id": call_id(number),
        "time": NOW - number * recorded.SECOND,
        "session": {"id": COURSE, "name": "Course outline", "path": "/outline", "step": 3},
        "llm": {"operation": "chat", "request_model": "gpt-4o"},
        "request": {"method": "POST", "body": {"size": 10}},
        "response": None,
    } | more


class Answering:
    """A proxy in the place of one: it gives every request that comes the same answer; None: it never does."""

    def __init__(self, answer: bytes | None) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._held: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for one in self._held:
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += client.recv(65536)
            self.asked.append(asked.partition(b"\r\n")[0])
            if self._answer is None:
                self._held.append(client)
            else:
                client.sendall(self._answer)
                client.close()


def reply(value: Any, status: int = 200) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


Leave = Callable[..., Answering]
LIMIT = {"id": "3646df94", "name": None, "rule": "agents", "text": "calls is 5, at or above 5, in day 2026-11-21"}


@pytest.fixture
def leave(own_place: Path) -> Iterator[Leave]:
    """Start such a proxy, and leave its state file."""
    folder = own_place / ".sessiontap" / "run"
    folder.mkdir(parents=True)
    with ExitStack() as stack:

        def leave(answer: bytes | None, **values: Any) -> Answering:
            proxy = stack.enter_context(Answering(answer))
            state = {
                "pid": os.getpid(), "started": 1.0, "uid": os.getuid(), "private_to": None, "confdir": "/c",
                "listeners": [{"mode": "regular", "host": "127.0.0.1", "port": proxy.port}], "trace": LOG,
                "rules": None, "token": "t/k",
            }  # fmt: skip
            (folder / f"{proxy.port}.json").write_text(json.dumps(state | values))
            return proxy

        yield leave


def ids() -> list[str]:
    return [call["id"] for call in proxies_of_log.calls(Path(LOG))]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes is waited for."""
    monkeypatch.setattr(proxies_of_log, "WITHIN", 20.0)


def test_a_proxy_is_asked_with_the_token_of_its_state_file(leave: Leave) -> None:
    proxy = leave(reply({"calls": [told()]}))
    assert ids() == [call_id(9)]
    assert proxy.asked == [b"GET http://sessiontap.invalid/in-flight?token=t/k HTTP/1.1"]


def test_the_answers_of_all_come_in_the_order_of_their_starts(leave: Leave) -> None:
    leave(reply({"calls": [told(9), told(7)]}))
    leave(reply({"calls": [told(8)]}), private_to=1)
    assert ids() == [call_id(number) for number in (9, 8, 7)]


@pytest.mark.parametrize(
    "values",
    [
        {"trace": "/another/log"},
        {"pid": 2**22 + 1},
        {"listeners": [{"mode": "reverse", "host": "127.0.0.1", "port": 1}]},
        {"token": None},
        {"token": 5},
    ],
    ids=["another log", "it has ended", "no plain listener", "an older version", "no token"],
)
def test_others_are_not_asked(leave: Leave, values: dict[str, Any]) -> None:
    proxy = leave(reply({"calls": [told()]}), **values)
    assert (ids(), proxy.asked) == ([], [])


def test_a_folder_by_another_name_is_the_same(leave: Leave, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "log")
    leave(reply({"calls": [told()]}), trace=str(tmp_path / "log"))
    assert len(proxies_of_log.calls(tmp_path / "link")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"nonsense\r\n\r\n", reply({"calls": [told()]}, 404), reply(b"{"), reply([]), reply({}),
        reply({"calls": None}), reply({"calls": [None, {"id": 5}]}), b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n{",
    ],
    ids=["nothing", "no HTTP", "another token", "no JSON", "a list", "no calls", "null", "no call", "cut"],
)  # fmt: skip
def test_a_wrong_answer_is_none(leave: Leave, answer: bytes) -> None:
    leave(answer)
    assert ids() == []


def test_one_that_hangs_hides_nothing_of_the_others(leave: Leave, monkeypatch: pytest.MonkeyPatch) -> None:
    hung, well = leave(None), leave(reply({"calls": [told()]}))
    connections: list[Any] = []
    hanging: list[Asking] = []
    answer, ask = Asking.answer, proxies_of_log._ask

    def hangs_first(one: Asking, within: float) -> Any:
        return answer(one, 0.0 if one in hanging else within)  # its time is over

    def asked(proxy: Any, end: float) -> Asking | None:
        connections.append(proxy.plain.port)
        one = ask(proxy, end)
        if one is not None and proxy.plain.port == hung.port:
            hanging.append(one)
        return one

    monkeypatch.setattr(Asking, "answer", hangs_first)
    monkeypatch.setattr(proxies_of_log, "_ask", asked)
    assert ids() == [call_id(9)]
    assert set(connections) == {hung.port, well.port}


def test_where_nothing_listens_any_more_nobody_waits(leave: Leave) -> None:
    proxy = leave(reply({"calls": [told()]}))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    leave(b"", listeners=[{"mode": "regular", "host": "127.0.0.1", "port": port}])
    assert ids() == [call_id(9)]
    assert len(proxy.asked) == 1


def test_without_a_state_file_nothing_is_loaded_and_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies_of_log, "calls", lambda folder: pytest.fail("it was asked"))
    assert options._in_flight(Path(LOG)) == []


# -- what is drawn -----------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recorded trace, a call in flight for 9 seconds, and the time."""
    folder = recorded.write(tmp_path / "trace", recorded.calls())
    monkeypatch.setenv("SESSIONTAP_TRACE", str(folder))
    monkeypatch.setattr(units.time, "time", lambda: NOW / 1e9)
    return folder


Show = Callable[..., str]


@pytest.fixture
def show(log: Path, leave: Leave, capsys: pytest.CaptureFixture[str]) -> Show:
    def show(*arguments: str, calls: Any = ()) -> str:
        leave(reply({"calls": [*calls]}), trace=str(log))
        assert main(arguments) == 0
        return capsys.readouterr().out

    return show


def test_ls(show: Show) -> None:
    out = show("ls", calls=[told(9), told(8)])
    assert "2 running 9.0s" in out.splitlines()[1]
    assert out.splitlines()[1].startswith(COURSE[:8])


def test_ls_of_a_session_of_which_nothing_has_ended(show: Show) -> None:
    session = {"id": "a-new-session", "name": "New", "path": "/", "step": 0}
    new = show("ls", calls=[told(9, session=session)]).splitlines()[1]
    assert new.split()[:3] == ["a-new-se", "New", "-"]
    assert "  0  " in new
    assert "running 9.0s" in new


def test_calls(show: Show) -> None:
    line = show("calls", calls=[told(9)]).splitlines()[1]
    assert line.startswith(call_id(9)[:18])
    assert "9.0s+" in line
    assert line.endswith("running, no reply yet")


def test_show(show: Show) -> None:
    out = show("show", "@1", calls=[told(9), told(8)])
    assert "  in flight  2 calls, the first for 9.0s\n" in out
    assert "3 calls, 2 running" in out
    assert out.count("running, no reply yet") == 2


def test_the_timeline_runs_until_now(show: Show) -> None:
    out = show("show", "@1", "--timeline", calls=[told(9)])
    (line,) = (line for line in out.splitlines() if "3 chat gpt-4o " in line)
    assert ("█" in line, "?" in line, line.split()[-1]) == (True, False, "9.0s")


def test_tail_has_it_last(show: Show) -> None:
    line = show("tail", "-n", "2", calls=[told(9)]).splitlines()[-1]
    assert line.endswith("-  9.0s+  - in, - out  running, no reply yet")


@pytest.mark.parametrize(
    ("response", "first", "text"),
    [
        (None, None, "running, no reply yet"),
        ({"status": 200, "body": {"size": None}}, None, "running, the reply has begun"),
        ({"status": 200, "body": {"size": None}}, 0.412, "running, first byte after 412ms"),
        ({"status": 200, "body": {"size": 0}}, 1.2, "running, 0 B so far, first byte after 1.2s"),
        ({"status": 200, "body": {"size": 4200}}, 1.2, "running, 4.2 KB so far, first byte after 1.2s"),
    ],
)
def test_how_far_a_call_is(response: dict[str, Any] | None, first: float | None, text: str) -> None:
    size = response["body"]["size"] if response else None
    status = response and response["status"]
    row = {"in_flight": True, "status": status, "response_bytes": size, "time_to_first_byte": first}
    assert listing.result(row) == text


@pytest.mark.parametrize(
    ("calls", "running", "text"),
    [(3, 0, "3 calls"), (3, 2, "3 calls, 2 running"), (0, 1, "1 running"), (1, 0, "1 call")],
)
def test_the_calls_of_a_path(calls: int, running: int, text: str) -> None:
    node: dict[str, Any] = {
        "path": "/a", "calls": calls, "calls_in_flight": running, "errors": 0, "started": iso(NOW), "duration": None,
        "input_tokens": None, "output_tokens": None, "cost_usd": None, "cost_unknown_calls": 0, "children": [],
    }  # fmt: skip
    (row,) = tree.rows({"tree": [node], "calls": []}, {})
    assert isinstance(row, Row)
    assert row.cells[-1] == text


@pytest.mark.parametrize(("now", "seconds"), [(NOW + 1_500_000_000, 1.5), (NOW - 10**9, 0.0)], ids=["ago", "to come"])
def test_elapsed(now: int, seconds: float) -> None:
    assert units.elapsed(str(iso(NOW)), now / 1e9) == seconds


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        ({"limits": [], "lifted": []}, ["--trace", LOG, "--lift", "3646df94"], "none does now"),
        ({"limits": [LIMIT], "lifted": []}, ["--trace", LOG, "--lift", "5f3a9c21"], "those that do: 3646df94"),
        ({"limits": [LIMIT], "lifted": []}, ["--trace", "/other"], f"writes to --trace {LOG}"),
    ],
    ids=["nothing to lift", "another one", "a proxy of another log"],
)
def test_limits_says_what_to_do_instead(
    leave: Leave, capsys: pytest.CaptureFixture[str], answer: dict[str, Any], words: list[str], hint: str
) -> None:
    leave(reply(answer))
    assert main(["limits", *words]) != 0
    assert hint in capsys.readouterr().err
