"""Kimi Code at an API of Kimi's kind: its session is the cache's key."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.packages import KIMI_CODE, program
from tests.agents.stage import Stage, Turn, one_session, turns

CONFIG = """
default_model = "m"
[providers.p]
type = "kimi"
base_url = "https://api.openai.com/v1"
api_key = "sk-test-0000"
[models.m]
provider = "p"
model = "gpt-4o-mini"
max_context_size = 100000
"""


@pytest.fixture(scope="module")
def kimi() -> Path:
    return program(KIMI_CODE, "kimi")


def test_its_own_session_is_the_session(stage: Stage, kimi: Path) -> None:
    (stage.home / ".kimi-code").mkdir()
    (stage.home / ".kimi-code" / "config.toml").write_text(CONFIG)
    stage.run([kimi, "-p", "What is water?"])
    calls = stage.calls(1)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("kimi-code", "native")
    assert session["id"].startswith("session_")
    assert turns(calls) == [Turn("/main")]
    assert {call.record["agent"] for call in calls} == {"kimi-code"}
