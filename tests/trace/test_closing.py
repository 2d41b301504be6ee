"""A closed segment is compressed, says the same at the same offsets, and whatever stops the closing loses nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.support.gate import PATIENCE
from tests.trace.conftest import CALLER, call_map, open_log

from sessiontap import trace
from sessiontap.trace import seekable
from sessiontap.trace.body import Plain
from sessiontap.trace.closing import Closer, close_segment, tidy
from sessiontap.trace.files import closed_name, draft_name, open_segment, segments
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.maintenance import info, prune, verify
from sessiontap.trace.restore import RestorableCalls

ADDON = Path(__file__).parents[2] / "addon"
CALLS = 60
TEXT = os.urandom(3000).hex()
OF_SESSION_0, OF_SESSION_3 = Filters(session="session-0"), Filters(session="session-3")


def call(number: int) -> dict[str, Any]:
    """A turn whose bodies are deltas of those before."""
    request = json.dumps({"messages": [TEXT, *(f"turn {n} {os.urandom(1000).hex()}" for n in range(3)), number]})
    return call_map(number, host="h", route="/r", request={"body": Plain(request.encode())},
                    response={"body": Plain(b'{"answer": "forty-two"}' * 30)})  # fmt: skip


@pytest.fixture
def plain(written: Any, folder: Path) -> Path:
    """A segment that was left, of some blocks."""
    written(CALLER, *map(call, range(CALLS)))
    (path,) = folder.glob("*.mpk")
    return path


def everything(folder: Path) -> list[Any]:
    """All that readers are given, by the segments and by the index."""
    log = open_log(folder)
    calls = [(one.record, one.caller, one.request_body(), one.response_body()) for one in log.calls()]
    rows = log.query_calls(), log.query_sessions(), log.search("turn 2"), log.stats("path")
    places = [(path.name, offset) for path, offset, *_ in log.query_places()]
    restored = list(RestorableCalls(folder))
    log.close()
    return [calls, *rows, places, restored]


def test_a_closed_segment_says_what_it_said(plain: Path, folder: Path) -> None:
    before, data = everything(folder), plain.read_bytes()
    assert len(data) > 3 * seekable.BLOCK

    assert close_segment(plain)

    assert [path.name for path in folder.iterdir() if ".mpk" in path.name] == [f"{plain.name}.zst"]
    closed = closed_name(plain)
    assert closed.stat().st_mode & 0o777 == 0o600
    with open_segment(plain) as file:
        assert file.read() == data
        block = seekable.BLOCK
        for offset, size in ((0, 10), (block - 3, 7), (len(data) - 5, 50), (block * 2, block)):
            file.seek(offset)
            assert file.read(size) == data[offset : offset + size]
    assert everything(folder) == before
    assert (verify(folder).problems, verify(folder).bodies) == ((), 2 * CALLS)


def test_strangers_read_a_closed_segment(plain: Path) -> None:
    data = plain.read_bytes()
    close_segment(plain)
    closed = closed_name(plain)

    with closed.open("rb") as file:
        assert zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read() == data
    if (zstd := shutil.which("zstd")) is not None:
        assert subprocess.run([zstd, "-dc", closed], capture_output=True, check=True).stdout == data


def test_the_table_is_that_of_the_seekable_format(plain: Path) -> None:
    size = plain.stat().st_size
    close_segment(plain)

    data = closed_name(plain).read_bytes()

    count, flags = int.from_bytes(data[-9:-5], "little"), data[-5]
    assert (data[-4:], flags) == (bytes.fromhex("b1ea928f"), 0)
    table = data[-9 - 8 * count - 8 :]
    assert table[:8] == bytes.fromhex("5e2a4d18") + (8 * count + 9).to_bytes(4, "little")
    entries = [int.from_bytes(table[at : at + 4], "little") for at in range(8, 8 + 8 * count, 4)]
    assert sum(entries[::2]) == len(data) - len(table)
    assert sum(entries[1::2]) == size
    assert set(entries[1:-1:2]) == {64 << 10}


def test_the_index_is_not_made_again(plain: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = trace.open(folder)
    rows = log.query_calls()
    close_segment(plain)
    added: list[Any] = []
    monkeypatch.setattr("sessiontap.trace.index.rows.Strings.alike", lambda *args, **_: added.append(args))

    assert log.query_calls() == rows
    assert log.call(rows[0]["id"]).request_body()
    assert added == []


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
def test_a_reader_in_the_middle_goes_on(plain: Path, folder: Path, newest_first: bool) -> None:
    log = trace.open(folder)
    coming = log.calls(newest_first)
    seen = [next(coming), next(coming)]

    close_segment(plain)
    seen += coming

    assert len({one.id for one in seen}) == len(seen) == CALLS
    assert all(one.request_body() and one.caller for one in seen)


def test_one_who_follows_sees_each_call_once(writers: Any, folder: Path) -> None:
    left: list[Path] = []
    writer = writers(rotate_bytes=20_000, on_left=left.append)
    stop = threading.Event()
    coming = trace.open(folder).follow(poll_seconds=0.001, stop=stop, from_start=True)
    seen = []
    for number in range(CALLS):
        writer.submit(lambda number=number: [CALLER, call(number)], 1)
        if number % 7 == 0:
            writer.flush()
            while left:
                close_segment(left.pop(), ours=True)
    writer.flush()

    for one in coming:
        seen.append(one.id)
        if len(seen) == CALLS:
            stop.set()

    assert seen == [call_map(number)["id"] for number in range(CALLS)]
    assert any(listed.closed for listed in segments(folder).values())


READER = """
import sys
from sessiontap import trace
log = trace.open(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    fresh = trace.open(sys.argv[1])
    calls = [one for one in fresh.calls()]
    assert len(calls) == len({one.id for one in calls}) == int(line), ("read", len(calls))
    assert all(one.request_body() for one in calls[::20])
    assert len(log.query_calls()) == int(line), ("asked", len(log.query_calls()))
    assert fresh.problems == [], fresh.problems
    print("ok", flush=True)
"""


def test_two_readers_while_segments_are_closed(written: Any, folder: Path) -> None:
    """Each sees every call once, however often it looks."""
    for first in range(24):
        written(CALLER, *[call(number) for number in range(first * 10, first * 10 + 10)])
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, folder], env={**os.environ, "PYTHONPATH": str(ADDON)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for path in sorted(folder.glob("*.mpk")):
        for reader in readers:
            assert reader.stdin is not None
            reader.stdin.write("240\n")
            reader.stdin.flush()
        close_segment(path)
    for reader in readers:
        said, complained = reader.communicate(timeout=PATIENCE)
        assert (reader.returncode, complained) == (0, "")
        assert said == "ok\n" * 24


def test_a_listing_that_misses_both_files_is_made_again(
    plain: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain file was taken away before the listing came to it, the closed one came after it had passed."""
    real, listings = os.listdir, 0

    def listdir(path: Path) -> list[str]:
        nonlocal listings
        listings += 1
        if listings == 1:
            close_segment(plain)
            return []
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)

    assert list(segments(folder)) == [plain]


