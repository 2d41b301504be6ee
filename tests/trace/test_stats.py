"""Statistics: sums, error rates, costs of calls and sessions, exact percentiles, by whatever calls have in common."""

import math
import random
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.trace.conftest import CALLER, call_map
from tests.trace.oracle import cost_of, pair, session_rows

from sessiontap import trace
from sessiontap.llm import pick
from sessiontap.trace import TraceError, values
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.index.statistics import percentile


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("stats") / "trace", recorded.calls())


def told(log, by, *keys, **options):
    """Of each row its value, and those of `keys`."""
    return {row[by]: tuple(row[key] for key in keys) for row in log.stats(by, **options)}


def charged(call):
    """A quarter of a dollar for every call that reported usage."""
    return 0.25 if call["llm"].get("usage") else None


QUARTERS = Prices(cost_of(charged), "1")


def test_a_row(sample):
    rows = {row["name"]: row for row in trace.open(sample).stats("name")}

    assert rows["Course outline"] == {
        "name": "Course outline", "calls": 3, "errors": 0, "error_rate": 0.0, "sessions": 1,
        "sessions_succeeded": 1, "sessions_failed": 0, "success_rate": 1.0, "input_tokens": 1300, "output_tokens": 320,
        "cache_read_tokens": None, "cost_usd": None, "cost_parts": None, "cost_unknown_calls": 3,
        "session_cost_usd_mean": None, "session_cost_usd_p50": None, "session_cost_usd_p95": None,
        "session_cost_partial": 0, "session_cost_unknown": 1, "session_duration_p50": 3.25,
        "session_duration_p95": 3.25, "duration_p50": 0.5, "duration_p95": 2.25, "duration_p99": 2.25,
        "time_to_first_token_p50": None, "time_to_first_token_p95": None, "time_to_first_token_p99": None,
        "scores": {},
    }  # fmt: skip
    assert (rows["Nightly report"]["errors"], rows["Nightly report"]["error_rate"]) == (1, 0.5)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("path", {"/outline": 2, "/outline/research": 1, "/report": 2}),
        ("model", {"gpt-4o-mini-2024-07-18": 3, "gpt-4o-2024-07-18": 1, "gpt-4o": 1}),
        ("process", {"agent.mjs": 3, "report.py": 2}),
        ("tool", {"web_search": 1}),
        ("property", {"mode=context mode": 3, "mode=batch": 1}),
        ("property:mode", {"context mode": 3, "batch": 1, None: 1}),
        ("property:nothing has it", {None: 5}),
        ("session", {recorded.COURSE: 3, recorded.REPORT: 2}),
        ("step", {0: 2, 1: 2, 2: 1}),
        ("outcome", {"ok": 4, "http_error": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_by(sample, by, expected):
    assert {row[by]: row["calls"] for row in trace.open(sample).stats(by)} == expected


def test_of_some_calls(sample):
    assert told(trace.open(sample), "process", "calls", filters=Filters(error=True)) == {"report.py": (1,)}


def test_the_error_rate_by_step(sample):
    assert told(trace.open(sample), "step", "error_rate") == {0: (0.0,), 1: (0.5,), 2: (0.0,)}


@pytest.mark.parametrize("by", ["colour", "property:", ""])
def test_by_what_there_is_not(sample, by):
    with pytest.raises(TraceError, match="there are no statistics by"):
        trace.open(sample).stats(by)


def test_a_call_with_several_tools_counts_under_each_once(written, folder):
    for number, tools in enumerate((["read", "write"], ["read", "read"], [], None)):
        written(call_map(number, llm={"tool_calls": tools, "usage": {"input": 10}}))

    assert told(trace.open(folder), "tool", "calls", "input_tokens") == {"read": (2, 20), "write": (1, 10)}


def test_costs_that_are_unknown_are_counted_and_no_zeros(sample):
    keys = ("cost_usd", "cost_unknown_calls", "session_cost_usd_mean", "session_cost_partial", "session_cost_unknown")

    assert told(trace.open(sample), "path", *keys, prices=QUARTERS) == {
        "/outline": (0.25, 1, 0.25, 1, 0),  # the session's other call there told no usage: it cost more
        "/outline/research": (0.25, 0, 0.25, 0, 0),
        "/report": (0.25, 1, 0.25, 1, 0),
    }
    assert told(trace.open(sample), "step", *keys, prices=QUARTERS)[2] == (None, 1, None, 0, 1)


def test_large_sums_of_costs_do_not_depend_on_the_order_of_calls(written, folder):
    """0.1 and 0.7 are no binary fractions: added up a thousand times they are off in the 13th digit."""
    written(*(call_map(number, llm={"usage": {"input": number % 3}}) for number in range(3_000)))
    prices = Prices(cost_of(lambda call: (100.1, 0.7, 0.000_000_1)[call["llm"]["usage"]["input"]]), "1")

    (by_sums,) = trace.open(folder).stats("outcome", prices=prices)
    (by_calls,) = trace.open(folder).stats("outcome", Filters(status="2xx"), prices=prices)

    assert by_calls["cost_usd"] == by_sums["cost_usd"] == 100_800.0001
    assert by_sums["cost_parts"] == by_calls["cost_parts"]


def test_calls_without_a_session_cost_and_are_no_session(written, folder):
    usage = {"usage": {"input": 1}}
    written(call_map(1, llm=usage), call_map(2, llm=usage, session=None), call_map(3, session=None))

    keys = ("calls", "sessions", "cost_usd", "cost_unknown_calls", "session_cost_usd_mean", "session_duration_p50")
    assert told(trace.open(folder), "outcome", *keys, prices=QUARTERS) == {"ok": (3, 1, 0.5, 1, 0.25, 0.5)}


def nearest_rank(values, percent):
    """The definition: the smallest value that `percent` of them do not exceed."""
    return next(value for value in sorted(values) if sum(one <= value for one in values) * 100 >= percent * len(values))


def test_percentiles_of_calls_and_sessions_are_exact(written, folder):
    chance = random.Random(7)
    calls = [
        call_map(
            number,
            session={"id": f"s{chance.randrange(40)}", "name": "n", "path": chance.choice(["/a", "/b"])},
            duration=chance.randrange(1, 10**12),
            time_to_first_token=chance.choice([None, chance.randrange(10**9)]),
            llm={"usage": {"input": number}},
        )
        for number in range(500)
    ]
    written(CALLER, *calls)
    prices = Prices(cost_of(lambda call: call["llm"]["usage"]["input"] / 1000), "1")

    rows = trace.open(folder).stats("path", prices=prices)

    assert sum(row["calls"] for row in rows) == 500
    for row in rows:
        own = [call for call in calls if call["session"]["path"] == row["path"]]
        durations = [call["duration"] for call in own]
        tokens = [call["time_to_first_token"] for call in own if call["time_to_first_token"] is not None]
        for percent in (50, 95, 99):
            assert row[f"duration_p{percent}"] == nearest_rank(durations, percent) / 1e9
            assert row[f"time_to_first_token_p{percent}"] == nearest_rank(tokens, percent) / 1e9
        sessions = [[one for one in own if one["session"]["id"] == name] for name in {c["session"]["id"] for c in own}]
        spans = [max(c["time"] + c["duration"] for c in one) - min(c["time"] for c in one) for one in sessions]
        costs = [sum(call["llm"]["usage"]["input"] for call in one) / 1000 for one in sessions]
        assert row["sessions"] == len(sessions)
        assert row["session_cost_usd_mean"] == pytest.approx(math.fsum(costs) / len(costs), abs=1e-9)
        for percent in (50, 95):
            assert row[f"session_duration_p{percent}"] == nearest_rank(spans, percent) / 1e9
            assert row[f"session_cost_usd_p{percent}"] == pytest.approx(nearest_rank(costs, percent), abs=1e-9)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([7], 99, 7), ([1, 2], 50, 1), ([1, 2, 3], 50, 2), (range(1, 101), 95, 95), ([1, 2], 99, 2)],
)
def test_nearest_rank(values, percent, expected):
    assert percentile(values, percent) == expected


