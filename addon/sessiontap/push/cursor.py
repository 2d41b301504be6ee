"""How far a target has come: a private file for each target and endpoint, in the folder `push` of the log.

It is written anew, in one step, after the target has accepted what was read so far. Whoever holds its lock is the one
process that pushes there; the lock ends with the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sessiontap import private

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FOLDER = "push"
VERSION = 1
MOST_SET_ASIDE = 100
"""Items that are named; all are counted."""
MOST_GONE = 100
_LONGEST_REASON = 300
_WAIT = 5.0
"""Seconds between two tries to be that process."""
_TRIES, _BETWEEN_TRIES = 5, 0.02


class CursorError(Exception):
    """One sentence that says what is wrong; `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(slots=True)
class Cursor:
    """How far a target has come."""

    target: str
    endpoint: str
    since: int | None = None
    """Unix nanoseconds: older calls are passed over."""
    position: dict[str, Any] = field(default_factory=dict)
    """As `trace.backlog` gives it."""
    turns: dict[str, Any] = field(default_factory=dict)
    """As `UserTurns.to_state` gives it."""
    calls: int = 0
    """Calls of which all was accepted or set aside."""
    items: int = 0
    """Spans, log entries that were accepted."""
    bytes: int = 0
    turns_sent: int = 0
    scores_position: dict[str, Any] = field(default_factory=dict)
    """As `trace.backlog.ScoreBacklog` gives it."""
    scores_waiting: list[list[str | None]] = field(default_factory=list)
    """`[session, name]` of scores whose session's first turn is still open."""
    scores: int = 0
    """Scores that were accepted."""
    set_aside: list[dict[str, Any]] = field(default_factory=list)
    """`{call, reason, time}` of the latest."""
    set_aside_count: int = 0
    gone: list[str] = field(default_factory=list)
    """The latest segments that went away before all of them was read."""
    gone_count: int = 0
    last_error: dict[str, Any] | None = None
    """`{time, text}`; None since the last success."""
    last_success: float | None = None
    """Unix seconds."""
    last_time: int | None = None
    """When the last call that was read ended, Unix nanoseconds."""

    def put_aside(self, call: str, reason: str) -> None:
        self.set_aside = [*self.set_aside, {"call": call, "reason": reason[:_LONGEST_REASON], "time": time.time()}]
        del self.set_aside[:-MOST_SET_ASIDE]
        self.set_aside_count += 1

    def lost(self, segments: list[str]) -> None:
        """Segments went away before all of them was read."""
        self.gone = [*self.gone, *segments][-MOST_GONE:]
        self.gone_count += len(segments)

    def failed(self, text: str) -> None:
        self.last_error = {"time": time.time(), "text": text[:_LONGEST_REASON]}

    def succeeded(self) -> None:
        self.last_error, self.last_success = None, time.time()


def path_of(trace: Path, target: str, endpoint: str) -> Path:
    """Return the file of a target at an endpoint."""
    return trace / FOLDER / f"{target}-{hashlib.sha256(endpoint.encode()).hexdigest()[:12]}.json"


class CursorFile:
    """The file of a cursor. `held` takes its lock, `read` and `write` it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def held(self, wait: Callable[[float], bool] | None = None) -> Iterator[None]:
        """Be the one process that pushes there. Raises CursorError if another one is.

        With `wait` it is waited for, until `wait` returns False.
        """
        try:
            private.make(self.path.parent)
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            while not (locked := _is_locked(handle)) and wait is not None and wait(_WAIT):
                pass
            if not locked:
                holder = self.holder()
                who = f"process {holder}" if holder else "another process"
                raise CursorError(f"{who} pushes there already", "`sessiontap push status` shows how far it is.")
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
            yield
        finally:
            os.close(handle)

    def holder(self) -> int | None:
        """The pid of the process that pushes there; None if there is none."""
        try:
            with self._lock.open("rb") as file:
                if fcntl is not None:
                    try:
                        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    except BlockingIOError:
                        text = file.read(20)
                        return int(text) if text.isdigit() else None
        except OSError:
            pass
        return None

    @property
    def _lock(self) -> Path:
        return self.path.with_suffix(".lock")

    def read(self) -> Cursor | None:
        """Return the cursor; None if nothing was pushed there yet. Raises CursorError."""
        try:
            state = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CursorError(f"{self.path} cannot be read: {error.strerror or error}") from None
        except ValueError:
            raise self._damaged() from None
        if isinstance(state, dict) and isinstance(state.get("version"), int) and state["version"] > VERSION:
            raise CursorError(f"{self.path} was written by a newer Sessiontap", "Push with that one.")
        try:
            return _cursor(state)
        except (TypeError, ValueError, KeyError, AttributeError):
            raise self._damaged() from None

    def write(self, cursor: Cursor) -> None:
        """Write it, whole or not at all, readable by its user only. Raises CursorError."""
        draft = self.path.with_suffix(".tmp")
        state = {name: getattr(cursor, name) for name in Cursor.__slots__}
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps({"version": VERSION, **state}))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def _damaged(self) -> CursorError:
        return CursorError(f"{self.path} is damaged", "Remove it: then all calls are sent again.")


def cursors(trace: Path) -> list[CursorFile]:
    """Return the cursors of a log, by their names."""
    try:
        found = sorted((trace / FOLDER).glob("*.json"))
    except OSError:
        return []
    return [CursorFile(path) for path in found]


def _is_locked(handle: int) -> bool:
    """Lock a file for this process alone. A look at who holds it takes no longer than a moment."""
    if fcntl is None:
        return True
    for _ in range(_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_TRIES)
        else:
            return True
    return False


def _cursor(state: Mapping[str, Any]) -> Cursor:
    known = {name: state[name] for name in Cursor.__slots__ if name in state}
    cursor = Cursor(**known)
    wrong = [not isinstance(cursor.position, dict), not isinstance(cursor.turns, dict)]
    wrong += [not isinstance(cursor.scores_position, dict), not isinstance(cursor.scores_waiting, list)]
    if any(wrong) or not isinstance(cursor.set_aside, list):
        raise ValueError
    return cursor


def _unwritable(path: Path, error: OSError) -> CursorError:
    return CursorError(f"{path} cannot be written: {error.strerror or error}", "Pushing must note how far it has come.")
