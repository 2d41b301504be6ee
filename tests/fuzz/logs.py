"""Logs that were damaged, or written by somebody with ideas of their own, and all that is read of them.

Whatever a folder holds, nothing that reads it fails: readers, the index, a start, the maintenance, every command. What
was not damaged reads as it was written, and the index says of it what the records say.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]
from tests.cli import recorded
from tests.fuzz import mutate
from tests.fuzz.rounds import Case, Make, Wrong
from tests.trace.everything import COMMANDS, OF_A_CALL, read_all, run, segment
from tests.trace.oracle import pair, session_rows

from sessiontap import trace
from sessiontap.trace import BodyError, RecordedCall, call_row, frame
from sessiontap.trace.closing import close_segment
from sessiontap.trace.index.rows import USAGE

Record = dict[str, Any]

BINARY = (b"", b"\xff\xfe", b"x" * 31, b"x" * 32, bytes(100), frame.MARK, frame.MARK + b"\0\0\0\4\0\0\0\0none")
"""What only MessagePack has, beside `mutate.odd`."""


class Sound(NamedTuple):
    """A folder that nothing has happened to."""

    folder: Path
    records: list[Record]
    """As they stand in its segment."""
    frames: dict[str, bytes]
    """Of each call its record's bytes, by its id."""
    calls: dict[str, tuple[Record, bytes | None, bytes | None]]
    """Record, request's and response's body of each call."""


def prepare(corpus: Path | None) -> Make:
    """The target."""
    home = Path(tempfile.mkdtemp(prefix="fuzz-logs-"))
    sound = _sound(home / "sound")
    _load_all(sound.folder)

    def make(chance: Random) -> Case:
        folder = home / "case"
        shutil.rmtree(folder, ignore_errors=True)
        way = chance.choice((_damaged, _damaged, _hostile, _hostile_and_damaged))
        what, wanted = way(chance, sound, folder)
        files = sorted(folder.iterdir())
        words, side = list(chance.choice(COMMANDS)), list(chance.choice(OF_A_CALL))
        place = chance.random()

        def check() -> None:
            for file in folder.glob("index*"):
                file.unlink()
            ids = sorted(read_all(folder))
            if lost := sorted(wanted - set(ids)):
                raise Wrong(f"call {lost[0]} is lost, and its record is whole")
            _same_bodies(folder, sound if what.startswith("damaged") else None)
            _same_rows(folder)
            for command in (words, *([["cat", ids[int(place * len(ids))], *side]] if ids else [])):
                status, said, complained = run(folder, *command)
                if status not in (0, 1) or "Traceback" in said + complained:
                    raise Wrong(f"sessiontap {' '.join(command)} ends with {status}: {complained[:300]}")

        return Case(check, b"".join(file.read_bytes() for file in files), what)

    return make


def _sound(folder: Path) -> Sound:
    """A log whose bodies are deltas of each other, with notes, and calls of every kind."""
    seen = recorded.calls()
    long = [{"role": "user", "content": f"{number} " + "Plan a course. " * 300} for number in range(6)]
    for number in range(6):
        session = (*("7d3c1a52-aaaa-5bbb-8ccc-000000000003", "Long"), "/long", number)
        seen.append(recorded.chat(10 + number, session=session, caller=recorded.NODE, messages=long[: number + 1]))
    recorded.write(folder, seen, [("dropped", "2 records were lost", {"dropped": {"queue": 2}})])
    (path,) = folder.glob("*.mpk")
    with path.open("rb") as file:
        frames = [one for one in frame.scan(file) if isinstance(one, frame.Frame)]
    data, records = path.read_bytes(), [frame.decode(one.payload) or {} for one in frames]
    by_id = {
        record["id"]: data[one.offset : one.offset + one.size]
        for record, one in zip(records, frames, strict=True)
        if record["type"] == "call"
    }
    calls = {one.id: (one.record, one.request_body(), one.response_body()) for one in trace.open(folder).calls()}
    return Sound(folder, records, by_id, calls)


def _load_all(folder: Path) -> None:
    """Have every module loaded, so that it is not taken for what a case takes."""
    for words in (*COMMANDS, *(["cat", "@1", *more] for more in OF_A_CALL)):
        run(folder, *words)


def _damaged(chance: Random, sound: Sound, folder: Path) -> tuple[str, set[str]]:
    """Files with some of their bytes changed, plain or closed; the ids of the calls that are whole all the same."""
    shutil.copytree(sound.folder, folder, ignore=shutil.ignore_patterns("index*"))
    (path,) = folder.iterdir()
    closed = chance.random() < 0.4
    if closed:
        close_segment(path, ours=True)
        (path,) = folder.iterdir()
    data = _mangled(chance, path.read_bytes())
    path.write_bytes(data)
    whole = set() if closed else {call for call, framed in sound.frames.items() if framed in data}
    return f"damaged {'closed' if closed else 'plain'}", whole


