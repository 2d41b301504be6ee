"""Calls are read into the index while nothing is recorded."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.support.gate import PATIENCE

from sessiontap.recording import idle_reading
from sessiontap.recording.idle_reading import IdleReading


def read_calls(folder: Path) -> int:
    """The number of calls that the index has read."""
    file = folder / "index.sqlite"
    if not file.exists():
        return 0
    index = sqlite3.connect(file)
    try:
        return int(index.execute("SELECT count(*) FROM call_parts").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0
    finally:
        index.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recorded.write(tmp_path / "trace", recorded.calls())


def test_all_calls_are_read(folder: Path) -> None:
    idle_reading.read(folder, os.getppid())
    assert read_calls(folder) == len(recorded.calls())


def test_a_reader_without_its_recorder_reads_nothing(folder: Path) -> None:
    idle_reading.read(folder, -1)
    assert read_calls(folder) == 0


def test_nothing_is_read_on_a_disk_that_is_nearly_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_reading, "LEAST_FREE", 1 << 62)
    idle_reading.read(folder, os.getppid())
    assert read_calls(folder) == 0


def test_a_process_reads_once_nothing_is_recorded(folder: Path) -> None:
    idle = IdleReading(folder, idle_seconds=0.05)
    idle.start()
    idle.touch()
    deadline = time.monotonic() + PATIENCE
    while read_calls(folder) < len(recorded.calls()) and time.monotonic() < deadline:
        time.sleep(0.05)
    idle.close()
    assert read_calls(folder) == len(recorded.calls())
