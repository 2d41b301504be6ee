"""Who opened a connection: found at once, late, by a shared search, by a thread, or not at all."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.support.gate import PATIENCE

from sessiontap.callers import Caller, Found
from sessiontap.callers.process_search import LookUp, LookUpResult
from sessiontap.proxy import connections, look_ups
from sessiontap.proxy.connections import Connection, Connections

APP = Found(Caller(id="app", pid=1, started=1, name="app.py"))
CLIENT, PROXY = ("127.0.0.1", 5000), ("127.0.0.1", 8080)
NONE: frozenset[str] = frozenset()


class Search:
    """A search that answers what the test lets it."""

    def __init__(self) -> None:
        self.questions: list[LookUp] = []
        self.answers: list[LookUpResult] = []

    @property
    def pending(self) -> bool:
        return bool(self.questions or self.answers)

    def ask(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> LookUp:
        question = LookUp(client, proxy, env_names)
        self.questions.append(question)
        return question

    def answer(self, found: Found | None, number: int = 0) -> None:
        self.answers.append(LookUpResult(self.questions.pop(number), found))

    def step(self, seconds: float) -> list[LookUpResult]:
        answers, self.answers = self.answers, []
        return answers


@pytest.fixture(autouse=True)
def nothing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "find_known", lambda *_: None)
    monkeypatch.setattr(connections, "PATIENCE", 0.0)


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    search = Search()
    monkeypatch.setattr(look_ups, "search", lambda: search)
    return search


@pytest.fixture
def open_connections(search: Search) -> Connections:
    opened = Connections()
    opened.warm_up()
    return opened


async def until_found(connection: Connection) -> None:
    if connection.look is not None:
        await asyncio.wait_for(connection.look, PATIENCE)
        await asyncio.sleep(0)


def test_a_caller_that_is_found_late_is_taken_all_the_same(search: Search, open_connections: Connections) -> None:
    async def run() -> None:
        connection = await open_connections.opened("1", CLIENT, PROXY, NONE)
        assert connection.found == Found(reason="not found in time")
        search.answer(APP)
        await until_found(connection)
        assert connection.found is APP

    asyncio.run(run())


def test_a_call_may_wait_for_it(
    search: Search, open_connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PROTECTING_PATIENCE", PATIENCE)

    async def run() -> None:
        connection = await open_connections.opened("1", CLIENT, PROXY, NONE)
        asyncio.get_running_loop().call_soon(search.answer, APP)
        await open_connections.settled(connection)
        assert connection.caller is APP.caller

    asyncio.run(run())


def test_but_not_for_ever(search: Search, open_connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PROTECTING_PATIENCE", 0.0)

    async def run() -> None:
        connection = await open_connections.opened("1", CLIENT, PROXY, NONE)
        await open_connections.settled(connection)
        assert connection.caller is None
        search.answer(APP)

    asyncio.run(run())


def test_connections_that_wait_together_are_answered_by_one_search(
    search: Search, open_connections: Connections
) -> None:
    async def run() -> None:
        found = [await open_connections.opened(str(port), ("127.0.0.1", port), PROXY, NONE) for port in range(1, 31)]
        await asyncio.sleep(0)
        assert len(search.questions) == 30
        for number in reversed(range(30)):
            search.answer(Found(Caller(id=str(number), pid=number, started=1, name="x")), number)
        for connection in found:
            await until_found(connection)
        assert [one.caller.id for one in found if one.caller] == [str(number) for number in range(30)]

    asyncio.run(run())


def test_what_may_wait_for_another_machine_waits_on_a_thread(
    search: Search, open_connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def find(*_: object) -> Found:
        threads.append(threading.current_thread())
        return APP

    monkeypatch.setattr(look_ups, "find", find)

    async def run() -> None:
        connection = await open_connections.opened("1", CLIENT, PROXY, NONE)
        search.answer(None)
        await until_found(connection)
        assert connection.found is APP

    asyncio.run(run())
    assert threads != [threading.main_thread()]


def test_a_process_that_has_closed_its_socket_is_still_who_opened_it(
    search: Search, open_connections: Connections
) -> None:
    """The rules ask for more of its environment than before; it is too late to read it."""

    async def run() -> None:
        connection = await open_connections.opened("1", CLIENT, PROXY, NONE)
        search.answer(APP)
        await until_found(connection)
        await open_connections.look_up(connection, frozenset({"PRIVATE"}))
        for _ in range(2):  # meanwhile, and then
            assert connection.caller is not None
            assert (connection.caller.id, connection.caller.env_unread) == ("app", True)
            if search.questions:
                search.answer(Found(reason="gone"))
                await until_found(connection)

    asyncio.run(run())


def test_an_older_look_up_does_not_replace_a_newer_one(search: Search, open_connections: Connections) -> None:
    async def run() -> None:
        connection = await open_connections.opened("1", CLIENT, PROXY, NONE)
        await open_connections.look_up(connection, frozenset({"A"}))
        newer = Found(Caller(id="newer", pid=2, started=1, name="x"))
        search.answer(newer, 1)
        await until_found(connection)
        search.answer(APP)
        searching = open_connections._look_ups._searching
        assert searching is not None
        await searching
        await asyncio.sleep(0)
        assert connection.found is newer

    asyncio.run(run())


@pytest.mark.parametrize(
    ("found", "is_remote"),
    [
        (APP, False),
        (Found(reason="remote client"), True),
        (Found(reason="gone"), False),
        (Found(reason="not visible"), False),
        (Found(reason="not found in time"), False),
    ],
    ids=lambda value: str(value.reason) if isinstance(value, Found) else None,
)
def test_only_a_client_elsewhere_has_no_process(found: Found, is_remote: bool) -> None:
    assert Connection("1", CLIENT, found).is_remote is is_remote


def test_programs_without_a_process_are_told_by_more_than_their_address() -> None:
    gone = Found(reason="gone")
    who = {
        Connection("1", CLIENT, gone).who,
        Connection("2", CLIENT, gone, proxy_user="ci").who,
        Connection("3", CLIENT, gone, hello="tls-a").who,
        Connection("4", CLIENT, gone, hello="tls-b").who,
    }
    assert len(who) == 4
    assert Connection("5", CLIENT, gone, hello="tls-a").who in who
    assert Connection("6", CLIENT, APP, hello="tls-a").who == "app"
