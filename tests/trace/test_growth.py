"""No answer takes more than its output grows: counted in SQLite's steps, which no other work on a machine changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.trace.conftest import CALLER, INFO, call_map, open_log
from tests.trace.oracle import cost_of

from sessiontap import trace
from sessiontap.trace.index import answers
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.filters import Filters

SMALL, TIMES = 1_000, 6
PER_SESSION = 20
STEP = 50
"""SQLite's steps between two counts."""
PRICES = Prices(cost_of(lambda call: call["time"] % 1000 / 1000), "1")

Question = Callable[[trace.Trace], Any]
FLAT: dict[str, Question] = {
    "ls": lambda log: log.query_sessions(limit=50, prices=PRICES),
    "ls --model": lambda log: log.query_sessions(Filters(model="m1"), limit=5, prices=PRICES),
    "ls --property": lambda log: log.query_sessions(Filters(properties=("k=1",)), limit=5, prices=PRICES),
    "ls --error": lambda log: log.query_sessions(Filters(error=True, without_errands=True), limit=5, prices=PRICES),
    "the next page of ls --model": lambda log: log.query_sessions_after(
        log.query_session_id("@7"), Filters(model="m1"), limit=5, prices=PRICES
    ),
    "calls": lambda log: log.query_calls(limit=50, prices=PRICES),
    "show": lambda log: log.query_session("@7", PRICES),
    "the id of a session": lambda log: log.query_session_id("@7"),
    "a call's place": lambda log: log.place("@7"),
    "short ids": lambda log: log.query_short_ids("calls", [call_map(number)["id"] for number in range(20)], 8),
    "info": lambda log: log.query_sums(),
    "places of a session": lambda log: log.query_places(sessions=["s7"]),
    "a search": lambda log: log.query_hits("nowhere", seconds=60),
    "what a pruning takes": lambda log: log.query_segments(Filters(session="s7")),
    "problems": lambda log: log.problems,
    "notes": lambda log: log.notes(),
}
"""They take the same of a log of any size."""
LINEAR: dict[str, Question] = {
    **{
        f"ls --sort {sort}": lambda log, sort=sort: log.query_sessions(sort=sort, limit=50, prices=PRICES)  # type: ignore[misc]
        for sort in ("started", "ended", "name", "duration", "calls", "errors", "tokens", "cost")
    },
    **{
        f"calls --sort {sort}": lambda log, sort=sort: log.query_calls(sort=sort, limit=50, prices=PRICES)  # type: ignore[misc]
        for sort in ("duration", "first_token", "tokens", "cost")
    },
    **{
        f"stats --by {by}": lambda log, by=by: log.stats(by, prices=PRICES)  # type: ignore[misc]
        for by in ("name", "path", "model", "session", "step", "tool", "property:k", "process")
    },
    "ls --model --sort cost": lambda log: log.query_sessions(Filters(model="m1"), "cost", 50, PRICES),
    "calls --error": lambda log: log.query_calls(Filters(error=True), limit=50, prices=PRICES),
    "all sessions": lambda log: log.query_sessions(prices=PRICES),
    "all calls": lambda log: log.query_calls(prices=PRICES),
    "sessions within segments": lambda log: log.count_sessions_within([]),
}
"""They look at every session or call, each a bounded number of times."""


def sample(folder: Path, calls: int) -> trace.Trace:
    """A log of so many calls, 20 to a session, in segments of 500; its index knows them and their costs."""
    for first in range(0, calls, 500):
        writer = trace.Writer(folder, writer_info=INFO, fsync_seconds=None)
        writer.start()
        writer.submit(lambda first=first: [CALLER, *map(_call, range(first, min(first + 500, calls)))], 0)  # type: ignore[misc]
        assert writer.close(30)
    log = open_log(folder)
    log.query_sessions(limit=1, prices=PRICES)
    return log


