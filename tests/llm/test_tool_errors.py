"""Errors that the text of a tool's result states."""

from __future__ import annotations

import pytest

from sessiontap.llm.tool_errors import states_error

UNIFIED = "Chunk ID: a1\nWall time: 0.1 seconds\nProcess exited with code {}\nOriginal token count: 3\nOutput:\n"

RESULTS: dict[str, tuple[str | None, str, bool | None]] = {
    "Claude Code, failed": ("Bash", "Exit code 1\nFAILED tests", True),
    "Claude Code, an output that speaks of exit codes": ("Bash", "all fine\nExit code 1", None),
    "another tool that says so": ("Read", "Exit code 1", None),
    "Codex, failed": ("shell", "Exit code: 2\nWall time: 0.1 seconds\nOutput:\nno", True),
    "Codex, went well": ("shell_command", "Exit code: 0\nWall time: 0.1 seconds\nOutput:\nyes", False),
    "Codex, JSON, failed": ("shell", '{"output":"no","metadata":{"exit_code":1,"duration_seconds":0.1}}', True),
    "Codex, JSON, went well": ("shell", '{"output":"","metadata":{"exit_code":0,"duration_seconds":0.1}}', False),
    "Codex, unified, failed": ("exec_command", UNIFIED.format(101), True),
    "Codex, unified, went well": ("exec_command", UNIFIED.format(0), False),
    "Codex, unified, still running": ("exec_command", "Process running with session ID 7\nOutput:\n", None),
    "Gemini CLI, failed": ("run_shell_command", "Output: no\nExit Code: 3\nProcess Group PGID: 70", True),
    "Qwen Code, went well": ("run_shell_command", "Output: x\nError: (none)\nExit Code: 0\nSignal: (none)", False),
    "Gemini CLI, in the output alone": ("run_shell_command", "Output: Exit Code: 3\nmore\nProcess Group PGID: 7", None),
    "MCP, failed": ("mcp__docs__read", '{"content":[{"type":"text","text":"no"}],"isError":true}', True),
    "MCP, went well": (None, '{"content":[],"isError":false}', False),
    "JSON that says nothing of it": ("shell", '{"exit_code":1}', None),
    "no JSON at all": ("shell", '{"isError": true', None),
    "nothing": ("Bash", "", None),
}


@pytest.mark.parametrize(("tool", "said", "expected"), RESULTS.values(), ids=RESULTS)
def test_stated_errors(tool: str | None, said: str, expected: bool | None) -> None:
    assert states_error(tool, said) is expected
