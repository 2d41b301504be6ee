"""`join`: calls of one process that give the same value are one session, and their conversations stay in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.proxy.test_plan import KNOWN, UNKNOWN, Desk, said

from sessiontap.callers import Found
from sessiontap.llm.call import ToolCall
from sessiontap.proxy.call_context import Plan
from sessiontap.trace.restore import RestorableCall

BY_JOB = 'version: 1\nrules: [{session: {name: Reports, id: process}, join: ["${body.metadata.job}", "${message}"]}]'
BY_JOB_ALONE = 'version: 1\nrules: [{session: {name: Reports, id: process}, join: "${body.metadata.job}"}]'


def of_job(job: str | None, *messages: str) -> dict[str, Any]:
    return {**said(*messages), **({"metadata": {"job": job}} if job else {})}


def session(plan: Plan) -> str:
    assert plan.session is not None
    return plan.session.id


def source(plan: Plan) -> str:
    assert plan.session is not None
    return plan.session.source


def test_parallel_calls_of_one_value_are_one_session() -> None:
    desk = Desk(BY_JOB)
    plans = [desk.ask(f"c{n}", of_job(f"job-{n % 2}", f"Part {n}.")) for n in range(6)]
    assert [session(plan) == session(plans[n % 2]) for n, plan in enumerate(plans)] == [True] * 6
    assert session(plans[0]) != session(plans[1])
    assert [plan.session.step for plan in plans if plan.session] == [0, 0, 1, 1, 2, 2]
    assert {source(plan) for plan in plans} == {"join"}


def test_the_first_template_that_has_a_value_counts() -> None:
    desk = Desk(BY_JOB)
    named, unnamed = desk.ask("a", of_job("x", "Write.")), desk.ask("b", of_job(None, "Rest."))
    again, other = desk.ask("c", of_job(None, "Rest.")), desk.ask("d", of_job("x", "Rest."))
    assert (session(again), session(other)) == (session(unnamed), session(named))
    assert [plan.session.rank for plan in (named, unnamed) if plan.session] == [0, 1]


def test_without_a_value_the_sources_of_the_rules_decide() -> None:
    desk = Desk(BY_JOB_ALONE)
    assert source(desk.ask("a", of_job(None, "Write."))) == "process"
    assert source(desk.ask("b", of_job("x", "Write."))) == "join"


@pytest.mark.parametrize(
    ("rules", "later", "stays"),
    [
        pytest.param(BY_JOB_ALONE, None, True, id="a later turn without the value"),
        pytest.param(BY_JOB, None, True, id="a later turn with a value of a later template"),
        pytest.param(BY_JOB, "job-2", False, id="a later turn with another value"),
        pytest.param(BY_JOB, "job-1", True, id="a later turn with the same value"),
    ],
)
def test_a_conversation_stays_in_the_session_that_it_was_joined_to(rules: str, later: str | None, stays: bool) -> None:
    desk = Desk(rules)
    first = desk.ask("a", of_job("job-1", "Write the report."))
    desk.reply("a", first, text="Here is the report, in some twenty words or so.")
    turn = said("Write the report.")
    turn["messages"] += [
        {"role": "assistant", "content": "Here is the report, in some twenty words or so."},
        {"role": "user", "content": "Shorter."},
    ]
    plan = desk.ask("b", {**turn, **({"metadata": {"job": later}} if later else {})})
    assert plan.link.parent == "a"
    assert (session(plan) == session(first)) is stays
    assert source(plan) == "join"


def test_a_sub_agent_is_in_the_session_of_the_agent_that_calls_it() -> None:
    desk = Desk(BY_JOB_ALONE)
    task = '{"prompt": "Find every place where the parser drops a comment.", "subagent_type": "explore"}'
    main = desk.ask("main", of_job("job-1", "Clean up."))
    desk.reply("main", main, ToolCall("Task", "call_aBcD1eF", task))
    helper = desk.ask("helper", said("Find every place where the parser drops a comment."))
    assert (helper.link.parent, session(helper), source(helper)) == ("main", session(main), "join")


def test_a_call_of_other_rules_does_not_go_on() -> None:
    desk = Desk('version: 1\nrules: [{match: {model: m}, session: {name: R}, join: "${body.metadata.job}"}, '
                '{session: {id: process, name: R}}]')  # fmt: skip
    first = desk.ask("a", of_job("job-1", "Write the report."))
    desk.reply("a", first, text="Here is the report, in some twenty words or so.")
    turn = said("Write the report.", "Go on.")
    turn["messages"].insert(1, {"role": "assistant", "content": "Here is the report, in some twenty words or so."})
    plan = desk.ask("b", {**turn, "model": "other"})
    assert (plan.link.parent, source(plan)) == ("a", "process")


OTHER = Found(replace(KNOWN.caller, id="0aa5b8a2-0000-5000-8000-000000000002", pid=2) if KNOWN.caller else None)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        pytest.param((KNOWN, "127.0.0.1"), (KNOWN, "127.0.0.1"), True, id="one process"),
        pytest.param((KNOWN, "127.0.0.1"), (OTHER, "127.0.0.1"), False, id="two processes"),
        pytest.param((UNKNOWN, "10.1.2.3"), (UNKNOWN, "10.1.2.3"), True, id="one client on another machine"),
        pytest.param((UNKNOWN, "10.1.2.3"), (UNKNOWN, "10.1.2.4"), False, id="two clients"),
    ],
)
def test_who_gives_the_value_counts(first: tuple[Found, str], second: tuple[Found, str], together: bool) -> None:
    desk = Desk(BY_JOB)
    plans = []
    for number, (found, client) in enumerate((first, second)):
        desk.found, desk.client = found, client
        plans.append(desk.ask(f"c{number}", of_job("job-1", "Write.")))
    assert (session(plans[0]) == session(plans[1])) is together


def test_after_idle_the_same_value_is_a_new_session_and_its_conversation_goes_on_in_that() -> None:
    desk = Desk(BY_JOB.replace("id: process", "id: process, idle: 1m"))
    first = desk.ask("a", of_job("job-1", "Write."))
    desk.now += 61 * 10**9
    second = desk.ask("b", of_job("job-1", "Write more."))
    third = desk.ask("c", of_job("job-1", "And more."))
    assert session(first) != session(second) == session(third)
    desk.reply("b", second, text="Here is the report, in some twenty words or so.")
    turn = said("Write more.", "Go on.")
    turn["messages"].insert(1, {"role": "assistant", "content": "Here is the report, in some twenty words or so."})
    fourth = desk.ask("d", turn)
    assert (fourth.link.parent, session(fourth)) == ("b", session(second))


def test_half_an_hour_without_a_call_ends_it_if_the_rules_say_nothing() -> None:
    desk = Desk(BY_JOB)
    first = desk.ask("a", of_job("job-1", "Write."))
    desk.now += 1_790 * 10**9
    assert session(desk.ask("b", of_job("job-1", "More."))) == session(first)
    desk.now += 1_801 * 10**9
    assert session(desk.ask("c", of_job("job-1", "More."))) != session(first)


def test_two_proxies_give_one_id_without_a_word_between_them() -> None:
    one, other = (Desk(BY_JOB).ask("a", of_job("job-1", "Write.")) for _ in range(2))
    assert session(one) == session(other)


def test_a_long_value_counts_as_a_whole() -> None:
    desk = Desk(BY_JOB)
    plans = [desk.ask(f"c{end}", of_job(None, "x" * 10_000 + end)) for end in "aba"]
    assert session(plans[0]) == session(plans[2]) != session(plans[1])


def test_a_restart_goes_on_in_the_session_of_a_conversation() -> None:
    desk = Desk(BY_JOB_ALONE)
    first = desk.ask("a", of_job("job-1", "Write the report."))
    assert first.session is not None
    after = Desk(BY_JOB_ALONE)
    after.now = desk.now
    link = {"kind": "new", "root": first.link.root}
    session_map = {"id": first.session.id, "name": "Reports", "step": 0, "source": "join", "rank": 0}
    restored = RestorableCall("a", desk.now, session_map, conversation=first.link.conversation, link=link)
    after.planner.restore(restored)
    after.planner.restore(replace(restored, id="older", time=desk.now - 1, session={**session_map, "id": "older"}))
    joined = after.planner.joined.session_of(first.link)
    assert joined is not None
    assert (joined.key, joined.rank) == (first.session.id, 0)


def test_the_record_names_the_rule_that_joins() -> None:
    plan = Desk(BY_JOB.replace("[{session", "[{rule: jobs, session")).ask("a", of_job("job-1", "Write."))
    assert (plan.decision.set_by["session.id"], plan.decision.set_by["join"]) == ("jobs", "jobs")
    assert plan.decision.id_sources[0].text == "join (job-1)"
