"""Real agents' sessions as people read them: titles, errands left out, success, what was said by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.agents import test_claude_code, test_codex, test_gemini_cli, test_kimi_code, test_opencode, test_qwen_code
from tests.agents.packages import CLAUDE_CODE, CODEX, GEMINI_CLI, KIMI_CODE, OPENCODE, QWEN_CODE, program
from tests.agents.stage import EVERYTHING, Stage
from tests.e2e.lab import wait_until

from sessiontap import trace
from sessiontap.analysis.conversation import AgentConversation, conversations
from sessiontap.llm.headings import heading
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.trace import Filters, Trace


def claude() -> tuple[list[str], str]:
    command = [str(program(CLAUDE_CODE, "claude")), "-p", test_claude_code.TASK, "--allowedTools", "Agent,Bash"]
    return command, ""


def codex() -> tuple[list[str], str]:
    return [str(program(CODEX, "codex")), "exec", "--skip-git-repo-check", test_codex.TASK], ""


def gemini() -> tuple[list[str], str]:
    command = [str(program(GEMINI_CLI, "gemini")), "--skip-trust", "--yolo", "-m", "gemini-2.5-flash"]
    return [*command, "-p", test_gemini_cli.TASK], ""


def opencode() -> tuple[list[str], str]:
    return [str(program(OPENCODE, "opencode")), "run", "--model", "openai/gpt-4o"], test_opencode.TASK


@pytest.mark.parametrize(
    ("agent", "title", "sub_agent", "begun_by", "errands"),
    [
        (claude, 'call Agent with {"description": "Say it", "sub', "general-purpose", "Agent", 5),
        (codex, 'Please use a sub-agent: call spawn_agent with {"task_name": "look"', "look", "spawn_agent", 1),
        (gemini, 'call invoke_agent with {"agent_name": "generalist"', "generalist", "invoke_agent", 0),
        (opencode, 'call task with {"description": "Look"', "general", "task", 0),
    ],
    ids=["claude-code", "codex", "gemini-cli", "opencode"],
)
def test_a_session(
    new_stage: Callable[..., Stage],
    agent: Callable[[], tuple[list[str], str]],
    title: str,
    sub_agent: str,
    begun_by: str,
    errands: int,
) -> None:
    command, stdin = agent()
    stage = new_stage(rules=EVERYTHING)
    stage.run(command, stdin=stdin)
    log = trace.open(stage.proxy.trace.folder, parts_of=recorded_parts, headings_of=heading)
    wait_until(lambda: ended(log), lambda: str(log.query_calls()))

    (row,) = log.query_sessions(Filters(without_errands=True))
    assert row["title"].startswith(title)
    assert (row["success"], row["errors"]) == (True, 0)
    assert row["errands"] >= errands
    assert log.query_errands()["sessions"] == 0
    (main,) = (one for one in conversations(log.query_turns(row["id"])) if one.calls[-1].mark is None)
    (begun,) = [(call, inner) for call in main.calls for inner in call.agents]
    assert (begun[1].agent, tool_of(*begun)) == (sub_agent, begun_by)
    words = [part.words for call in main.calls for part in call.new_parts if part.words and call.mark is None]
    assert " ".join(words[0].split()).startswith(title)
    results = [part.name for call in main.calls for part in call.new_parts if part.kind == "tool_result"]
    assert begun_by in results


def test_a_title_of_qwen_code(new_stage: Callable[..., Stage]) -> None:
    stage = new_stage(rules=EVERYTHING)
    service = {"OPENAI_BASE_URL": "https://api.openai.com/v1", "OPENAI_MODEL": "gpt-4o-mini"}
    command = [program(QWEN_CODE, "qwen"), "--auth-type", "openai", "--approval-mode", "yolo", "-p"]
    stage.run([*command, test_qwen_code.TASK], more=service)

    assert only_title(stage) == test_qwen_code.TASK


def test_a_title_of_kimi_code(new_stage: Callable[..., Stage]) -> None:
    stage = new_stage(rules=EVERYTHING)
    (stage.home / ".kimi-code").mkdir()
    (stage.home / ".kimi-code" / "config.toml").write_text(test_kimi_code.CONFIG)
    stage.run([program(KIMI_CODE, "kimi"), "-p", "What is water?"])

    assert only_title(stage) == "What is water?"


def only_title(stage: Stage) -> str | None:
    """The title of the one session of a stage."""
    log = trace.open(stage.proxy.trace.folder, headings_of=heading)
    wait_until(lambda: ended(log), lambda: str(log.query_calls()))
    (row,) = log.query_sessions(Filters(without_errands=True))
    title: str | None = row["title"]
    return title


def ended(log: Trace) -> bool:
    """The main agent has said its last word."""
    return any(row["success"] for row in log.query_sessions(Filters(without_errands=True)))


def tool_of(call: Any, agent: AgentConversation) -> str:
    """The tool whose call began a sub-agent."""
    (name,) = (part.name for part in call.reply if part.kind == "tool_call" and agent.begun_by in (part.id, part.name))
    return str(name)
