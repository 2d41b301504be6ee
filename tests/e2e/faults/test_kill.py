"""`kill -9` of the proxy at 200 random moments under load: what reached the disk is there, right, and gone on from."""

from __future__ import annotations

import os
import random
import re
import select
import signal
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import yaml
import zstandard
from tests.e2e.faults.load import RULES, Crowd, serve
from tests.e2e.lab import ROOT, Lab, own_environment
from tests.support import warm
from tests.support.gate import PATIENCE
from tests.support.seed import SEED

from sessiontap import trace
from sessiontap.demo import redirect
from sessiontap.demo.redirect import format_table
from sessiontap.trace.files import file_of
from sessiontap.trace.files import segments as listed
from sessiontap.trace.maintenance import verify

KILLS = 200
FOLDERS = 8
"""Each is killed in `KILLS // FOLDERS` times, on and on."""
LANES = 2
"""Folders that are worked in at a time."""
MOST = 20
"""Calls that are answered before a kill, at most."""
STARTING = 0.15
"""The share of kills that come while the proxy starts."""
TOGETHER = 0.5
"""The share of kills that end the process which writes the log, too, as the end of a container does."""
TORN = 0.3
"""The share of kills, of both processes, after which the last record is cut, as a machine that fails may leave it."""


def on_disk(segment: Path) -> tuple[dict[int, dict[str, Any]], int | None]:
    """What stands in a segment by docs/trace-format.md alone: whole records by offset, and where a torn one begins."""
    data = segment.read_bytes()
    if segment.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    records: dict[int, dict[str, Any]] = {}
    at = 0
    while at < len(data):
        frame, end = data[at : at + 15], len(data)
        if len(frame) == 15:
            assert frame.startswith(b"\xc7\x0c\x53STAP"), f"no frame at {at} of {segment}"
            length, crc = struct.unpack(">II", frame[7:])
            end = at + 15 + length
        if len(frame) < 15 or end > len(data):
            return records, at
        assert zlib.crc32(data[at + 15 : end]) == crc, f"a bad record at {at} of {segment}"
        records[at] = msgpack.unpackb(data[at + 15 : end])
        at = end
    return records, None


def cut(segment: Path, chance: random.Random) -> str | None:
    """Cut a segment somewhere in its last record; the id of the call that is lost with it."""
    records, torn = on_disk(segment)
    if not records or torn is not None:
        return None
    at, record = records.popitem()
    os.truncate(segment, chance.randrange(at + 1, segment.stat().st_size))
    return record["id"] if record["type"] == "call" else None


class Follower:
    """Reads along, as `sessiontap tail -f` does, over all kills and starts."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[str] = []
        self._stop = threading.Event()
        self._calls = trace.open(folder).follow(poll_seconds=0.2, stop=self._stop, from_start=True)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        self.seen.extend(call.id for call in self._calls)

    def stop(self) -> list[str]:
        self._stop.set()
        self._thread.join(PATIENCE)
        return self.seen


LISTENING = re.compile(rb"proxy listening at \S*:(\d+)")


class Victim:
    """A proxy that starts at once, and of which nothing is known but its pid and what it says."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *, recorder_at_once: bool
    ) -> None:
        self._output, theirs = os.pipe()
        try:
            home = {**environment, "HOME": str(folder)}
            program = warm.mitmdump(forks_recorder=recorder_at_once)
            self._process = program.start(arguments, home, folder, stdout=theirs, stderr=theirs)
        finally:
            os.close(theirs)
        self.said = b""

    def port(self) -> int:
        """Where it listens, once it does.

        :raises AssertionError: it never did.
        """
        while (found := LISTENING.search(self.said)) is None:
            assert self._read(), f"the proxy did not start; it said: {self.said.decode(errors='replace') or 'nothing'}"
        return int(found[1])

    def pass_time(self, seconds: float) -> None:
        """Wait, while what it says is read."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._read(left):
            pass

    def kill(self, helpers: bool) -> None:
        """End it at once, its helper processes with it or not, and wait until nobody holds its output."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        others = [int(one) for one in children.read_text().split()] if helpers and children.exists() else []
        for one in (pid, *others):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        while self._read():
            pass
        os.close(self._output)
        self._process.wait(PATIENCE)

    def _read(self, patience: float = PATIENCE) -> bool:
        if not select.select([self._output], [], [], patience)[0]:
            return False
        said = os.read(self._output, 65536)
        self.said += said
        return bool(said)


