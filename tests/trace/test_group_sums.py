"""Statistics of the sums that the index keeps are those of the calls themselves, whatever became of the log."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.trace.conftest import CALLER, call_map
from tests.trace.oracle import cost_of

from sessiontap import trace
from sessiontap.trace import Filters
from sessiontap.trace.annotations import annotate, label_record, score_record
from sessiontap.trace.index import group_sums
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.database import NAME
from sessiontap.trace.index.filters import condition, given
from sessiontap.trace.index.statistics import BYS, ORDERS, are_summed, stats
from sessiontap.trace.maintenance import prune

BY = (*BYS, "property:k", "property:nothing has it", "score:good")
FILTERS = (
    Filters(), Filters(without_errands=True), Filters(session="s1"), Filters(name="N1", path="/1"),
    Filters(machine="here"), Filters(process="bot*"), Filters(user="ada", provider="p*"), Filters(model="m1*"),
    Filters(properties=("k=1",)), Filters(properties=("k",), outcome="ok"),
)  # fmt: skip
UNSUMMED = (
    Filters(error=True), Filters(tool="read"), Filters(tags=("t",)), Filters(since=1), Filters(starred=True),
    Filters(status="4xx"), Filters(agent="coder"), Filters(ids=("x",)), Filters(search="x", name="N1"),
)  # fmt: skip
Written = Callable[..., None]


def charged(rate: float) -> Prices:
    """Binary fractions, whose sums are exact in any order; what reported no usage has no price."""
    return Prices(cost_of(lambda call: rate if (call["llm"] or {}).get("usage") else None), str(rate))


PRICES = charged(0.25)


def some_calls(chance: random.Random, first: int, count: int) -> Iterator[dict[str, Any]]:
    """Calls of any kind, of six sessions."""
    for number in range(first, first + count):
        session = chance.randrange(6)
        model = f"m{chance.randrange(3)}"
        usage = {"input": chance.randrange(900), "output": chance.choice([None, 7])}
        operation = chance.choice(["chat", "chat", "chat", "count_tokens"])  # an errand, if it is a known agent's
        yield call_map(
            number,
            session={"id": f"s{session}", "name": f"N{session % 3}", "path": f"/{chance.randrange(3)}",
                     "step": chance.choice([None, number % 7])},
            duration=chance.choice([None, chance.randrange(10**10)]),
            time_to_first_token=chance.choice([None, chance.randrange(10**9)]),
            caller=chance.choice(["caller-1", "unknown", None]),
            user=chance.choice([None, "ada", "bob"]),
            agent=chance.choice([None, "coder"]),
            properties=chance.choice([{}, {"k": "1"}, {"k": "2", "other": "x"}]),
            tags=chance.choice([[], ["t"]]),
            outcome=chance.choice(["ok", "ok", "http_error"]),
            llm={
                "provider": chance.choice(["p1", None]), "operation": operation, "request_model": model,
                "response_model": chance.choice([None, f"{model}-2025"]), "usage": chance.choice([None, usage]),
                "tool_calls": chance.choice([None, ["read"], ["read", "write"]]),
            },
        )  # fmt: skip


def database_of(log: trace.Trace) -> sqlite3.Connection:
    assert log._index is not None
    assert log._index._database is not None
    return log._index._database


def assert_summed(log: trace.Trace, chance: random.Random, prices: Prices = PRICES) -> None:
    """All statistics are what a look at every call says; of each filter by some groups."""
    log.stats("name", prices=prices)
    database = database_of(log)
    assert group_sums.are_complete(database)
    for wanted in FILTERS:
        for by in BY if wanted == Filters() else chance.sample(BY, 2):
            if are_summed(by, wanted):
                fitting = condition(database, wanted)
                found = stats(database, by, fitting, priced=True, summed=True)
                assert found == stats(database, by, fitting, priced=True), (by, wanted)


@pytest.mark.parametrize("wanted", UNSUMMED, ids=str)
def test_a_filter_that_asks_more_of_calls_than_the_sums_know_is_answered_by_the_calls(wanted: Filters) -> None:
    assert not are_summed("name", wanted)


def test_every_filter_is_either_summed_or_not() -> None:
    """A new one belongs to `group_sums.FILTERS`, or above."""
    asked = {name for wanted in UNSUMMED for name, _ in given(wanted)} | group_sums.FILTERS

    assert asked | {"rule", "until", "scores"} == set(Filters.__slots__)


@pytest.mark.parametrize("seed", range(4))
def test_statistics_are_those_of_the_calls_whatever_became_of_the_log(
    folder: Path, written: Written, seed: int
) -> None:
    chance = random.Random(seed)
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("rename", lambda: annotate(folder, [label_record(sessions=["s1", "s2"], name="New", properties={"k": "9"},
                                                          source="cli")])),
        ("merge", lambda: annotate(folder, [label_record(sessions=["s3"], session="s4", source="cli")])),
        ("move a call", lambda: annotate(folder, [label_record(calls=[call_map(2)["id"]], session="s5",
                                                               source="cli")])),
        ("score", lambda: annotate(folder, [score_record(session="s4", name="good", value=0.5, source="cli"),
                                            score_record(call=call_map(7)["id"], name="star", value=True,
                                                         source="cli")])),
        ("prune a session", lambda: prune(folder, filters=Filters(session=f"s{chance.randrange(3)}"))),
        ("prune what is old", lambda: prune(folder, older_than=call_map(25)["time"])),
    ]  # fmt: skip
    chance.shuffle(steps)
    folder.mkdir()
    log = trace.open(folder)
    for number, (_, step) in enumerate(steps):
        written(CALLER, *some_calls(chance, 40 * number, 40))
        if chance.random() < 0.7:
            assert_summed(log, chance)
        step()
        assert_summed(log, chance)
    assert_summed(log, chance, charged(0.5))
    assert log.stats("name", prices=PRICES) == trace.open(folder).stats("name", prices=PRICES)


@pytest.mark.parametrize("order", [None, *ORDERS])
@pytest.mark.parametrize("by", ["session", "name", "user", "property:k", "property", "process"])
def test_the_first_rows_are_those_of_all(folder: Path, written: Written, by: str, order: str | None) -> None:
    written(CALLER, *some_calls(random.Random(5), 0, 60))
    log = trace.open(folder)
    every = log.query_statistics(by, Filters(outcome="ok"), PRICES, order)

    first = log.query_statistics(by, Filters(outcome="ok"), PRICES, order, 2)

    assert (first.rows, first.matching) == (every.rows[:2], len(every.rows))
    assert len(every.rows) > 2 or by == "process"


def test_a_log_with_a_call_without_a_session_is_read_call_by_call(folder: Path, written: Written) -> None:
    written(CALLER, *some_calls(random.Random(1), 0, 20), call_map(30, session=None))
    log = trace.open(folder)

    rows = log.stats("outcome", prices=PRICES)

    assert sum(row["calls"] for row in rows) == 21
    assert not group_sums.are_complete(database_of(log))


def test_sums_are_made_of_calls_that_nobody_priced_before(folder: Path, written: Written) -> None:
    """Another process takes them in without prices, between two questions."""
    written(CALLER, *some_calls(random.Random(1), 0, 40))
    log = trace.open(folder)
    log.stats("name", prices=PRICES)
    written(*some_calls(random.Random(2), 100, 40))
    trace.open(folder).query_sums()

    assert_summed(log, random.Random(3))


def test_only_sessions_that_have_changed_are_summed_again(folder: Path, written: Written) -> None:
    written(*some_calls(random.Random(1), 0, 40))
    log = trace.open(folder)
    log.stats("name", prices=PRICES)
    written(call_map(50, session={"id": "s2"}))
    log.query_sums()
    before = database_of(log).execute("SELECT id FROM sessions WHERE calls + errands != summed").fetchall()

    log.stats("name", prices=PRICES)

    assert before == [("s2",)]
    assert group_sums.are_complete(database_of(log))


def test_without_prices_calls_are_read(folder: Path, written: Written) -> None:
    written(*some_calls(random.Random(1), 0, 40))
    log = trace.open(folder)
    log.stats("name", prices=PRICES)

    rows = log.stats("name")

    assert [(row["cost_usd"], row["cost_unknown_calls"] == row["calls"]) for row in rows] == [(None, True)] * len(rows)
    with sqlite3.connect(folder / NAME) as database:
        assert database.execute("SELECT count(*) > 0 FROM group_sums").fetchone() == (1,)
