"""The index answers what the log would, keeps up with it, and is made again when it is of no use."""

from pathlib import Path

import pytest
from tests.cli import recorded
from tests.trace.conftest import CALLER, call_map, ids, open_log
from tests.trace.oracle import cost_of, pair, session_rows, session_view, unreadable

from sessiontap import trace
from sessiontap.cli.call_costs import Costs
from sessiontap.part import CallParts, Part
from sessiontap.trace import TraceError, frame
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.views import call_row

ADDON = Path(__file__).parents[2] / "addon"


def test_calls_are_those_of_the_log(sample):
    log = open_log(sample)

    assert log.query_calls() == [call_row(*pair(call)) for call in log.calls()]


def test_sessions_are_those_of_the_log(sample):
    log = open_log(sample)

    assert log.query_sessions() == session_rows(pair(call) for call in log.calls())


@pytest.mark.parametrize("session", [recorded.COURSE, "nightly", "@1", "@2"])
def test_a_session_is_that_of_the_log(sample, session):
    log = open_log(sample)

    pairs = [pair(call) for call in log.session(session).calls]
    assert log.query_session(session) == session_view(pairs)


@pytest.mark.parametrize(
    "changes",
    [
        {"session": None, "llm": None, "request": None, "response": None},
        {"llm": {"usage": {"input": 0}, "error": {"type": "x", "message": None}, "tools_offered": ["a"]}},
        {"properties": {"n": 5, "deep": {"a": [1]}}, "tags": ["t", "u"], "rules": ["r"], "user": "me"},
        {"duration": None, "outcome": "client_gone", "response": {"status": 200, "body": {"size": 5, "total": 9}}},
        {"request": {"method": "POST", "body": {"size": None}}, "session": {"id": "s", "name": None, "path": None}},
    ],
    ids=["nothing known", "an error", "labels", "a cut reply", "sizes unknown"],
)
def test_odd_calls_are_those_of_the_log_too(written, folder, changes):
    written(CALLER, call_map(1, **changes), call_map(2, caller="unknown"))
    log = open_log(folder)
    expected = [call_row(*pair(call)) for call in log.calls()]
    for row in expected:  # the index names all of the five, reported or not
        names = ("input", "output", "cache_read", "cache_write", "reasoning")
        row["usage"] = row["usage"] and dict.fromkeys(names) | row["usage"]

    assert log.query_calls() == expected
    assert log.query_sessions() == session_rows(pair(call) for call in log.calls())


def test_a_call_whose_values_make_no_sense_is_reported_and_passed_over(written, folder):
    written(call_map(1, request=[1, 2]), call_map(2, session="s"), call_map(3))
    log = open_log(folder)

    assert ids(log.query_calls()) == [call_map(3)["id"]]
    assert [one.text for one in log.problems] == [
        "holds a record whose values are not what they should be: Expected `object`, got `array` - at `$.request`",
        "holds a record whose values are not what they should be: Expected `object | null`, got `str` - at `$.session`",
    ]


def test_notes_are_those_of_the_log(sample):
    assert [(note["kind"], note["dropped"]) for note in open_log(sample).notes()] == [("dropped", {"queue": 2})]


def test_problems_are_those_of_the_log(sample):
    (segment,) = sample.glob("*.mpk")
    data = bytearray(segment.read_bytes())
    with segment.open("rb") as file:
        offsets = [one.offset for one in frame.scan(file)]
    data[offsets[3] + 30] ^= 1
    segment.write_bytes(data[:-3])
    log = open_log(sample)

    assert log.notes() == [], "the note was the last record"
    assert log.problems == unreadable(sample)
    assert len(log.problems) == 2


def test_a_log_without_its_header_is_read_and_said(sample):
    (segment,) = sample.glob("*.mpk")
    with segment.open("rb") as file:
        _, second, *_ = (one.offset for one in frame.scan(file))
    segment.write_bytes(segment.read_bytes()[second:])
    log = open_log(sample)

    assert len(log.query_calls()) == 5
    assert log.problems == unreadable(sample)
    assert [one.text for one in log.problems] == ["has lost its header; its records are read as version 2"]


