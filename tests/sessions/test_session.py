"""The default path by the agents above a call."""

from __future__ import annotations

import pytest

from sessiontap.llm.call import Agent
from sessiontap.sessions.session import agent_path


@pytest.mark.parametrize(
    ("agent", "operation", "lineage", "path"),
    [
        pytest.param(None, "chat", (), "/chat", id="no agent"),
        pytest.param(None, None, (), "/other", id="nothing known"),
        pytest.param(Agent("codex"), "chat", (), "/main", id="the main agent"),
        pytest.param(Agent("codex", subagent="review"), "chat", (), "/main/review", id="as the client says"),
        pytest.param(Agent("x", subagent="subagent"), "chat", ("explore",), "/main/explore", id="as its parent says"),
        pytest.param(None, "chat", ("general-purpose",), "/main/general-purpose", id="no known client"),
        pytest.param(None, "chat", ("a b", "c/d"), "/main/a-b/c-d", id="levels are slugged"),
        pytest.param(None, "chat", ("",), "/main/subagent", id="without a name"),
    ],
)
def test_agent_path(agent: Agent | None, operation: str | None, lineage: tuple[str, ...], path: str) -> None:
    assert agent_path(agent, operation, lineage) == path
