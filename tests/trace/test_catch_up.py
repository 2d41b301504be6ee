"""The index keeps up with the log: what is written, what goes, what comes in its place."""

import os
import sqlite3
from pathlib import Path

from tests.trace.conftest import CALLER, call_map, ids, index_file, open_log
from tests.trace.oracle import pair, session_rows

from sessiontap.trace import frame
from sessiontap.trace.index import catch_up, database
from sessiontap.trace.views import call_row


def test_the_index_grows_with_the_log(writers, folder):
    writer = writers(rotate_bytes=900)
    log = open_log(folder)
    for number in range(12):
        writer.submit(lambda number=number: [CALLER, call_map(number)], 1)
        writer.flush()

        assert len(log.query_calls()) == number + 1
        assert log.query_sessions() == session_rows(pair(call) for call in log.calls())


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
        assert one.query_sessions() == session_rows(pair(call) for call in again.calls())
        assert one.query_calls() == [call_row(*pair(call)) for call in again.calls()]


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
    assert log.query_sessions() == session_rows(pair(call) for call in open_log(folder).calls())


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

    assert log.query_sessions() == session_rows(pair(call) for call in open_log(folder).calls())


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
