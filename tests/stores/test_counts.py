"""Proxies that count together in Redis: the same as one tracker would, told once, and alone while the store is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.stores.shared import Proxy, proxies, questions, user
from tests.support.gate import PATIENCE
from tests.support.redis_server import RedisServer, SlowWay, needs_redis

from sessiontap.limits import CallScopes, Counted, Crossing, Threshold, Tracker
from sessiontap.limits.shared import CallBegins, CountAhead
from sessiontap.limits.tracker import BeginResult
from sessiontap.proxy.call_context import Plan
from sessiontap.rules.decision import Decision
from sessiontap.sessions.id_sources import SessionEvidence
from sessiontap.sessions.session import Session
from sessiontap.sessions.store import WantedSession, wanted_session
from sessiontap.stores import StoreCounts

pytestmark = needs_redis
MILLISECOND, SECOND = 1_000_000, 1_000_000_000
NOW = 1_763_701_200 * SECOND
LIMIT = Threshold("limit", "all", "calls", 10, "day")
FEW = Threshold("limit", "all", "calls", 3, "session")
ONCE = Threshold("limit", "all", "calls", 1, "session")
TWICE = Threshold("limit", "all", "calls", 2, "session")
ALERT = Threshold("alert", "all", "calls", 5, "day")
ALL_KINDS = [
    Threshold("alert", "a", "calls", 4, "session", within=30),
    Threshold("limit", "a", "calls", 6, "session", within=30),
    Threshold("alert", "a", "tokens", 500, "user"),
    Threshold("alert", "a", "tokens", 900, "user"),
    Threshold("limit", "b", "tokens", 200, "session", within=60),
    Threshold("alert", "b", "cost_usd", 0.3, "day"),
    Threshold("alert", "b", "duration", 40, "session"),
    Threshold("alert", "b", "error_rate", 0.5, "user"),
    Threshold("alert", "b", "error_rate", 0.4, "day", within=20),
    Threshold("alert", "c", "repeats", 3, "session"),
    Threshold("limit", "c", "repeats", 4, "session"),
]


def begins(call: int, *thresholds: Threshold, scopes: CallScopes | None = None, **more: bytes | None) -> CallBegins:
    scopes = scopes or CallScopes(NOW, "s-1", user="ada")
    return CallBegins(str(call), scopes, thresholds, more.get("digest"), True, True)


def counts_of(proxy: Proxy, told: list[Crossing] | None = None) -> StoreCounts:
    return StoreCounts(proxy.store, Tracker(), (told if told is not None else []).extend)


async def ask(proxy: Proxy, counts: StoreCounts, call: CallBegins) -> BeginResult:
    """Ask for the session of a call, and with it for its count; return the count."""
    session = call.scopes.session or "none"
    evidence = SessionEvidence("app", session, given=True)
    wanted = WantedSession(session, "App", call.scopes.at, evidence, call=call.call)
    await proxy.store.begin(wanted, (), follows=False, ahead=lambda _: counts.ahead(call))
    return await counts.begin(call)


def plain(crossings: Sequence[Crossing]) -> list[tuple[Threshold, str, float, int, str]]:
    return [(one.threshold, one.scope.key, round(one.value, 6), one.unknown, one.id) for one in crossings]


@pytest.mark.parametrize("seed", range(3))
async def test_the_store_counts_as_a_tracker_does(redis: RedisServer, seed: int) -> None:
    chance, tracker, at, open_calls = random.Random(seed), Tracker(), NOW, []
    async with proxies(redis.url, 2, bound="1s") as running:
        both = [counts_of(one) for one in running]
        of_call = {}
        for call in range(150):
            at += chance.randrange(4000) * MILLISECOND
            scopes = CallScopes(at, chance.choice(["s-1", "s-2"]), user=chance.choice(["ada", None]), lane="l")
            asked = begins(call, *ALL_KINDS, scopes=scopes, digest=chance.choice([b"1", b"2", None]))
            at_proxy = chance.randrange(2)
            one = both[at_proxy]
            expected, found = asked.begin(tracker), await ask(running[at_proxy], one, asked)
            assert plain(found.crossings) == plain(expected.crossings)
            assert (found.refused is None, found.is_first) == (expected.refused is None, expected.is_first)
            if expected.refused is not None and found.refused is not None:
                assert plain([found.refused]) == plain([expected.refused])
                continue
            of_call[call] = one
            open_calls.append(call)
            while len(open_calls) > 3:
                ended = open_calls.pop(chance.randrange(len(open_calls)))
                counted = Counted(
                    at,
                    tokens=chance.choice([None, 10, 70]),
                    cost_usd=chance.choice([None, 0.01, 0.1]),
                    failed=chance.choice([True, False, None]),
                    tools=chance.choice([b"t", b"u", None]),
                )
                expected_ends = tracker.ended(str(ended), counted)
                assert plain(await of_call[ended].ended(str(ended), counted)) == plain(expected_ends)


async def test_a_limit_refuses_by_the_count_of_all_and_each_crossing_is_told_once(redis: RedisServer) -> None:
    async with proxies(redis.url, 3, bound="1s") as running:
        three = [counts_of(one) for one in running]
        asked = [ask(running[call % 3], three[call % 3], begins(call, LIMIT, ALERT)) for call in range(60)]
        results = await asyncio.gather(*asked)
        assert sum(one.refused is None for one in results) == 10
        assert sum(one.is_first for one in results) == 1
        assert [one.threshold for result in results for one in result.crossings] == [ALERT]
        (refusing,) = await three[0].refusing()
        assert await three[0].lift(refusing.id) == refusing
        assert (await ask(running[1], three[1], begins(60, LIMIT))).refused is None


async def test_while_the_store_is_away_a_proxy_counts_what_it_knows_and_tells_the_store_later(
    redis: RedisServer,
) -> None:
    async with proxies(redis.url, 2, bound="1s") as (first, second):
        one, other = counts_of(first), counts_of(second)
        await asyncio.gather(*(one.begin(begins(call, LIMIT, ALERT)) for call in range(3)))
        await asyncio.gather(*(other.begin(begins(call, LIMIT, ALERT)) for call in range(3, 6)))
        first.store.presence.go_away("the test says so")
        alone = [await one.begin(begins(call, LIMIT, ALERT)) for call in range(6, 9)]
        assert [one.threshold for result in alone for one in result.crossings] == [ALERT]
        assert all(result.refused is None for result in alone)
        await first.until(away=False)
        assert (await ask(first, one, begins(9, LIMIT, ALERT))).refused is None
        refused = (await ask(second, other, begins(10, LIMIT, ALERT))).refused
        assert refused is not None
        assert refused.value == 10


async def test_a_call_that_the_store_refuses_too_late_has_gone_through_and_counts(redis: RedisServer) -> None:
    told: asyncio.Queue[Sequence[Crossing]] = asyncio.Queue()
    async with (
        SlowWay(redis.port) as way,
        proxies(redis.url, 1, bound="1s", prefix="late") as (second,),
        proxies(f"redis://127.0.0.1:{way.port}", 1, bound="20ms", prefix="late") as (first,),
    ):
        one, other = StoreCounts(first.store, Tracker(), told.put_nowait), counts_of(second)
        await asyncio.gather(*(ask(second, other, begins(call, LIMIT)) for call in range(10)))
        way.delay = 0.1
        assert (await ask(first, one, begins(10, LIMIT))).refused is None
        late = await asyncio.wait_for(told.get(), PATIENCE)
        assert [(crossing.threshold, crossing.value) for crossing in late] == [(LIMIT, 10)]
        refused = None
        while refused is None or refused.value < 11:  # the store is told of it behind the call
            refused = (await ask(second, other, begins(12, LIMIT))).refused


async def counted(
    proxy: Proxy, counts: StoreCounts, call: int, *thresholds: Threshold, **wanted: Any
) -> BeginResult:
    """Ask for a session, and ahead of it for the count of the call in it; return the count."""

    def begun_in(session: Session) -> CallBegins:
        return begins(call, *thresholds, scopes=CallScopes(NOW + call, session.id))

    def ahead(session: Session) -> CountAhead | None:
        return counts.ahead(begun_in(session))

    found = wanted_session(
        Decision(**wanted), SessionEvidence("process", "p"), now=NOW + call * SECOND, call=str(call)
    )
    begun = await proxy.store.begin(found, (), follows=False, ahead=ahead)
    return await counts.begin(begun_in(begun.session))


async def test_a_call_asks_for_its_session_and_its_count_by_one_script(redis: RedisServer) -> None:
    async with proxies(redis.url, 2, bound="1s") as two:
        counts = [counts_of(one) for one in two]
        asked = [questions(one) for one in two]
        refused = [(await counted(two[at % 2], counts[at % 2], at, FEW)).refused is not None for at in range(5)]
    assert asked == [["begin"] * 3, ["begin"] * 2]
    assert refused == [False, False, False, True, True]


async def test_a_call_of_another_session_than_expected_counts_in_its_own(redis: RedisServer) -> None:
    async with proxies(redis.url, 2, bound="1s") as (one, other):
        counts, others = counts_of(one), counts_of(other)
        asked = questions(other)
        results = [await counted(one, counts, 0, ONCE, max_calls=1), await counted(other, others, 1, ONCE, max_calls=1)]
    assert asked == ["begin"]
    assert [result.refused for result in results] == [None, None]


async def test_a_count_that_was_asked_for_ahead_and_comes_late_is_counted_once(redis: RedisServer) -> None:
    async with SlowWay(redis.port) as way, proxies(f"redis://127.0.0.1:{way.port}", 1, bound="20ms") as (one,):
        counts = counts_of(one)
        way.delay = 0.2
        assert (await counted(one, counts, 0, FEW)).refused is None
        way.delay = 0.0
        one.store.address = replace(one.store.address, timeout=1.0)
        session, refused = wanted_session(Decision(), SessionEvidence("process", "p"), now=NOW).id, None
        call = 1
        while refused is None:
            refused = (await ask(one, counts, begins(call, FEW, scopes=CallScopes(NOW + call, session)))).refused
            call += 1
    assert (call - 2, refused.value) == (2, 3)


Count = Callable[[str, Plan], CallBegins]


def in_its_session(id: str, plan: Plan) -> CallBegins:
    assert plan.session is not None
    return begins(0, FEW, scopes=CallScopes(NOW, plan.session.id))._replace(call=id)


def by_its_path(id: str, plan: Plan) -> CallBegins:
    assert plan.session is not None
    threshold = replace(FEW, per="branch")
    return begins(0, threshold, scopes=CallScopes(NOW, plan.session.id, path=plan.filled.path))._replace(call=id)


def by_its_user(id: str, plan: Plan) -> CallBegins:
    return begins(0, replace(FEW, per="user"), scopes=CallScopes(NOW, user=plan.filled.user))._replace(call=id)


BY_SETTINGS = """
version: 1
rules:
- session: {name: App, id: conversation, path: "/work/${session.name}"}
  user: ada
  limit: [{calls: 100}, {calls: 100, per: user}]
