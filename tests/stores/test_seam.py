"""What a store of sessions says: the same, whether this process remembers or Redis does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.stores.conftest import Servers
from tests.stores.shared import proxies
from tests.support.redis_server import PROGRAMS

from sessiontap.rules.decision import Decision
from sessiontap.sessions.id_sources import SessionEvidence
from sessiontap.sessions.registry import Registry
from sessiontap.sessions.session import Session, derived_id
from sessiontap.sessions.store import SessionStore, WantedSession, wanted_session

SECOND = 1_000_000_000
T0 = 1_763_700_000 * SECOND


@pytest.fixture(params=["process", *PROGRAMS])
async def store(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[SessionStore]:
    if request.param == "process":
        yield Registry()
        return
    async with proxies(servers(request.param).url, 1) as (proxy,):
        yield proxy.store


def wanted(
    at: float = 0, process: str = "p", *, given: str | None = None, name: str = "bot", **options: Any
) -> WantedSession:
    """What a call wants `at` seconds after the start; `options`: of the decision, and of `wanted_session`."""
    others = {key: options.pop(key) for key in ("increments_step", "reserved_session") if key in options}
    evidence = SessionEvidence("app", given, given=True) if given else SessionEvidence("process", process)
    return wanted_session(Decision(name=name, **options), evidence, now=T0 + round(at * SECOND), **others)


async def begin(store: SessionStore, wanted: WantedSession) -> Session:
    begun = await store.begin(wanted, (), follows=False)
    assert begun.key == wanted.id
    return begun.session


FIRST = derived_id("process", "p", "bot")


@pytest.mark.parametrize(
    ("calls", "sessions", "steps"),
    [
        pytest.param([wanted(), wanted(), wanted()], "aaa", [0, 1, 2], id="steps count from 0"),
        pytest.param([wanted(), wanted(process="q"), wanted()], "aba", [0, 0, 1], id="in each session"),
        pytest.param([wanted(), wanted(name="other")], "ab", [0, 0], id="another name is another session"),
        pytest.param(
            [wanted(given="run-12345"), wanted(given="run-12345", name="other")], "aa", [0, 1], id="not of a given id"
        ),
        pytest.param([wanted(0, idle=60.0), wanted(60, idle=60.0)], "aa", [0, 1], id="idle is not over"),
        pytest.param([wanted(0, idle=60.0), wanted(61, idle=60.0)], "ab", [0, 0], id="idle ends a session"),
        pytest.param(
            [wanted(at, idle=60.0) for at in (0, 61, 90)], "abb", [0, 0, 1], id="the next one goes on"
        ),
        pytest.param([wanted(1000, idle=60.0), wanted(0, idle=60.0)], "aa", [0, 1], id="a clock that goes back"),
        pytest.param([wanted(at, max_calls=2) for at in range(5)], "aabbc", [0, 1, 0, 1, 0], id="max_calls"),
        pytest.param([wanted(0, max_calls=1) for _ in range(4)], "abcd", [0, 0, 0, 0], id="at one tick of the clock"),
        pytest.param(
            [wanted(given="run-12345", idle=1.0, max_calls=1), wanted(10, given="run-12345", idle=1.0, max_calls=1)],
            "aa",
            [0, 1],
            id="a given id does not end",
        ),
        pytest.param([wanted(increments_step=False), wanted()], "aa", [0, 0], id="a warm-up takes no step"),
    ],
)
async def test_sessions_and_steps(
    store: SessionStore, calls: list[WantedSession], sessions: str, steps: list[int]
) -> None:
    found = [await begin(store, call) for call in calls]
    assert [one.step for one in found] == steps
    order = list(dict.fromkeys(one.id for one in found))
    assert "".join("abcdef"[order.index(one.id)] for one in found) == sessions


async def test_the_first_name_stays(store: SessionStore) -> None:
    await begin(store, wanted(given="run-12345", name="first"))
    later = await begin(store, wanted(given="run-12345", name="second"))
    assert (later.name, later.renamed_to) == ("first", "second")


async def test_a_session_that_follows_names_the_first_one(store: SessionStore) -> None:
    first, second = [await begin(store, wanted(at, idle=60.0)) for at in (0, 61)]
    assert (first.id, first.key) == (FIRST, None)
    assert (second.id, second.key) == (derived_id("process", "p", "bot", T0 + 61 * SECOND), FIRST)


async def test_idle_counts_from_the_end_of_a_call(store: SessionStore) -> None:
    first = await begin(store, wanted(0, idle=60.0))
    store.ended(first.id, T0 + 100 * SECOND)
    assert (await begin(store, wanted(130, idle=60.0))).id == first.id


async def test_a_reserved_step_is_used_in_the_same_session(store: SessionStore) -> None:
    reserved = await begin(store, wanted())
    taken = await begin(store, wanted(reserved_session=reserved))
    assert (taken.step, (await begin(store, wanted())).step) == (0, 1)


async def test_a_reserved_step_is_released_if_the_call_belongs_elsewhere(store: SessionStore) -> None:
    reserved = await begin(store, wanted())
    elsewhere = await begin(store, wanted(process="q", reserved_session=reserved))
    assert (elsewhere.step, (await begin(store, wanted())).step) == (0, 0)


async def test_a_name_of_bytes_that_are_no_text_is_a_name(store: SessionStore) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert [(await begin(store, wanted(name=name))).name for _ in range(2)] == [name, name]