KILLED = """
import os, sys
from pathlib import Path
from sessiontap.trace import closing, seekable
from sessiontap.trace.restore import RestorableCalls
real, blocks = seekable.compress, 0
def compress(plain):
    global blocks
    blocks += 1
    if blocks == 3:
        print("in the middle", flush=True)
        sys.stdin.read()
    return real(plain)
def stop(*_):
    print("in the middle", flush=True)
    sys.stdin.read()
if sys.argv[2] == "a block":
    seekable.compress = compress
elif sys.argv[2] == "the rename":
    os.replace = stop
else:
    Path.unlink = stop
closing.close_segment(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("at", ["a block", "the rename", "the removal"])
def test_kill_9_while_closing(plain: Path, folder: Path, at: str) -> None:
    """What is there is read as before; the next start closes it and leaves nothing else behind."""
    before = everything(folder)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, plain, at], env={**os.environ, "PYTHONPATH": str(ADDON)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"in the middle\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert everything(folder) == before
    assert verify(folder).problems == ()
    closer = Closer(folder, lambda *said: pytest.fail(str(said)))
    closer.start()
    assert closer.close(30)

    assert [path.name for path in folder.iterdir() if "mpk" in path.name] == [f"{plain.name}.zst"]
    assert everything(folder) == before


def test_a_full_disk_while_closing_leaves_the_plain_segment_and_is_told_once(
    written: Any, plain: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(call(CALLS))
    before, told = everything(folder), []

    def fsync(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sessiontap.trace.closing.os.fsync", fsync)
    closer = Closer(folder, lambda kind, text: told.append((kind, text)))
    closer.start()
    assert closer.close(30)

    assert told == [("closing", f"{plain} cannot be compressed, and stays as it is: No space left on device")]
    assert sorted(path.suffix for path in folder.iterdir() if "mpk" in path.name) == [".mpk", ".mpk"]
    assert everything(folder) == before


def test_a_file_that_may_not_grow_any_more(plain: Path, folder: Path) -> None:
    """The limit of a process's files, which fails in the middle of a write."""
    code = (
        "import resource, sys; from pathlib import Path; from sessiontap.trace.closing import close_segment\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000))\n"
        "try: close_segment(Path(sys.argv[1]))\n"
        "except OSError as error: print(error.strerror)"
    )
    before = everything(folder)

    environment = {**os.environ, "PYTHONPATH": str(ADDON)}
    said = subprocess.run([sys.executable, "-c", code, plain], env=environment, capture_output=True, text=True)

    assert (said.stdout, said.stderr) == ("File too large\n", "")
    assert [path.name for path in folder.iterdir() if "mpk" in path.name] == [plain.name]
    assert everything(folder) == before


def test_a_segment_that_is_being_written_is_not_closed(writers: Any, folder: Path) -> None:
    writer = writers()
    writer.submit(lambda: [call(1)], 1)
    writer.flush()

    assert not close_segment(writer.stats().segment)
    assert not any(listed.closed for listed in segments(folder).values())


