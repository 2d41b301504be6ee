"""Several workers' answers as one."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.proxy.own_answers import all_in_flight, all_passed, all_recorded, whole_health


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([{"recorded": True, "in_flight": 0}] * 2, {"recorded": True, "in_flight": 0}),
        (
            [{"recorded": True, "in_flight": 0}, {"recorded": False, "in_flight": 2}],
            {"recorded": False, "in_flight": 2},
        ),
        ([{"recorded": True, "in_flight": 0}, None], {"recorded": False, "in_flight": 0}),
    ],
    ids=["all", "one goes on", "one gives no answer"],
)
def test_recorded(answers: list[Any], expected: dict[str, Any]) -> None:
    assert all_recorded(answers) == expected


def item(**more: Any) -> dict[str, Any]:
    return {
        "program": "app.py",
        "exe": "/usr/bin/python3",
        "pids": [1],
        "client": None,
        "host": "api.example",
        "port": 443,
        "why": "unknown_host",
        "connections": 1,
        "requests": 0,
        "sent": 10,
        "received": 20,
        "first": 1.0,
        "last": 2.0,
        **more,
    }


def passed(*items: dict[str, Any], lost: int | None = 0) -> dict[str, Any]:
    return {"passed": list(items), "forgotten": 1, "lost_records": lost}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (
            [passed(item()), passed(item(pids=[2], first=0.5, last=3.0))],
            [item(pids=[1, 2], connections=2, sent=20, received=40, first=0.5, last=3.0)],
        ),
        ([passed(item()), passed(item(sent=None))], [item(connections=2, sent=None, received=40)]),
        ([passed(item()), passed(item(host="b", last=3.0))], [item(host="b", last=3.0), item()]),
        ([passed(item()), None], [item()]),
    ],
    ids=["of one program", "bytes of one are not counted", "of two hosts", "one gives no answer"],
)
def test_what_passed(answers: list[Any], expected: list[Any]) -> None:
    assert all_passed(answers)["passed"] == expected


@pytest.mark.parametrize(
    ("answers", "lost"),
    [([passed(lost=1), passed(lost=2)], 3), ([passed(), passed(lost=None)], None), ([passed(), None], None)],
    ids=["known", "of one unknown", "one gives no answer"],
)
def test_lost_records(answers: list[Any], lost: int | None) -> None:
    assert all_passed(answers)["lost_records"] == lost


def health(**more: Any) -> dict[str, Any]:
    return {
        "listening": ["127.0.0.1:8080"],
        "rules": {"file": None, "in_force": 0, "error": None},
        "recorder": True,
        "lost_records": 1,
        "trace": {"folder": "/t", "writable": True, "error": None},
        "gateways": [],
        "alerts": [],
        "alerts_failing": {},
        "session_store": None,
        **more,
    }


@pytest.mark.parametrize(
    ("answers", "ok"),
    [
        ([health(), health()], True),
        ([health(), health(recorder=False)], False),
        ([health(), health(trace={"folder": "/t", "writable": False, "error": "full"})], False),
        ([health(), None], False),
        ([health(listening=[])], False),
        ([health(rules={"file": "r", "in_force": 1, "error": "bad"})], True),
    ],
    ids=["all are well", "a recorder is gone", "a full disk", "no answer", "it does not listen", "a broken rules file"],
)
def test_health(answers: list[Any], ok: bool) -> None:
    assert whole_health(answers)["ok"] is ok


def test_health_counts_what_all_lost() -> None:
    found = whole_health([health(), health()])
    assert (found["lost_records"], found["workers"]) == (2, {"running": 2, "of": 2})


def test_the_newest_alerts_of_all_workers_are_told() -> None:
    first = health(alerts=[{"time": time, "name": "a"} for time in (1, 30)])
    second = health(alerts=[{"time": time, "name": "b"} for time in range(2, 22)])
    found = whole_health([first, None, second])["alerts"]
    assert [one["time"] for one in found] == [*range(3, 22), 30]


def test_a_gateway_that_fails_is_told_once_for_all_workers() -> None:
    mine = {"name": "mine", "origin": "https://a.example:443"}
    other = {"name": "other", "origin": "https://b.example:443"}
    first = health(gateways=[{**other, "seconds": 9.0, "skipped": 0}, {**mine, "seconds": 2.5, "skipped": 3}])
    second = health(gateways=[{**mine, "seconds": 40.0, "skipped": 4}])
    assert whole_health([first, None, second])["gateways"] == [
        {**mine, "seconds": 40.0, "skipped": 7},
        {**other, "seconds": 9.0, "skipped": 0},
    ]


def test_the_calls_in_flight_of_all_workers_come_in_the_order_of_their_starts() -> None:
    first, second, third = ({"id": str(time), "time": time} for time in (1, 2, 3))
    answers = [{"calls": [second]}, None, {"calls": [first, third]}]
    assert all_in_flight(answers) == {"calls": [first, second, third]}


def test_a_store_is_told_of_as_the_worker_sees_it_that_is_without_it() -> None:
    address = {"address": "redis://store:6379/0"}
    well = {**address, "away": None, "seconds": None, "local_steps": 2, "unnumbered": 0, "longest_wait": 0.004}
    without = {**well, "away": "it does not answer", "seconds": 3.0, "local_steps": 5, "unnumbered": 4}
    told = whole_health([{**health(), "session_store": one} for one in (well, without)])["session_store"]
    assert told == {**without, "local_steps": 7}
