"""What a proxy needs from the log when it starts: the heads of the newest calls, within a time budget.

Segments are hopped through from record to record without reading them; then the heads are read from the newest back,
each checked, none of them with its headers or bodies unpacked.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from sessiontap.trace import frame, shared, templates
from sessiontap.trace.segment import FORMAT, SUFFIX, VERSION, is_live

_LOOKED_AT = 16
"""Segments, the newest, that somebody may still be writing."""
_VALUES = b"\x83\xa4type\xa6values"
"""What the map of a record of values begins with."""


@dataclass(frozen=True, slots=True)
class Head:
    """The part of a call record that state is restored from."""

    id: str
    time: int
    """Unix nanoseconds."""
    session: dict[str, Any] | None
    """The record's session map, whole: with what `session_extra` put there."""
    duration: int | None = None
    """Nanoseconds."""
    caller: str | None = None
    conversation: str | None = None
    parent: str | None = None
    evidence: Any = None
    link: dict[str, Any] | None = None
    """What its conversation is restored from: the record's link map."""
    family: str | None = None
    response_id: str | None = None
    tools: tuple[tuple[str, str | None], ...] = ()
    """(id, name) of its reply's tool calls, where they have ids."""
    flags: tuple[str, ...] = field(default=())


class Restored:
    """Iterate it for heads: by segment from the newest, within one from the call written last.

    `note` says in words, once iteration has ended, what was left out and why; None where everything was read.
    """

    def __init__(self, folder: Path, budget_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._budget = budget_seconds
        self._clock = clock
        self.note: str | None = None

    def __iter__(self) -> Iterator[Head]:
        deadline = self._clock() + self._budget
        count = 0
        paths = _segments(self._folder)
        for position, path in enumerate(reversed(paths)):
            try:
                with path.open("rb", buffering=0) as file:
                    for head in _heads(file):
                        if self._clock() > deadline:
                            self.note = (
                                f"restoring stopped after {self._budget:g} s and {count} calls, "
                                f"in segment {position + 1} of {len(paths)}"
                            )
                            return
                        if head is not None:
                            count += 1
                            yield head
            except OSError:
                continue


def restore(folder: Path, budget_seconds: float = 1.0) -> Restored:
    """The newest calls' heads for at most `budget_seconds`; nothing where there is no folder. Never raises."""
    return Restored(folder, budget_seconds)


def wait_for_orphans(folder: Path, seconds: float) -> bool:
    """Wait while a segment in `folder` is still written though its proxy is gone. False: `seconds` were not enough."""
    deadline = time.monotonic() + seconds
    while any(map(_is_orphaned, _segments(folder)[-_LOOKED_AT:])):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _segments(folder: Path) -> list[Path]:
    """By age. A named pipe is none: who opens it waits for ever."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.is_file())
    except OSError:
        return []


def _is_orphaned(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            if not is_live(file):
                return False
            first = frame.read_one(file, 0)
    except OSError:
        return False
    header = frame.decode(first.payload) if first else None
    writer = header.get("writer") if header else None
    pid = writer.get("pid") if isinstance(writer, dict) and writer.get("host") == platform.node() else None
    if os.name != "posix" or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _heads(file: BinaryIO) -> Iterator[Head | None]:
    """Heads from the last written back; None for what is none, so that the caller may look at the clock."""
    first = frame.read_one(file, 0)
    header = frame.decode(first.payload) if first else None
    if header is not None and (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        return
    places: list[int] = []
    values: dict[int, Any] = {}
    end = 0
    for offset, size, beginning in frame.hop(file, 0, len(_VALUES)):
        if beginning == _VALUES:
            values |= _values(frame.read_one(file, offset))
        else:
            places.append(offset)
        end = offset + size
        yield None
    if end != file.seek(0, 2):  # damage: the last hop may have led astray
        start = places.pop() if places else 0
        for found in frame.scan(file, start):
            if isinstance(found, frame.Frame):
                places.append(found.offset)
                values |= _values(found)
            yield None
    for offset in reversed(places):
        record = frame.read_one(file, offset)
        yield _head(frame.leading(record.payload, "time_to_first_byte"), values) if record else None


def _values(found: frame.Frame | None) -> dict[int, Any]:
    if found is None or not found.payload.startswith(_VALUES):
        return {}
    return shared.values_of(frame.decode(found.payload) or {})


def _head(record: dict[str, Any] | None, values: dict[int, Any]) -> Head | None:
    if record is None or record.get("type") != "call":
        return None
    if templates.is_lost(record, values):
        return None  # whose conversation it is stood in what is damaged
    record = shared.indexed(record, values)
    call_id, started = record.get("id"), record.get("time")
    if not isinstance(call_id, str) or not isinstance(started, int):
        return None
    llm = record.get("llm") or {}
    return Head(
        id=call_id,
        time=started,
        duration=record.get("duration"),
        session=record.get("session"),
        caller=record.get("caller"),
        conversation=record.get("conversation"),
        parent=record.get("parent"),
        evidence=record.get("evidence"),
        link=record.get("link"),
        family=llm.get("family"),
        response_id=llm.get("response_id"),
        tools=tuple(
            (id, name) for id, name in zip_longest(llm.get("tool_call_ids") or (), llm.get("tool_calls") or ()) if id
        ),
        flags=tuple(record.get("flags") or ()),
    )
