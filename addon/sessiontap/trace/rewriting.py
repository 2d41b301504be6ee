"""A segment written anew without some of its calls, or labels and scores, beside it, and put in its place in one step.

What stays is copied as it stands. Only a body that was stored as a change of one that goes is packed again; if its base
has moved, its record says where to. So it takes the time of reading the segment once, and the memory of the bodies that
are packed again, of which a `Packer` holds a bounded number.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sessiontap.trace import body, closing, frame
from sessiontap.trace.body import BodyError, BodyReader, Plain
from sessiontap.trace.files import FileStatus, SegmentFile, closed_name, draft_name, open_segment
from sessiontap.trace.outcomes import is_warm_up
from sessiontap.trace.pack import Packer
from sessiontap.trace.seekable import most_plain
from sessiontap.trace.walk import StoredRecord, walk

Record = dict[str, Any]
_MAY_GO = ("call", "label", "score")
_PACKING = ("size", "sha256", "enc", "base", "back", "wire", "data")


@dataclass(slots=True)
class Rewritten:
    """The result of rewriting a segment."""

    path: Path
    """Its name."""
    gained: int = 0
    """Bytes that it has become smaller by."""
    before: FileStatus | None = None
    after: FileStatus | None = None
    """None if it is as it was."""
    old_id: str | None = None
    new_id: str | None = None
    """Of its header."""
    end: int = 0
    """Behind its last record."""
    moved: dict[int, int] = field(default_factory=dict)
    """Where its calls and callers stood -> where they stand; those that are gone are missing."""
    warm_ups: list[tuple[str, str | None, int, int]] = field(default_factory=list)
    """Those that stay: id, id of the session, time, place."""


def remove_records(path: Path, going: Container[str], dry_run: bool) -> Rewritten:
    """Take the calls, labels and scores whose ids are in `going` out of the segment of the name `path`."""
    rewritten = Rewritten(path)
    if not dry_run:
        with contextlib.suppress(FileNotFoundError):
            closing.settle(path)
        draft_name(path).unlink(missing_ok=True)  # of a closing: it holds what is to go
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)  # left by one that was stopped
    packed = path.with_name(f".{path.name}.packed.draft")
    packed.unlink(missing_ok=True)
    try:
        with open_segment(path) as file:
            old = closed_name(path) if file.is_closed else path
            rewritten.before = _status(old, file.is_closed)
            with os.fdopen(_made(draft), "wb") as out:
                _Copy(rewritten, out, going).write(file)
                out.flush()
                os.fsync(out.fileno())
        place, new = path, draft
        if old != path and _packed(draft, packed):
            place, new = old, packed
        rewritten.gained = old.stat().st_size - new.stat().st_size
        if not dry_run:
            os.replace(new, place)
            if old != place:
                old.unlink()
            rewritten.after = _status(place, place == old and place != path)
        return rewritten
    except FileNotFoundError:
        return rewritten
    finally:
        draft.unlink(missing_ok=True)
        packed.unlink(missing_ok=True)


def _status(path: Path, closed: bool) -> FileStatus:
    status = path.stat()
    return FileStatus(closed, status.st_size, status.st_mtime_ns)


class _Copy:
    """Writes everything but what is `going`. Notes, callers, and what is of no known type stay."""

    def __init__(self, rewritten: Rewritten, out: BinaryIO, going: Container[str]) -> None:
        self._rewritten, self._path, self._out, self._going = rewritten, rewritten.path, out, going
        self._bodies, self._packer = BodyReader(), Packer()
        self._moved: dict[int, tuple[int, str]] = {}
        """Of calls that stay: where they stood -> where they stand, and their ids."""

    def write(self, file: SegmentFile) -> None:
        for found in walk(file):
            if not isinstance(found, StoredRecord):
                continue
            if found.kind in _MAY_GO and found.record["id"] in self._going:
                continue
            if found.kind == "call":
                self._call(found)
            elif found.kind == "segment":
                header = frame.decode(found.payload) or {}
                new_id = str(uuid.uuid4())  # for who knows the old one by its own
                self._rewritten.old_id, self._rewritten.new_id = header.get("id"), new_id
                self._out.write(frame.encode(header | {"id": new_id}))
            else:
                self._rewritten.moved[found.offset] = self._out.tell()
                self._out.write(frame.framed(found.payload))
        self._rewritten.end = self._out.tell()

    def _call(self, found: StoredRecord) -> None:
        offset = self._out.tell()
        new = {side: self._changed(found, side, offset) for side in ("request", "response")}
        call = frame.decode(found.payload) if any(one is not None for one in new.values()) else None
        if call is None:
            self._out.write(frame.framed(found.payload))
        else:
            call |= {side: _with_body(call[side], one) for side, one in new.items() if one is not None}
            self._out.write(frame.encode(self._packer.at(call, offset)))
            self._packer.written()
        self._moved[found.offset] = offset, found.record["id"]
        self._rewritten.moved[found.offset] = offset
        if is_warm_up(found.record):
            session = (found.record.get("session") or {}).get("id")
            self._rewritten.warm_ups.append((found.record["id"], session, found.record["time"], offset))

    def _changed(self, found: StoredRecord, side: str, offset: int) -> int | bytes | None:
        """Return the distance to the body's base now, or the body itself if its base goes; None if nothing changes.

        One that cannot be read is left as it is, and says so when it is asked for.
        """
        stored = (found.record.get(side) or {}).get("body")
        if stored is None or not body.is_delta(stored):
            return None
        base, call_id = self._moved.get(found.offset - (stored.get("back") or 0), (None, None))
        if base is not None and call_id == stored.get("base"):
            return offset - base if offset - base != stored["back"] else None
        with contextlib.suppress(BodyError):
            return self._bodies.decode(self._path, found.offset, side, stored)
        return None


def _with_body(message: Record, new: int | bytes) -> Record:
    """The message with its body packed otherwise; `new` as `_Copy._changed` gives it."""
    stored = message["body"]
    if isinstance(new, int):
        return message | {"body": stored | {"back": new}}
    extra = {key: value for key, value in stored.items() if key not in _PACKING}
    return message | {"body": Plain(new, stored.get("wire"), extra)}


def _packed(draft: Path, packed: Path) -> bool:
    """Compress `draft` into `packed`. False: it would be denser than readers accept, and is to stay plain."""
    with draft.open("rb") as plain, os.fdopen(_made(packed), "wb") as out:
        return closing.compress(plain, out) <= most_plain(out.tell())


def _made(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
