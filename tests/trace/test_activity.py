"""Which sessions are active: by the time of their last call, and by whether their program still runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.trace.conftest import INFO, call_map

from sessiontap import trace
from sessiontap.trace import Writer

SECOND = 10**9
HERE = "this boot pid:[1]"
MAIN = {"type": "caller", "id": "main", "pid": 7, "name": "bot.py", "tree": {"id": "main", "pid": 7}}
HELPER = {"type": "caller", "id": "helper", "pid": 8, "name": "tool.js", "tree": {"id": "main", "pid": 7}}


def call(number: int, caller: str, *, ago: int = 10, source: str = "process", **more: Any) -> dict[str, Any]:
    """Its time is `ago`, less than 0, until it is written: the tables below are made long before their tests run."""
    session = {"id": "session", "name": "Demo", "path": "/a", "step": number, "source": source}
    return call_map(number, time=-ago * SECOND, duration=SECOND, caller=caller, session=session, **more)


def write(folder: Path, machine: str | None, *records: dict[str, Any]) -> None:
    writer = Writer(folder, writer_info=INFO | ({"machine": machine} if machine is not None else {}))
    now = time.time_ns()
    timed = [one | {"time": now + one["time"]} if one["type"] == "call" else one for one in records]
    writer.start()
    writer.submit(lambda: timed, 0)
    assert writer.close(5)


def status(folder: Path, processes: dict[tuple[str, int, str], bool | None] | None) -> str:
    """Of the one session, if the system says this of its processes, and nothing of others."""
    asked = processes.get if processes is not None else None
    is_running = (lambda *process: asked(process)) if asked is not None else None
    (row,) = trace.open(folder, is_running=is_running).query_sessions()
    assert trace.open(folder, is_running=is_running).query_session("@1")["session"] == row
    return str(row["status"])


MAIN_RUNS, MAIN_ENDED = {(HERE, 7, "main"): True}, {(HERE, 7, "main"): False}
HELPER_ENDED = {(HERE, 8, "helper"): False}


@pytest.mark.parametrize(
    ("calls", "processes", "expected"),
    [
        pytest.param([call(1, "main")], MAIN_RUNS, "active", id="its program runs"),
        pytest.param([call(1, "main")], MAIN_ENDED, "completed", id="its program has ended"),
        pytest.param([call(1, "main")], {}, "active", id="nobody knows"),
        pytest.param([call(1, "main")], None, "active", id="nobody is asked"),
        pytest.param([call(1, "main", ago=900)], MAIN_RUNS, "completed", id="its program runs, and is idle"),
        pytest.param([call(1, "main", outcome="http_error")], MAIN_ENDED, "failed", id="the last call failed"),
        pytest.param([call(1, "main"), call(2, "helper")], MAIN_RUNS | HELPER_ENDED, "active", id="one of two runs"),
        pytest.param([call(1, "main"), call(2, "helper")], MAIN_ENDED | HELPER_ENDED, "completed", id="both ended"),
        pytest.param([call(1, "main", ago=900), call(2, "helper")], MAIN_RUNS | HELPER_ENDED, "completed",
                     id="the one that runs has not called lately"),
        pytest.param([call(1, "helper", source="process-tree")], MAIN_RUNS | HELPER_ENDED, "completed",
                     id="of a process tree only its root runs, a shell that made no call"),
        pytest.param([call(1, "helper", source="process-tree")], MAIN_ENDED | {(HERE, 8, "helper"): True}, "active",
                     id="of a process tree the one that called runs"),
        pytest.param([call(1, "main", ago=200, source="process-tree"), call(2, "helper", source="process-tree")],
                     MAIN_RUNS | HELPER_ENDED, "active", id="an agent between turns, whose helper has ended"),
        pytest.param([call(1, "nobody")], MAIN_ENDED, "active", id="the caller is not known"),
        pytest.param([call(1, "main"), call(2, "nobody")], MAIN_ENDED, "active", id="one of two callers is not known"),
        pytest.param([call(n, "main", ago=300 - n) for n in range(1, 280)], MAIN_ENDED, "completed", id="many calls"),
    ],
)  # fmt: skip
def test_status(
    tmp_path: Path,
    calls: list[dict[str, Any]],
    processes: dict[tuple[str, int, str], bool | None] | None,
    expected: str,
) -> None:
    write(tmp_path, HERE, MAIN, HELPER, *calls)
    assert status(tmp_path, processes) == expected


@pytest.mark.parametrize("machine", [None, "another machine"])
def test_the_log_of_another_machine_goes_by_time(tmp_path: Path, machine: str | None) -> None:
    write(tmp_path, machine, MAIN, call(1, "main"))
    assert status(tmp_path, MAIN_ENDED) == "active"


def test_two_proxies_wrote_it_one_of_them_on_another_machine(tmp_path: Path) -> None:
    write(tmp_path, HERE, MAIN, call(1, "main"))
    write(tmp_path, "another machine", MAIN, call(2, "main"))
    assert status(tmp_path, MAIN_ENDED) == "active"


def test_a_process_of_several_sessions_is_asked_for_once(tmp_path: Path) -> None:
    sessions = [call(n, "main") | {"session": {"id": f"s{n}", "name": None, "path": "/"}} for n in range(1, 9)]
    write(tmp_path, HERE, MAIN, *sessions)
    asked: list[tuple[str, int, str]] = []

    def is_running(*process: Any) -> bool:
        asked.append(process)
        return True

    assert len(trace.open(tmp_path, is_running=is_running).query_sessions()) == 8
    assert asked == [(HERE, 7, "main")]
