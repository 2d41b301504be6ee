"""Records with a good checksum that say anything at all: passed over and said, and nothing else is lost."""

from __future__ import annotations

import copy
import json
import math
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cli import recorded
from tests.trace.conftest import CALLER, call_map
from tests.trace.everything import framed, read_all, run, run_all, segment

from sessiontap import trace
from sessiontap.trace import body, frame, seekable, shape
from sessiontap.trace.closing import close_segment
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.maintenance import prune, verify
from sessiontap.trace.restore import RestorableCalls

FORMAT = {"type": "segment", "format": "sessiontap-trace", "version": 2}
HEADER = {**FORMAT, "id": "s-1", "started": 1, "writer": {"pid": 1}}
GOOD = [call_map(1, session={"id": "good", "name": "Good", "path": "/", "step": 0}), call_map(2)]
BIG = [1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -5, -(1 << 63)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Records as the recorder writes them, of every type, with all keys."""
    seen = recorded.calls()
    notes = [("dropped", "lost", {"dropped": {"disk": 2}})]
    folder = recorded.write(tmp_path_factory.mktemp("whole") / "trace", seen, notes)
    (path,) = folder.glob("*.mpk")
    with path.open("rb") as file:
        records = [frame.decode(one.payload) for one in frame.scan(file) if isinstance(one, frame.Frame)]
    call = next(one for one in reversed(records) if one is not None and one["type"] == "call")
    state = {"match_scope": ["p", "f", "n", "s"], "request_chain": b"e" * 16}
    call["link"] = {"kind": "new", "root": "r", "lineage": ["a"], **state}
    call["state"] = {"a": [1, {"b": None}]}
    call["conversation"] = "conversation-1"
    call["llm"] |= {"billed": {"web_searches": 1}, "rate_limits": {"a": "b"}}
    call["llm"] |= {"tool_call_ids": ["t"], "tool_calls": ["u"]}
    call["response"]["chunks"] = [1, 2]
    return [one for one in records if one is not None]


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Every place in a record."""
    yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from places(one, *path, key)
    elif isinstance(value, list):
        for number, one in enumerate(value[:2]):
            yield from places(one, *path, number)


def put(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the record with `value` at a place; `...` takes it out."""
    if not path:
        return value
    new = copy.deepcopy(record)
    within: Any = new
    for step in path[:-1]:
        within = within[step]
    if value is ...:
        del within[path[-1]]
    else:
        within[path[-1]] = value
    return new


VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from(BIG) | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats()
    | st.text(max_size=8) | st.binary(max_size=8) | st.sampled_from(["http://[::1", "\x1b[31m", "a" * 5000, "\x00"])
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_in_any_place_costs_that_record_alone(whole: list[dict[str, Any]], data: st.DataObject) -> None:
    odd: list[Any] = []
    for _ in range(30):
        record = data.draw(st.sampled_from(whole))
        path = data.draw(st.sampled_from(list(places(record))))
        value = data.draw(st.just(...) if path and data.draw(st.integers(0, 9)) == 0 else VALUES)
        made = put(record, path, value)
        if made is ...:
            continue
        odd.append(msgpack.packb(made))
    with tempfile.TemporaryDirectory() as name:
        folder = segment(Path(name) / "trace", HEADER, CALLER, GOOD[0], *odd, GOOD[1])
        ids = read_all(folder)
        assert ids >= {one["id"] for one in GOOD}
        assert trace.open(folder).call(GOOD[1]["id"]).caller["name"] == "bot.py"


def test_no_command_fails_over_odd_records(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    chance = random.Random(3)
    calls = [one for one in whole if one["type"] == "call"]
    odd = []
    anything = [None, True, *BIG, math.nan, math.inf, 0.5, b"\xff", [], [1], {}, {"a": 1}]
    texts = ["", "x", "http://[::1", "https://h:port/", "\x1b[2J", "\x00", "%%{}", "/" * 300, "2"]
    for number in range(300):
        record = calls[number % len(calls)]
        path = chance.choice(list(places(record)))
        made = put(record, path, chance.choice(texts if number % 4 else anything))
        if isinstance(made, dict) and path != ("id",):
            made["id"] = f"odd-{number}"
        odd.append(msgpack.packb(made))
    folder = segment(tmp_path / "trace", HEADER, CALLER, GOOD[0], *odd, GOOD[1])

    ids = read_all(folder)

    assert len(ids) > 20
    run_all(folder, set(random.Random(1).sample(sorted(ids), 20)))


ODD = {
    "session is a list": {"session": [1]},
    "a session without an id": {"session": {"name": "x"}},
    "a step of text": {"session": {"id": "s", "name": "x", "step": "one"}},
    "llm is a list": {"llm": [1]},
    "a usage that is a list": {"llm": {"usage": [1]}},
    "a size below 0": {"request": {"method": "POST", "url": "u", "body": {"size": -5}}},
    "a size beyond 64 bits": {"request": {"method": "POST", "url": "u", "body": {"size": 1 << 63}}},
    "a time before time": {"time": -1},
    "a time of text": {"time": "now"},
    "a time beyond 64 bits": {"time": (1 << 64) - 1},
    "flags of numbers": {"flags": [1]},
    "a lineage of numbers": {"link": {"lineage": 5}},
    "a state too deep": {"state": json.loads('{"a":' * 80 + "1" + "}" * 80)},
    "a state of no number": {"state": {"a": math.inf}},
    "a state of a million lists": {"state": {"a": [[]] * 1_100_000}},
    "a link of a million lists": {"link": {"a": [[]] * 1_100_000}},
    "flags without end": {"flags": [""] * 1_100_000},
    "a header of three": {"request": {"method": "POST", "url": "u", "headers": [["a", "b", "c"]]}},
    "no request": {"request": None},
    "a call of version 1": {"like": 3},
}


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
def test_an_odd_record_is_said_with_its_place_and_key(tmp_path: Path, changes: dict[str, Any]) -> None:
    odd = {**call_map(7), **changes}
    folder = segment(tmp_path / "trace", HEADER, CALLER, *GOOD, odd)
    offset = sum(len(framed(one)) for one in (HEADER, CALLER, *GOOD))

    assert read_all(folder) == {one["id"] for one in GOOD}

    (problem,) = trace.open(folder).problems
    key = next(iter(changes))
    assert (problem.offset, problem.size) == (offset, len(framed(odd)))
    assert problem.text.startswith("holds a record whose values are not what they should be: ")
    assert f"$.{key}" in problem.text
    status, said, _ = run(folder, "trace", "verify")
    assert (status, f"at {offset}, " in said, key in said) == (1, True, True)
    status, said, complained = run(folder, "ls", "--json")
    assert (status, len(said.splitlines()), complained.count("holds a record")) == (0, 2, 1)


UNKNOWN = {
    "tokens beyond 64 bits": ({"llm": {"usage": {"input": 1 << 63}}}, {"llm": {"usage": {"input": None}}}),
    "tokens of text": ({"llm": {"usage": {"input": "7"}}}, {"llm": {"usage": {"input": None}}}),
    "a cost that is no number": ({"llm": {"cost_reported": math.nan}}, {"llm": {"cost_reported": None}}),
    "searches below 0": ({"llm": {"billed": {"web_searches": -1, "speed": "x"}}}, {"llm": {"billed": {"speed": "x"}}}),
    "a duration beyond reason": ({"duration": 1 << 62}, {"duration": None}),
}


@pytest.mark.parametrize(("written", "told"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_number_that_cannot_be_is_unknown_and_the_call_is_there(
    tmp_path: Path, written: dict[str, Any], told: dict[str, Any]
) -> None:
    folder = segment(tmp_path / "trace", HEADER, CALLER, {**call_map(7), **written})

    assert read_all(folder) == {call_map(7)["id"]}

    (call,) = trace.open(folder).calls()
    assert {key: call.record[key] for key in told} == told


@pytest.mark.parametrize(
    "payload",
    [b"\x93\1\2\3", b"\xc1", b"", b"\x81\xa4type\xa4call\0", b"\x91" * 5000 + b"\0", b"\x81\xa4type\xc4\1x"],
    ids=["a list", "no msgpack", "nothing", "more behind it", "too deep", "a type of bytes"],
)
def test_a_payload_that_is_no_record(tmp_path: Path, payload: bytes) -> None:
    folder = segment(tmp_path / "trace", HEADER, CALLER, GOOD[0], payload, GOOD[1])

    assert read_all(folder) == {one["id"] for one in GOOD}
    assert len(trace.open(folder).problems) == 1


TWO_TYPES = msgpack.packb(call_map(1)).replace(b"\xa7outcome\xa2ok", b"\xa4type\xa4note")


def test_a_record_of_two_types_is_none(tmp_path: Path) -> None:
    assert TWO_TYPES.count(b"\xa4type") == 2
    folder = segment(tmp_path / "trace", HEADER, CALLER, GOOD[0], TWO_TYPES, GOOD[1])

    assert read_all(folder) == {one["id"] for one in GOOD}


HEADERS = {"format": 5, "version": "two", "started": (1 << 64) - 1, "id": None, "writer": {"pid": 1 << 40}}


@pytest.mark.parametrize("header", [{key: value} for key, value in HEADERS.items()], ids=str)
def test_an_odd_header_is_said(tmp_path: Path, header: dict[str, Any]) -> None:
    folder = segment(tmp_path / "trace", HEADER | header, CALLER, *GOOD)

    assert read_all(folder) == {one["id"] for one in GOOD}
    assert [(one.offset, "lost its header" in one.text) for one in trace.open(folder).problems] == [(0, True)]


def test_a_segment_of_the_older_version_is_said_and_can_be_removed(tmp_path: Path) -> None:
    folder = segment(tmp_path / "trace", HEADER | {"version": 1}, {"type": "values", "first": 0, "values": []}, GOOD[0])
    (path,) = folder.iterdir()

    assert read_all(folder) == set()

    status, said, _ = run(folder, "trace", "verify")
    assert status == 1
    assert "was written by an older Sessiontap (format version 1)" in said
    assert "trace prune --older-than" in said
    restored = RestorableCalls(folder)
    assert list(restored) == []
    assert restored.note == "segments of another version of the format, which were not read: 1 of 1"
    pruned = prune(folder, filters=Filters(session="good"))
    assert pruned.segments == pruned.rewritten == ()
    assert prune(folder, older_than=path.stat().st_mtime_ns + 1).segments == (path,)
    assert not path.exists()


def bomb(size: int) -> dict[str, Any]:
    """A body whose few bytes zstd makes `size` of."""
    block = zstandard.ZstdCompressor(level=3).compress(bytes(128 << 20))
    return body.encode(b"x" * 1000) | {"size": size, "data": block * (size // (128 << 20) + 1)}


@pytest.mark.parametrize("size", [8 << 30, (1 << 28) + 1, 1 << 20], ids=["8 GB", "over the most", "more than it says"])
def test_a_body_that_would_fill_the_memory_is_refused(tmp_path: Path, size: int) -> None:
    import resource

    request = {"method": "POST", "url": "u", "body": bomb(size)}
    folder = segment(tmp_path / "trace", HEADER, CALLER, {**call_map(1), "request": request}, GOOD[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    (problem,) = verify(folder).problems

    assert "bytes" in problem.text
    assert len(list(trace.open(folder).calls())) == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_a_closed_segment_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """Frames larger than ours, and a table that says so."""
    packed = zstandard.ZstdCompressor(level=3).compress(bytes(256 << 20))
    folder = tmp_path / "trace"
    folder.mkdir()
    table = seekable.table([(len(packed), 256 << 20)] * 8)
    (folder / "20260101T000000.000000Z-1-aaaaaa.mpk.zst").write_bytes(packed * 8 + table)

    assert read_all(folder) == set()
    assert verify(folder).problems


ZEROS = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(bytes(seekable.BLOCK))
SAYS_A_BLOCK = seekable.FRAME_MAGIC.to_bytes(4, "little") + b"\x60" + (seekable.BLOCK - 256).to_bytes(2, "little")
REPEATED = ((seekable.BLOCK << 3) | 2).to_bytes(3, "little") + b"\0"
"""A part of a frame: four bytes that stand for a block."""
DENSE = {
    "a block in 24 bytes, a thousand times": ZEROS * 1000 + seekable.table([(len(ZEROS), seekable.BLOCK)] * 1000),
    "without a table": ZEROS * 1000,
    "with broken checksums": (ZEROS[:-1] + b"X") * 1000,
    "a table of frames without a byte": seekable.table([(0, seekable.BLOCK)] * 10_000),
    "a frame that holds more than it says": SAYS_A_BLOCK + REPEATED * 30_000,
    "beginnings of frames alone": SAYS_A_BLOCK * 10_000,
}


@pytest.mark.parametrize("data", DENSE.values(), ids=DENSE)
def test_a_closed_segment_is_read_as_far_as_its_size_allows(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    real = seekable._decompressed

    def decompressed(packed: bytes, length: int) -> bytes | None:
        plain = real(packed, length)
        made.append(len(plain or b""))
        return plain

    monkeypatch.setattr(seekable, "_decompressed", decompressed)
    sound = segment(tmp_path / "sound", HEADER, CALLER, *GOOD)
    (path,) = sound.iterdir()
    assert close_segment(path)
    (closed,) = sound.glob("*.zst")
    folder = tmp_path / "trace"
    folder.mkdir()
    (folder / "20260101T000000.000001Z-1-bbbbbb.mpk.zst").write_bytes(data)
    (folder / closed.name).write_bytes(closed.read_bytes())

    calls = list(trace.open(folder).calls())

    assert [one.id for one in calls] == [one["id"] for one in reversed(GOOD)], "the other segment is read"
    assert verify(folder).problems
    assert sum(made) <= 5 * (seekable.most_plain(len(data)) + closed.stat().st_size * 10), "read twice, by each of two"


@pytest.mark.parametrize("how", ["closing", "pruning"])
def test_a_segment_that_would_be_denser_than_is_read_stays_plain(tmp_path: Path, how: str) -> None:
    note = {"type": "note", "time": 1, "kind": "k", "text": "a" * 1_000_000}
    other = {**call_map(3), "session": {"id": "other"}, "route": os.urandom(20_000).hex()}
    folder = segment(tmp_path / "trace", HEADER, note, note, note, GOOD[0], *[other] * (how == "pruning"))
    (path,) = folder.iterdir()

    if how == "pruning":
        assert close_segment(path), "it is not so dense yet"
        assert prune(folder, filters=Filters(session="other")).calls == 1
    assert not close_segment(path)

    assert [one.name for one in folder.iterdir() if "mpk" in one.name] == [path.name]
    assert verify(folder).problems == ()
    assert "good" in {one.session_id for one in trace.open(folder).calls()}


def test_bodies_that_are_deltas_of_one_another_for_ever_are_refused(tmp_path: Path) -> None:
    """Each says that it is a delta of one before; and each is large."""
    records, offset = [HEADER, CALLER], sum(len(framed(one)) for one in (HEADER, CALLER))
    stored = body.encode(b"x" * 300)
    for number in range(1500):
        sent = {"method": "POST", "url": "u", "body": stored}
        records.append({**call_map(number), "request": sent})
        size = len(framed(records[-1]))
        offset += size
        stored = body.encode(os.urandom(300)) | {"enc": "zstd-delta", "base": call_map(number)["id"], "back": size}
    folder = segment(tmp_path / "trace", *records)

    newest = next(iter(trace.open(folder).calls()))
    with pytest.raises(trace.BodyError, match="is a delta of too many others"):
        newest.request_body()


def test_every_key_that_the_recorder_writes_is_known(whole: list[dict[str, Any]]) -> None:
    """So nothing of a record is lost on the way through the log."""
    for record in whole:
        read = shape.read(msgpack.packb(record))
        assert read == record