def _mangled(chance: Random, data: bytes) -> bytes:
    for _ in range(chance.randrange(1, 6)):
        data = mutate.mangled(chance, data)
    return data


def _hostile(chance: Random, sound: Sound, folder: Path) -> tuple[str, set[str]]:
    """Records of odd shapes with valid checksums, among plain ones; the ids of those."""
    written, plain = [], set()
    for record in sound.records:
        if chance.random() < 0.5:
            written.append(_packed(_odd(chance, record)))
            continue
        written.append(_packed(record))
        if record["type"] == "call":
            plain.add(record["id"])
    if chance.random() < 0.2:
        order = mutate.disturbed(chance, list(enumerate(written)))
        kept = {number for number, _ in order}
        plain &= {one["id"] for number, one in enumerate(sound.records) if number in kept and one["type"] == "call"}
        written = [one for _, one in order]
    if chance.random() < 0.1:
        written.insert(chance.randrange(len(written) + 1), chance.choice((b"", b"\xc1", b"\x93\1\2\3", b"\x91" * 2000)))
    segment(folder, *written)
    if not _is_ours(written):
        plain = set()
    if chance.random() < 0.4:
        for path in list(folder.iterdir()):
            close_segment(path, ours=True)
    return "hostile", plain


def _hostile_and_damaged(chance: Random, sound: Sound, folder: Path) -> tuple[str, set[str]]:
    _hostile(chance, sound, folder)
    for path in folder.iterdir():
        path.write_bytes(_mangled(chance, path.read_bytes()))
    return "hostile and damaged", set()


def _is_ours(payloads: list[bytes]) -> bool:
    """The first record is no header of another format or version."""
    try:
        first = msgpack.unpackb(payloads[0], strict_map_key=False) if payloads else None
    except (ValueError, msgpack.UnpackException):
        return True
    if not isinstance(first, dict) or first.get("type") != "segment":
        return True
    known = first.get("format") == "sessiontap-trace" and first.get("version") == 2
    return known or not (isinstance(first.get("format"), str) and isinstance(first.get("version"), int))


def _packed(record: Any) -> bytes:
    """As MessagePack; the record is said to be text if that has no such number."""
    try:
        packed: bytes = msgpack.packb(record)
    except (ValueError, OverflowError):
        return msgpack.packb(json.dumps(record, default=repr))  # type: ignore[no-any-return]
    return packed


def _odd(chance: Random, record: Record) -> Record:
    for _ in range(chance.randrange(1, 4)):
        places = mutate.paths(record)
        if not places:
            return record
        at = chance.choice(places)
        if chance.random() < 0.15:
            record = mutate.without(record, at)
        else:
            record = mutate.put(record, at, chance.choice(BINARY) if chance.random() < 0.1 else mutate.odd(chance))
    return record


def _same_bodies(folder: Path, sound: Sound | None) -> None:
    """Each call that was there before reads as before. Raises `Wrong`."""
    for call in trace.open(folder).calls():
        bodies = _allowed(call.request_body), _allowed(call.response_body)
        if sound is None:
            continue
        record, *before = sound.calls[call.id]
        if call.record != record:
            raise Wrong(f"the record of call {call.id} reads otherwise")
        for now, then in zip(bodies, before, strict=True):
            if now is not None and now != then:
                raise Wrong(f"a body of call {call.id} reads otherwise")


def _same_rows(folder: Path) -> None:
    """The index says of calls and sessions what their records say. Raises `Wrong`."""
    log = trace.open(folder)
    calls = list(log.calls())
    try:
        rows = log.query_calls()
        if _sorted(rows) != _sorted([_row(call) for call in calls]):
            raise Wrong("the index has other calls than the log")
        pairs = [pair(call) for call in calls]
        sessions, wanted = log.query_sessions(), session_rows(pairs)
        if _counts(sessions) != _counts(wanted):
            raise Wrong("the index has other sessions than the log")
    finally:
        log.close()


def _row(call: RecordedCall) -> Record:
    row = call_row(*pair(call))
    if row["usage"] is not None:  # a record may lack some
        row["usage"] = dict.fromkeys(USAGE) | row["usage"]
    return row


def _sorted(rows: list[Record]) -> list[str]:
    """Rows to be compared: without their process, which a record behind the call may have named."""
    return sorted(json.dumps(row | {"process": None}, sort_keys=True) for row in rows)


def _counts(rows: list[Record]) -> list[str]:
    """What of sessions does not depend on the order of calls that began at once."""
    loose = {"name": None, "processes": None, "status": None, "properties": None}
    return sorted(json.dumps({**row, **loose, **_lists(row)}, sort_keys=True) for row in rows)


def _lists(row: Record) -> Record:
    return {key: sorted(value) for key, value in row.items() if isinstance(value, list) and key != "processes"}


def _allowed(ask: Callable[[], bytes | None]) -> bytes | None:
    """What is asked for; None if it is not to be had, in words."""
    try:
        return ask()
    except BodyError:
        return None
