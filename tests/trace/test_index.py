"""The index answers what the log would, keeps up with it, and is made again when it is of no use."""

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.trace.conftest import CALLER, call_map, open_log
from tests.trace.oracle import cost_of, session_rows, session_view, unreadable

from sessiontap import trace
from sessiontap.part import CallParts, Part
from sessiontap.trace import TraceError, frame
from sessiontap.trace.index import catch_up, database
from sessiontap.trace.index.costs import Prices
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.maintenance import prune
from sessiontap.trace.segment import Segment
from sessiontap.trace.views import call_row

ADDON = Path(__file__).parents[2] / "addon"


@pytest.fixture
def sample(folder):
    """Two sessions of real calls, their processes, a note."""
    return recorded.write(folder, recorded.calls(), [("dropped", "2 records were lost", {"dropped": {"queue": 2}})])


def ids(rows):
    return [row["id"] for row in rows]


def index_file(folder) -> Path:
    return folder / database.NAME


# -- the same answers as from the log ----------------------------------------------------------------------------------


def test_calls_are_those_of_the_log(sample):
    log = open_log(sample)

    assert log.query_calls() == [call_row(call.record, call.caller) for call in log.calls()]


def test_sessions_are_those_of_the_log(sample):
    log = open_log(sample)

    assert log.query_sessions() == session_rows((call.record, call.caller) for call in log.calls())


@pytest.mark.parametrize("session", [recorded.COURSE, "nightly", "@1", "@2"])
def test_a_session_is_that_of_the_log(sample, session):
    log = open_log(sample)

    pairs = [(call.record, call.caller) for call in log.session(session).calls]
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
    expected = [call_row(call.record, call.caller) for call in log.calls()]
    for row in expected:  # the index names all of the five, reported or not
        names = ("input", "output", "cache_read", "cache_write", "reasoning")
        row["usage"] = row["usage"] and dict.fromkeys(names) | row["usage"]

    assert log.query_calls() == expected
    assert log.query_sessions() == session_rows((call.record, call.caller) for call in log.calls())


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


# -- filters, order, search --------------------------------------------------------------------------------------------

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
    pairs = [(call.record, call.caller) for call in log.calls()]

    assert log.query_calls(prices=prices) == [call_row(*pair, prices.cost_of) for pair in pairs]
    assert log.query_sessions(prices=prices) == session_rows(pairs, cost_of=prices.cost_of)
    course = [pair for pair in pairs if pair[0]["session"]["id"] == recorded.COURSE]
    assert log.query_session(recorded.COURSE, prices) == session_view(course, cost_of=prices.cost_of)


def test_costs_are_worked_out_once_and_again_for_other_prices(sample):
    log = open_log(sample)
    log.query_sessions(prices=priced())
    assert priced.asked == 5

    again = log.query_sessions(prices=priced(), sort="cost")
    assert (priced.asked, again[0]["cost_usd"]) == (0, 0.5)
    assert log.query_sessions(prices=priced("2", each=1.0), sort="cost")[0]["cost_usd"] == 2.0
    assert priced.asked == 5


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
        ("", "no call's id"),
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


@pytest.mark.parametrize("prefix", ["x", "", "@9"])
def test_a_session_that_is_not_there_is_said_in_words(sample, prefix):
    with pytest.raises(TraceError, match=r"there is no session|no session's id"):
        open_log(sample).query_session(prefix)


# -- keeping up --------------------------------------------------------------------------------------------------------


def test_the_index_grows_with_the_log(writers, folder):
    writer = writers(rotate_bytes=900)
    log = open_log(folder)
    for number in range(12):
        writer.submit(lambda number=number: [CALLER, call_map(number)], 1)
        writer.flush()

        assert len(log.query_calls()) == number + 1
        assert log.query_sessions() == session_rows((call.record, call.caller) for call in log.calls())


