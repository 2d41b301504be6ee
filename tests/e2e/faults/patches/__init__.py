"""Changes to every Python process of a proxy, whichever of them does the work: each a `sitecustomize` of its own.

What one is told by variables it reads when it is used: a forked proxy has its variables after its start.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
BROKEN_RECORDER = _HERE / "broken_recorder"
PATIENT_CLOSING = _HERE / "patient_closing"
PATIENT_FRONT = _HERE / "patient_front"
SET_CLOCK = _HERE / "set_clock"
SLOW_DISK = _HERE / "slow_disk"
SMALL_SEGMENTS = _HERE / "small_segments"
