"""The writer keeps every record it can, counts every one it cannot, and is never in anyone's way."""

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.support.gate import PATIENCE
from tests.trace.conftest import CALLER, INFO, call_map

from sessiontap import trace
from sessiontap.trace import Writer, frame
from sessiontap.trace.files import TraceError
from sessiontap.trace.rotation import OpenSegment
from sessiontap.trace.writer import Stats, check


def ids(folder: Path) -> list[int]:
    """The numbers of the calls in a folder, by their start."""
    return [int(call.id[9:13], 16) for call in trace.open(folder).calls(newest_first=False)]


def notes(folder: Path) -> list[tuple[str, object]]:
    return [(note["kind"], note.get("dropped")) for note in trace.open(folder).notes()]


def records(segment: Path) -> list[dict[str, object]]:
    with segment.open("rb") as file:
        return [frame.decode(one.payload) for one in frame.scan(file) if isinstance(one, frame.Frame)]


def put(writer: Writer, *numbers: int) -> None:
    for number in numbers:
        assert writer.submit(lambda number=number: [CALLER, call_map(number)], 100)


class Gate:
    """A record that holds the writer's thread until it is let go."""

    def __init__(self, writer: Writer) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        writer.submit(self._make, 1)
        assert self.entered.wait(PATIENCE)

    def _make(self) -> list[dict[str, object]]:
        self.entered.set()
        assert self.open.wait(PATIENCE)
        return []


@pytest.fixture
def disk(monkeypatch):
    """A disk that fails while `disk.error` is set; `disk.takes` bytes of a record are written before that."""

    class Disk:
        error: int | None = None
        takes = 0
        write = staticmethod(os.write)

        def __call__(self, file: int, data: bytes) -> int:
            if self.error is not None and data.startswith(frame.MARK):
                if self.takes:
                    return self.write(file, data[: self.takes])
                raise OSError(self.error, os.strerror(self.error))
            return self.write(file, data)

    disk = Disk()
    monkeypatch.setattr("sessiontap.trace.rotation.os.write", disk)
    return disk


def test_records_are_there_once_flushed(writers, folder):
    writer = writers()

    put(writer, 1, 2)

    assert writer.flush()
    assert ids(folder) == [1, 2]
    assert writer.stats() == Stats(0, 0, 3, writer.stats().bytes, {}, writer.stats().segment, None)


def test_folder_and_segments_are_private(writers, folder):
    before = os.umask(0)
    try:
        writer = writers()
    finally:
        os.umask(before)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert writer.stats().segment.stat().st_mode & 0o777 == 0o600


def test_a_segment_begins_with_its_header(writers):
    writer = writers()

    header = records(writer.stats().segment)[0]

    assert header | {"id": 0, "started": 0} == {
        "type": "segment", "format": "sessiontap-trace", "version": 2, "id": 0, "writer": INFO, "started": 0,
    }  # fmt: skip


@pytest.mark.parametrize("place", ["a file in the way", "a folder below a file"])
def test_a_folder_that_cannot_be_written_is_refused_at_start(tmp_path, place):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" if place == "a file in the way" else tmp_path / "file" / "trace"

    with pytest.raises(TraceError, match="cannot be written") as caught:
        check(folder)
    assert "session_trace" in caught.value.hint


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path):
    check(tmp_path / "trace")
    assert list((tmp_path / "trace").iterdir()) == []


def test_a_folder_that_becomes_writable_is_written(writers, tmp_path):
    """As where the recorder is started again while the disk is away."""
    (tmp_path / "trace").write_text("")
    writer = writers(retry_seconds=0.01)
    put(writer, 1)
    assert writer.flush(5)
    assert writer.stats().failing
    (tmp_path / "trace").unlink()
    while writer.stats().failing:
        put(writer, 2)
        assert writer.flush(5)
    put(writer, 3)
    assert writer.flush(5)
    assert 3 in ids(tmp_path / "trace")


def test_a_caller_is_written_once_for_each_segment(writers, folder):
    writer = writers(rotate_bytes=2000)

    put(writer, *range(12))
    writer.close(5)

    segments = sorted(folder.iterdir())
    assert len(segments) > 1
    for segment in segments:
        types = [record["type"] for record in records(segment) if record["type"] != "values"]
        assert types == ["segment", "caller", *["call"] * (len(types) - 2)]
    assert ids(folder) == list(range(12))


def test_an_old_segment_is_left(writers, folder):
    writer = writers(rotate_seconds=0)

    for number in range(3):
        put(writer, number)
    writer.close(5)

    assert len(list(folder.iterdir())) == 3
    assert ids(folder) == [0, 1, 2]


