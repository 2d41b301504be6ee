"""What is said of damage that a scan finds."""

from __future__ import annotations

WORDS = {
    "torn": "a record ends too early: its writer was stopped in the middle of it",
    "bad": "a record does not fit its checksum",
    "foreign": "bytes that are no record",
}
HEADLESS = "has lost its header; its records are read as version 1"
