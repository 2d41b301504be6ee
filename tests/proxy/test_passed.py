"""The list of what went through unrecorded."""

from __future__ import annotations

import pytest

from sessiontap.callers import Caller, Found, Process
from sessiontap.proxy import passed
from sessiontap.proxy.connections import Connection
from sessiontap.proxy.passed import Passed


class Clock:
    now = 100.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def connection(number: int = 1, pid: int | None = 10, name: str = "app.py", *ancestors: int) -> Connection:
    if pid is None:
        return Connection(str(number), (f"10.0.0.{number}", 5), Found(reason="remote client"))
    older = tuple(Process(one, "sh", 1) for one in ancestors)
    caller = Caller(f"process {pid}", pid, 1, name, exe="/usr/bin/python3", ancestors=older)
    return Connection(str(number), ("127.0.0.1", 5), Found(caller))


def test_connections_of_one_process_to_one_host_are_one_entry() -> None:
    kept = Passed(Clock())
    for number, data in ((1, b"one"), (2, b"three")):
        passage = kept.connection(connection(number), "other.example", 443, "unknown_host")
        passage.count_sent(data)
        passage.count_received(data * 2)
    assert kept.about(None) == [
        {
            "program": "app.py",
            "exe": "/usr/bin/python3",
            "pids": [10],
            "process_unknown": None,
            "client": None,
            "host": "other.example",
            "port": 443,
            "why": "unknown_host",
            "connections": 2,
            "requests": 0,
            "sent": 8,
            "received": 16,
            "first": 101.0,
            "last": 102.0,
        }
    ]


def test_processes_of_one_program_are_put_together_hosts_ports_and_reasons_are_not() -> None:
    kept = Passed(Clock())
    kept.connection(connection(1, 10), "a.example", 443, "unknown_host")
    kept.connection(connection(2, 11), "a.example", 443, "unknown_host")
    kept.connection(connection(3, 12, "other.py"), "a.example", 443, "unknown_host")
    kept.connection(connection(4, 10), "a.example", 8443, "unknown_host")
    kept.connection(connection(5, 10), "a.example", 443, "distrust")
    kept.connection(connection(6, None), "a.example", 443, "unknown_host")
    kept.connection(connection(7, None), "a.example", 443, "unknown_host")
    found = [(one["program"], one["client"], one["port"], one["why"], one["pids"]) for one in kept.about(None)]
    assert found == [
        (None, "10.0.0.7", 443, "unknown_host", []),
        (None, "10.0.0.6", 443, "unknown_host", []),
        ("app.py", None, 443, "distrust", [10]),
        ("app.py", None, 8443, "unknown_host", [10]),
        ("other.py", None, 443, "unknown_host", [12]),
        ("app.py", None, 443, "unknown_host", [10, 11]),
    ]


@pytest.mark.parametrize(("pid", "hosts"), [(10, {"a", "b"}), (11, {"b"}), (12, set()), (None, {"a", "b", "c"})])
def test_it_is_asked_by_process_and_what_it_started(pid: int | None, hosts: set[str]) -> None:
    kept = Passed()
    kept.connection(connection(1, 10), "a", 443, "unknown_host")
    kept.connection(connection(2, 11, "child.py", 10, 1), "b", 443, "unknown_host")
    kept.connection(connection(3, None), "c", 443, "unknown_host")
    assert {one["host"] for one in kept.about(pid)} == hosts


def test_requests_in_plain_http_count_connections_once() -> None:
    kept = Passed()
    first, second = connection(1), connection(2)
    for one in (first, first, second):
        kept.request(one, "plain.example", 80, "path")
    (entry,) = kept.about(None)
    assert (entry["connections"], entry["requests"]) == (2, 3)


def test_bytes_that_were_not_counted_are_unknown() -> None:
    kept = Passed()
    kept.connection(connection(1), "a", 443, "unknown_host").count_sent(b"x")
    kept.connection(connection(2), "a", 443, "unknown_host", counted=False)
    (entry,) = kept.about(None)
    assert (entry["connections"], entry["sent"], entry["received"]) == (2, None, None)


def test_a_process_that_is_found_late_is_named() -> None:
    kept, late = Passed(), connection(1, None)
    kept.connection(late, "a", 443, "unknown_host")
    late.found = connection(1, 10).found
    (entry,) = kept.about(10)
    assert (entry["program"], entry["client"]) == ("app.py", None)


def test_it_is_bounded_and_says_what_it_forgot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passed, "MOST", 2)
    kept = Passed()
    for host in ("a", "b", "c"):
        kept.connection(connection(), host, 443, "unknown_host")
    assert ([one["host"] for one in kept.about(None)], kept.forgotten) == (["c", "b"], 1)