def test_segment_names_sort_by_time_even_when_the_clock_goes_back(folder, monkeypatch):
    first = OpenSegment(folder, INFO)
    monkeypatch.setattr("sessiontap.trace.rotation.time.time_ns", lambda: 1_000_000_000)
    second = OpenSegment(folder, INFO, after=first.named)

    assert first.path.name < second.path.name
    first.close()
    second.close()


def test_two_writers_share_a_folder_but_no_segment(writers, folder):
    one, other = writers(), writers()

    put(one, 1, 3)
    put(other, 2, 4)
    one.close(5)
    other.close(5)

    assert len(list(folder.iterdir())) == 2
    assert ids(folder) == [1, 2, 3, 4]


@pytest.mark.parametrize("bounds", [{"max_queue_records": 3}, {"max_queue_bytes": 350}], ids=["by records", "by bytes"])
def test_a_full_queue_drops_counts_and_tells(writers, folder, bounds):
    said = []
    writer = writers(on_fault=lambda kind, text: said.append(kind), **bounds)
    gate = Gate(writer)

    kept = [writer.submit(lambda number=number: [call_map(number)], 100) for number in range(10)]
    gate.open.set()

    assert writer.close(5)
    assert kept.count(True) in (2, 3)
    assert kept == sorted(kept, reverse=True)
    assert ids(folder) == list(range(kept.count(True)))
    assert writer.stats().dropped == {"queue": kept.count(False)}
    assert said == ["queue"]
    assert notes(folder) == [("dropped", {"queue": kept.count(False)})]


def test_one_record_larger_than_the_queue_is_still_taken(writers, folder):
    writer = writers(max_queue_bytes=10)

    put(writer, 1)

    assert writer.flush()
    assert ids(folder) == [1]


def test_a_fault_in_making_a_record_costs_that_record_alone(writers, folder):
    said = []
    writer = writers(on_fault=lambda kind, text: said.append((kind, text)))

    def fail() -> list[dict[str, object]]:
        raise OSError("no such thing")  # even this one is not the disk's

    writer.submit(fail, 1)
    writer.submit(fail, 1)
    writer.submit(lambda: [call_map(1, odd=object())], 1)
    put(writer, 2)
    writer.close(5)

    assert ids(folder) == [2]
    assert writer.stats().dropped == {"fault": 3}
    assert [kind for kind, _ in said] == ["record:OSError", "record:FrameError"]
    assert "no such thing" in said[0][1]
    assert sum(lost["fault"] for kind, lost in notes(folder) if kind == "dropped") == 3


def test_a_listener_that_fails_harms_nobody(writers, folder):
    def fail(kind: str, text: str) -> None:
        raise RuntimeError

    writer = writers(on_fault=fail)
    writer.submit(lambda: [{"type": "call", "id": object()}], 1)
    put(writer, 1)
    writer.close(5)

    assert ids(folder) == [1]


@pytest.mark.parametrize(
    ("error", "takes"),
    [(errno.ENOSPC, 0), (errno.ENOSPC, 30), (errno.EIO, 0)],
    ids=["full", "full in the middle of a record", "failing"],
)
def test_a_failing_disk_drops_and_counts_then_recording_goes_on(writers, folder, disk, error, takes):
    said = []
    writer = writers(retry_seconds=0, on_fault=lambda kind, text: said.append(kind))
    put(writer, 1)
    writer.flush()

    disk.error, disk.takes = error, takes
    put(writer, 2, 3)
    writer.flush()
    failing = writer.stats().failing
    disk.error = None
    put(writer, 4)
    writer.close(5)

    assert ids(folder) == [1, 4]
    assert failing is not None
    assert writer.stats().failing is None
    assert writer.stats().dropped == {"disk": 2}
    assert said == ["disk"]
    assert notes(folder) == [("dropped", {"disk": 2})]
    assert trace.open(folder).problems == []


def test_while_the_disk_fails_records_are_not_even_made(writers, disk):
    writer = writers(retry_seconds=3600)
    disk.error = errno.ENOSPC
    put(writer, 1)
    made = []
    writer.submit(lambda: made.append(1) or [], 1)
    writer.flush()

    assert made == []
    assert writer.stats().dropped == {"disk": 2}


def test_recovery_is_noticed_and_told_without_a_new_record(writers, folder, disk):
    writer = writers(retry_seconds=0.01)
    disk.error = errno.ENOSPC
    put(writer, 1)
    writer.flush()
    disk.error = None

    assert writer.flush()
    assert notes(folder) == [("dropped", {"disk": 1})]