def test_two_who_close_one_segment(plain: Path, folder: Path) -> None:
    with draft_name(plain).open("wb") as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        assert not close_segment(plain)
        tidy(folder)
        assert draft_name(plain).exists(), "its owner is at work"

    assert close_segment(plain)


@pytest.mark.parametrize("wish", [{"max_bytes": 0}, {"filters": OF_SESSION_0}], ids=["by size", "a session"])
def test_what_is_pruned_while_it_is_closed_does_not_come_back(
    plain: Path, folder: Path, wish: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = seekable.table

    def table(sizes: Any) -> bytes:
        prune(folder, **wish)
        return real(sizes)

    monkeypatch.setattr("sessiontap.trace.seekable.table", table)
    assert not close_segment(plain)
    monkeypatch.undo()
    tidy(folder)

    left = {one.session_id for one in trace.open(folder).calls()}
    assert "session-0" not in left
    assert not list(folder.glob(".*"))


def test_a_session_is_taken_out_of_a_closed_segment(plain: Path, folder: Path) -> None:
    close_segment(plain)
    before = closed_name(plain).stat().st_size

    pruned = prune(folder, filters=Filters(session="session-3"))

    assert (pruned.calls, pruned.rewritten) == (10, (closed_name(plain),))
    assert pruned.bytes == before - closed_name(plain).stat().st_size > 0
    assert [path.name for path in folder.iterdir() if "mpk" in path.name] == [f"{plain.name}.zst"]
    assert verify(folder).problems == ()
    assert len(trace.open(folder).query_calls()) == len(list(trace.open(folder).calls())) == CALLS - 10


@pytest.mark.parametrize("wish", [{"max_bytes": 0}, {"filters": OF_SESSION_3}], ids=["by size", "a session"])
def test_nothing_pruned_is_left_where_a_closing_was_killed(plain: Path, folder: Path, wish: dict[str, Any]) -> None:
    """Both files are there, and a draft."""
    data = plain.read_bytes()
    close_segment(plain)
    plain.write_bytes(data)
    draft_name(plain).write_bytes(closed_name(plain).read_bytes())

    prune(folder, **wish)

    assert "session-3" not in {one.session_id for one in trace.open(folder).calls()}
    assert not plain.exists()
    assert not draft_name(plain).exists()


def test_info_knows_both(written: Any, plain: Path, folder: Path) -> None:
    close_segment(plain)
    written(call(CALLS))

    found = info(folder)

    assert found.calls == CALLS + 1
    assert [one.path.suffix for one in found.segments] == [".zst", ".mpk"]
    assert found.bytes == sum(one.path.stat().st_size for one in found.segments)


@pytest.mark.parametrize("where", ["a frame", "the first frame", "the table", "the footer", "the end"])
def test_damage_costs_what_is_damaged_alone(plain: Path, folder: Path, where: str) -> None:
    close_segment(plain)
    closed = closed_name(plain)
    data = bytearray(closed.read_bytes())
    at = {"a frame": len(data) // 2, "the first frame": 40, "the table": -30, "the footer": -2, "the end": 0}[where]
    if at:
        data[at] ^= 4
    else:
        del data[-20:]
    closed.write_bytes(data)

    log = trace.open(folder)
    calls = list(log.calls())

    lost = CALLS - len(calls)
    assert (0 < lost < CALLS // 2) if "frame" in where else lost == 0
    said = {one.text for one in verify(folder).problems}
    assert any("compressed" in text for text in said)
    assert [row["id"] for row in log.query_calls()] == [one.id for one in calls]
    assert said >= {one.text for one in log.problems}
    assert {one.id for one in RestorableCalls(folder)} == {one.id for one in calls}


def test_every_flipped_bit_of_a_closed_segment_is_found(plain: Path, folder: Path) -> None:
    close_segment(plain)
    closed = closed_name(plain)
    sound = closed.read_bytes()
    expected = {one.id: (one.record, one.request_body()) for one in trace.open(folder).calls()}
    places = {*range(0, len(sound), len(sound) // 40), *range(len(sound) - 70, len(sound))}
    for offset in sorted(places):
        data = bytearray(sound)
        data[offset] ^= 1 << (offset % 8)
        closed.write_bytes(data)

        assert verify(folder).problems, f"a flip at {offset} went unseen"
        for one in trace.open(folder).calls():
            assert one.record == expected[one.id][0]
            with contextlib.suppress(trace.BodyError):
                assert one.request_body() == expected[one.id][1]


def test_a_call_that_was_asked_for_has_its_bodies_when_its_segment_was_written_anew(plain: Path, folder: Path) -> None:
    close_segment(plain)
    wanted = trace.open(folder).call(call_map(CALLS - 1)["id"])
    kept = trace.open(folder).call(call_map(CALLS - 1)["id"]).request_body()

    prune(folder, filters=Filters(session="session-0"))

    assert wanted.request_body() == kept