def counted(written, *tokens):
    written(*(call_map(number, llm={"usage": {"input": one, "output": 1}}) for number, one in enumerate(tokens)))


@pytest.mark.parametrize(
    ("tokens", "total"),
    [
        ((10**12, 10**12), 2 * 10**12),
        ((2**63 - 1, 2**63 - 1), None),
        ((2**63 - 1, 7), 7),
        ((2**64 - 1, 7), 7),
        ((-5, 7), 7),
        ((10**12 + 1, None), None),
    ],
    ids=["the largest", "two of 63 bits", "one of 63 bits", "one of 64 bits", "a negative one", "just beyond"],
)
def test_tokens_out_of_range_are_left_out_of_every_sum(written, folder, tokens, total):
    counted(written, *tokens)
    log = trace.open(folder)
    assert told(log, "model", "input_tokens", "output_tokens")[None] == (total, 2)
    (session,) = log.query_sessions()
    assert (session["input_tokens"], session["output_tokens"]) == (total, 2)
    assert log.query_session(session["id"])["tree"][0]["input_tokens"] == total
    assert session_rows(pair(call) for call in log.calls())[0]["input_tokens"] == total


def test_a_sum_that_is_not_exact_is_unknown_and_breaks_nothing(written, folder):
    largest = 10**12
    for _ in range(3):
        usage = {"input": largest, "output": 1}
        written(*(call_map(n, session={"id": "s"}, llm={"usage": usage}) for n in range(3_100)))
        assert trace.open(folder).query_sessions()[0]["output_tokens"] is not None
    log = trace.open(folder)
    assert told(log, "outcome", "calls", "input_tokens", "output_tokens") == {"ok": (9_300, None, 9_300)}
    assert [(row["input_tokens"], row["output_tokens"]) for row in log.query_sessions()] == [(None, 9_300)]


