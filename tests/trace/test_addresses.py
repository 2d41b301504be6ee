"""Calls and sessions by what a user writes for them, and calls by their places."""


import pytest
from tests.cli import recorded
from tests.trace.conftest import CALLER, call_map, ids, open_log

from sessiontap.trace import TraceError
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.maintenance import prune
from sessiontap.trace.segment import Segment


def test_a_call_with_its_bodies_by_the_index(sample):
    log = open_log(sample)

    found = log.call(recorded.call_id(3)[:-1])

    assert (found.id, found.caller["name"]) == (recorded.call_id(3), "agent.mjs")
    (walked,) = [call for call in log.calls() if call.id == found.id]
    assert (found.record, found.caller) == (walked.record, walked.caller)
    assert found.request_body() == walked.request_body()
    assert log.call("@1").id == recorded.call_id(5)


@pytest.mark.parametrize(
    ("place", "number"),
    [("@1/0", 4), ("@1/1", 5), ("@2/1", 2), ("@2/-1", 3), ("@2/-3", 1), ("7d3c/2", 3), (f"{recorded.COURSE}/0", 1)],
)
def test_a_call_by_its_session_and_step(sample, place, number):
    assert open_log(sample).call(place).id == recorded.call_id(number)


def test_a_session_whose_id_has_slashes(written, folder):
    written(call_map(1, session={"id": "run/2025/1", "step": 7}), call_map(2, session={"id": "run/2025", "step": 1}))
    log = open_log(folder)

    assert log.call("run/2025/1/7").id == call_map(1)["id"]
    assert log.call("run/2025/1").id == call_map(2)["id"]


def test_two_calls_of_one_step_are_told_apart_by_their_ids_alone(written, folder):
    written(*(call_map(number, session={"id": "s", "step": 3}) for number in (1, 2)))

    with pytest.raises(TraceError, match="session s has more than one call of step 3"):
        open_log(folder).call("s/3")


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("ffff", "no call's id"),
        ("", "the name of a call is empty"),
        ("@0", "no call @0 in .*: @1 is the newest"),
        ("@x", "no call @x in .*: @1 is the newest"),
        ("@9", "no call @9"),
        ("0", "more than one"),
        ("@" + "9" * 30, "no call @9999"),
        ("@2/3", "session @2 has no call 3"),
        ("@2/-4", "session @2 has no call -4"),
        ("@9/0", "no session @9"),
        ("nobody/0", "no session's id begins with 'nobody'"),
        ("@2/x", "no call's id begins with '@2/x'"),
        ("@2/", "no call's id begins with '@2/'"),
        ("/1", "no call's id begins with '/1'"),
    ],
)
def test_a_call_that_cannot_be_told(sample, prefix, words):
    with pytest.raises(TraceError, match=words):
        open_log(sample).call(prefix)


@pytest.mark.parametrize(
    ("filters", "sessions", "numbers"),
    [
        (None, [], [1, 2, 3, 4, 5]),
        (None, ["@2"], [1, 2, 3]),
        (None, ["@1", "7d3c"], [1, 2, 3, 4, 5]),
        (Filters(error=True), ["nightly"], [5]),
        (Filters(error=True, search="slow"), ["@2"], []),
        (Filters(model="gpt-4o"), [], [4, 5]),
    ],
    ids=["all", "a session", "two sessions", "failed ones of a session", "none", "of a model"],
)
def test_calls_with_their_bodies_oldest_first(sample, filters, sessions, numbers):
    log = open_log(sample)
    places = log.query_places(filters, [log.query_session_id(prefix) for prefix in sessions])

    calls = list(log.calls_at(places))

    assert [call.id for call in calls] == [recorded.call_id(number) for number in numbers]
    walked = {call.id: call for call in log.calls()}
    expected = [walked[call.id] for call in calls]
    assert [call.request_body() for call in calls] == [call.request_body() for call in expected]
    assert [call.caller for call in calls] == [call.caller for call in expected]


def test_a_call_that_went_away_meanwhile_is_passed_over(sample):
    log = open_log(sample)
    places = log.query_places()
    (segment,) = sample.glob("*.mpk")
    segment.unlink()

    assert list(log.calls_at(places)) == []


def test_calls_are_read_without_a_look_at_the_rest_of_their_segments(sample, monkeypatch):
    log = open_log(sample)
    (place, *_) = log.query_places(Filters(error=True))
    monkeypatch.delattr(Segment, "take_in")

    assert [call.id for call in log.calls_at([place])] == [place.id]


def test_calls_whose_segment_is_written_anew_meanwhile_are_read_where_they_are(written, folder):
    calls = [call_map(number, session={"id": "gone" if number % 2 else "left"}) for number in range(6)]
    written(*calls)
    log = open_log(folder)
    found = log.calls_at(log.query_places())
    first = next(found)
    prune(folder, filters=Filters(session="gone"))

    left = [first, *found]

    assert [call.id for call in left] == [calls[number]["id"] for number in (0, 2, 4)]


def test_ids_are_cut_to_what_tells_them_from_all_others(written, folder):
    sessions = ["abc", "abcdef", "run-2025-01-a", "run-2025-01-b", "run-2025-02", "run-2025-01-\U0001f600", "x" * 20]
    written(*[call_map(number, session={"id": one}) for number, one in enumerate(sessions)])
    log = open_log(folder)

    short = ["abc", "abcd", "run-2025-01-a", "run-2025-01-b", "run-2025-02", "run-2025-01-\U0001f600", "xxxx"]
    assert log.query_short_ids("sessions", sessions, 4) == dict(zip(sessions, short, strict=True))
    assert log.query_short_ids("sessions", ["run-2025-02"], 4) == {"run-2025-02": "run-2025-02"}
    one = call_map(1)["id"]
    (cut,) = log.query_short_ids("calls", [one], 4).values()
    assert log.call(cut).id == one
    assert len(cut) < len(one)


def test_a_warm_up_is_no_call_but_found_by_its_id(written, folder):
    written(CALLER, call_map(1), call_map(2, flags=["warm_up"]))
    log = open_log(folder)
    whole = call_map(2)["id"]

    assert ids(log.query_calls()) == [call_map(1)["id"]]
    assert log.call(whole).id == log.call(whole[:14]).id == whole
    assert log.call("@1").id == call_map(1)["id"]
    (segment,) = folder.glob("*.mpk")
    segment.unlink()
    with pytest.raises(TraceError, match="no call's id begins"):
        log.call(whole)


def test_a_call_in_the_place_of_a_session_is_said(sample):
    with pytest.raises(TraceError, match="'@2/1' names a call, not a session") as error:
        open_log(sample).query_session_id("@2/1")
    assert error.value.hint == "Name its session: @2."


@pytest.mark.parametrize("prefix", ["x", "", "@9"])
def test_a_session_that_is_not_there_is_said_in_words(sample, prefix):
    with pytest.raises(TraceError, match=r"there is no session|no session's id|is empty"):
        open_log(sample).query_session(prefix)