def test_small_batches_come_to_the_same(sample, monkeypatch):
    expected = open_log(sample).query_sessions(), open_log(sample).query_calls()
    database.remove(sample)
    monkeypatch.setattr(catch_up.CatchUp.__init__, "__defaults__", (1, None))

    assert (open_log(sample).query_sessions(), open_log(sample).query_calls()) == expected


def test_a_segment_that_is_gone_is_gone_from_the_index(written, folder):
    for first in (0, 5, 10, 15):
        numbers = range(first, first + 5)
        written(CALLER, *[call_map(number, tags=[f"t{number}"], properties={"n": str(number)}) for number in numbers])
    log = open_log(folder)
    assert len(log.query_calls()) == 20

    for segment in sorted(folder.glob("*.mpk"))[1:3]:
        segment.unlink()
    again = open_log(folder)

    for one in (log, again):
        assert one.query_sessions() == session_rows((call.record, call.caller) for call in again.calls())
        assert one.query_calls() == [call_row(call.record, call.caller) for call in again.calls()]


def test_what_is_gone_from_the_log_is_not_found_in_the_index_file(sample):
    open_log(sample).search("x")
    assert b"Brotb" in index_file(sample).read_bytes() + Path(f"{index_file(sample)}-wal").read_bytes()
    for segment in sample.glob("*.mpk"):
        segment.unlink()

    log = open_log(sample)
    assert log.search("Brotb") == []
    log.close()
    left = sqlite3.connect(index_file(sample))
    assert left.execute("SELECT count(*) FROM parts").fetchone() == (0,)
    left.close()


def test_another_file_of_the_same_name_is_read_afresh(written, folder):
    written(*map(call_map, range(5)))
    log = open_log(folder)
    log.query_calls()
    (first,) = folder.glob("*.mpk")
    written(*map(call_map, range(7, 20)))
    (other,) = set(folder.glob("*.mpk")) - {first}
    os.replace(other, first)

    assert ids(log.query_calls()) == [call_map(number)["id"] for number in range(19, 6, -1)]
    assert log.query_sessions() == session_rows((call.record, call.caller) for call in open_log(folder).calls())


def test_new_calls_and_another_file_in_one_step(writers, written, folder):
    """Both halves of a session change at once: nothing is counted twice."""
    writer = writers()
    writer.submit(lambda: [call_map(1)], 1)
    writer.flush()
    written(call_map(2), call_map(3))
    log = open_log(folder)
    log.query_sessions()
    _, replaced = sorted(folder.glob("*.mpk"))
    written(call_map(4), call_map(5))
    os.replace(max(folder.glob("*.mpk")), replaced)
    writer.submit(lambda: [call_map(6)], 1)
    writer.flush()

    assert log.query_sessions() == session_rows((call.record, call.caller) for call in open_log(folder).calls())


def test_a_tail_that_is_being_written_is_looked_at_again(folder):
    from sessiontap.trace.rotation import OpenSegment

    writing = OpenSegment(folder, {})
    record = frame.encode(call_map(1))
    os.write(writing._file, record[:20])
    log = open_log(folder)

    assert (log.query_calls(), log.problems) == ([], [])
    os.write(writing._file, record[20:])
    assert len(log.query_calls()) == 1
    os.write(writing._file, record[:20])
    assert log.problems == []
    writing.close()
    assert len(log.problems) == 1


# -- the file itself ---------------------------------------------------------------------------------------------------


def test_the_index_is_private(sample):
    before = os.umask(0)
    try:
        open_log(sample).query_calls()
    finally:
        os.umask(before)

    assert {path.stat().st_mode & 0o777 for path in sample.glob("index.sqlite*")} == {0o600}


def deleted(path: Path) -> None:
    path.unlink()


