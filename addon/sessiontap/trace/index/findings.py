"""The records of segments as the index takes them in, and processes that read them ahead of it.

Reading records, telling what a row holds of them and what they cost takes longer than all else in a build. So a large
build has processes for it, forks of this one, which know the prices that this one was given. They write nothing but
their findings into pipes. Two are enough: together they read as fast as one process writes.
"""

from __future__ import annotations

import contextlib
import gc
import json
import marshal
import os
import signal
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import batched
from pathlib import Path
from queue import Queue
from typing import IO, Any, Literal

from sessiontap.trace.files import SegmentFile, identity, open_segment
from sessiontap.trace.index.rows import values_of
from sessiontap.trace.outcomes import is_warm_up
from sessiontap.trace.views import CallCost, CostOf
from sessiontap.trace.walk import Trouble, walk

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Kind = Literal["call", "warm_up", "caller", "note", "label", "score", "other", "trouble"]
Finding = tuple[Kind, int, int, Any]
"""The kind, offset and end of a record, and what the index takes of it:

call: the values of its row (`rows.CallValues`), and its cost as a tuple, None without prices
warm_up: id, id of the session, time
caller, label, score: the record
note: time, the record in JSON
trouble, a stretch that cannot be read: size, text, whether a writer may be in the middle of it
"""

_TOGETHER = 500
"""Findings that are sent together."""
_SIZE = struct.Struct("<I")
_PIPE_SIZE = 1 << 20
"""Bytes that are on their way while this process writes what it has."""
_WAITING = 200
"""Packets of findings that wait for their turn in a process that reads ahead: more than most segments have."""


def findings(file: SegmentFile, start: int, cost_of: CostOf | None) -> Iterator[Finding]:
    """The records of a segment, and what cannot be read of it, from `start` on. Raises OSError.

    Texts that several calls have in common are one object: `marshal` writes it once.
    """
    alike: dict[tuple[str | None, ...], tuple[str | None, ...]] = {}
    for found in walk(file, start):
        if isinstance(found, Trouble):
            yield "trouble", found.offset, found.end, (found.size, found.text, found.growing)
            continue
        offset, record, end = found.offset, found.record, found.end
        match found.kind:
            case "call" if is_warm_up(record):
                yield "warm_up", offset, end, (record["id"], (record.get("session") or {}).get("id"), record["time"])
            case "call":
                cost = None if cost_of is None else _plain(cost_of(record))
                plain, texts, jsons, session, caller = values_of(record)
                texts, jsons = alike.setdefault(texts, texts), alike.setdefault(jsons, jsons)
                yield "call", offset, end, ((plain, texts, jsons, session, caller), cost)
            case "caller" | "label" | "score" as kind:
                yield kind, offset, end, record
            case "note":
                yield "note", offset, end, (record["time"], json.dumps(record))
            case _:
                yield "other", offset, end, None


def _plain(cost: CallCost) -> tuple[float | None, tuple[float, ...] | None, str | None]:
    return cost.usd, None if cost.parts is None else tuple(cost.parts), cost.unknown


class ReadAhead:
    """Another process that reads `places`, segments from an offset on, in this order. `close` ends it."""

    def __init__(self, places: list[tuple[Path, int]], cost_of: CostOf | None) -> None:
        read, write = os.pipe()
        if fcntl is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(read)
            _read_ahead(places, cost_of, write)
        os.close(write)
        self._pipe = os.fdopen(read, "rb")
        self._segment: tuple[str, tuple[int, int]] | None = None
        """The name and the file of the segment whose findings come next."""
        self._at = 0
        self._findings: list[Finding] = []
        self._used = 0
        self._begin_segment()

    @staticmethod
    def is_possible() -> bool:
        """Other threads of this process might hold a lock that the fork waits for; one processor is no help; and macOS
        has libraries that no fork may use."""
        return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1

    def has(self, path: Path, file: SegmentFile, start: int) -> bool:
        """The findings that come next are those of this segment, in this file, from `start` on."""
        return self._segment == (path.name, identity(file)) and self._at == start

    def findings(self) -> Iterator[Finding]:
        """The findings that come next, to the segment's end. What is not taken comes again with the next iterator.

        Raises EOFError if the process has ended too early.
        """
        while True:
            while self._used < len(self._findings):
                found = self._findings[self._used]
                yield found
                self._used += 1
                if found[0] != "trouble":
                    self._at = found[2]
            self._findings, self._used = self._receive(), 0
            if not self._findings:
                self._begin_segment()
                return

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _begin_segment(self) -> None:
        try:
            name, of, self._at = self._receive()
            self._segment = name, of
        except EOFError:
            self._segment = None

    def _receive(self) -> Any:
        head = self._pipe.read(_SIZE.size)
        size = _SIZE.unpack(head)[0] if len(head) == _SIZE.size else 0
        packed = self._pipe.read(size)
        if not size or len(packed) < size:
            raise EOFError
        return marshal.loads(packed)  # of this process's own fork


def _read_ahead(places: Iterable[tuple[Path, int]], cost_of: CostOf | None, pipe: int) -> None:
    """The other process: for each segment its name, file and offset, then its findings, then an empty list."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pipe ends with the process that reads it
        gc.disable()
        waiting: Queue[bytes | None] = Queue(_WAITING)
        writer = threading.Thread(target=_write, args=(waiting, os.fdopen(pipe, "wb")))
        writer.start()
        try:
            for path, start in places:
                with contextlib.suppress(FileNotFoundError), open_segment(path) as file:
                    waiting.put(marshal.dumps((path.name, identity(file), start)))
                    for some in batched(findings(file, start, cost_of), _TOGETHER):
                        waiting.put(marshal.dumps(list(some)))
                    waiting.put(marshal.dumps([]))
        finally:
            waiting.put(None)
            writer.join()
    finally:
        os._exit(0)


def _write(waiting: Queue[bytes | None], out: IO[bytes]) -> None:
    """Write packets into the pipe, while others are made, up to None; end the process if nobody reads them."""
    try:
        while (packed := waiting.get()) is not None:
            out.write(_SIZE.pack(len(packed)))
            out.write(packed)
            out.flush()
    finally:
        os._exit(0)
