"""A session of a coding agent, made by hand: it finds a bug with two built-in tools and two MCP servers.

It reads one file twice and one in vain, waits too long once, and a server with more tools joins it on the way. The
provider really caches. docs/reading.md shows what the commands say of it.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from tests.analysis import recorded_sessions
from tests.analysis.made_sessions import MadeTurn
from tests.cli import recorded
from tests.support.caching_provider import CachingProvider

MODEL = "claude-sonnet-4-5"
SYSTEM = "You are a coding agent. You read before you write, and you run the tests after each change. " * 45
FILE = "".join(
    f"{number:>3}  def parse_{name}(text):\n         return {name}.fromisoformat(text.strip())\n"
    for number, name in enumerate(("date", "time", "datetime", "duration", "month", "week") * 9)
)
CHANGELOG = "".join(f"## 1.{n}.0\n- Support for Python 3.{n % 9 + 4}; smaller wheels; typo fixes\n" for n in range(70))
FAILED = "FAILED tests/test_dates.py::test_week - ValueError: Invalid isoformat string: '2026-W47'\n1 failed, 41 passed"
DOCS = "date.fromisoformat accepts most ISO 8601 formats since 3.11. Weeks: date.fromisocalendar(year, week, day). " * 6


def tool(name: str, words: int) -> dict[str, Any]:
    """A definition as long as those of real agents."""
    about = "Use it when the user asks for it, with absolute paths; it says what it did. " * words
    return {"name": name, "description": about, "input_schema": {"type": "object", "properties": {}}}


TOOLS = [tool("Bash", 30), tool("Read", 20), tool("Edit", 20), tool("WebFetch", 25)]
DOCS_SERVER = [tool("mcp__docs__search", 10), tool("mcp__docs__fetch", 10)]
TICKETS_SERVER = [tool(f"mcp__tickets__{verb}", 12) for verb in ("create", "update", "search", "close", "assign")]


def asks(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def result(id: str, text: str, failed: bool = False) -> dict[str, Any]:
    brought = {"type": "tool_result", "tool_use_id": id, "content": text}
    return brought | ({"is_error": True} if failed else {})


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


Step = tuple[float, list[dict[str, Any]], tuple[dict[str, Any], ...], list[dict[str, Any]]]

STEPS: list[Step] = [
    # seconds before it, what the user's message brings, what the reply says, the tools that are offered from here on
    (0, [said("The test of parse_week fails. Find out why and fix it.")],
     (said("I run the tests first."), asks("t1", "Bash", command="pytest -q")), TOOLS + DOCS_SERVER),
    (4.2, [result("t1", FAILED, failed=True)],
     (asks("t2", "Read", file_path="src/dates.py"), asks("t3", "Read", file_path="CHANGELOG.md")), []),
    (0.3, [result("t2", FILE), result("t3", CHANGELOG)],
     (said("`week` has no fromisoformat."), asks("t4", "mcp__docs__search", query="parse an ISO week")), []),
    (1.1, [result("t4", DOCS)],
     (said("fromisocalendar takes year and week."), asks("t5", "Edit", file_path="src/dates.py", old="week.")), []),
    (420, [result("t5", "old is not unique in src/dates.py", failed=True)],
     (asks("t6", "Read", file_path="src/dates.py"),), []),
    (0.3, [result("t6", FILE)],
     (asks("t7", "Edit", file_path="src/dates.py", old="def parse_week", new="fromisocalendar"),), TICKETS_SERVER),
    (0.5, [result("t7", "1 change in src/dates.py")], (asks("t8", "Bash", command="pytest -q"),), []),
    (4.0, [result("t8", "42 passed")], (said("parse_week goes by fromisocalendar now; 42 tests pass."),), []),
]  # fmt: skip


def turns() -> list[MadeTurn]:
    """The calls, with the usage that the provider states."""
    provider, now = CachingProvider(), 0.0
    tools: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    found: list[MadeTurn] = []
    for number, (wait, brought, reply, more) in enumerate(STEPS):
        now += wait
        tools = tools + more
        messages.append({"role": "user", "content": brought})
        body = {"model": MODEL, "max_tokens": 8000, "tools": tools, "system": [said(SYSTEM)], "messages": messages}
        body = copy.deepcopy(body)
        for block in (body["system"][-1], body["messages"][-1]["content"][-1]):  # type: ignore[index]
            block["cache_control"] = {"type": "ephemeral"}
        first_byte = now + 1.5
        found.append(
            MadeTurn(
                id=recorded.call_id(number),
                parent=found[-1].id if found else None,
                conversation="main",
                wire="anthropic",
                time=now,
                first_byte=first_byte,
                body=body,
                usage=provider.messages(body, now, first_byte),
                reply=reply,
            )
        )
        messages.append({"role": "assistant", "content": list(reply)})
        now = first_byte + 1
    return found


def write(folder: Path) -> Path:
    """The session in a trace, as the proxy's own writer leaves it."""
    return recorded_sessions.write_turns(folder, "fix-parse-week", turns())
