"""The trace log: what was seen of every call, redacted, in a folder of msgpack segments (docs/trace-format.md).

The recorder makes a record of each call (`recording/record.py`) and hands it to a `Writer`; tools `open` a folder and
show what `views` and `sessions` make of it. This package imports msgpack and zstandard, nothing of mitmproxy; of ours
the index alone reads prompts and replies with `llm`.

    from sessiontap import trace
    for call in trace.open("~/.sessiontap/trace").calls():
        print(call.record["time"], call.session_id, len(call.request_body() or b""))

Its modules by subject:

    parts of records         chunks, notes
    bodies                   body, pack; deltas
    writing                  writer, rotation; closed and compressed: closing, seekable
    reading                  frame, shape, walk; segment, reader, recorded_call; restore; views, sessions
    the folder and its files folder, files
    looking after it         maintenance, prune
    queries                  queries, and the SQLite index behind them in index/

Times are Unix nanoseconds, durations nanoseconds, unknown is None; `open` and look-ups raise TraceError, bodies
BodyError. docs/python.md shows what it is used for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sessiontap.trace.body import BodyError
from sessiontap.trace.folder import TraceError
from sessiontap.trace.notes import note_record
from sessiontap.trace.reader import Trace, open
from sessiontap.trace.recorded_call import RecordedCall, RecordedSession
from sessiontap.trace.restore import RestorableCall, Restored, restore
from sessiontap.trace.segment import Problem, SegmentInfo
from sessiontap.trace.sessions import session_rows, session_tree, session_view
from sessiontap.trace.views import call_row

if TYPE_CHECKING:
    from sessiontap.trace.writer import Stats, Writer

__all__ = [
    "BodyError",
    "Problem",
    "RecordedCall",
    "RecordedSession",
    "RestorableCall",
    "Restored",
    "SegmentInfo",
    "Stats",
    "Trace",
    "TraceError",
    "Writer",
    "call_row",
    "note_record",
    "open",
    "restore",
    "session_rows",
    "session_tree",
    "session_view",
]

_OF_WRITERS = {"Stats": "writer", "Writer": "writer"}


def __getattr__(name: str) -> Any:
    """What a writer needs is loaded for writers alone: readers start in half the time without."""
    if name not in _OF_WRITERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_OF_WRITERS[name]}"), name)
