"""Traces of any size, made quickly: the calls of a coding agent and its sub-agents, with small bodies or none."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cli import recorded
from tests.support.call_spec import call_record

from sessiontap.recording.record import caller_record
from sessiontap.redaction import Redactor
from sessiontap.trace import Writer

SESSION, NAME = "long-session", "Long"
PATHS = ("/plan", "/build", "/build/test", "/review")
SUBAGENTS = (None, None, "explorer", "reviewer", "tester")
SECOND = recorded.SECOND


def records(calls: int) -> Iterator[dict[str, Any]]:
    """A session of so many calls: sub-agents beside the main agent, tools, a pause of minutes after each hundredth."""
    chance, redactor = random.Random(1), Redactor(b"k" * 32)
    template = call_record(recorded.chat(0, session=(SESSION, NAME, "/", 0), caller=recorded.NODE), redactor)
    yield caller_record(recorded.NODE, redactor)
    now, last = recorded.START, dict[str, str]()
    for number in range(calls):
        subagent = SUBAGENTS[number % 5] if number % 50 > 10 else None
        conversation = f"{subagent or 'main'}-{number // 500}"
        took = chance.randrange(SECOND // 2, 8 * SECOND)
        now += 600 * SECOND if number % 100 == 99 else chance.randrange(SECOND // 10, 4 * SECOND)
        parent = last.get(conversation)
        usage = {"input": chance.randrange(1_000, 90_000), "output": chance.randrange(5, 900)}
        yield template | {
            "id": recorded.call_id(number),
            "time": now,
            "duration": took,
            "time_to_first_byte": took // 4,
            "time_to_first_token": took // 3,
            "session": template["session"] | {"path": PATHS[number // 7 % 4], "step": number},
            "conversation": conversation,
            "parent": parent,
            "link": {"kind": "continue" if parent else "new"},
            "agent": "coder",
            "subagent": subagent,
            "llm": template["llm"]
            | {"tool_calls": ["Bash"] if number % 3 else [], "usage": template["llm"]["usage"] | usage},
            "outcome": "http_error" if number % 50 == 7 else "ok",
        }
        last[conversation] = recorded.call_id(number)
        now += took if subagent is None else 0


def write(folder: Path, calls: int) -> Path:
    """The trace of one session of so many calls."""
    log = Writer(folder, writer_info={"pid": 1, "host": "test"}, fsync_seconds=None, max_queue_records=1 << 30)
    log.start()
    made = list(records(calls))
    assert log.submit(lambda: made, 0)
    assert log.close(600)
    return folder
