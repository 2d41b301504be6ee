"""Whatever happens to a folder's files is found and said; what is read beside it is right, never something else."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.seed import SEED
from tests.trace.conftest import CALLER, INFO, call_map
from tests.trace.oracle import unreadable

from sessiontap import trace
from sessiontap.trace import BodyError, TraceError, Writer, frame
from sessiontap.trace.body import Plain
from sessiontap.trace.index.database import remove
from sessiontap.trace.maintenance import verify
from sessiontap.trace.restore import RestorableCalls

FLIPS = 400
CUTS = 150
TEXT = "You are a helpful assistant. " * 80
HEADERS = [["content-type", "application/json"], ["x-agent", "one of many that say the same again"]]
TOOLS = [{"name": f"tool-{number}", "description": "does what it says"} for number in range(20)]


def call(number: int) -> dict[str, Any]:
    """A turn of one of two conversations, whose bodies are deltas of each other and whose headers repeat."""
    turns = [f"turn {n}: {'what is new? ' * 5}" for n in range(number + 1)]
    request = json.dumps({"messages": [TEXT, *turns], "of": number % 2}).encode()
    reply = json.dumps({"answer": number, "text": "It follows from what was said before. " * 60}).encode()
    return call_map(
        number,
        host="api.example",
        route="/chat",
        caller="caller-1",
        session={"id": f"session-{number % 2}", "name": "Demo", "path": "/a", "step": number // 2},
        request={"method": "POST", "headers": HEADERS, "body": Plain(request)},
        response={"status": 200, "headers": HEADERS, "body": Plain(reply)},
    )


class Sound:
    """A folder of two segments, and what is read of it while it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for first in (0, 12):
            writer = Writer(folder, writer_info=INFO)
            writer.start()
            for number in range(first, first + 12):
                writer.submit(lambda number=number: [CALLER, call(number)], 1)
            assert writer.close(10)
        log = trace.open(folder)
        self.calls = {one.id: one for one in log.calls()}
        self.bodies = {id: (one.request_body(), one.response_body()) for id, one in self.calls.items()}
        self.heads = {head.id: head for head in RestorableCalls(folder)}
        self.rows = {row["id"]: row for row in log.query_calls()}
        log.close()
        assert log.problems == []
        assert sum(one.record["request"]["body"]["enc"] == "zstd-delta" for one in self.calls.values()) > 15
        self.path = min(folder.glob("*.mpk"))
        self.data = self.path.read_bytes()
        with self.path.open("rb") as file:
            self.records = [(one.offset, one.size) for one in frame.scan(file)]

    def check(self, damaged: bool = True) -> None:
        """All that is read now is what was read then; that it is `damaged` is said."""
        log = trace.open(self.folder)
        seen = {}
        unread = 0
        for one in log.calls():
            assert one.id not in seen
            seen[one.id] = one
            sound = self.calls[one.id]
            flags = [flag for flag in one.record["flags"] if flag != "incomplete"]
            assert one.record == sound.record or (damaged and within(one.record | {"flags": flags}, sound.record))
            assert one.caller in (None, sound.caller)
            for side, expected in zip(("request", "response"), self.bodies[one.id], strict=True):
                try:
                    assert one.body(side) == expected
                except BodyError:
                    unread += 1
        assert len(seen) >= len(self.calls) // 2, "the other segment is whole"
        said = unreadable(self.folder)
        assert said or not damaged
        assert len(verify(self.folder).problems) >= len(said) + unread
        for head in RestorableCalls(self.folder):
            assert head == self.heads[head.id]

    def check_index(self) -> None:
        """An index from before the damage, and one that is made now, say what the log does."""
        for made_now in (False, True):
            log = trace.open(self.folder)
            if made_now:
                remove(self.folder)
            rows = log.query_calls()
            assert sorted(row["id"] for row in rows) == sorted(one.id for one in log.calls())
            for row in rows:
                sound = self.rows[row["id"]]
                assert row == sound or (log.problems and within(row, sound)), row
            assert log.problems == unreadable(self.folder)
            log.close()


def within(found: Any, sound: Any) -> bool:
    """`found` is `sound`, but for what is left out."""
    if isinstance(found, dict) and isinstance(sound, dict):
        return all(key in sound and within(value, sound[key]) for key, value in found.items())
    if isinstance(found, list) and isinstance(sound, list):
        left = iter(sound)
        return all(any(within(item, one) for one in left) for item in found)
    return found is None or found == sound


@pytest.fixture
def sound(folder: Path) -> Sound:
    return Sound(folder)