@pytest.mark.parametrize("time", [-1, 2**62, 2**63 - 1, 2**64 - 1], ids=str)
def test_a_call_of_no_time_is_reported_and_left_out(written, folder, time):
    written(call_map(1, session={"id": "mine"}), call_map(2, session={"id": "refused"}) | {"time": time})
    log = trace.open(folder)
    assert [row["id"] for row in log.query_sessions()] == [log.query_session_id("@1")] == ["mine"]
    assert told(log, "outcome", "calls") == {"ok": (1,)}
    assert log.problems != []


@pytest.mark.parametrize("duration", [-1, 2**62, 2**64 - 1], ids=str)
def test_a_duration_out_of_range_is_unknown(written, folder, duration):
    written(call_map(1, duration=duration))
    log = trace.open(folder)
    assert told(log, "outcome", "calls", "duration_p50") == {"ok": (1, None)}
    assert log.query_sessions()[0]["duration"] == 0


@pytest.mark.parametrize("reported", [float("inf"), float("nan"), -1, 1e300, 2**64 - 1, "1", True, {}], ids=repr)
def test_a_cost_out_of_range_is_unknown(written, folder, reported):
    written(call_map(1, llm={"cost_reported": reported}))
    log = trace.open(folder)
    prices = Prices(cost_of(lambda call: call["llm"]["cost_reported"]), "1")
    assert told(log, "outcome", "cost_usd", "cost_unknown_calls", prices=prices) == {"ok": (None, 1)}


def test_counts_have_one_range_where_they_are_read_and_where_they_are_summed():
    assert (pick.MOST, pick.MOST_DOLLARS) == (values.MOST_TOKENS, values.MOST_DOLLARS)