@pytest.fixture
def environment(lab: Lab) -> dict[str, str]:
    return {**own_environment(), redirect.VARIABLE: format_table(serve(lab)), "PYTHONUNBUFFERED": "1"}


def kill_on(environment: Mapping[str, str], lab: Lab, confdir: Path, number: int) -> Counter[str]:
    """One folder's kills; what was found in it."""
    chance = random.Random(SEED * FOLDERS + number)
    place = lab.folder / f"folder-{number}"
    folder = place / "trace"
    folder.mkdir(parents=True)
    rules = place / "rules.yaml"
    rules.write_text(yaml.safe_dump(RULES), encoding="utf-8")
    arguments = ["--listen-host", "127.0.0.1", "--listen-port", "0"]
    for script in (ROOT / "addon" / "main.py", redirect.__file__):
        arguments += ["-s", str(script)]
    options = {"confdir": confdir, "ssl_verify_upstream_trusted_ca": lab.authority.pem}
    for name, value in {**options, "session_trace": folder, "session_rules": rules}.items():
        arguments += ["--set", f"{name}={value}"]

    crowd = Crowd.of(f"run-{number}", "abc", confdir / "mitmproxy-ca-cert.pem")
    follower, log, lost = Follower(folder), trace.open(folder), set()
    for _ in range(KILLS // FOLDERS):
        starting = chance.random() < STARTING  # with all that a recorder's start takes
        proxy = Victim(arguments, environment, place, recorder_at_once=not starting)
        if starting:
            proxy.pass_time(chance.uniform(0, 0.1))
            proxy.kill(helpers=chance.random() < TOGETHER)
            continue
        crowd.start(proxy.port())
        crowd.wait_more(chance.randrange(MOST))
        proxy.pass_time(chance.uniform(0, 0.05))
        crowd.may_fail()
        proxy.kill(helpers=(together := chance.random() < TOGETHER))
        crowd.stop()
        assert b"a fault of its own" not in proxy.said, proxy.said.decode()
        assert b"Traceback" not in proxy.said, proxy.said.decode()
        log.query_sessions()  # the index grows from kill to kill
        if together and chance.random() < TORN and (newest := max(folder.glob("*.mpk"), default=None)) is not None:
            lost.add(cut(newest, chance))
    log.close()
    return checked(folder, crowd, follower, lost - {None})


def checked(folder: Path, crowd: Crowd, follower: Follower, lost: set[str]) -> Counter[str]:
    files = [file_of(path) for path in listed(folder)]
    segments = [on_disk(path) for path in files]
    torn = [(path, at) for path, (_, at) in zip(files, segments, strict=True) if at is not None]
    reached = [[record for record in records.values() if record["type"] == "call"] for records, _ in segments]

    log = trace.open(folder)
    calls = list(log.calls(newest_first=False, warm_ups=True))
    assert sorted(call.id for call in calls) == sorted(call["id"] for calls in reached for call in calls)
    crowd.ledger.check_all(calls)
    assert [(problem.path, problem.offset) for problem in log.problems] == torn
    assert [(problem.path, problem.offset) for problem in verify(folder).problems] == torn
    assert not any(segment.live for segment in log.segments())
    seen = follower.stop()
    assert len(seen) == len(set(seen))
    assert set(seen) - lost == {call.id for call in calls}
    assert sorted(row["id"] for row in log.query_calls()) == sorted(call.id for call in calls)
    log.close()

    steps = [sorted(call["session"]["step"] for call in calls) for calls in reached if calls]
    flat = [step for one in steps for step in one]
    assert flat == sorted(set(flat)), "each start goes on behind the steps that are in the log"
    packed = [call.record[side]["body"]["enc"] for call in calls for side in ("request", "response")]
    streams = sum(call.record["llm"]["stream"] for call in calls)
    return Counter(
        calls=len(calls), deltas=packed.count("zstd-delta"), streams=streams, torn=len(torn), sent=crowd.ledger.number
    )


def test_what_reached_the_disk_is_read_back_and_gone_on_from(
    environment: dict[str, str], lab: Lab, confdir: Path
) -> None:
    print(f"to repeat: SESSIONTAP_SEED={SEED}")
    with ThreadPoolExecutor(LANES) as lanes:
        each = lanes.map(lambda number: kill_on(environment, lab, confdir, number), range(FOLDERS))
        found = sum(each, Counter[str]())
    print(dict(found))
    for what in ("calls", "deltas", "streams"):
        assert found[what] > KILLS // 4, f"{what}: this was no load"
    assert found["torn"] > 0
