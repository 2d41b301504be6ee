"""Notes: what a reader of the trace should know beside the calls."""

from __future__ import annotations

import time
from typing import Any


def note_record(kind: str, text: str, /, **facts: Any) -> dict[str, Any]:
    """A `note` map: records that were lost, faults, rule changes. `facts` are plain values, already redacted."""
    return {**facts, "type": "note", "time": time.time_ns(), "kind": kind, "text": text}
