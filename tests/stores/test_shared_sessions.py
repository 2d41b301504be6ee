"""Several proxies that share their sessions by Redis: steps, parents, and what holds while it is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from tests.stores.shared import BY_CONVERSATION, BY_PROCESS, PATIENCE, Proxy, proxies, proxy_at, questions, user
from tests.support.redis_server import RedisServer, SlowWay, needs_redis, redis_server

from sessiontap import stores
from sessiontap.llm.call import ToolCall
from sessiontap.sessions.shared_calls import SharedCall
from sessiontap.stores import presence
from sessiontap.stores.connection import CONNECT_SECONDS
from sessiontap.stores.local_steps import LOCAL_STEPS
from sessiontap.stores.presence import MISSES, SETTLE_SECONDS

pytestmark = needs_redis
TASK = "Find every place where the parser drops a comment."


@pytest.fixture
def own_redis(tmp_path: Path, program: str) -> Iterator[RedisServer]:
    """One that a test may stop."""
    with redis_server(tmp_path, program) as server:
        yield server


def steps_of(plans: list[Any]) -> list[int]:
    return sorted(plan.session.step for plan in plans)


# -- together ----------------------------------------------------------------------------------------------------------


async def test_steps_have_no_gaps_and_no_doubles(redis: RedisServer) -> None:
    async with proxies(redis.url, 3) as three:
        asked = [
            three[(number + turn) % 3].ask([user(f"{number} {turn}")], f"app {number % 5}")
            for number in range(30)
            for turn in range(4)
        ]
        plans = [plan for _, plan in await asyncio.gather(*asked)]
    by_session: dict[str, list[int]] = {}
    for plan in plans:
        by_session.setdefault(plan.session.id, []).append(plan.session.step)
    assert [sorted(steps) for steps in by_session.values()] == [list(range(24))] * 5


@pytest.mark.parametrize("rules", [BY_PROCESS, BY_CONVERSATION], ids=["by process", "by conversation"])
async def test_a_conversation_goes_on_at_another_proxy(redis: RedisServer, rules: str) -> None:
    async with proxies(redis.url, 3, rules) as three:
        messages, before, session = [user("What is a monad?")], None, None
        for turn in range(6):
            id, plan, messages = await three[turn % 3].turn(messages, f"An answer that is long enough, number {turn}.")
            messages = [*messages, user(f"And {turn}?")]
            assert (plan.link.parent, plan.session.step) == (before, turn)
            assert plan.link.evidence == ("new" if before is None else "strong")
            assert plan.session.id == (session or plan.session.id)
            before, session = id, plan.session.id


async def test_a_new_conversation_at_another_proxy_is_another_session(redis: RedisServer) -> None:
    async with proxies(redis.url, 2, BY_CONVERSATION) as (one, other):
        _, first, _ = await one.turn([user("hello")], "Hello, what can I do for you today?")
        _, second, _ = await other.turn([user("hello")], "Hello, what can I do for you today?")
    assert first.session.id != second.session.id
    assert (first.session.step, second.session.step) == (0, 0)


async def test_one_look_at_the_store_is_enough_for_a_call(redis: RedisServer) -> None:
    async with proxies(redis.url, 2, BY_CONVERSATION) as (one, other):
        _, _, messages = await one.turn([user("What is a monad?")], "An answer that is long enough to be known.")
        asked = questions(other)
        _, plan = await other.ask([*messages, user("And now?")])
    assert plan.session.step == 1
    assert asked.count("begin") == 1


async def test_a_call_asks_one_script_and_leaves_three_behind_its_back(redis: RedisServer) -> None:
    async with proxies(redis.url, 1) as (one,):
        asked = questions(one)
        id, plan = await one.ask([user("What is a monad?")])
        one.planner.note_end(id)
        one.reply(id, plan, "An answer that is long enough to be known.")
    assert asked == ["begin", "remember", "answered", "remember"]


async def test_a_session_is_as_old_as_the_end_of_its_last_call(redis: RedisServer) -> None:
    async with proxies(redis.url, 1) as (one,):
        id, plan = await one.ask([user("What is a monad?")])
        session = f"{one.store.address.prefix}session:{plan.session.id}"
        with Redis(port=redis.port) as client:
            began = float(client.hget(session, "last"))
            one.reply(id, plan, "An answer that is long enough to be known.")
            await one.ask([user("something else")], "another app")  # the store answers in order
            ended = float(client.hget(session, "last"))
    assert ended > began


async def test_a_tool_calls_result_finds_its_call(redis: RedisServer) -> None:
    async with proxies(redis.url, 2) as (one, other):
        id, plan = await one.ask([user("Look it up.")])
        one.reply(id, plan, None, ToolCall("search", "call_aBcD1eF", '{"q": "x"}'))
        call = {"id": "call_aBcD1eF", "type": "function", "function": {"name": "search", "arguments": '{"q": "x"}'}}
        messages = [
            user("Look it up."),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_aBcD1eF", "content": "found"},
        ]
        _, plan = await other.ask(messages)
    assert (plan.link.parent, plan.link.evidence) == (id, "exact")


async def test_a_sub_agent_at_another_proxy_has_its_parent(redis: RedisServer) -> None:
    async with proxies(redis.url, 2, BY_CONVERSATION) as (one, other):
        id, plan = await one.ask([user("Clean up.")])
        arguments = json.dumps({"prompt": TASK, "subagent_type": "explore"})
        one.reply(id, plan, None, ToolCall("Task", "call_aBcD1eF", arguments))
        _, helper = await other.ask([user(TASK)])
    assert (helper.link.parent, helper.link.kind, helper.link.lineage) == (id, "subagent", ("explore",))
    assert helper.session.id == plan.session.id
    assert helper.session.step == 1


async def test_a_rule_that_ignores_a_sub_agent_holds_if_only_another_proxy_knows_it(redis: RedisServer) -> None:
    rules = "version: 1\nrules: [{match: {subagent: explore}, ignore: true}, {session: {name: App}}]"
    async with proxies(redis.url, 2, rules) as (one, other):
        id, plan = await one.ask([user("Clean up.")])
        arguments = json.dumps({"prompt": TASK, "subagent_type": "explore"})
        one.reply(id, plan, None, ToolCall("Task", "call_aBcD1eF", arguments))
        _, helper = await other.ask([user(TASK)])
        _, later = await other.ask([user("What is a monad?")])
    assert (helper.decision.ignore, helper.session) == (True, None)
    assert steps_of([plan, later]) == [0, 1]


async def test_a_regenerated_answer_is_a_branch_whoever_saw_the_first(redis: RedisServer) -> None:
    async with proxies(redis.url, 3) as (one, two, three):
        _, _, messages = await one.turn([user("What is a monad?")], "An answer that is long enough to be known.")
        _, first, _ = await two.turn([*messages, user("In one word?")], "A pattern that is long enough to be known.")
        _, again, _ = await three.turn([*messages, user("In two words?")], "It is a pattern, and known for it.")
        _, home = await one.ask([*messages, user("In three words?")])
    assert [plan.link.kind for plan in (first, again, home)] == ["continue", "branch", "branch"]


@pytest.mark.parametrize("rules", [BY_PROCESS, BY_CONVERSATION], ids=["by process", "by conversation"])
async def test_a_call_goes_on_from_a_reply_that_another_proxy_has_yet_to_read(redis: RedisServer, rules: str) -> None:
    text = "An answer that is long enough to be known."
    async with proxies(redis.url, 2, rules) as (one, other):
        id, plan = await one.ask([user("What is a monad?")])
        one.planner.note_end(id)
        asked = questions(other)
        context = await other.context([user("What is a monad?"), {"role": "assistant", "content": text}, user("And?")])
        later = context.plan
        assert asked == ["begin", "remember"]
        looking = asyncio.create_task(other.planner.look_again(context))
        one.reply(id, plan, text)
        await looking
    assert later is not None
    assert (later.link.parent, later.link.evidence) == (id, "weak")
    assert (later.session.id, later.session.step) == (plan.session.id, 1)
    assert (context.plan.link.parent, context.plan.link.evidence) == (id, "strong")
    assert context.awaits_reply is None


@pytest.mark.parametrize("is_over", [False, True], ids=["under way", "recorded meanwhile"])
async def test_a_reply_that_a_call_only_names_is_found_behind_the_call(redis: RedisServer, is_over: bool) -> None:
    async with proxies(redis.url, 2) as (one, other):
        id, plan = await one.ask([user("What is a monad?")])
        asked = questions(other)
        context = await other.context([user("And now?")], previous="resp_0aBcD1eFgH")
        assert asked == ["begin", "remember"]
        assert context.plan is not None
        assert context.plan.link.parent is None
        one.reply(id, plan, "An answer.", response_id="resp_0aBcD1eFgH")
        if is_over:
            context.awaits_reply = None
        await other.planner.look_again(context)
        _, third = await one.ask([user("And then?")], previous="resp_0aBcD1eFgH")
    assert context.plan.link.parent == (None if is_over else id)
    assert third.link.kind == ("continue" if is_over else "parallel")


async def test_a_call_that_turns_out_not_to_go_on_from_a_reply_has_no_parent_in_its_record(redis: RedisServer) -> None:
    async with proxies(redis.url, 2, BY_CONVERSATION) as (one, other):
        id, plan = await one.ask([user("What is a monad?")])
        one.planner.note_end(id)
        said = {"role": "assistant", "content": "Another answer, which is as long as the first."}
        context = await other.context([user("What is a monad?"), said, user("And?")])
        assert context.plan is not None
        assert context.plan.link.parent == id
        one.reply(id, plan, "An answer that is long enough to be known.")
        await other.planner.look_again(context)
    assert (context.plan.link.parent, context.plan.link.evidence) == (None, "new")


async def test_a_step_that_a_call_leaves_is_given_to_the_next_one(redis: RedisServer) -> None:
    """It follows a conversation that another proxy knows, whose reply is another one, and so begins its own."""
    async with proxies(redis.url, 2, BY_CONVERSATION) as (one, other):
        id, first = await one.ask([user("What is a monad?")])
        one.reply(id, first, "Another answer, which is as long as the first.")
        said = {"role": "assistant", "content": "An answer that is long enough to be known."}
        asked = questions(other)
        own_id, own = await other.ask([user("What is a monad?"), said, user("And?")])
        assert asked == ["begin", "release", "merge", "remember"]
        other.reply(own_id, own, "A third answer that is long enough to be known.")
        more = {"role": "assistant", "content": "Another answer, which is as long as the first."}
        third = {"role": "assistant", "content": "A third answer that is long enough to be known."}
        goes_on = [(await one.ask([user("What is a monad?"), more, user(f"And {n}?")]))[1] for n in range(2)]
        _, own_later = await one.ask([user("What is a monad?"), said, user("And?"), third, user("And now?")])
    assert own.session.id != first.session.id
    assert (own.session.step, own.session.is_local) == (0, False)
    assert {plan.session.id for plan in goes_on} == {first.session.id}
    assert steps_of([first, *goes_on]) == [0, 1, 2]
    assert (own_later.session.id, own_later.session.step) == (own.session.id, 1)


async def test_the_store_does_not_answer_with_what_its_proxy_knows(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxies(redis.url, 2, BY_CONVERSATION) as (one, other):
        _, _, messages = await one.turn([user("What is a monad?")], "An answer that is long enough to be known.")
        await one.ask([*messages, user("In one word?")])
        told: list[SharedCall] = []
        monkeypatch.setattr(one.planner.conversations, "take_in", told.append)
        await one.ask([*messages, user("In two words?")])
        assert told == []
        child, _ = await other.ask([*messages, user("In three words?")])
        await other.ask([user("What is a functor?")])  # once this has its answer, the store has been told of `child`
        await one.ask([*messages, user("In four words?")])
        assert child in {call.id for call in told}


async def test_a_session_that_ended_is_followed_at_another_proxy_with_one_question(redis: RedisServer) -> None:
    rules = "version: 1\nrules: [{session: {name: App, id: conversation, max_calls: 1}}]"
    async with proxies(redis.url, 2, rules) as (one, other):
        _, first, messages = await one.turn([user("What is a monad?")], "An answer that is long enough to be known.")
        asked = questions(other)
        _, second, messages = await other.turn([*messages, user("And?")], "An answer that is long enough, number 2.")
        _, third = await one.ask([*messages, user("And now?")])
    assert asked == ["begin", "remember", "remember"]
    assert len({plan.session.id for plan in (first, second, third)}) == 3
    assert {second.session.key, third.session.key} == {first.session.id}
    assert [plan.session.step for plan in (first, second, third)] == [0, 0, 0]


async def test_a_call_of_another_session_than_the_store_could_know_gets_a_step_of_it_later(redis: RedisServer) -> None:
    rules = "version: 1\nrules: [{match: {subagent: explore}, session: {name: Explorer}}, {session: {name: App}}]"
    async with proxies(redis.url, 2, rules) as (one, other):
        id, plan = await one.ask([user("Clean up.")])
        arguments = json.dumps({"prompt": TASK, "subagent_type": "explore"})
        one.reply(id, plan, None, ToolCall("Task", "call_aBcD1eF", arguments))
        asked = questions(other)
        _, helper = await other.ask([user(TASK)])
        assert asked == ["begin", "release", "remember"]
        await other.until(given=1)
        _, later = await other.ask([user("something else")])
    assert (helper.session.name, helper.session.is_local) == ("Explorer", True)
    assert list(other.given.values()) == [0]
    assert steps_of([plan, later]) == [0, 1]


async def test_a_proxy_that_dies_leaves_its_sessions_to_the_others(redis: RedisServer) -> None:
    async with proxies(redis.url, 2) as (one, other):
        id, _, messages = await one.turn([user("What is a monad?")], "An answer that is long enough to be known.")
        await one.ask([user("something else")])
        one.store.close()
        _, plan = await other.ask([*messages, user("And now?")])
    assert (plan.session.step, plan.link.parent) == (2, id)


async def test_prefixes_keep_apart_what_shares_a_store(redis: RedisServer) -> None:
    async with proxies(redis.url, 1) as (one,), proxies(redis.url, 1) as (other,):
        steps = [(await proxy.ask([user("hello")]))[1].session.step for proxy in (one, one, other)]
    assert steps == [0, 1, 0]


# -- away --------------------------------------------------------------------------------------------------------------


async def calls(proxy: Proxy, number: int) -> list[Any]:
    return [(await proxy.ask([user("hello")]))[1] for _ in range(number)]


async def test_a_store_that_stops_costs_no_call(own_redis: RedisServer) -> None:
    async with proxies(own_redis.url, 2) as (one, other):
        shared = [*await calls(one, 2), *await calls(other, 2)]
        own_redis.stop()
        began = time.perf_counter()
        local = [*await calls(one, 3), *await calls(other, 3)]
        took = time.perf_counter() - began
        own_redis.start()
        for proxy in (one, other):
            await proxy.until(away=False)
        after = [*await calls(one, 2), *await calls(other, 2)]
    assert steps_of(shared) == [0, 1, 2, 3]
    assert all(plan.session.is_local for plan in local)
    assert len(set(steps_of(local))) == 6
    assert {plan.session.step // LOCAL_STEPS for plan in local} == {1, 2}
    assert took < PATIENCE
    assert sorted([*one.given.values(), *other.given.values()]) == [4, 5, 6, 7, 8, 9]
    assert steps_of(after) == [10, 11, 12, 13]
    assert not any(plan.session.is_local for plan in after)
    assert len({plan.session.id for plan in [*shared, *local, *after]}) == 1
    away, back = one.said
    assert "is away" in away
    assert "answers again" in back
    assert "3 calls got local steps meanwhile" in back


async def test_calls_with_local_steps_get_shared_ones_once_the_store_is_back(own_redis: RedisServer) -> None:
    async with proxies(own_redis.url, 2) as (one, other):
        shared = [*await calls(one, 2), *await calls(other, 2)]
        own_redis.freeze()
        turns = [(proxy, *await proxy.ask([user("hello")])) for proxy in (one, other, other, one, other)]
        own_redis.thaw()
        await one.until(given=2, away=False)
        await other.until(given=3, away=False)
        after = [*await calls(one, 1), *await calls(other, 1)]
    assert steps_of(shared) == [0, 1, 2, 3]
    assert all(plan.session.is_local for _, _, plan in turns)
    assert sorted(proxy.given[id] for proxy, id, _ in turns) == [4, 5, 6, 7, 8]
    for proxy in (one, other):
        given = [proxy.given[id] for owner, id, _ in turns if owner is proxy]
        assert given == sorted(given)
    assert steps_of(after) == [9, 10]


async def test_local_steps_of_several_proxies_are_numbered_by_time_and_once(redis: RedisServer) -> None:
    async with proxies(redis.url, 2) as (one, other):
        await calls(one, 2)
        (session, _), = one.planner.registry.newest(1)

        async def number(proxy: Proxy, give: int, *calls: str) -> list[int]:
            connection = proxy.store.presence.connection
            assert connection is not None
            told = [value for call in calls for value in (session, "App", call)]
            return list(await connection.run("number", give, *told))

        assert await number(one, 0, "call-2", "call-4") == []
        assert await number(other, 0, "call-1", "call-3") == []
        for _ in range(2):
            assert await number(one, 1, "call-2", "call-4") == [3, 5]
        assert await number(other, 1, "call-1", "call-3") == [2, 4]
        assert steps_of(await calls(other, 1)) == [6]


async def test_local_steps_count_for_max_calls_once_the_store_is_back(own_redis: RedisServer) -> None:
    rules = "version: 1\nrules: [{session: {name: App, max_calls: 5}}]"
    async with proxies(own_redis.url, 2, rules) as (one, other):
        first = (await calls(one, 2))[0].session.id
        own_redis.stop()
        assert {plan.session.id for plan in await calls(one, 2)} == {first}
        own_redis.start()
        for proxy in (one, other):
            await proxy.until(away=False)
        fifth, sixth = await calls(other, 2)
    assert (fifth.session.id, fifth.session.step) == (first, 4)
    assert (sixth.session.key, sixth.session.step) == (first, 0)


async def test_a_store_that_was_emptied_learns_what_each_proxy_knows_before_it_gives_steps(
    own_redis: RedisServer,
) -> None:
    async with proxies(own_redis.url, 3) as three:
        for one, number in zip(three, (1, 2, 3), strict=True):
            await calls(one, number)
        id, _, messages = await three[0].turn([user("What is a monad?")], "An answer that is long enough to be known.")
        own_redis.stop()
        own_redis.start()
        began = time.perf_counter()
        for one in three:
            await one.until(away=True)
        for one in three:
            await one.until(away=False)
        settled = time.perf_counter() - began
        after = [plan for one in three for plan in await calls(one, 2)]
        _, later = await three[1].ask([*messages, user("And now?")])
    assert steps_of(after) == list(range(7, 13))
    assert settled > SETTLE_SECONDS / 2
    assert (later.link.parent, later.link.evidence) == (id, "strong")


async def test_a_store_that_was_emptied_gives_no_steps_before_a_proxy_that_is_cut_off_has_told_it(
    own_redis: RedisServer,
) -> None:
    async with SlowWay(own_redis.port) as way, proxies(own_redis.url, 2, prefix="p") as (one, other):
        cut_off = proxy_at(stores.parse(f"redis://127.0.0.1:{way.port}?timeout=200ms&prefix=p", {}))
        for proxy in (one, other, cut_off):
            await proxy.until(away=False)
        for proxy in (one, other):
            await proxy.until(others=3)
        shared = [*await calls(one, 1), *await calls(other, 1), *await calls(cut_off, 4)]
        way.cut()
        own_redis.stop()
        own_redis.start()
        for proxy in (one, other):
            await proxy.until(away=True)
            await proxy.until(asked=True)
        assert milliseconds_of_settling(own_redis) > 2 * SETTLE_SECONDS * 1000
        local = [await proxy.ask([user("hello")]) for proxy in (one, other)]
        await way.open()
        for proxy in (one, other, cut_off):
            await proxy.until(away=False)
        after = [*await calls(cut_off, 1), *await calls(one, 1)]
        cut_off.store.close()
    assert all(plan.session.is_local for _, plan in local)
    given = one.given | other.given
    assert sorted([*steps_of(shared), *given.values(), *steps_of(after)]) == list(range(10))


def milliseconds_of_settling(redis: RedisServer) -> float:
    """From its start until it gives steps, if nobody tells it more."""
    with Redis(port=redis.port, decode_responses=True) as client:
        begun, settles_at = client.hmget("p:store", "begun", "settles_at")
    return float(settles_at) - float(begun)


async def test_a_new_proxy_gets_no_steps_of_an_empty_store_before_others_have_told_it(own_redis: RedisServer) -> None:
    async with proxies(own_redis.url, 1, prefix="p") as (one,):
        shared = await calls(one, 3)
        own_redis.stop()
        own_redis.start()
        new = proxy_at(stores.parse(f"{own_redis.url}?timeout=200ms&prefix=p", {}))
        await new.until(asked=True)
        _, plan = await new.ask([user("hello")])
        await new.until(away=False, given=1)
        after = await calls(new, 1)
        new.store.close()
    assert plan.session.is_local
    assert [*steps_of(shared), *new.given.values(), *steps_of(after)] == list(range(5))


async def test_a_store_that_is_started_with_what_it_knew_is_told_again(tmp_path: Path, program: str) -> None:
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always", program=program)
    server.start()
    try:
        async with proxies(server.url, 1, prefix="p") as (one,):
            await calls(one, 3)
            server.stop()
            server.start()
            with Redis(port=server.port) as client:
                (session,) = client.keys("p:session:*")
                client.hset(session, "steps", 1)  # as if its last seconds had been lost
            await one.until(away=True)
            await one.until(away=False)
            after = await calls(one, 1)
    finally:
        server.stop()
    assert steps_of(after) == [3]


async def test_a_call_waits_for_the_store_no_longer_than_the_bound(redis: RedisServer) -> None:
    async with SlowWay(redis.port) as way, proxies(f"redis://127.0.0.1:{way.port}", 1, bound="20ms") as (one,):
        way.delay = 0.2
        await calls(one, 1)
    assert 0 < one.store.longest_wait <= 0.02 + 1e-9


async def test_a_store_that_hangs_is_waited_for_a_few_times_and_not_by_each_call(own_redis: RedisServer) -> None:
    async with proxies(own_redis.url, 1, bound="20ms") as (one,):
        shared = await calls(one, 2)
        asked = questions(one)
        own_redis.freeze()
        local = await calls(one, 30)
        own_redis.thaw()
        await one.until(away=False)
        after = await calls(one, 3)
    assert asked.count("begin") <= MISSES + len(after)
    assert all(plan.session.is_local for plan in local)
    assert len({plan.session.step for plan in [*shared, *local, *after]}) == 35
    assert list(one.given.values()) == list(range(2, 32))  # what it had taken while it hung was given back
    assert steps_of(after) == [32, 33, 34]


async def test_what_a_store_takes_that_hung_longer_than_its_connection_is_given_back(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "HUNG_SECONDS", 0.1)
    async with proxies(own_redis.url, 1, bound="20ms") as (one,):
        shared = await calls(one, 2)
        own_redis.freeze()
        await calls(one, 5)
        await one.until(away=f"it does not answer within {CONNECT_SECONDS:.0f} s")  # as a new connection finds
        own_redis.thaw()
        await one.until(away=False)
        after = await calls(one, 3)
    assert sorted([*steps_of(shared), *one.given.values(), *steps_of(after)]) == list(range(10))


async def test_a_step_whose_answer_is_lost_with_the_connection_is_given_back(redis: RedisServer) -> None:
    async with (
        SlowWay(redis.port) as way,
        proxies(redis.url, 1, prefix="lost") as (other,),
        proxies(f"redis://127.0.0.1:{way.port}", 1, bound="1s", prefix="lost") as (one,),
    ):
        shared = [*await calls(one, 1), *await calls(other, 1)]
        way.delay = PATIENCE
        asking = asyncio.create_task(one.ask([user("hello")]))
        end = time.monotonic() + PATIENCE
        with Redis(port=redis.port) as store:
            while store.hget(f"lost:session:{shared[0].session.id}", "steps") != b"3":
                assert time.monotonic() < end
                await asyncio.sleep(0.001)
        way.cut()
        _, plan = await asking
        way.delay = 0.0
        await way.open()
        await one.until(away=False, given=1)
        after = await calls(other, 2)
    assert plan.session.is_local
    assert [*steps_of(shared), *one.given.values(), *steps_of(after)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("refuse", "why"),
    [
        pytest.param(lambda store: store.script_flush(), "NOSCRIPT", id="its scripts were flushed"),
        pytest.param(lambda store: store.config_set("maxmemory", 1), "OOM", id="its memory is full"),
        pytest.param(lambda store: store.replicaof("127.0.0.1", 1), "READONLY", id="it became a replica"),
    ],
)
async def test_a_store_that_answers_with_errors_is_asked_once_and_then_no_more(
    own_redis: RedisServer, refuse: Callable[[Redis], object], why: str
) -> None:
    async with proxies(own_redis.url, 1) as (one,):
        shared = await calls(one, 2)
        asked = questions(one)
        with Redis(port=own_redis.port) as store:
            refuse(store)
            local = await calls(one, 3)
            assert asked.count("begin") == 1
            store.config_set("maxmemory", 0)
            store.replicaof("NO", "ONE")
        await one.until(away=False, given=3)
        after = await calls(one, 2)
    assert why in one.said[0]
    assert all(plan.session.is_local for plan in local)
    assert [*steps_of(shared), *one.given.values(), *steps_of(after)] == list(range(7))


async def test_a_store_that_is_slow_is_asked_no_more_until_it_is_quick(redis: RedisServer) -> None:
    async with SlowWay(redis.port) as way, proxies(f"redis://127.0.0.1:{way.port}", 1, bound="40ms") as (one,):
        way.delay = 0.2
        plans = await calls(one, 10)
        assert one.store.away is not None
        assert all(plan.session.is_local for plan in plans[MISSES:])
        way.delay = 0.0
        await one.until(away=False)
        after = await calls(one, 3)
    assert list(one.given.values()) == list(range(10))
    assert steps_of(after) == [10, 11, 12]


async def test_a_proxy_that_starts_without_its_store_says_so_and_goes_on(tmp_path: Path, program: str) -> None:
    with redis_server(tmp_path, program) as server:
        server.stop()
        async with asyncio.timeout(PATIENCE), proxies(server.url, 1, is_there=False) as (one,):
            await one.until(said=True)
            local = await calls(one, 2)
            server.start()
            await one.until(away=False)
            after = await calls(one, 2)
    assert len({plan.session.step for plan in [*local, *after]}) == 4
    assert list(one.given.values()) == [0, 1]
    assert steps_of(after) == [2, 3]
    assert server.url in one.said[0]
