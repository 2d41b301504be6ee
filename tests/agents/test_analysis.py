"""What the commands that read a session say of real agents, against what the agents were told to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.agents.packages import CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, program
from tests.agents.stage import Stage

from sessiontap import trace
from sessiontap.analysis.cache import cache
from sessiontap.analysis.context import context
from sessiontap.analysis.tools import runs_of, tools
from sessiontap.analysis.waste import waste
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.trace.index.turns import Turn

FILE = "def f(x):\n    return x\n" * 50


def recorded_turns(stage: Stage, session: str) -> list[Turn]:
    """The session's turns, once its agent has ended."""
    log = trace.open(stage.proxy.trace.folder, parts_of=recorded_parts)
    turns = log.query_turns(session)
    log.close()
    return turns


def by_tool(turns: list[Turn]) -> dict[str, tuple[int, int, int]]:
    rows = tools(turns)["tools"]
    return {row["tool"]: (row["calls"], row["results"], row["errors"]) for row in rows}


def names(groups: list[dict[str, Any]]) -> set[str]:
    return {group["name"] for group in groups}


def test_claude_code(stage: Stage) -> None:
    claude = program(CLAUDE_CODE, "claude")
    file = stage.project / "a.py"
    file.write_text(FILE)

    def ask(task: str, *more: str) -> str:
        command = [claude, "-p", task, "--allowedTools", "Bash,Read", "--output-format", "json", *more]
        return str(json.loads(stage.run(command))["session_id"])

    session = ask(f'call Read with {json.dumps({"file_path": str(file)})}')
    ask('call Bash with {"command": "cat nothing", "description": "Fail"}', "--resume", session)
    stage.proxy.wait_calls(lambda calls: len([c for c in calls if c.record["link"]["kind"] != "auxiliary"]) >= 4)
    turns = recorded_turns(stage, session)

    assert by_tool(turns) == {"Read": (1, 1, 0), "Bash": (1, 1, 1)}
    (read,) = runs_of(turns, lambda name: name == "Read")["calls"]
    assert json.loads(read["arguments"])["file_path"] == str(file)
    assert "def f(x):" in read["result"]
    assert read["seconds_inferred"] is not None

    found = context(turns, {})
    assert all(row["split_estimated"] is not None for row in found["turns"])
    detail = found["detail"]
    assert {"system", "tool_definitions", "user", "tool_calls", "tool_results"} <= names(detail["categories"])
    results = next(group for group in detail["categories"] if group["name"] == "tool_results")
    assert names(results["within"]) == {"Read", "Bash"}
    of_read = next(group for group in results["within"] if group["name"] == "Read")
    assert [(group["name"], group["parts"]) for group in of_read["within"]] == [(str(file), 1)]

    assert {row["verdict"] for row in cache(turns, {})["turns"]} <= {"hit", "partly", "miss"}
    never = names_of_tools(waste(turns, {})["tools_never_called"])
    assert "Edit" in never
    assert not never & {"Read", "Bash"}


def test_codex(stage: Stage) -> None:
    codex: Path = program(CODEX, "codex")
    task = """Please use a sub-agent:
 call spawn_agent with {"task_name": "look", "message": "Why is the water in the sea wet?", "fork_turns": "none"} and
 call wait_agent with {"timeout_ms": 10000}"""
    output = stage.run([codex, "exec", "--json", "--skip-git-repo-check", task])
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    session = next(event["thread_id"] for event in events if event["type"] == "thread.started")
    stage.calls(4)
    turns = recorded_turns(stage, session)

    assert by_tool(turns) == {"spawn_agent": (1, 1, 0), "wait_agent": (1, 1, 0)}
    (waited,) = runs_of(turns, lambda name: name == "wait_agent")["calls"]
    assert json.loads(waited["arguments"]) == {"timeout_ms": 10000}
    split = next(row for row in reversed(context(turns, {})["turns"]) if row["path"] == "/main")["split_estimated"]
    assert all(split[name] > 0 for name in ("system", "tool_definitions", "user", "tool_calls", "tool_results"))
    assert "exec" in names_of_tools(waste(turns, {})["tools_never_called"])
    assert "wait_agent" not in names_of_tools(waste(turns, {})["tools_never_called"])


def test_gemini_cli_gives_ids_to_calls_that_came_without(stage: Stage) -> None:
    gemini = program(GEMINI_CLI, "gemini")
    file = stage.project / "a.py"
    file.write_text(FILE)
    task = f'call read_file with {json.dumps({"file_path": str(file)})}'
    stage.run([gemini, "--skip-trust", "--yolo", "-m", "gemini-2.5-flash", "-o", "json", "-p", task])
    stage.calls(2)
    turns = recorded_turns(stage, "@1")

    assert by_tool(turns) == {"read_file": (1, 1, 0)}
    (read,) = runs_of(turns, lambda name: True)["calls"]
    assert json.loads(read["arguments"])["file_path"] == str(file)
    assert "def f(x):" in read["result"]
    assert read["seconds_inferred"] is not None


def test_opencode(stage: Stage) -> None:
    file = stage.project / "a.py"
    file.write_text(FILE)
    run = [program(OPENCODE, "opencode"), "run", "--format", "json", "--model", "openai/gpt-4o"]
    stage.run(run, stdin=f'call read with {json.dumps({"filePath": str(file)})}')
    stage.calls(3)
    turns = recorded_turns(stage, "@1")

    assert by_tool(turns) == {"read": (1, 1, 0)}
    assert runs_of(turns, lambda name: True)["calls"][0]["seconds_inferred"] is not None
    detail = context(turns, {})["detail"]
    results = next(group for group in detail["categories"] if group["name"] == "tool_results")
    assert [group["name"] for group in results["within"][0]["within"]] == [str(file)]


def names_of_tools(rows: list[dict[str, Any]]) -> set[str]:
    return {row["tool"] for row in rows}
