"""TraceForge's trace files: one JSON file a call, in the folder that TraceForge reads (`TRACEFORGE_TRACES_DIR`).

Its form is version 1.0.0: requests and replies are OpenAI's, whatever the call's own wire family; a tool's result has
the role `function`. A file is named by the call's time and id, so that one written twice is one file. It belongs to its
owner alone, and appears whole or not at all. Its time of change is the call's end: TraceForge lists by that. The disk
has it before the call counts as sent.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sessiontap import private
from sessiontap.exchange import UrlParts
from sessiontap.push.chat_form import Json, error_form, messages, reply_form, request_form
from sessiontap.push.target import Item, PushedCall, Sender, TargetAnswer, TargetSettings, UserTurn
from sessiontap.trace.outcomes import end, is_error

SCHEMA_VERSION = "1.0.0"
_TRANSIENT = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EINTR))
"""Faults that pass; others are the folder's."""


class TraceFile(NamedTuple):
    """A file as it is written."""

    name: str
    content: bytes
    changed: int
    """Unix nanoseconds."""


class TraceForgeSender:
    """Writes a call's file as soon as it has ended."""

    max_bytes = 64 * 1024 * 1024
    max_items = 100

    def __init__(self, settings: TargetSettings) -> None:
        self._folder = Path(settings.endpoint).expanduser()

    def call_items(self, call: PushedCall) -> Iterable[Item]:
        file = trace_file(call)
        yield Item(call.call.id, file, len(file.content))

    def turn_items(self, turn: UserTurn) -> Iterable[Item]:
        return ()

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        try:
            if not self._folder.is_dir():
                private.make(self._folder)
            for item in items:
                _write(self._folder, item.data)
            _sync_names(self._folder)
        except OSError as error:
            reason = f"{self._folder} cannot be written: {error.strerror or error}"
            return TargetAnswer("later" if error.errno in _TRANSIENT else "misconfigured", reason)
        return TargetAnswer("accepted")


def open_sender(settings: TargetSettings) -> Sender:
    return TraceForgeSender(settings)


def trace_file(call: PushedCall) -> TraceFile:
    """Return the file of a call."""
    record = call.call.record
    began = _iso(int(record["time"]))
    name = f"{began.replace(':', '-').replace('.', '-')}_{call.call.id}.json"
    content = json.dumps(trace(call, began), ensure_ascii=False, indent=2, sort_keys=True).encode("utf-8", "replace")
    return TraceFile(name, content, end(record))


def trace(call: PushedCall, began: str) -> Json:
    """Return a call as TraceForge's storage has it. Of content it has what the call's parts tell, and its state."""
    row, record = call.call.row, call.call.record
    found: Json = {
        "schema_version": SCHEMA_VERSION,
        "id": call.call.id,
        "timestamp": began,
        "endpoint": UrlParts.of(str(call.call.request.get("url") or "")).target.partition("?")[0],
        "request": _request(call),
        "response": None if _failed(call) else _response(call),
        "metadata": _metadata(call),
    }
    facts = {
        "session_id": row["session_id"],
        "step_index": row["step"],
        "parent_trace_id": row["parent"],
        "state_snapshot": record.get("state") if call.parts is not None else None,
    }
    return found | {key: value for key, value in facts.items() if value is not None}


def _request(call: PushedCall) -> Json:
    asked = request_form(call)
    if call.parts is not None and "messages" in asked:
        asked["messages"] = [_function(one) for one in messages(call.parts.request)]
    if call.call.row["stream"] is not None:
        asked["stream"] = call.call.row["stream"]
    return asked


def _function(message: Json) -> Json:
    """TraceForge knows no role `tool`."""
    return message | {"role": "function"} if message["role"] == "tool" else message


def _response(call: PushedCall) -> Json:
    return reply_form(call) | {"created": end(call.call.record) // 1_000_000_000}


def _metadata(call: PushedCall) -> Json:
    row, usage = call.call.row, call.call.row["usage"] or {}
    tokens = [usage[key] for key in ("input", "output") if usage.get(key) is not None]
    found = {
        "duration_ms": None if row["duration"] is None else round(row["duration"] * 1000),
        "tokens_used": sum(tokens) if tokens else None,
        "model": row["response_model"] or row["request_model"],
        "status": "error" if _failed(call) else "success",
    }
    if _failed(call):
        error = error_form(call) or {}
        found["error"] = error.get("message") or error.get("type")
    return {key: value for key, value in found.items() if value is not None}


def _failed(call: PushedCall) -> bool:
    """Return True for an error, and for a call without a response: TraceForge takes that for one under way."""
    return is_error(call.call.record) or call.call.response is None


def _write(folder: Path, file: TraceFile) -> None:
    """Write a file beside its place, and rename it there."""
    beside = folder / f".{file.name}.tmp"
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with open(handle, "wb") as out:
        out.write(file.content)
        out.flush()
        os.fsync(handle)
    os.utime(beside, ns=(file.changed, file.changed))
    beside.replace(folder / file.name)


def _sync_names(folder: Path) -> None:
    """See that the disk has the names of the files in a folder."""
    if os.name == "posix":  # Windows opens no folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _iso(nanoseconds: int) -> str:
    """Return a time as JavaScript writes it: UTC, milliseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"
