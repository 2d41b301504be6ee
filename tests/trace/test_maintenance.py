"""Looking after a folder: what is taken away is gone, what is left is whole, readers and writers are not disturbed."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.trace.conftest import CALLER, call_map, open_log
from tests.trace.oracle import pair, session_rows

from sessiontap import trace
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.trace import Filters, TraceError, files, frame, maintenance
from sessiontap.trace.body import Plain
from sessiontap.trace.closing import close_segment
from sessiontap.trace.index.database import NAME
from sessiontap.trace.maintenance import info, prune, reindex, verify
from sessiontap.trace.walk import StoredRecord, walk

ADDON = Path(__file__).parents[2] / "addon"
SESSION_A = Filters(session="a")
TEXT = os.urandom(2000).hex()


def request(number: int) -> bytes:
    """Requests that share most of their text with those of other sessions."""
    return json.dumps({"messages": [TEXT, f"turn {number}" * 20]}).encode()


def call(number: int, session: str):
    return call_map(number, session={"id": session, "name": session, "path": "/", "step": number}, host="h", route="/r",
                    request={"method": "POST", "headers": [["x-agent", "one of them"]], "body": Plain(request(number))},
                    response={"status": 200, "body": Plain(b'{"answer": 42}' * 30)})  # fmt: skip


@pytest.fixture
def mixed(written, folder):
    """Two segments of the sessions a, b, c in turn; most bodies are deltas of those of another session."""
    for first in (0, 9):
        written(CALLER, *[call(number, "abc"[number % 3]) for number in range(first, first + 9)])
    return folder


def numbers(folder, session=None) -> list[int]:
    return [
        int(one.id[9:13], 16)
        for one in trace.open(folder).calls(newest_first=False)
        if session in (None, one.session_id)
    ]


def segments(folder) -> list[Path]:
    return sorted(folder.glob("*.mpk"))


def test_a_session_is_taken_out_and_the_rest_is_whole(mixed):
    assert sum(one.record["request"]["body"]["enc"] == "zstd-delta" for one in trace.open(mixed).calls()) == 16

    pruned = prune(mixed, filters=SESSION_A)

    assert (pruned.calls, pruned.rewritten, pruned.segments) == (6, tuple(segments(mixed)), ())
    assert numbers(mixed) == [number for number in range(18) if number % 3]
    for one in trace.open(mixed).calls():
        assert one.request_body() == request(int(one.id[9:13], 16))
        assert one.response_body() == b'{"answer": 42}' * 30
        assert one.caller["name"] == "bot.py"
        assert one.record["request"]["headers"] == [["x-agent", "one of them"]]
    assert verify(mixed).problems == ()
    assert {path.stat().st_mode & 0o777 for path in segments(mixed)} == {0o600}


def test_segments_without_the_session_are_not_touched(mixed, written):
    written(call(40, "d"))
    written(call(41, "e"))
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in segments(mixed)}

    pruned = prune(mixed, filters=Filters(session="d"))

    assert (len(pruned.segments), pruned.rewritten) == (1, ())
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in segments(mixed)} == {
        path: known for path, known in before.items() if path not in pruned.segments
    }


def test_what_stays_is_copied_as_it_stands(written, folder):
    """Only what was a change of a call that goes is packed again."""
    written(CALLER, call(1, "gone"), call(2, "kept"), call(3, "kept"), call(4, "gone"), call(5, "kept"))
    before = {one.id: one.record for one in trace.open(folder).calls()}

    prune(folder, filters=Filters(session="gone"))

    after = {one.id: one.record for one in trace.open(folder).calls()}
    second, third, fifth = (call_map(number)["id"] for number in (2, 3, 5))
    assert before[second]["request"]["body"]["base"] == call_map(1)["id"]
    assert "base" not in after[second]["request"]["body"]
    assert after[third]["request"]["body"]["base"] == second
    assert after[third]["request"]["body"]["data"] == before[third]["request"]["body"]["data"]
    assert after[fifth]["request"]["body"]["base"] in (second, third)
    assert verify(folder).problems == ()


@pytest.mark.parametrize("wish", [{"filters": SESSION_A}, {"older_than": call_map(9)["time"]}], ids=["session", "age"])
def test_what_is_written_while_a_prune_looks_stays(written, folder, monkeypatch, wish):
    """The index knew the segment before its writer added a call of another session, and left it."""
    written(call(1, "a"))
    (path,) = segments(folder)

    def grown(name: Path) -> files.SegmentFile:
        if len(numbers_in(path)) == 1:
            with path.open("ab") as file:
                file.write(frame.encode(call_map(20, session={"id": "b", "name": "b", "path": "/", "step": 0})))
        return files.open_segment(name)

    monkeypatch.setattr(maintenance, "open_segment", grown)
    prune(folder, **wish)

    assert 20 in numbers(folder)


def numbers_in(path: Path) -> list[str]:
    with files.open_segment(path) as file:
        return [one.record["id"] for one in walk(file) if isinstance(one, StoredRecord) and one.kind == "call"]


def test_warm_ups_of_a_session_go_with_it(written, folder):
    written(call(1, "a"), call(2, "b") | {"flags": ["warm_up"]}, call(3, "b"))

    pruned = prune(folder, filters=Filters(session="b"))

    assert pruned.calls == 1
    assert [one.id for one in trace.open(folder).calls(warm_ups=True)] == [call_map(1)["id"]]
    assert info(folder).sessions == 1


def test_the_last_session_of_a_segment_takes_it_along(written, folder):
    written(call(1, "a"), call(2, "a"))

    pruned = prune(folder, filters=SESSION_A)

    assert (len(pruned.segments), pruned.calls, segments(folder)) == (1, 2, [])


def test_what_was_pruned_is_in_no_file(mixed, written):
    secret = "the text that nobody is to find again"
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": secret}]}).encode()
    llm = {"family": "openai-chat", "operation": "chat"}
    sent = {"url": "https://h/", "body": Plain(body)}
    written(call_map(50, session={"id": "z", "name": secret}, llm=llm, request=sent, error=secret))
    log = open_log(mixed)
    assert len(log.search(secret)) == 1
    log.close()

    prune(mixed, filters=Filters(session="z"))

    left = {path.name: secret.encode() in path.read_bytes() for path in mixed.iterdir()}
    assert NAME in left
    assert not any(left.values())


@pytest.mark.parametrize(
    ("age", "left"), [(0, 18), (5, 18), (9, 9), (12, 9), (100, 0)], ids=lambda value: str(value)
)
def test_by_age_segments_go_when_their_last_call_is_too_old(mixed, age, left):
    prune(mixed, older_than=call_map(age)["time"])

    assert len(numbers(mixed)) == left


def test_by_size_the_oldest_go_first(mixed):
    older, newer = segments(mixed)

    pruned = prune(mixed, max_bytes=newer.stat().st_size)

    assert (pruned.segments, pruned.calls, segments(mixed)) == ((older,), 9, [newer])


def test_a_dry_run_says_the_same_and_changes_nothing(mixed):
    before = {path: path.read_bytes() for path in segments(mixed)}

    said = [prune(mixed, filters=SESSION_A, dry_run=True), prune(mixed, max_bytes=0, dry_run=True)]

    assert {path: path.read_bytes() for path in mixed.iterdir() if not path.name.startswith(NAME)} == before
    assert said[0] == prune(mixed, filters=SESSION_A)
    assert (said[1].calls, said[1].sessions, len(said[1].segments)) == (18, 3, 2)


@pytest.mark.parametrize(
    ("wish", "sessions"),
    [
        ({"filters": SESSION_A}, 1),
        ({"older_than": call_map(9)["time"]}, 0),
        ({"max_bytes": 0}, 3),
        ({"filters": Filters(session="z")}, 0),
        ({"filters": Filters(name="[ab]")}, 2),
        ({"filters": Filters(until=call_map(17)["time"])}, 2),
        ({"filters": SESSION_A, "older_than": call_map(9)["time"]}, 1),
    ],
    ids=["a session", "the older half of three", "everything", "none", "names", "a time", "a session and by age"],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_sessions_of_which_nothing_is_left_are_counted(mixed, wish, sessions, dry_run):
    assert prune(mixed, **wish, dry_run=dry_run).sessions == sessions


@pytest.mark.parametrize("wish", [{"max_bytes": 0}, {"filters": Filters(session="session-0")}],
                         ids=["by size", "a session"])  # fmt: skip
def test_warm_ups_go_and_are_no_calls(written, folder, wish):
    """Also one in a segment of its own."""
    written(call_map(1))
    written(call_map(2, flags=["warm_up"]))

    assert prune(folder, **wish).calls == 1
    assert segments(folder) == []


def test_a_file_that_a_writer_has_just_made_stays(mixed):
    """It is locked a moment after it is made."""
    new = mixed / "20990101T000000.000000Z-1-abcdef.mpk"
    new.touch()
    later = time.time_ns() * 2

    assert prune(mixed, older_than=later).kept_live == (new,)
    assert new.exists()
    os.utime(new, (0, 0))
    assert prune(mixed, older_than=later).segments == (new,)


def test_what_is_being_written_counts_towards_the_size(mixed, writers):
    older, newer = segments(mixed)
    writer = writers()
    writer.submit(lambda: [call(30, "d")], 1)
    writer.flush()
    live = writer.stats().segment

    pruned = prune(mixed, max_bytes=newer.stat().st_size + live.stat().st_size)

    assert (pruned.segments, pruned.kept_live, segments(mixed)) == ((older,), (), [newer, live])


def test_a_segment_that_is_being_written_stays(writers, folder):
    writer = writers()
    writer.submit(lambda: [call(1, "a")], 1)
    writer.flush()
    live = writer.stats().segment

    for wish in ({"filters": SESSION_A}, {"max_bytes": 0}, {"older_than": call_map(99)["time"]}):
        pruned = prune(folder, **wish)
        assert (pruned.kept_live, pruned.segments, pruned.rewritten) == ((live,), (), ())
    writer.submit(lambda: [call(2, "a")], 1)
    writer.flush()

    assert numbers(folder) == [1, 2]


def test_the_index_follows(mixed):
    log = trace.open(mixed)
    log.query_sessions()

    prune(mixed, filters=Filters(session="b"))

    assert log.query_sessions() == session_rows(pair(one) for one in trace.open(mixed).calls())
    assert [row["id"] for row in log.query_calls()] == [one.id for one in trace.open(mixed).calls()]


@pytest.mark.parametrize("wish", [{"filters": SESSION_A}, {"older_than": call_map(9)["time"]}, {"max_bytes": 0}])
def test_what_the_index_says_after_a_prune_is_what_the_log_says(mixed, wish):
    """To a reader that had it open, and to one that comes later."""
    before = trace.open(mixed)
    assert len(before.query_calls()) == 18

    prune(mixed, **wish)

    for log in (before, trace.open(mixed)):
        left = [one.id for one in trace.open(mixed).calls()]
        assert [row["id"] for row in log.query_calls()] == left
        assert sum(row["calls"] for row in log.stats("session")) == len(left)
        assert {row["session"] for row in log.stats("session")} == {row["id"] for row in log.query_sessions()}
        with pytest.raises(TraceError, match="no call's id begins with"):
            log.call(call_map(0)["id"])


def everything_indexed(folder):
    log = open_log(folder)
    try:
        answers = (
            log.query_sessions(), log.query_calls(), log.stats("path"), log.query_sums(), log.problems, log.notes(),
            log.query_segments(SESSION_A), [log.call(row["id"]).caller for row in log.query_calls()],
            sorted(hit.row()["snippet"] for hit in log.query_hits("turn 1")[0]),
        )  # fmt: skip
        return json.loads(json.dumps(answers, default=str))
    finally:
        log.close()


FITTING = {
    "a session": SESSION_A,
    "sessions by their name": Filters(name="[bc]"),
    "calls of a time": Filters(until=call_map(11)["time"]),
    "a call": Filters(ids=(call_map(4)["id"],)),
    "what has a text": Filters(search="turn 12"),
    "nothing": Filters(name="nowhere"),
}


@pytest.mark.parametrize("filters", FITTING.values(), ids=FITTING)
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "plain"])
def test_what_moves_in_a_segment_is_not_read_again(mixed, written, filters, closed, monkeypatch):
    """The index has in the end what one has that is made anew, and the calls that stay are not added again."""
    written(CALLER, *[call(number, "abc"[number % 3]) | {"flags": ["warm_up"]} for number in range(20, 24)])
    for path in segments(mixed) if closed else ():
        close_segment(path)
    everything_indexed(mixed)
    with monkeypatch.context() as patch:
        patch.setattr("sessiontap.trace.index.rows.Strings.alike", None)
        pruned = prune(mixed, filters=filters, parts_of=recorded_parts)
        found = everything_indexed(mixed)
    index_file = mixed / NAME
    index_file.unlink()

    assert found == everything_indexed(mixed)
    assert pruned.calls == 18 - len(found[1])
    assert verify(mixed).problems == ()


def test_warm_ups_stay_while_a_call_of_their_session_does(written, folder):
    written(*[call(number, "a") for number in range(3)], call(3, "a") | {"flags": ["warm_up"]})

    for which in ((0, 1), (2,)):
        prune(folder, filters=Filters(ids=tuple(call_map(number)["id"] for number in which)))
        left = len(list(trace.open(folder).calls(warm_ups=True)))
        assert left == (2 if which == (0, 1) else 0)


def test_a_damaged_index_does_not_stand_in_the_way_of_a_prune(mixed):
    info(mixed)
    (mixed / NAME).write_bytes(b"no database" * 1000)

    assert prune(mixed, filters=SESSION_A).sessions == 1
    assert info(mixed).sessions == 2


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_reader_in_the_middle_goes_on(mixed, newest_first):
    """The file it reads is replaced under it: calls of other sessions come once each, with their bodies."""
    calls = trace.open(mixed).calls(newest_first)
    seen = [next(calls), next(calls)]

    prune(mixed, filters=SESSION_A)
    seen += calls

    expected = [number for number in range(18) if number % 3]
    found = [int(one.id[9:13], 16) for one in seen]
    assert sorted(number for number in found if number % 3) == expected
    for one in seen:
        if one.session_id != "a":
            assert one.request_body() == request(int(one.id[9:13], 16))


READER = """
import sys
from sessiontap import trace
from sessiontap.llm.recorded_parts import recorded_parts
log = trace.open(sys.argv[1])
seen = []
while not seen or seen[-1] < 400:
    calls = [one for one in log.calls(newest_first=False) if one.session_id == "kept"]
    bodies = [one.request_body() for one in calls]
    assert all(bodies)
    seen.append(len(calls))
    rows = [row for row in log.query_calls() if row["session_id"] == "kept"]
    assert len(rows) >= seen[-1], (len(rows), seen[-1])