FILTERS = {
    "name": (Filters(name="course*"), [1, 2, 3]),
    "process": (Filters(process="NODE"), [1, 2, 3]),
    "model, asked for": (Filters(model="gpt-4o"), [4, 5]),
    "model, answering": (Filters(model="gpt-4o-mini-2024*"), [1, 2, 3]),
    "error": (Filters(error=True), [5]),
    "property": (Filters(properties=("mode=context*",)), [1, 2, 3]),
    "has a property": (Filters(properties=("mode",)), [1, 2, 3, 4]),
    "since": (Filters(since=recorded.START + 4 * recorded.SECOND), [2, 4, 5]),
    "all of them": (Filters(name="night*", error=True, model="gpt-4o"), [5]),
    "none": (Filters(name="night*", process="node"), []),
    "a prompt": (Filters(search="brotBÄCK"), [1]),
    "a reply": (Filters(search="week ONE"), [3]),
    "a tool's arguments": (Filters(search="sourdough"), [1]),
    "an error's text": (Filters(search="slow down"), [5]),
    "two letters": (Filters(search="BÄ"), [1]),
    "a path": (Filters(search="/outline/res"), [2]),
    "a session's id": (Filters(search="nightly-rep"), [4, 5]),
    "a wildcard is none in a search": (Filters(search="%"), []),
    "quotes": (Filters(search='"q": "sour'), [1]),
    "a property's value": (Filters(search="CONTEXT mode"), [1, 2, 3]),
    "a tag": (Filters(search="nightl"), [1, 2, 3, 4, 5]),
    "the index's own JSON is no text": (Filters(search='["'), []),
    "one of these ids": (Filters(ids=(recorded.call_id(2), recorded.call_id(5), "x")), [2, 5]),
    "one of these ids that fits": (Filters(ids=(recorded.call_id(2), recorded.call_id(5)), error=True), [5]),
}


@pytest.mark.parametrize(("filters", "expected"), FILTERS.values(), ids=FILTERS)
def test_filters(sample, filters, expected):
    log = open_log(sample)

    assert ids(log.query_calls(filters)) == [recorded.call_id(number) for number in reversed(expected)]
    sessions = {recorded.COURSE if number < 4 else recorded.REPORT for number in expected}
    assert set(ids(log.query_sessions(filters))) == sessions


@pytest.mark.parametrize(
    ("sort", "first"),
    [(None, "REPORT"), ("started", "REPORT"), ("name", "COURSE"), ("calls", "COURSE"), ("errors", "REPORT"),
     ("tokens", "COURSE"), ("duration", "COURSE")],
)  # fmt: skip
def test_sessions_by(sample, sort, first):
    (row,) = open_log(sample).query_sessions(sort=sort, limit=1)

    assert row["id"] == getattr(recorded, first)


@pytest.mark.parametrize(
    ("sort", "numbers"),
    [
        (None, [5, 4, 3, 2, 1]),
        ("time", [5, 4, 3, 2, 1]),
        ("duration", [2, 5, 4, 3, 1]),
        ("tokens", [2, 4, 1, 5, 3]),
        ("cost", [4, 2, 1, 5, 3]),
    ],
)
def test_calls_by(sample, sort, numbers):
    usd = {recorded.call_id(4): 1.0, recorded.call_id(2): 0.2, recorded.call_id(1): 0.1}
    prices = Prices(cost_of(lambda call: usd.get(call["id"])), "1")

    assert ids(open_log(sample).query_calls(prices=prices, sort=sort)) == [recorded.call_id(one) for one in numbers]


def test_calls_by_their_first_token(written, folder):
    written(*(call_map(number, time_to_first_token=delay) for number, delay in ((1, 5), (2, None), (3, 7))))

    found = ids(open_log(folder).query_calls(sort="first_token"))
    assert found == [call_map(number)["id"] for number in (3, 1, 2)]


def test_a_search_needs_a_reader_of_bodies(sample):
    with pytest.raises(TraceError, match="without a reader of them") as refused:
        trace.open(sample).search("week one")

    assert "parts_of=sessiontap.llm.recorded_parts.recorded_parts" in refused.value.hint


