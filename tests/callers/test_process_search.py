"""One walk over the processes answers all connections that wait."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from sessiontap.callers import Found, linux, portable, procfs, scan
from sessiontap.callers.process_search import LookUp, LookUpResult, Search

if TYPE_CHECKING:
    from conftest import Stage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag and /proc are Linux's")
NONE: frozenset[str] = frozenset()
LONG = 60.0
PROGRAMS = 8


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SEARCH", LONG)


@pytest.fixture
def finder() -> linux.LinuxFinder:
    finder = linux.LinuxFinder()
    finder.warm_up()
    return finder


def ask(search: Search, accepted: socket.socket) -> LookUp:
    return search.ask(accepted.getpeername(), accepted.getsockname(), NONE)


def finish(search: Search, seconds: float = LONG) -> list[LookUpResult]:
    answers: list[LookUpResult] = []
    while search.pending:
        answers += search.step(seconds)
    return answers


def pids(answers: list[LookUpResult]) -> dict[LookUp, int | None]:
    return {
        answer.question: answer.found.caller.pid if answer.found and answer.found.caller else None
        for answer in answers
    }


@pytest.mark.parametrize("seconds", [LONG, 0.0], ids=["at one go", "a little at a time"])
def test_programs_that_connect_at_once_share_a_walk(
    stage: Stage, finder: linux.LinuxFinder, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    server = stage.listen()
    peers = [stage.client(server) for _ in range(PROGRAMS)]
    walks: list[scan.Walk] = []
    begin = scan.Scan.walk
    monkeypatch.setattr(scan.Scan, "walk", lambda self: walks.append(found := begin(self)) or found)
    search = finder.search()
    asked = {ask(search, peer.accepted): peer.pid for peer in peers}
    assert pids(finish(search, seconds)) == asked
    assert len(walks) == 1


def test_one_that_joins_a_walk_that_has_passed_its_process_is_found_by_the_next(
    stage: Stage, finder: linux.LinuxFinder
) -> None:
    server = stage.listen()
    first = stage.client(server)
    search = finder.search()
    asked = ask(search, first.accepted)
    answers = search.step(0.0)  # the list of processes is made
    late = stage.client(server)  # and this one is not on it
    joined = ask(search, late.accepted)
    assert pids(answers + finish(search)) == {asked: first.pid, joined: late.pid}


def test_a_socket_that_nobody_shows_is_told_so(
    stage: Stage, finder: linux.LinuxFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = stage.client(stage.listen())
    monkeypatch.setattr(scan.Scan, "holder", lambda self, held: None)
    search = finder.search()
    ask(search, peer.accepted)
    (answer,) = finish(search)
    assert answer.found is not None
    assert answer.found.reason in ("not visible", "not permitted")


def test_what_needs_no_search_is_answered_by_the_next_step(stage: Stage, finder: linux.LinuxFinder) -> None:
    search = finder.search()
    question = search.ask(("203.0.113.9", 40000), stage.listen().getsockname(), NONE)
    assert search.pending
    assert search.step(LONG) == [LookUpResult(question, Found(reason="remote client"))]
    assert not search.pending


def test_a_walk_has_a_limit(stage: Stage, finder: linux.LinuxFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SEARCH", -1.0)
    monkeypatch.setattr(scan.Scan, "holder", lambda self, held: None)
    search = finder.search()
    ask(search, stage.client(stage.listen()).accepted)
    (answer,) = finish(search, 0.0)
    assert answer.found == Found(uid=os.geteuid(), reason="not found in time")


def test_a_user_without_a_name_yet_is_left_to_a_thread(
    stage: Stage, finder: linux.LinuxFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "knows_user", lambda uid: False)
    search = finder.search()
    question = ask(search, stage.client(stage.listen()).accepted)
    assert finish(search) == [LookUpResult(question, None)]


def test_without_sock_diag_it_is_left_to_a_thread(
    stage: Stage, finder: linux.LinuxFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr("sessiontap.callers.socket_owner.SockDiag._send", refused)
    search = finder.search()
    question = ask(search, stage.client(stage.listen()).accepted)
    assert finish(search) == [LookUpResult(question, None)]


@pytest.mark.parametrize(
    ("called", "listed"),
    [pytest.param(99.0, 0, id="by a list that was begun since"), pytest.param(101.0, 1, id="not by an older one")],
)
def test_where_the_system_has_lists_alone_those_who_wait_share_one(
    monkeypatch: pytest.MonkeyPatch, called: float, listed: int
) -> None:
    lists: list[str] = []
    finder = portable.PortableFinder(whole_table=True)
    finder._listed = (100.0, [])
    monkeypatch.setattr("sessiontap.callers.portable.time.monotonic", lambda: called)
    monkeypatch.setattr(finder._psutil, "net_connections", lambda kind: lists.append(kind) or [])
    assert finder.find(("127.0.0.1", 1), ("127.0.0.1", 2), NONE).reason == "gone"
    assert len(lists) == listed


def test_a_fault_is_an_answer_and_ends_the_search(
    stage: Stage, finder: linux.LinuxFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(scan.Scan, "walk", broken)
    search = finder.search()
    ask(search, stage.client(stage.listen()).accepted)
    (answer,) = finish(search)
    assert answer.found == Found(uid=os.geteuid(), reason="look-up failed: RuntimeError: a fault")
