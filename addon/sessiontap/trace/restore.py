"""Restore from the log when a proxy starts: the state of the newest calls, within a time budget.

The newest calls come first, so that a budget that runs out costs the oldest. `wait_for_orphans` waits for the recorder
of a proxy that has ended.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sessiontap.trace.errands import is_errand
from sessiontap.trace.files import holds_annotations, open_segment, segments
from sessiontap.trace.outcomes import is_error
from sessiontap.trace.walk import header_of, refusal, walk_back

_MOST_LIVE = 16
"""The newest segments: an older one is written by nobody any more."""
_LARGEST_PID = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class RestorableCall:
    """The part of a call record that state is restored from."""

    id: str
    time: int
    """Unix nanoseconds."""
    session: dict[str, Any] | None
    """The record's session map, whole: with the `key` that restoring it needs."""
    duration: int | None = None
    """Nanoseconds."""
    caller: str | None = None
    conversation: str | None = None
    parent: str | None = None
    evidence: Any = None
    link: dict[str, Any] | None = None
    """The record's link map, from which its conversation is restored."""
    family: str | None = None
    response_id: str | None = None
    tools: tuple[tuple[str, str | None], ...] = ()
    """(id, name) of its reply's tool calls that have ids."""
    flags: tuple[str, ...] = ()
    user: str | None = None
    client: str | None = None
    proxy_user: str | None = None
    rules: tuple[str, ...] = ()
    tokens: int | None = None
    """Read and written."""
    cost_usd: float | None = None
    """As alerts and limits counted it."""
    failed: bool = False
    is_errand: bool = False


class RestorableCalls:
    """Iterate it for the newest calls: by segment from the newest, within one from the call written last. Never raises.

    `note` says in words, once iteration has ended, what was left out and why; None if everything was read.
    """

    def __init__(self, folder: Path, budget_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._budget = budget_seconds
        self._clock = clock
        self.note: str | None = None
        self.callers: dict[str, tuple[str, str | None]] = {}
        """The callers that were met: id -> (id of its process tree, else its own; its name)."""
        self.lifted: dict[str, int] = {}
        """The limits that were lifted: id -> when, the last time."""

    def __iter__(self) -> Iterator[RestorableCall]:
        deadline = self._clock() + self._budget
        count = refused = 0
        paths = _segments(self._folder)
        for position, path in enumerate(reversed(paths)):
            try:
                with open_segment(path) as file:
                    if refusal(header_of(file)) is not None:
                        refused += 1
                        continue
                    for record in walk_back(file):
                        if self._clock() > deadline:
                            self.note = (
                                f"restoring stopped after {self._budget:g} s (calls so far: {count}), "
                                f"in segment {position + 1} of {len(paths)}"
                            )
                            return
                        if record is not None and record["type"] == "caller":
                            tree = record.get("tree")
                            self.callers[record["id"]] = tree["id"] if tree else record["id"], record.get("name")
                        elif record is not None and record["type"] == "note" and "lifted" in record:
                            id, at = record["lifted"], record["time"]
                            self.lifted[id] = max(at, self.lifted.get(id, 0))
                        elif (call := _restorable_call(record)) is not None:
                            count += 1
                            yield call
            except OSError:
                continue
        if refused:
            self.note = f"segments of another version of the format, which were not read: {refused} of {len(paths)}"


def wait_for_orphans(folder: Path, seconds: float) -> bool:
    """Wait while a segment in `folder` is still written though its proxy is gone. False: `seconds` were not enough."""
    deadline = time.monotonic() + seconds
    while any(map(_is_orphaned, _segments(folder)[-_MOST_LIVE:])):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _segments(folder: Path) -> list[Path]:
    """Those of calls, by age."""
    try:
        return [path for path in segments(folder) if not holds_annotations(path)]
    except OSError:
        return []


def _is_orphaned(path: Path) -> bool:
    try:
        with open_segment(path) as file:
            if not file.is_live:
                return False
            writer = (header_of(file) or {}).get("writer") or {}
    except OSError:
        return False
    pid = writer.get("pid") if writer.get("host") == platform.node() else None
    if os.name != "posix" or not pid or pid > _LARGEST_PID:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _restorable_call(record: dict[str, Any] | None) -> RestorableCall | None:
    if record is None or record["type"] != "call":
        return None
    llm = record.get("llm") or {}
    return RestorableCall(
        id=record["id"],
        time=record["time"],
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
        user=record.get("user"),
        client=record.get("client"),
        proxy_user=record.get("proxy_user"),
        rules=tuple(record.get("rules") or ()),
        tokens=_tokens(llm.get("usage")),
        cost_usd=(record.get("counted") or {}).get("cost_usd"),
        failed=is_error(record),
        is_errand=is_errand(record),
    )


def _tokens(usage: dict[str, Any] | None) -> int | None:
    known = [usage[key] for key in ("input", "output") if usage.get(key) is not None] if usage else []
    return sum(known) if known else None