def rubbish(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def from_the_future(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def of_something_else(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes(title)")
    connection.close()


def with_a_page_overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = os.urandom(len(data) - 8192)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [deleted, rubbish, truncated, emptied, from_the_future, of_something_else, with_a_page_overwritten],
    ids=lambda one: one.__name__.replace("_", " "),
)
def test_an_index_that_is_of_no_use_is_made_again(sample, damage):
    log = open_log(sample)
    expected = log.query_sessions(), log.query_calls(), log.search("brotb")
    log.close()
    for leftover in ("-wal", "-shm"):
        Path(f"{index_file(sample)}{leftover}").unlink(missing_ok=True)

    damage(index_file(sample))
    again = open_log(sample)

    assert (again.query_sessions(), again.query_calls(), again.search("brotb")) == expected
    again.close()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_is_read(sample):
    sample.chmod(0o500)
    try:
        assert len(open_log(sample).query_calls()) == 5
    finally:
        sample.chmod(0o700)


def test_an_index_that_cannot_be_kept_is_held_in_memory(sample):
    """Something else has its name."""
    index_file(sample).mkdir()

    assert len(open_log(sample).query_calls()) == 5


def test_a_disk_that_is_full_for_the_index_is_read_past(sample, monkeypatch):
    """The file may not grow beyond a few pages: the answer comes from an index in memory."""
    settle = database.settle

    def cramped(connection):
        settle(connection)
        if connection.execute("PRAGMA database_list").fetchone()[2]:
            connection.execute("PRAGMA max_page_count = 40")

    monkeypatch.setattr(database, "settle", cramped)
    many = [recorded.chat(number, session=(f"s{number}", "n" * 5000 + str(number), "/", 0), caller=None)
            for number in range(10, 60)]  # fmt: skip
    recorded.write(sample, many)

    assert len(open_log(sample).query_calls()) == 55


READER = """
import sys
from sessiontap import trace
log = trace.open(sys.argv[1])
seen = 0
while seen < int(sys.argv[2]):
    rows, sessions = log.query_calls(), log.query_sessions()
    assert len(rows) >= seen, "calls went away"
    assert sum(row["calls"] for row in sessions) >= len(rows), "sums lag behind the calls"
    seen = len(rows)
assert sum(row["calls"] for row in log.query_sessions()) == seen
print(seen)
"""


def test_several_readers_at_once_while_the_proxy_writes(writers, folder):
    writer = writers(rotate_bytes=40_000)
    count = 1500
    environment = {**os.environ, "PYTHONPATH": str(ADDON)}
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, folder, str(count)], env=environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for number in range(count):
        writer.submit(lambda number=number: [CALLER, call_map(number)], 1)
    writer.flush()

    assert [int(reader.communicate(timeout=60)[0]) for reader in readers] == [count] * 3


def test_threads_of_one_process_each_with_a_trace_of_their_own(sample):
    found = []
    threads = [threading.Thread(target=lambda: found.append(len(open_log(sample).query_calls()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert found == [5] * 8


def test_two_that_make_the_file_at_once_wait_for_each_other(sample, monkeypatch):
    """SQLite tells one of them at once that it is locked, whatever the timeout."""
    refused = []

    class Contended(sqlite3.Connection):
        def execute(self, statement, *values):
            if "journal_mode" in statement and len(refused) < 2:
                refused.append(statement)
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return super().execute(statement, *values)

    real = sqlite3.connect
    monkeypatch.setattr(database.sqlite3, "connect", lambda *args, **named: real(*args, factory=Contended, **named))

    assert len(trace.open(sample).query_calls()) == 5
    assert len(refused) == 2
    assert index_file(sample).stat().st_size > 0


def test_a_copied_folder_brings_its_index_along(sample, tmp_path):
    open_log(sample).query_calls()
    copy = tmp_path / "copy"
    shutil.copytree(sample, copy)

    assert len(open_log(copy).query_calls()) == 5


@pytest.mark.parametrize("enabled", [True, False], ids=["on", "off"])
def test_garbage_collection_is_as_it_was(sample: Path, enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        trace.open(sample).query_sessions()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
