"""Labels and scores as they are written, and what all that reads a log makes of them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.gate import PATIENCE
from tests.trace.conftest import CALLER, call_map, open_log

from sessiontap.trace import TraceError, frame
from sessiontap.trace.annotations import annotate, annotations_in, label_record, new_session_id, score_record
from sessiontap.trace.backlog import Backlog
from sessiontap.trace.closing import close_segment
from sessiontap.trace.files import segments
from sessiontap.trace.maintenance import info, verify
from sessiontap.trace.restore import RestorableCalls
from sessiontap.trace.rotation import OpenSegment


def score(value: float = 0.8, **changes):
    return score_record(**({"session": "session-0", "name": "helpful", "value": value, "source": "cli"} | changes))


def written_in(folder: Path) -> list[dict]:
    return [record for path in segments(folder) for record in annotations_in(path)]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-annotations.mpk*"))


def test_records_are_read_as_they_were_written(folder):
    records = [
        label_record(sessions=["a"], calls=["c"], name="N", path="/p", session="b", properties={"k": "v"}, tags=["t"],
                     undoes="x", batch="y", source="rules", by="ada"),
        score(True, name="star", note=None, by="ada"),
        score("good", note="why"),
        score(0.5, call="c1", session=None),
        score_record(session="a", note="a note alone", source="page"),
    ]  # fmt: skip

    annotate(folder, records)

    assert written_in(folder) == records
    assert [record["id"] for record in records] == sorted(record["id"] for record in records)
    assert [record["time"] for record in records] == sorted({record["time"] for record in records})


def test_a_thousand_scores_are_one_private_file(folder):
    for number in range(1000):
        annotate(folder, [score(number)])

    (file,) = files(folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [record["value"] for record in written_in(folder)] == list(range(1000))


def test_a_closed_segment_is_followed_by_another(folder):
    annotate(folder, [score(1)])
    assert close_segment(files(folder)[0])
    annotate(folder, [score(2)])

    assert [file.suffix for file in files(folder)] == [".zst", ".mpk"]
    assert [record["value"] for record in written_in(folder)] == [1, 2]


@pytest.mark.parametrize("limit", ["_LARGEST", "_OLDEST_SECONDS"])
def test_a_segment_that_is_large_or_old_is_followed_by_another(folder, monkeypatch, limit):
    monkeypatch.setattr(f"sessiontap.trace.annotations.{limit}", 0)
    annotate(folder, [score(1)])
    annotate(folder, [score(2)])

    assert len(files(folder)) == 2


def test_commands_at_once_lose_nothing(folder):
    code = (
        "import sys; from pathlib import Path; from sessiontap.trace.annotations import *\n"
        "for n in range(50): annotate(Path(sys.argv[1]), [score_record(call=sys.argv[2], value=n, source='cli')])"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(folder), name]) for name in "abcd"]
    assert [one.wait(PATIENCE) for one in running] == [0] * 4

    found = written_in(folder)
    assert sorted((one["call"], one["value"]) for one in found) == [(name, n) for name in "abcd" for n in range(50)]
    assert len(files(folder)) == 1
    assert verify(folder).problems == ()


def test_a_proxy_that_writes_meanwhile_goes_on_in_its_own_segment(folder, writers):
    writer = writers()
    writer.submit(lambda: [CALLER, call_map(1)], 0)
    annotate(folder, [score()])
    writer.submit(lambda: [call_map(2)], 0)
    assert writer.close(5)

    assert [call.id for call in open_log(folder).calls()] == [call_map(2)["id"], call_map(1)["id"]]
    assert len(written_in(folder)) == 1


def test_a_record_that_was_cut_is_one_problem_and_later_ones_are_read(folder):
    annotate(folder, [score(1)])
    (file,) = files(folder)
    file.write_bytes(file.read_bytes() + frame.encode(score(2))[:-5])
    annotate(folder, [score(3)])

    assert [record["value"] for record in written_in(folder)] == [1, 3]
    assert len(verify(folder).problems) == 1


def test_a_full_disk_is_told_in_a_sentence_and_leaves_nothing(folder, monkeypatch):
    annotate(folder, [score(1)])
    whole = files(folder)[0].read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))

    with pytest.raises(TraceError, match=r"nothing was written: .* is the disk full"):
        annotate(folder, [score(2)])

    assert files(folder)[0].read_bytes() == whole


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(folder):
    folder.mkdir(mode=0o500)

    with pytest.raises(TraceError, match="cannot be written: Permission denied"):
        annotate(folder, [score()])


def test_a_folder_that_is_a_file_is_told_in_a_sentence(folder):
    folder.write_text("")

    with pytest.raises(TraceError, match="cannot be written"):
        annotate(folder, [score()])


def test_a_score_that_is_no_plain_value_is_refused_when_it_is_read(folder):
    annotate(folder, [score(float("nan")), score(1)])

    assert [record["value"] for record in written_in(folder)] == [1]
    (problem,) = verify(folder).problems
    assert "$.value" in problem.text


def test_segments_of_annotations_are_a_part_of_the_log(folder, written):
    written(CALLER, call_map(1))
    annotate(folder, [score()])
    assert close_segment(files(folder)[0])
    annotate(folder, [score()])

    found = info(folder)
    assert (found.calls, found.sessions, len(found.segments), found.problems) == (1, 1, 3, 0)
    assert verify(folder).problems == ()
    assert [call.id for call in RestorableCalls(folder)] == [call_map(1)["id"]]


def test_a_label_in_a_segment_of_calls_does_not_count(folder, written):
    written(CALLER, call_map(1), label_record(sessions=["session-0"], name="No", source="cli"))

    assert next(open_log(folder).calls()).record["session"]["name"] == "Demo"


def test_readers_see_calls_as_labelled_and_what_was_recorded(folder, written):
    written(CALLER, call_map(1))
    log = open_log(folder)
    assert next(log.calls()).record["session"]["name"] == "Demo"
    label = label_record(sessions=["session-0"], name="Course", session="other", tags=["t"], source="cli")
    annotate(folder, [label])

    for call in (next(log.calls()), next(open_log(folder).calls()), next(log.news(from_start=True)())):
        assert call.record["session"] == {"id": "other", "name": "Course", "path": "/a", "step": 1}
        assert call.session_id == "other"
        assert call.record["tags"] == ["t"]
        assert call.recorded["session"]["id"] == "session-0"
    annotate(folder, [label_record(undoes=label["id"], source="cli")])
    again = next(log.calls())
    assert again.record is again.recorded


def test_a_push_is_given_calls_as_labelled_and_its_position_is_that_of_calls(folder, written):
    written(CALLER, call_map(1), call_map(2))
    annotate(folder, [label_record(calls=[call_map(1)["id"]], session="split", source="cli")])
    backlog = Backlog(folder)

    given = list(backlog)
    annotate(folder, [score()])

    assert [call.session_id for call, _ in given] == ["split", "session-0"]
    assert [backlog.at(origin, call.id).session_id for call, origin in given] == ["split", "session-0"]
    assert list(Backlog(folder, backlog.position)) == []
    assert not any("annotations" in name for name in backlog.position["open"])


def test_what_splits_calls_off_has_an_id_of_its_own():
    one, other = (label_record(calls=["c"], source="cli") for _ in range(2))

    assert new_session_id(one) == new_session_id(one) != new_session_id(other)


def test_a_segment_that_is_being_closed_is_not_lost(folder):
    """The closing compares what it read with what is there, under the lock that a writer holds."""
    annotate(folder, [score(1)])
    (file,) = files(folder)

    def written_meanwhile() -> bool:
        annotate(folder, [score(2)])
        return False

    assert not close_segment(file, stop=written_meanwhile)
    assert [record["value"] for record in written_in(folder)] == [1, 2]


def test_a_writers_lock_tells_that_a_segment_is_live(folder):
    annotate(folder, [score()])
    segment = OpenSegment.going_on(files(folder)[0])
    try:
        assert [one.live for one in open_log(folder).segments()] == [True]
        assert not close_segment(segment.path)
    finally:
        segment.close()