def _call(number: int) -> dict[str, Any]:
    session = number // PER_SESSION
    return call_map(
        number,
        session={"id": f"s{session}", "name": f"name {session % 7}", "path": f"/{number % 5}", "step": number % 20},
        llm={"request_model": f"m{session % 5}", "usage": {"input": number % 900, "output": number % 70}},
        duration=number * 7919 % 10_000,
        time_to_first_token=number * 104_729 % 1000,
        outcome="http_error" if number % 50 == 7 else "ok",
        properties={"k": str(session % 3)},
    )


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[trace.Trace, trace.Trace]:
    """One log, and one that is `TIMES` as large."""
    folder = tmp_path_factory.mktemp("growth")
    return sample(folder / "small", SMALL), sample(folder / "large", SMALL * TIMES)


def steps(log: trace.Trace, question: Question) -> int:
    """SQLite's steps to answer it."""
    question(log)  # what is made once, such as a temporary table
    return steps_of(database_of(log), lambda: question(log))


def database_of(log: trace.Trace) -> sqlite3.Connection:
    assert log._index is not None
    assert log._index._database is not None
    return log._index._database


def steps_of(database: sqlite3.Connection, work: Callable[[], Any]) -> int:
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    database.set_progress_handler(count, STEP)
    try:
        work()
    finally:
        database.set_progress_handler(None, 0)
    return counted * STEP


@pytest.mark.parametrize("question", FLAT.values(), ids=FLAT)
def test_what_shows_a_part_of_the_log_takes_no_more_of_a_larger_one(
    logs: tuple[trace.Trace, trace.Trace], question: Question
) -> None:
    small, large = (steps(log, question) for log in logs)

    assert large <= small * 1.5 + 20 * STEP


@pytest.mark.parametrize("question", LINEAR.values(), ids=LINEAR)
def test_what_looks_at_all_of_the_log_grows_as_the_log_does(
    logs: tuple[trace.Trace, trace.Trace], question: Question
) -> None:
    small, large = (steps(log, question) for log in logs)

    assert large <= small * TIMES * 1.2 + 20 * STEP


def test_a_question_that_grows_with_the_square_is_found(logs: tuple[trace.Trace, trace.Trace]) -> None:
    """The measure itself."""

    def squared(log: trace.Trace) -> Any:
        return log._ask(lambda database: database.execute(
            "SELECT count(*) FROM sessions AS a, sessions AS b WHERE a.calls < b.calls"
        ).fetchone())  # fmt: skip

    small, large = (steps(log, squared) for log in logs)

    assert large > small * TIMES * 3


def test_a_list_by_filters_grows_as_the_log_does_while_a_first_build_goes_on(
    logs: tuple[trace.Trace, trace.Trace],
) -> None:
    """The index of the calls of a session is missing."""
    nowhere = Filters(outcome="http_error", path="/4")

    def asked(log: trace.Trace) -> int:
        with closing(sqlite3.connect(":memory:")) as copy:
            database_of(log).backup(copy)
            copy.execute("DROP INDEX calls_by_session")
            assert answers.sessions(copy, nowhere, None, 5, None) == []
            return steps_of(copy, lambda: answers.sessions(copy, nowhere, None, 5, None))

    small, large = map(asked, logs)

    assert large <= small * TIMES * 1.2 + 20 * STEP


def test_a_list_in_batches_is_the_list(logs: tuple[trace.Trace, trace.Trace]) -> None:
    _, log = logs

    assert [row for rows in log.each_call(prices=PRICES, sort="cost") for row in rows] == log.query_calls(
        prices=PRICES, sort="cost"
    )
    assert [row for rows in log.each_session(prices=PRICES) for row in rows] == log.query_sessions(prices=PRICES)


def test_the_first_rows_of_a_list_without_a_limit_do_not_wait_for_the_others(
    logs: tuple[trace.Trace, trace.Trace],
) -> None:
    """They take the numbers of all calls, and the rows of a batch."""
    _, log = logs

    assert steps(log, lambda log: next(log.each_call(prices=PRICES))) * 3 < steps(log, LINEAR["all calls"])
