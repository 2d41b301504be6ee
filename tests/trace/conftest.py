"""Calls, writers and folders for the trace tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded

from sessiontap import trace
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.trace import Trace, Writer
from sessiontap.trace.index import database

INFO = {"pid": 1, "host": "here", "sessiontap": "0", "mitmproxy": "0"}


def call_map(number: int, /, **changes: Any) -> dict[str, Any]:
    """A call record as small as readers can do with; `request` and `response` need not say what each has."""
    for side, needed in (("request", {"method": "POST", "url": "https://api.example/"}), ("response", {"status": 200})):
        if isinstance(given := changes.get(side), dict):
            changes[side] = needed | given
    return {
        "type": "call",
        "id": f"0190a000-{number:04x}-7000-8000-000000000000",
        "time": 1_000_000_000_000 + number * 1_000_000_000,
        "session": {"id": f"session-{number // 10}", "name": "Demo", "path": "/a", "step": number % 10},
        "caller": "caller-1",
        "llm": {"provider": "openai", "response_id": f"resp-{number}", "tool_call_ids": [f"tool-{number}", None]},
        "outcome": "ok",
        "flags": [],
        "duration": 500_000_000,
        "request": {"method": "POST", "url": "https://api.example/", "body": None},
        "response": {"status": 200, "body": None},
        **changes,
    }


CALLER = {"type": "caller", "id": "caller-1", "pid": 7, "name": "bot.py"}


def open_log(folder: Path) -> Trace:
    """The trace in `folder`, with all that a search needs."""
    return trace.open(folder, parts_of=recorded_parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def index_file(folder: Path) -> Path:
    return folder / database.NAME


def ids(rows: Iterable[dict[str, Any]]) -> list[Any]:
    return [row["id"] for row in rows]


@pytest.fixture
def sample(folder: Path) -> Path:
    """Two sessions of real calls, their processes, a note."""
    return recorded.write(folder, recorded.calls(), [("dropped", "2 records were lost", {"dropped": {"queue": 2}})])


@pytest.fixture
def writers(folder: Path) -> Iterator[Callable[..., Writer]]:
    """Started writers on the folder, closed at the end."""
    made: list[Writer] = []

    def make(**options: Any) -> Writer:
        writer = Writer(options.pop("folder", folder), writer_info=INFO, **options)
        made.append(writer)
        writer.start()
        return writer

    yield make
    for writer in made:
        writer.close(5)


@pytest.fixture
def written(writers: Callable[..., Writer]) -> Callable[..., None]:
    """Write these maps in a segment of their own."""

    def write(*records: dict[str, Any], **options: Any) -> None:
        writer = writers(**options)
        writer.submit(lambda: records, 0)
        assert writer.close(5)

    return write