def test_a_full_disk(tmp_path):
    """A real one: a tmpfs of 256 KiB, filled by another file, then freed."""
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        writer = Writer(disk / "trace", writer_info=INFO, retry_seconds=0)
        writer.start()
        put(writer, 1)
        writer.flush()
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        for number in range(2, 200):
            writer.submit(lambda number=number: [call_map(number, filler=os.urandom(5000))], 5000)
        writer.flush()
        dropped = writer.stats().dropped["disk"]
        ballast.unlink()
        put(writer, 300)
        assert writer.close(5)

        found = ids(disk / "trace")
        assert dropped > 100
        assert (found[0], found[-1], len(found)) == (1, 300, 200 - dropped)
        assert sum(lost["disk"] for _, lost in notes(disk / "trace")) == dropped
        assert trace.open(disk / "trace").problems == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_vanishes_is_made_anew_and_said(writers, folder, monkeypatch):
    monkeypatch.setattr("sessiontap.trace.rotation._LOOK_SECONDS", 0.0)
    said = []
    writer = writers(on_fault=lambda kind, text: said.append(kind))
    put(writer, 1)
    writer.flush()

    shutil.rmtree(folder)
    put(writer, 2)
    writer.close(5)

    assert ids(folder) == [2]
    assert said == ["vanished"]
    assert [kind for kind, _ in notes(folder)] == ["vanished"]


def test_after_close_nothing_is_taken(writers):
    writer = writers()
    writer.close(5)

    assert not writer.submit(lambda: [call_map(1)], 1)
    assert writer.stats().dropped == {"closed": 1}
    assert writer.close(5)


def test_a_close_whose_time_is_up_counts_what_was_left(writers):
    writer = writers()
    gate = Gate(writer)
    put(writer, 1, 2)

    assert not writer.close(0.01)
    gate.open.set()

    assert writer.stats().dropped["closed"] == 3  # the one in hand too: nobody knows what becomes of it


def test_notes(writers, folder):
    writer = writers()
    writer.note("rules", "the rules were read again", count=3)
    writer.close(5)

    (note,) = trace.open(folder).notes()
    assert (note["kind"], note["text"], note["count"]) == ("rules", "the rules were read again", 3)


@pytest.mark.parametrize(("seconds", "least"), [(0, 3), (None, 0), (3600.0, 1)], ids=["each", "never", "at the end"])
def test_the_schedule_of_fsync(writers, monkeypatch, seconds, least):
    synced = []
    monkeypatch.setattr("sessiontap.trace.rotation.os.fsync", synced.append)
    writer = writers(fsync_seconds=seconds)

    put(writer, 1, 2)
    writer.close(5)

    assert least <= len(synced) <= least + (seconds == 0)  # the header's own


WRITES_UNTIL_KILLED = """
import json, os, sys
from pathlib import Path
from sessiontap.trace import Writer, body

info, call = map(json.loads, sys.argv[2:])
writer = Writer(Path(sys.argv[1]), writer_info=info, rotate_bytes=300_000)
written = os.write
def write(file, data):
    count = written(file, data)
    if b"filler" in data and (number := getattr(write, "number", None)):
        written(1, b"%d\\n" % number)  # on record: this one is in the file
    return count
import sessiontap.trace.rotation
sessiontap.trace.rotation.os.write = write
writer.start()
number = 0
while True:
    number += 1
    def make(number=number):
        write.number = number
        stored = body.encode(os.urandom(number * 37 % 20_000))
        own = {"id": call["id"] % (number % 65536), "time": call["time"] + number * 10**9, "duration": number}
        return [{**call, **own, "request": {**call["request"], "body": stored}}]
    writer.submit(make, 1000)
    if number % 50 == 0:
        writer.flush()
"""


def test_kill_9_loses_nothing_that_was_written(folder):
    """Twenty writers, killed at random moments, one after the other on one folder."""
    chance = random.Random(83)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "addon")}
    call = call_map(0, id="0190a000-%04x-7000-8000-000000000000", tags=["filler"])
    command = [sys.executable, "-c", WRITES_UNTIL_KILLED, str(folder), json.dumps(INFO), json.dumps(call)]
    written: list[int] = []
    for _ in range(20):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        said = b"".join(process.stdout.readline() for _ in range(chance.randrange(1, 300)))
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read()
        process.wait()
        process.stdout.close()
        written.append(int(said.splitlines()[-1]))

    found: dict[int, int] = {}
    for call in trace.open(folder).calls():
        number = call.record["duration"]
        assert len(call.request_body()) == number * 37 % 20_000
        found[number] = found.get(number, 0) + 1
    for number in range(1, max(written) + 1):
        assert found[number] >= sum(last >= number for last in written)
    assert len(trace.open(folder).problems) <= 20, "at most one torn tail for each that was killed"