@pytest.fixture
def chance() -> random.Random:
    print(f"to repeat: SESSIONTAP_SEED={SEED}")
    return random.Random(SEED)


def test_flipped_bits(sound: Sound, chance: random.Random) -> None:
    """One to three, anywhere in a segment: frames, maps, shared values, bodies that others are deltas of."""
    for number in range(FLIPS):
        data = bytearray(sound.data)
        flips = {(chance.randrange(len(data)), chance.randrange(8)) for _ in range(chance.choice((1, 1, 1, 2, 3)))}
        for at, bit in flips:
            data[at] ^= 1 << bit
        sound.path.write_bytes(data)
        try:
            sound.check()
            if number % 10 == 0:
                sound.check_index()
        except BaseException as error:
            error.add_note(f"flipped: {sorted(flips)}")
            raise


def places(sound: Sound, chance: random.Random) -> Iterator[int]:
    """The ends of a segment's records and what lies around them, its first and last bytes, and anywhere."""
    yield from (0, 1, 5, 7, 14, 15, 16)
    for offset, size in chance.sample(sound.records, 8):
        yield from (offset, offset + 1, offset + 6, offset + 11, offset + 15, offset + 16, offset + size - 1)
    yield len(sound.data) - 1
    for _ in range(CUTS):
        yield chance.randrange(len(sound.data))


def test_truncated_segments(sound: Sound, chance: random.Random) -> None:
    """Where a record ends, nobody can know that there were others; anywhere else it is said."""
    ends = {offset for offset, _ in sound.records}
    for number, at in enumerate(places(sound, chance)):
        sound.path.write_bytes(sound.data[:at])
        try:
            sound.check(damaged=at not in ends)
            if number % 10 == 0:
                sound.check_index()
        except BaseException as error:
            error.add_note(f"cut at {at}")
            raise


def test_stretches_lost_doubled_and_overwritten(sound: Sound, chance: random.Random) -> None:
    """As a failing disk or a careless copy leaves them: blocks of zeros or noise, holes, pieces of another segment."""
    other = max(sound.folder.glob("*.mpk")).read_bytes()
    for _ in range(100):
        data = bytearray(sound.data)
        at = chance.randrange(len(data))
        size = chance.choice((1, 16, 100, 512, 4096))
        piece = chance.randrange(len(other))
        data[at : at + size] = chance.choice(
            (b"", bytes(min(size, len(data) - at)), chance.randbytes(size), other[piece : piece + 7])
        )
        sound.path.write_bytes(data)
        sound.check(damaged=data != sound.data)


# -- what else may lie in the folder -----------------------------------------------------------------------------------


def empty(path: Path) -> None:
    path.touch()


def picture(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50)


def text(path: Path) -> None:
    path.write_text("STAP, but not one of ours\n" * 100, encoding="utf-8")


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes(title)")
    connection.close()


def other_msgpack(path: Path) -> None:
    path.write_bytes(b"\x82\xa4name\xa5value\xa4more\xc3" * 20)


def zeros(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5_000_000)


def a_folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def door(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (empty, False),
        (picture, True),
        (text, True),
        (database, True),
        (other_msgpack, True),
        (zeros, True),
        (a_folder, False),
        (pipe, False),
        (dangling, False),
        (loop, False),
        (door, False),
    ],
    ids=lambda one: one.__name__.replace("_", " ") if callable(one) else "",
)
def test_a_foreign_file(
    sound: Sound, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], said: bool
) -> None:
    """It is named where it looks like a segment; the proxy starts beside it and goes on with its sessions."""
    monkeypatch.chdir(sound.folder)
    for name in ("99990101T000000.000000Z-1-ffffff.mpk", "notes.txt"):
        make(sound.folder / name)

    sound.check(damaged=said)
    sound.check_index()
    assert {head.id for head in RestorableCalls(sound.folder)} == set(sound.heads)
    writer = Writer(sound.folder, writer_info=INFO)
    writer.start()
    writer.submit(lambda: [call(5)], 1)
    assert writer.close(10)
    assert len(list(trace.open(sound.folder).calls())) == len(sound.calls) + 1


def test_a_segment_that_may_not_be_read_is_said(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    """The superuser may read everything, so reading is made to fail."""
    path, real = sound.path, Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    log = trace.open(sound.folder)

    assert len(list(log.calls())) == 12
    assert [(one.path, one.text) for one in log.problems] == [(path, "cannot be read: Permission denied")]
    with pytest.raises(TraceError):
        log.call("nowhere")
    assert len(list(RestorableCalls(sound.folder))) == 12
