"""Reading: newest first, look-ups, following, damage reported and stepped over."""

import itertools
import os
import threading

import pytest
from tests.trace.conftest import CALLER, call_map

from sessiontap import trace
from sessiontap.trace import TraceError, body, frame
from sessiontap.trace.closing import close_segment
from sessiontap.trace.rotation import OpenSegment
from sessiontap.trace.walk import walk


def number(call: trace.RecordedCall) -> int:
    return int(call.id[9:13], 16)


def numbers(folder, newest_first=True) -> list[int]:
    return [number(call) for call in trace.open(folder).calls(newest_first)]


def segment(folder):
    (path,) = folder.iterdir()
    return path


def test_calls_come_newest_first_across_segments(written, folder):
    written(CALLER, *map(call_map, (1, 5, 3)))
    written(CALLER, *map(call_map, (4, 2)))

    assert numbers(folder) == [5, 4, 3, 2, 1]
    assert numbers(folder, newest_first=False) == [1, 2, 3, 4, 5]


def test_the_newest_calls_need_the_newest_segments_alone(written, folder, monkeypatch):
    for first in range(3):
        written(CALLER, call_map(2 * first), call_map(2 * first + 1))
        newest = max(folder.iterdir())
        os.utime(newest, ns=(0, 1_000_000_000_000 + (2 * first + 1) * 1_000_000_000 + 1))
    opened = []
    monkeypatch.setattr(trace.Trace, "_update", lambda self, path, real=trace.Trace._update: (
        opened.append(path) or real(self, path)
    ))  # fmt: skip

    newest = [number(call) for call in itertools.islice(trace.open(folder).calls(), 2)]

    assert newest == [5, 4]
    assert len(opened) == 1


def test_a_call_comes_with_its_caller_and_its_bodies(written, folder):
    request, response = body.encode(b"{}" * 500), body.encode(b"", "gzip")
    written(CALLER, call_map(1, request={"body": request}, response={"body": response}), call_map(2, caller="unknown"))

    newest, oldest = trace.open(folder).calls()

    assert (oldest.caller["name"], newest.caller) == ("bot.py", None)
    assert (oldest.request_body(), oldest.response_body()) == (b"{}" * 500, b"")
    assert (newest.request_body(), newest.response_body()) == (None, None)


def test_a_body_that_does_not_fit_its_sha256_is_refused(written, folder):
    written(call_map(1, request={"body": body.encode(b"abc") | {"data": b"abd"}}))

    (call,) = trace.open(folder).calls()
    with pytest.raises(trace.BodyError, match="sha256"):
        call.request_body()


def test_an_open_trace_takes_in_what_is_written_meanwhile(writers, folder):
    writer = writers()
    opened = trace.open(folder)
    seen = []
    for count in range(3):
        writer.submit(lambda count=count: [call_map(count)], 1)
        writer.flush()
        seen.append([number(call) for call in opened.calls()])

    assert seen == [[0], [1, 0], [2, 1, 0]]


def test_types_and_keys_of_later_versions_are_skipped(written, folder):
    written({"type": "verdict", "id": "x"}, call_map(1, invention=True), {"no": "type"})

    opened = trace.open(folder)
    assert [number(call) for call in opened.calls()] == [1]
    assert opened.problems == []


def test_a_segment_of_a_later_version_is_reported_not_misread(written, folder, tmp_path):
    written(call_map(1))
    later = {"type": "segment", "format": "sessiontap-trace", "version": 3}
    path = folder / "later.mpk"
    path.write_bytes(frame.encode(later) + frame.encode(call_map(2)))

    opened = trace.open(folder)
    assert [number(call) for call in opened.calls()] == [1]
    assert [(problem.path.name, problem.text) for problem in opened.problems] == [
        ("later.mpk", "was written by a newer Sessiontap (format version 3): read it with that one")
    ]
    assert [info.readable for info in opened.segments()] == [True, False]


def test_a_foreign_file_is_reported(folder):
    folder.mkdir()
    (folder / "photo.mpk").write_bytes(b"JFIF" * 100)
    (folder / "notes.txt").write_text("not even looked at")

    opened = trace.open(folder)
    assert list(opened.calls()) == []
    assert [(problem.offset, problem.size) for problem in opened.problems] == [(0, 400)]


def test_damage_is_stepped_over_and_named_with_its_place(written, folder):
    written(CALLER, *map(call_map, range(4)))
    data = bytearray(segment(folder).read_bytes())
    with segment(folder).open("rb") as file:
        offsets = [one.offset for one in frame.scan(file)]
    data[offsets[3] + 20] ^= 1  # the second call
    segment(folder).write_bytes(data[:-5])  # and the last is torn

    opened = trace.open(folder)

    assert [number(call) for call in opened.calls()] == [2, 0]
    assert [(problem.offset, problem.text.split(":")[0]) for problem in opened.problems] == [
        (offsets[3], "a record does not fit its checksum"),
        (offsets[-1], "a record ends too early"),
    ]


def test_a_segment_without_its_header_is_read_and_reported(written, folder):
    written(call_map(1))
    data = bytearray(segment(folder).read_bytes())
    data[30] ^= 1
    segment(folder).write_bytes(data)

    opened = trace.open(folder)
    assert [number(call) for call in opened.calls()] == [1]
    assert any("lost its header" in problem.text or problem.offset == 0 for problem in opened.problems)


