"""Qwen Code with an OpenAI key: it says its name, and no session."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.packages import QWEN_CODE, program
from tests.agents.stage import Stage, Turn, asked_as_told, one_session, turns

TASK = 'call read_file with {"file_path": "README.md"}'


@pytest.fixture(scope="module")
def qwen() -> Path:
    return program(QWEN_CODE, "qwen")


def test_a_run_is_one_session_of_its_process(stage: Stage, qwen: Path) -> None:
    (stage.project / "README.md").write_text("Water is wet.\n")
    service = {"OPENAI_BASE_URL": "https://api.openai.com/v1", "OPENAI_MODEL": "gpt-4o-mini"}
    stage.run([qwen, "--auth-type", "openai", "--approval-mode", "yolo", "-p", TASK], more=service)
    calls = stage.calls(2)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("qwen-code", "process")
    assert turns(calls) == [
        Turn("/main", called=("read_file",), evidence="new"),
        Turn("/main", results=("read_file",), after=("read_file",), evidence="exact"),
    ]
    assert {call.record["agent"] for call in calls} == {"qwen-code"}
    assert asked_as_told(stage, calls)
