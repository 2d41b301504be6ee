"""Real agents run again offline: recorded with the local server, replayed without it, in an empty home and project.
They say the same, and write the same files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.agents.packages import CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, program
from tests.agents.stage import EVERYTHING, Stage
from tests.e2e.lab import PYTHON

CLAUDE = ("-p", "--allowedTools", "Agent,Bash", "--output-format", "text")


def _shell(word: str, file: str) -> str:
    return 'call Bash with ' + json.dumps({"command": f"echo {word} > {file}", "description": "Write"})


def _delegated(word: str) -> str:
    prompt = json.dumps(_shell(word, f"{word}.txt"))
    return f'call Agent with {{"description": "Say it", "subagent_type": "general-purpose", "prompt": {prompt}}}'


@dataclass(frozen=True)
class Task:
    """An agent, and what it is to do."""

    package: str
    command: str
    arguments: tuple[str, ...]
    task: str
    files: tuple[str, ...]
    """That it writes."""
    websockets: bool = False
    on_stdin: bool = False
    """The task comes on standard input: as an argument it would be quoted."""


TASKS = {
    "claude-code": Task(CLAUDE_CODE, "claude", CLAUDE, _shell("blue", "sky.txt"), ("sky.txt",)),
    "claude-code, two sub-agents at once": Task(
        CLAUDE_CODE, "claude", CLAUDE, f"{_delegated('red')} beside {_delegated('green')}", ("green.txt", "red.txt")
    ),
    "codex": Task(
        CODEX,
        "codex",
        ("exec", "--skip-git-repo-check", "--sandbox", "danger-full-access"),
        'call exec with {"input": "text(await tools.exec_command({cmd: \'echo blue > sky.txt\'}))"}',
        ("sky.txt",),
        websockets=True,
    ),
    "opencode": Task(
        OPENCODE,
        "opencode",
        ("run", "--model", "openai/gpt-4o"),
        'call bash with {"command": "echo blue > sky.txt", "description": "Write"}',
        ("sky.txt",),
        on_stdin=True,
    ),
    "gemini-cli": Task(
        GEMINI_CLI,
        "gemini",
        ("--skip-trust", "--yolo", "-m", "gemini-2.5-flash", "-p"),
        'call run_shell_command with {"command": "echo blue > sky.txt"}',
        ("sky.txt",),
    ),
}


def replay(
    stage: Stage, trace: Path, command: Sequence[str | Path], stdin: str, report: Path
) -> subprocess.CompletedProcess[str]:
    """Run an agent on the recorded replies, in an empty home and project, without keys."""
    for folder in (stage.home, stage.project):
        shutil.rmtree(folder)
        folder.mkdir()
    every = [row["id"] for row in sessions(trace)]
    words = [PYTHON, "-m", "sessiontap.cli", "replay", *every, "--trace", trace, "--report", report, "--", *command]
    environ = {"PATH": os.environ["PATH"], "HOME": str(stage.home), "LANG": "C.UTF-8"}
    return subprocess.run(
        [str(word) for word in words],
        cwd=stage.project,
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


def sessions(trace: Path) -> list[dict[str, str]]:
    told = subprocess.run(
        [PYTHON, "-m", "sessiontap.cli", "ls", "--all", "--json", "--trace", trace], capture_output=True, check=True
    )
    return [json.loads(line) for line in told.stdout.splitlines()]


def written(project: Path) -> dict[str, str]:
    """The files that the agent wrote."""
    return {one.name: one.read_text() for one in sorted(project.iterdir()) if one.suffix == ".txt"}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_agent_says_and_does_the_same_offline(
    new_stage: Callable[..., Stage], tmp_path: Path, task: Task
) -> None:
    stage = new_stage(websockets=task.websockets, rules=EVERYTHING)
    stdin = task.task if task.on_stdin else ""
    command = [program(task.package, task.command), *task.arguments, *([] if task.on_stdin else [task.task])]
    said = stage.run(command, stdin=stdin)
    files = written(stage.project)
    assert tuple(files) == task.files
    stage.proxy.stop()
    asked = len(stage.upstream.requests)

    report = tmp_path / "report.json"
    done = replay(stage, stage.proxy.trace.folder, command, stdin, report)
    assert done.returncode == 0, done.stderr
    assert done.stdout == said
    assert written(stage.project) == files
    found = json.loads(report.read_text())
    assert found["missed"] == 0
    assert found["rungs"]
    assert len(stage.upstream.requests) == asked
