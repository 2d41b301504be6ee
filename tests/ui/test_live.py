from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.recorded import COURSE, REPORT, calls, write
from tests.support.gate import PATIENCE
from tests.ui.served import COOKIE, Client, served

from sessiontap import trace
from sessiontap.cli.options import open_trace
from sessiontap.ui.live import Live
from sessiontap.ui.reading import Reading

FIRST, SECOND = calls()[:3], calls()[3:]
"""Three calls of one session, and two of another."""


def read(text: str | None) -> tuple[str, str, Any] | None:
    """Name, id and data of an event."""
    if text is None:
        return None
    name, id, data = (line.partition(": ")[2] for line in text.strip().splitlines())
    return name, id, json.loads(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "trace", FIRST)


def live(folder: Path, position: str | None = None, session: str | None = None) -> Live:
    found = Live(trace.open(folder), position, session)
    found.start()
    return found


def test_what_was_there_is_no_news(folder: Path) -> None:
    assert live(folder).ended() is None


def test_calls_that_end_are_told_by_session(folder: Path) -> None:
    one = live(folder)
    write(folder, SECOND)
    told = read(one.ended())
    assert told is not None
    assert (told[0], told[2]) == ("ended", {"sessions": {REPORT: 2}})
    assert one.ended() is None


@pytest.mark.parametrize(("session", "told"), [(REPORT, True), (COURSE, False)])
def test_a_sessions_page_is_told_of_its_own(folder: Path, session: str, told: bool) -> None:
    one = live(folder, session=session)
    write(folder, SECOND)
    assert (one.ended() is not None) == told


def test_another_server_goes_on_from_an_events_id(folder: Path) -> None:
    one = live(folder)
    write(folder, SECOND[:1])
    first = read(one.ended())
    assert first is not None
    write(folder, SECOND[1:])
    again = read(live(folder, first[1]).ended())
    assert again is not None
    assert again[2] == {"sessions": {REPORT: 1}}


def test_nothing_is_told_twice_from_the_last_id(folder: Path) -> None:
    one = live(folder)
    write(folder, SECOND)
    told = read(one.ended())
    assert told is not None
    assert live(folder, told[1]).ended() is None


@pytest.mark.parametrize("position", ["", "x", "a:b", ":::", "," * 100])
def test_an_id_that_is_none_begins_now(folder: Path, position: str) -> None:
    assert live(folder, position).ended() is None


def row(id: str, session: str | None) -> dict[str, Any]:
    return {"id": id, "session_id": session, "time": f"2025-11-21T05:00:0{id}Z"}


def test_calls_in_flight_are_told_when_they_change(folder: Path) -> None:
    one = live(folder)
    assert one.in_flight([]) is None
    steps = [[row("1", "a")], [row("1", "a")], [row("1", "a"), row("2", "a"), row("3", None)], []]
    told = [read(one.in_flight(rows)) for rows in steps]
    assert [event and event[2] for event in told] == [
        {"began": {}, "sessions": {"a": {"calls": 1, "since": "2025-11-21T05:00:01Z"}}},
        None,
        {"began": {"a": 1}, "sessions": {"a": {"calls": 2, "since": "2025-11-21T05:00:01Z"}}},
        {"began": {}, "sessions": {}},
    ]


@contextmanager
def events(client: Client, path: str, **headers: str) -> Iterator[Iterator[str]]:
    """The lines of a stream of events."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE)
    connection.request("GET", path, headers={"Cookie": f"{COOKIE}={client.cookie}", **headers})
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream; charset=utf-8"
    try:
        yield (line.decode().rstrip("\n") for line in answer)
    finally:
        answer.close()
        connection.close()


def test_the_server_tells_and_a_browser_goes_on(folder: Path) -> None:
    with served(lambda: Reading(open_trace(folder))) as client:
        client.let_in()
        with events(client, "/live") as lines:
            assert next(lines) == "event: position"
            id = next(lines).removeprefix("id: ")
        write(folder, SECOND)
        with events(client, "/live", **{"Last-Event-ID": id}) as lines:
            names = (line for line in lines if line.startswith(("event", "data")))
            assert [next(names) for _ in range(4)][2:] == ["event: ended", f'data: {{"sessions": {{"{REPORT}": 2}}}}']


def test_calls_of_two_writers_are_told_together(folder: Path) -> None:
    one = live(folder)
    write(folder, SECOND[1:], writer=2)
    write(folder, SECOND[:1], writer=3)
    told = read(one.ended())
    assert told is not None
    assert told[2] == {"sessions": {REPORT: 2}}