def test_the_torn_tail_of_a_live_segment_is_no_damage(folder):
    writing = OpenSegment(folder, {})
    record = frame.encode(call_map(1))
    os.write(writing._file, record[:20])
    opened = trace.open(folder)

    assert list(opened.calls()) == []
    assert opened.problems == []
    assert [info.live for info in opened.segments()] == [True]

    os.write(writing._file, record[20:])
    assert [number(call) for call in opened.calls()] == [1]
    writing.close()
    assert [info.live for info in opened.segments()] == [False]


def test_a_segment_that_is_pruned_while_it_is_read_is_passed_over(written, folder):
    written(*map(call_map, range(3)))
    opened = trace.open(folder)
    calls = opened.calls()
    next(calls)
    segment(folder).unlink()

    assert list(calls) == []
    assert list(opened.calls()) == []


def test_warm_ups_count_as_no_calls_but_can_be_had(written, folder):
    written(call_map(0, flags=["warm_up"]), call_map(1))

    opened = trace.open(folder)
    assert numbers(folder) == [1]
    assert [number(call) for call in opened.calls(warm_ups=True)] == [1, 0]
    assert number(opened.call(call_map(0)["id"])) == 0
    assert number(opened.call("@1")) == 1
    stop = threading.Event()
    stop.set()
    assert [number(call) for call in opened.follow(from_start=True, stop=stop)] == [1]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("0190a000-0003", 3), ("0190A000-0003", 3), ("0190a000-0001-7000-8000-000000000000", 1), ("@1", 11), ("@2", 10)],
)
def test_a_call_by_its_prefix(written, folder, prefix, expected):
    written(*map(call_map, range(12)))

    assert number(trace.open(folder).call(prefix)) == expected


@pytest.mark.parametrize(
    ("prefix", "words"),
    [("0190a000", "more than one"), ("ffff", "no call's id"), ("", "is empty"), ("@13", "there is no call @13")],
)
def test_a_call_that_cannot_be_told(written, folder, prefix, words):
    written(*map(call_map, range(12 if prefix else 0)))

    with pytest.raises(TraceError, match=words):
        trace.open(folder).call(prefix)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("session-1", "session-1"), ("session-2", "session-2"), ("@1", "session-10"), ("@11", "session-0")],
)
def test_a_session_by_its_prefix(written, folder, prefix, expected):
    """An id that is another's beginning is found too."""
    written(*map(call_map, range(102)))

    session = trace.open(folder).session(prefix)

    assert session.id == expected
    times = [call.record["time"] for call in session.calls]
    assert times == sorted(times)
    assert {call.session_id for call in session.calls} == {expected}


@pytest.mark.parametrize(
    ("prefix", "words"), [("session", "more than one"), ("x", "no session's"), ("@9", "@9"), ("", "is empty")]
)
def test_a_session_that_cannot_be_told(written, folder, prefix, words):
    written(*map(call_map, range(30)))

    with pytest.raises(TraceError, match=words):
        trace.open(folder).session(prefix)


def test_notes_come_oldest_first_whichever_segment_has_them(written, folder):
    written(CALLER, {"type": "note", "time": 2, "kind": "b"})
    written(CALLER | {"id": "caller-2"}, {"type": "note", "time": 1, "kind": "a"})

    opened = trace.open(folder)
    assert [note["kind"] for note in opened.notes()] == ["a", "b"]


def test_following_reads_no_segment_that_does_not_change(writers, written, folder, monkeypatch):
    for number in range(3):
        written(CALLER, call_map(number))
    for path in folder.glob("*.mpk"):
        close_segment(path)
    writer, stop, read = writers(), threading.Event(), []

    def counted(file, start=0):
        read.append(file)
        return walk(file, start)

    monkeypatch.setattr("sessiontap.trace.segment.walk", counted)
    coming = trace.open(folder).follow(poll_seconds=0.001, stop=stop)
    for number in range(10, 15):
        writer.submit(lambda number=number: [call_map(number)], 1)
        writer.flush()
        assert next(coming).id == call_map(number)["id"]
    stop.set()

    assert list(coming) == []
    assert {file.is_closed for file in read} == {False}


def test_following_sees_each_new_call_once(writers, folder):
    writer = writers(rotate_bytes=500)
    writer.submit(lambda: [call_map(0)], 1)
    writer.flush()
    stop = threading.Event()
    following = trace.open(folder).follow(poll_seconds=0.001, stop=stop)
    for count in range(1, 21):
        writer.submit(lambda count=count: [call_map(count)], 1)
    seen = []

    for call in following:
        seen.append(number(call))
        if len(seen) == 20:
            stop.set()

    assert seen == list(range(1, 21))


def test_following_from_the_start(written, folder):
    written(*map(call_map, range(3)))
    stop = threading.Event()
    stop.set()

    assert [number(call) for call in trace.open(folder).follow(stop=stop, from_start=True)] == [0, 1, 2]


def test_a_folder_that_is_not_there_is_said_in_words(tmp_path):
    with pytest.raises(TraceError, match="there is no trace folder") as caught:
        trace.open(tmp_path / "nowhere")
    assert "--trace" in caught.value.hint


def test_calls_since_a_moment_leave_out_earlier_ones_and_segments_that_were_left_before(written, folder, monkeypatch):
    written(CALLER, *map(call_map, (1, 2)))
    (left,) = folder.iterdir()
    os.utime(left, ns=(call_map(2)["time"], call_map(2)["time"]))
    written(CALLER, *map(call_map, (5, 3, 4)))
    read = []
    update = trace.Trace._update
    monkeypatch.setattr(trace.Trace, "_update", lambda log, path: read.append(path) or update(log, path))

    since = call_map(4)["time"]

    assert [number(call) for call in trace.open(folder).calls(newest_first=False, since=since)] == [4, 5]
    assert left not in read