"""


@pytest.mark.parametrize("is_known", [True, False], ids=["by this proxy", "by another one"])
@pytest.mark.parametrize(
    "count", [in_its_session, by_its_path, by_its_user], ids=["per session", "per branch", "per user"]
)
async def test_a_call_that_goes_on_from_another_is_counted_with_one_question(
    redis: RedisServer, count: Count, is_known: bool
) -> None:
    async with proxies(redis.url, 2, BY_SETTINGS, bound="1s") as (one, other):
        others = counts_of(one if is_known else other)
        id, first, messages = await one.turn([user("What is a monad?")], "An answer that is long enough to be known.")
        await counts_of(one).begin(count(id, first))
        asks = one if is_known else other
        asked, refused = questions(asks), []
        for number in range(4):
            id, plan = await asks.ask(
                [*messages, user(f"And {number}?")], ahead=lambda *call: others.ahead(count(*call))
            )
            assert plan.session is not None
            assert first.session is not None
            assert plan.session.id == first.session.id
            refused.append((await others.begin(count(id, plan))).refused is not None)
    assert refused == [False, False, True, True]
    assert asked == ["begin", "remember"] * 4


async def test_a_call_that_was_counted_in_another_session_than_its_own_counts_in_its_own(redis: RedisServer) -> None:
    """The store finds a call that it may continue, and it turns out to begin a conversation of its own."""
    async with proxies(redis.url, 2, BY_SETTINGS, bound="1s") as (one, other):
        counts, others = counts_of(one), counts_of(other)
        id, first = await one.ask([user("What is a monad?")])
        one.reply(id, first, "An answer that is long enough to be known.")
        said = {"role": "assistant", "content": "Another answer, which is as long as the first."}
        asked = questions(other)
        later, own = await other.ask(
            [user("What is a monad?"), said, user("And?")], ahead=lambda *call: others.ahead(in_its_session(*call))
        )
        assert (await others.begin(in_its_session(later, own))).refused is None
        assert first.session is not None
        assert own.session is not None
        in_first, in_own = [
            [(await ask(one, counts, begins(at, TWICE, scopes=CallScopes(NOW, session)))).refused for at in range(2)]
            for session in (first.session.id, own.session.id)
        ]
    assert own.session.id != first.session.id
    assert asked == ["begin", "release", "merge", "remember", "count", "count"]
    assert [(one is None, two is None) for one, two in (in_first, in_own)] == [(True, True), (True, False)]