assert seen == sorted(seen), seen
print(seen[-1])
"""


def test_readers_and_a_writer_while_sessions_are_pruned(writers, folder):
    """Calls of the session that is kept are never missed, whatever goes around them."""
    writer = writers(rotate_bytes=15_000)
    environment = {**os.environ, "PYTHONPATH": str(ADDON)}
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, folder], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    stop = threading.Event()

    def prune_on() -> None:
        while not stop.is_set():
            prune(folder, filters=Filters(session="gone"))

    pruning = threading.Thread(target=prune_on)
    pruning.start()
    for number in range(800):
        writer.submit(lambda number=number: [CALLER, call(number, ("kept", "gone")[number % 2])], 1)
        if number % 50 == 0:
            writer.flush()
    writer.flush()
    done = [reader.communicate(timeout=120)[0] for reader in readers]
    stop.set()
    pruning.join(60)
    writer.close(5)
    prune(folder, filters=Filters(session="gone"))

    assert [int(one) for one in done] == [400, 400]
    assert numbers(folder, "gone") == []
    assert len(numbers(folder, "kept")) == 400
    assert verify(folder).problems == ()


def test_verify_finds_every_flipped_bit(mixed):
    """Whatever is flipped is named, and what is read beside it is right."""
    first, _ = segments(mixed)
    sound = first.read_bytes()
    assert verify(mixed).bodies == 36
    for offset in range(3, len(sound), 97):
        data = bytearray(sound)
        data[offset] ^= 1 << (offset % 8)
        first.write_bytes(data)

        assert verify(mixed).problems, f"a flip at {offset} went unseen"


def test_verify_names_a_body_that_does_not_fit(written, folder):
    from sessiontap.trace import body

    written(call_map(1, request={"body": body.encode(b"abc") | {"data": b"abd"}}))

    (problem,) = verify(folder).problems
    assert f"the request of call {call_map(1)['id']} cannot be read: the body does not fit its sha256" in problem.text


def test_verify_passes_over_the_tail_that_is_being_written(writers, folder):
    writer = writers()
    writer.submit(lambda: [call(1, "a")], 1)
    writer.flush()
    with writer.stats().segment.open("ab") as file:
        file.write(frame.encode(call_map(2))[:30])

    assert verify(folder).problems == ()


def test_info(mixed):
    found = info(mixed)

    assert (found.calls, found.sessions, len(found.segments), found.problems) == (18, 3, 2, 0)
    assert (found.first, found.last) == (call_map(0)["time"], call_map(17)["time"])
    assert found.bytes == sum(path.stat().st_size for path in segments(mixed))
    assert found.body_bytes == sum(len(request(number)) + 30 * 14 for number in range(18))
    assert found.index_bytes > 0


@pytest.mark.parametrize("damage", [None, "no database", ""], ids=["sound", "damaged", "empty"])
def test_reindex(mixed, damage):
    log = trace.open(mixed)
    expected = log.query_sessions(), log.query_calls()
    if damage is not None:
        log.close()
        (mixed / NAME).write_text(damage * 1000)
    told = []

    found = reindex(mixed, lambda done, total: told.append((done, total)))

    assert (found.calls, found.sessions) == (18, 3)
    assert told[-1][0] == told[-1][1] > 0
    assert (log.query_sessions(), log.query_calls()) == expected
    assert (trace.open(mixed).query_sessions(), trace.open(mixed).query_calls()) == expected


def test_reindex_forgets_what_is_not_in_the_log(mixed):
    info(mixed)
    with sqlite3.connect(mixed / NAME) as database:
        database.execute("UPDATE sessions SET id = 'made up' WHERE id = 'a'")

    reindex(mixed)

    assert {row["id"] for row in trace.open(mixed).query_sessions()} == {"a", "b", "c"}


def test_an_empty_folder(folder):
    folder.mkdir()

    assert (info(folder).calls, info(folder).first) == (0, None)
    assert verify(folder).records == 0
    assert prune(folder, older_than=1, max_bytes=0, filters=SESSION_A).calls == 0


@pytest.mark.parametrize("ask", [info, verify, prune, reindex])
def test_a_folder_that_is_not_there_is_said_in_words(tmp_path, ask):
    with pytest.raises(TraceError, match="there is no trace folder"):
        ask(tmp_path / "nowhere")
