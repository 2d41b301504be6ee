"""The trace log: what was seen of every call, redacted, in a folder of msgpack segments (docs/trace-format.md).

The recorder makes a record of each call (`recording/record.py`) and hands it to a `Writer`; tools `open` a folder and
show what `views` makes of it. This package imports msgpack, msgspec and zstandard, and of ours the plain leaves alone.

    from sessiontap import trace
    for call in trace.open("~/.sessiontap/trace").calls():
        print(call.record["time"], call.session_id, len(call.request_body() or b""))
    trace.open("~/.sessiontap/trace").query_sessions(trace.Filters(tool="Bash", status="4xx"))

Its modules by subject:

    the folder and its files files, folders
    writing                  writer, rotation, notes; closed and compressed: closing, seekable
    bodies                   body; pack, which makes changes of earlier ones
    reading                  frame, walk; record_shapes, shape; segment, recorded, reader; restore
    said afterwards          annotations, labels
    telling calls            views, outcomes, values
    queries                  queries, session_queries, in_flight_queries; indexed, and the index behind it (index/)
    looking after it         maintenance, rewriting

Times are Unix nanoseconds, durations nanoseconds, unknown is None; `open` and look-ups raise TraceError, bodies
BodyError. docs/python.md shows what it is used for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessiontap.trace.body import BodyError
    from sessiontap.trace.files import NotInTrace, TraceError
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.notes import note_record
    from sessiontap.trace.reader import Trace, open
    from sessiontap.trace.recorded import RecordedCall, RecordedSession
    from sessiontap.trace.segment import SegmentInfo, Unreadable
    from sessiontap.trace.views import call_row
    from sessiontap.trace.writer import Stats, Writer

__all__ = [
    "BodyError",
    "Filters",
    "NotInTrace",
    "RecordedCall",
    "RecordedSession",
    "SegmentInfo",
    "Stats",
    "Trace",
    "TraceError",
    "Unreadable",
    "Writer",
    "call_row",
    "note_record",
    "open",
]

_ON_DEMAND = {
    "BodyError": "body",
    "Filters": "index.filters",
    "RecordedCall": "recorded",
    "RecordedSession": "recorded",
    "SegmentInfo": "segment",
    "Stats": "writer",
    "Trace": "reader",
    "NotInTrace": "files",
    "TraceError": "files",
    "Unreadable": "segment",
    "Writer": "writer",
    "call_row": "views",
    "note_record": "notes",
    "open": "reader",
}
"""Name -> its module."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load what is asked for alone: a shell's completion needs none of it, a reader not what a writer needs."""
        if name not in _ON_DEMAND:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_ON_DEMAND[name]}"), name)
        return found
