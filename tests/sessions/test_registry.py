"""Steps, names and ends of sessions, and that a restart changes none of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiontap.callers import Caller
from sessiontap.llm.call import Agent
from sessiontap.rules.decision import Decision, IdSource
from sessiontap.sessions import ClientConnection, Registry, Session, derived_id, session_evidence
from sessiontap.sessions.store import wanted_session

SECOND = 1_000_000_000
T0 = 1_763_700_000 * SECOND
PROCESS = (IdSource("process"),)
OTHERS = ("app_name", "increments_step", "reserved_session")


def caller(id: str = "process-1") -> Caller:
    return Caller(id=id, pid=1, started=1, name="bot")


def assign(
    registry: Registry,
    at: float = 0,
    *,
    process: str = "process-1",
    agent: str | None = None,
    app_id: str | None = None,
    **given: Any,
) -> Session:
    """A call `at` seconds after the start; `given`: fields of the decision, and the arguments in OTHERS."""
    others = {key: given.pop(key) for key in OTHERS if key in given}
    decision = Decision(**{"name": "bot", "id_sources": PROCESS, **given})
    evidence = session_evidence(
        decision,
        app_id=app_id,
        agent=Agent("claude-code", session=agent) if agent else None,
        caller=caller(process),
        connection=ClientConnection("conn-1", "127.0.0.1"),
    )
    return registry.assign(wanted_session(decision, evidence, **others, now=T0 + round(at * SECOND)))


def test_a_generated_id_needs_no_memory() -> None:
    one, other = assign(Registry()), assign(Registry(), at=500)
    assert one.id == other.id == derived_id("process", "process-1", "bot")
    assert (one.source, one.name, one.key) == ("process", "bot", None)


def test_steps_count_from_0_in_each_session() -> None:
    registry = Registry()
    steps = [assign(registry, process=process).step for process in ("a", "a", "b", "a", "b")]
    assert steps == [0, 1, 0, 2, 1]


def test_another_name_is_another_session_for_a_generated_id() -> None:
    registry = Registry()
    first, second = assign(registry), assign(registry, name="another")
    assert first.id != second.id
    assert (second.name, second.step, second.renamed_to) == ("another", 0, None)


def test_the_first_name_stays_for_a_verbatim_id() -> None:
    registry = Registry()
    names = [
        (session.name, session.renamed_to, session.step)
        for name in ("first", "second", "first")
        for session in [assign(registry, name=name, id_sources=(IdSource("literal", "run-12345678"),))]
    ]
    assert names == [("first", None, 0), ("first", "second", 1), ("first", None, 2)]


@pytest.mark.parametrize(
    ("given", "id", "source"),
    [
        pytest.param({"id_sources": (IdSource("literal", "nightly-run"),)}, "nightly-run", "literal", id="literal"),
        pytest.param(
            {"id_sources": (IdSource("template", "run-00000042"),)}, "run-00000042", "template", id="template"
        ),
        pytest.param({"app_id": "app-session-7"}, "app-session-7", "app", id="the app's"),
        pytest.param({"agent": "native-session"}, "process", "process", id="not native unless the rules say so"),
        pytest.param(
            {"agent": "native-session", "id_sources": (IdSource("native"),)}, "native-session", "native", id="native"
        ),
        pytest.param(
            {"id_sources": (IdSource("literal", "nightly run"),)},
            derived_id("literal", "nightly run", "bot"),
            "literal",
            id="not fit for a header",
        ),
        pytest.param({"app_id": "short"}, derived_id("app", "short", "bot"), "app", id="too short"),
    ],
)
def test_given_ids(given: dict[str, Any], id: str, source: str) -> None:
    session = assign(Registry(), **given)
    assert session.source == source
    assert session.id == (derived_id("process", "process-1", "bot") if id == "process" else id)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        pytest.param({"app_name": "Its own"}, "Its own", id="the app's"),
        pytest.param({"app_name": ""}, "bot", id="an empty one is none"),
        pytest.param(
            {"app_name": "Its own", "existing": "replace", "set_by": {"session.name": "r"}}, "bot", id="replaced"
        ),
        pytest.param({"app_name": "Its own", "existing": "replace"}, "Its own", id="a default never replaces"),
    ],
)
def test_the_name_that_the_app_sent_wins_unless_a_rule_replaces_it(given: dict[str, Any], name: str) -> None:
    session = assign(Registry(), **given)
    assert session.name == name
    assert session.id == derived_id("process", "process-1", name)


# idle and max_calls -----------------------------------------------------------------------------------------------


def test_a_session_ends_after_idle_and_the_next_has_an_id_of_its_start() -> None:
    registry = Registry()
    first = assign(registry, 0, idle=60.0)
    kept = assign(registry, 60, idle=60.0)
    second = assign(registry, 121, idle=60.0)
    assert first.id == kept.id == derived_id("process", "process-1", "bot")
    assert second.id == derived_id("process", "process-1", "bot", T0 + 121 * SECOND)
    assert (second.step, second.key) == (0, first.id)
    assert assign(registry, 150, idle=60.0) == Session(second.id, "bot", 1, "process", key=first.id)


def test_idle_counts_from_the_end_of_a_call() -> None:
    registry = Registry()
    first = assign(registry, 0, idle=60.0)
    registry.ended(first.id, T0 + 100 * SECOND)
    assert assign(registry, 130, idle=60.0).id == first.id


def test_a_clock_that_goes_back_ends_nothing() -> None:
    registry = Registry()
    first = assign(registry, 1000, idle=60.0)
    assert assign(registry, 0, idle=60.0).id == first.id
    assert assign(registry, 1050, idle=60.0).id == first.id


def test_max_calls() -> None:
    registry = Registry()
    sessions = [assign(registry, at, max_calls=2) for at in range(5)]
    assert [session.step for session in sessions] == [0, 1, 0, 1, 0]
    assert len({session.id for session in sessions}) == 3


def test_sessions_that_begin_at_one_tick_of_the_clock_are_not_one() -> None:
    registry = Registry()
    assert len({assign(registry, 0, max_calls=1).id for _ in range(5)}) == 5


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"app_id": "app-session-7"}, id="the app's"),
        pytest.param({"id_sources": (IdSource("literal", "nightly-run"),)}, id="literal"),
        pytest.param({"id_sources": (IdSource("template", "not fit"),)}, id="template that is no id"),
        pytest.param({"agent": "native-session", "id_sources": (IdSource("auto"),)}, id="native"),
    ],
)
def test_limits_are_for_generated_ids(given: dict[str, Any]) -> None:
    registry = Registry()
    assert len({assign(registry, at, idle=1.0, max_calls=1, **given).id for at in (0, 10, 20)}) == 1


def test_a_client_without_a_process_starts_anew_after_a_silence() -> None:
    registry = Registry()

    def call(minutes: float) -> str:
        connection = ClientConnection(f"conn-{minutes}", "10.0.0.9")
        now = T0 + round(minutes * 60 * SECOND)
        decision = Decision(name="n")
        evidence = session_evidence(decision, app_id=None, agent=None, caller=None, connection=connection)
        return registry.assign(wanted_session(decision, evidence, now=now)).id

    assert call(0) == call(29) != call(60)


# Memory -----------------------------------------------------------------------------------------------------------


def test_memory_is_bounded_and_the_longest_silent_goes_first() -> None:
    registry = Registry(max_sessions=2)
    for process in ("a", "b", "a", "c"):
        assign(registry, process=process)
    assert len(registry) == 2
    assert assign(registry, process="a").step == 2
    assert assign(registry, process="b").step == 0


def test_a_session_with_a_limit_that_was_forgotten_begins_anew() -> None:
    registry = Registry(max_sessions=1)
    first = assign(registry, 0, process="a", idle=60.0)
    assign(registry, 1, process="b", idle=60.0)
    again = assign(registry, 2, process="a", idle=60.0)
    assert (again.key, again.step) == (first.id, 0)


def test_a_new_session_without_a_limit_has_its_plain_id_even_after_one_was_forgotten() -> None:
    registry = Registry(max_sessions=1)
    first = assign(registry, process="a")
    assign(registry, process="b")
    assert assign(registry, process="a").id == first.id


def test_what_was_forgotten_leaves_nothing_behind() -> None:
    registry = Registry(max_sessions=3)
    for n in range(100):
        assign(registry, n * 100, process=f"p{n % 7}", idle=60.0)
    assert len(registry) == 3
    assert len(registry._current) <= 3


# Restart ----------------------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),  # process
        st.sampled_from(["bot", "other"]),  # name
        st.sampled_from([PROCESS, (IdSource("literal", "nightly-run"),), (IdSource("template", "not fit"),)]),
        st.sampled_from([None, 50.0]),  # idle
        st.sampled_from([None, 3]),  # max_calls
        st.integers(0, 60),  # seconds since the last call
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(EVENTS, EVENTS, st.randoms())
def test_a_registry_restored_from_its_records_goes_on_as_if_it_had_not_stopped(
    before: list[Any], after: list[Any], random: Any
) -> None:
    at = 0.0

    def play(registry: Registry, events: list[Any], at: float) -> list[tuple[Session, int]]:
        made = []
        for process, name, id_sources, idle, max_calls, gap in events:
            at += gap
            given = {"name": name, "id_sources": id_sources, "idle": idle, "max_calls": max_calls}
            session = assign(registry, at, process=f"p{process}", **given)
            end = T0 + round((at + 0.5) * SECOND)
            registry.ended(session.id, end)
            made.append((session, end))
        return made

    lasting = Registry()
    records = play(lasting, before, at)
    at = sum(event[-1] for event in before)

    restarted = Registry()
    random.shuffle(records)  # the order in the log is that of the calls' ends
    for session, end in records:
        restarted.restore(session.id, session.name, session.step, end, session.key)

    assert play(restarted, after, at) == play(lasting, after, at)


def test_restoring_is_bounded_too() -> None:
    registry = Registry(max_sessions=2)
    for n in range(5):
        registry.restore(f"session-{n}", "n", 0, T0 + n)
    assert (len(registry), registry.gaps) == (2, True)


def test_a_call_that_does_not_count_takes_no_step() -> None:
    registry = Registry()
    steps = [assign(registry, increments_step=one).step for one in (True, False, True)]
    assert steps == [0, 1, 1]


@pytest.mark.parametrize(
    ("between", "run", "step", "next_step"),
    [(0, {}, 0, 1), (2, {}, 0, 3), (0, {"process": "b"}, 0, 0), (2, {"process": "b"}, 0, 3)],
    ids=["its own", "its own, though others came", "another session: released", "another session, others came"],
)
def test_a_step_that_was_reserved_before_the_call(between: int, run: dict[str, Any], step: int, next_step: int) -> None:
    registry = Registry()
    reserved = assign(registry)
    for _ in range(between):
        assign(registry)
    assert assign(registry, reserved_session=reserved, **run).step == step
    assert assign(registry).step == next_step


def test_a_reserved_step_is_no_further_call() -> None:
    registry = Registry()
    reserved = assign(registry, max_calls=1)
    assert assign(registry, max_calls=1, reserved_session=reserved) == reserved
    assert assign(registry, max_calls=1).id != reserved.id