def test_a_reader_of_bodies_that_fails_costs_that_call_alone(sample):
    def parts_of(record, asked, answered):
        if record["id"] == recorded.call_id(2):
            raise ValueError("no text at all")
        return CallParts([], [Part("text", "assistant", None, "in every call", 13)])

    assert ids(trace.open(sample, parts_of=parts_of).search("in every")) == [
        recorded.call_id(number) for number in (5, 4, 3, 1)
    ]


def test_search_finds_what_came_since(writers, folder):
    recorded.write(folder, recorded.calls()[:2])
    log = open_log(folder)
    assert len(log.search("week one")) == 0

    recorded.write(folder, recorded.calls()[2:])

    assert ids(log.search("week one")) == [recorded.call_id(3)]


def priced(version="1", each=0.25):
    """A quarter of a dollar for every call that reported usage; `priced.asked` counts."""

    def usd(call):
        priced.asked += 1
        return each if call["llm"]["usage"] else None

    priced.asked = 0
    return Prices(cost_of(usd), version)


def test_costs_are_those_of_the_log(sample):
    log, prices = open_log(sample), priced()
    pairs = [pair(call) for call in log.calls()]

    assert log.query_calls(prices=prices) == [call_row(*pair, prices.cost_of) for pair in pairs]
    assert log.query_sessions(prices=prices) == session_rows(pairs, cost_of=prices.cost_of)
    course = [pair for pair in pairs if pair[0]["session"]["id"] == recorded.COURSE]
    assert log.query_session(recorded.COURSE, prices) == session_view(course, cost_of=prices.cost_of)


USED = {"provider": "openai", "request_model": "gpt-4o", "operation": "chat", "usage": {"input": 900, "output": 70}}
BILLED = {
    "usage": {"llm": USED},
    "cached and long": {"llm": USED | {"usage": {"input": 10**6, "output": 7, "cache_read": 9, "reasoning": 3}}},
    "tier": {"llm": USED | {"service_tier": "priority"}},
    "reported": {"llm": USED | {"cost_reported": 0.25}},
    "billed apart": {"llm": USED | {"billed": {"audio_input": 5, "web_searches": 2}}},
    "tools of the provider": {"llm": USED | {"billed": {"tools": ["code"]}}},
    "subscription": {"llm": USED, "host": "chatgpt.com", "route": "/backend-api/codex"},
    "own host": {"llm": USED | {"provider": None}, "host": "127.0.0.1"},
    "counting": {"llm": USED | {"operation": "count_tokens", "usage": None}, "request": {"method": "GET"}},
    "error instead": {"llm": USED | {"usage": None, "error": {"type": "overloaded"}}},
    "failed": {"llm": USED | {"usage": None}, "outcome": "http_error", "response": {"status": 429}},
    "cut": {"llm": USED | {"usage": None}, "outcome": "stream_error"},
    "no reply": {"llm": USED | {"usage": None}, "outcome": "upstream_unreachable", "response": None},
    "batch": {"llm": USED | {"operation": "batch"}},
    "no model": {"llm": {"usage": {"input": 1}}},
}


@pytest.mark.parametrize("facts", BILLED.values(), ids=BILLED)
def test_a_cost_that_is_formed_later_is_that_of_the_record(written, folder, facts):
    written(call_map(1, **facts))
    log, prices = open_log(folder), Prices(Costs().in_trace, "1")
    log.query_sums()  # takes it in without prices
    (call,) = log.calls()

    told = ("cost_usd", "cost_parts", "cost_unknown")
    (row,), expected = log.query_calls(prices=prices), call_row(*pair(call), prices.cost_of)
    assert {key: row[key] for key in told} == {key: expected[key] for key in told}


def test_costs_are_worked_out_once_and_again_for_other_prices(sample):
    log = open_log(sample)
    log.query_sessions(prices=priced())
    assert priced.asked == 5

    again = log.query_sessions(prices=priced(), sort="cost")
    assert (priced.asked, again[0]["cost_usd"]) == (0, 0.5)
    assert log.query_sessions(prices=priced("2", each=1.0), sort="cost")[0]["cost_usd"] == 2.0
    assert priced.asked == 5
