"""A session that a reader is asked about: a coding agent's, in two turns, the second of which fails.

    0 s    a   Fix the dates.           -> Read, Read
    5 s    b   both results, one failed -> Task
    8 s    c   the sub-agent begins     -> Grep
    11 s   d   its result               -> 3 uses
    15 s   e   the task's result        -> Done.
    30 s   f   And the times?           -> overloaded

It is made in Anthropic's form. The pusher is asked at two moments: behind d, and behind f.
"""

from __future__ import annotations

import json
from typing import Any

from tests.push.logs import SECOND, call

MODEL = "claude-sonnet-4-5"
AGENT = "claude-code"
USER = "ada"
ERROR = {"type": "overloaded_error", "message": "Overloaded"}
TOKENS = {"a": (1000, 20), "b": (1300, 40), "c": (500, 10), "d": (600, 5), "e": (1500, 30)}
"""Input with cached tokens, and output."""
INPUT, OUTPUT = (sum(one[side] for one in TOKENS.values()) for side in (0, 1))


CHAT = f"chat {MODEL}"
_MAIN, _EXPLORE = f"invoke_agent {AGENT}", "invoke_agent explore"
TREE = [
    (CHAT, _MAIN, "LLM", "ERROR"),
    (CHAT, _MAIN, "LLM", "OK"),
    (CHAT, _MAIN, "LLM", "OK"),
    (CHAT, _MAIN, "LLM", "OK"),
    (CHAT, _EXPLORE, "LLM", "OK"),
    (CHAT, _EXPLORE, "LLM", "OK"),
    ("execute_tool Grep", _EXPLORE, "TOOL", "OK"),
    ("execute_tool Read", _MAIN, "TOOL", "ERROR"),
    ("execute_tool Read", _MAIN, "TOOL", "OK"),
    ("execute_tool Task", _MAIN, "TOOL", "OK"),
    (_MAIN, None, "AGENT", "ERROR"),
    (_MAIN, None, "AGENT", "OK"),
    (_EXPLORE, "execute_tool Task", "AGENT", "OK"),
]
"""The whole session as spans: name, the parent's name, kind and status of each, sorted."""


def calls(session: str, began: int) -> dict[str, dict[str, Any]]:
    """The records of the session of this id, which began at `began` (Unix nanoseconds), by their names."""
    return {str(one["id"])[-1]: one for one in _calls(session, began)}


def call_id(session: str, name: str) -> str:
    return f"{session}-{name}"


def _user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def _text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def _use(id: str, name: str, **given: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def _result(id: str, said: str, failed: bool = False) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": said, "is_error": failed}


def _calls(session: str, began: int) -> list[dict[str, Any]]:
    reads = _use("r1", "Read", path="a.py"), _use("r2", "Read", path="b.py")
    task = _use("t1", "Task", prompt="Look for all uses of dates in the project.")
    grep = _use("g1", "Grep", pattern="date")
    main = [_user(_text("Fix the dates."))]
    after_reads = [*main, _said(*reads), _user(_result("r1", "import datetime"), _result("r2", "no such file", True))]
    after_task = [*after_reads, _said(_text("I look."), task), _user(_result("t1", "3 uses"))]
    more = [*after_task, _said(_text("Done.")), _user(_text("And the times?"))]
    looks = [_user(_text("Look for all uses of dates in the project."))]
    found = [*looks, _said(grep), _user(_result("g1", "3 lines"))]
    sub: dict[str, Any] = {"conversation": f"{session}-explore", "lineage": ["explore"], "subagent": "explore"}
    path = {"path": "/main/explore"}
    failed = {"outcome": "http_error", "response": None, "error": ERROR}
    rows: list[tuple[str, float, list[Any], tuple[Any, ...], str | None, dict[str, Any]]] = [
        ("a", 0, main, reads, None, {}),
        ("b", 5, after_reads, (_text("I look."), task), "a", {"results": ["Read"]}),
        ("c", 8, looks, (grep,), "b", {**sub, **path, "kind": "subagent"}),
        ("d", 11, found, (_text("3 uses"),), "c", {**sub, **path, "results": ["Grep"]}),
        ("e", 15, after_task, (_text("Done."),), "b", {"results": ["Task"]}),
        ("f", 30, more, (), "e", failed),
    ]
    return [_record(session, began, step, *row) for step, row in enumerate(rows)]


def _said(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def _record(
    session: str, began: int, step: int, name: str, at: float, messages: list[Any], reply: tuple[Any, ...],
    parent: str | None, more: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    more = dict(more)
    error, path = more.pop("error", None), more.pop("path", "/main")
    used = [one for one in reply if one["type"] == "tool_use"]
    asked = {"model": MODEL, "max_tokens": 1000, "messages": messages}
    answered = {"type": "message", "role": "assistant", "model": MODEL, "content": list(reply)}
    found = call(
        call_id(session, name),
        at,
        lasts=1.0 if name in "cd" else 2.0,
        session=session,
        step=step,
        parent=call_id(session, parent) if parent else None,
        root=session,
        asks=[one["name"] for one in used],
        asked=json.dumps(asked).encode(),
        answered=json.dumps(answered if not error else {"type": "error", "error": ERROR}).encode(),
        **{"conversation": session, "agent": AGENT, "user": USER, "properties": {"mode": "act"}, "tags": ["nightly"]}
        | {key: value for key, value in more.items() if key != "response"},
    )
    found["time"] = began + round(at * SECOND)
    found["session"] |= {"name": "Dates", "path": path, "source": "native"}
    found["llm"] |= {
        "provider": "anthropic",
        "family": "anthropic-messages",
        "request_model": MODEL,
        "response_model": None if error else MODEL,
        "finish_reason": None if error else "tool_use" if used else "end_turn",
        "tool_call_ids": [one["id"] for one in used],
        "error": error,
        "usage": None if error else {"input": TOKENS[name][0], "output": TOKENS[name][1], "cache_read": 400},
    }
    found["host"], found["route"] = "api.anthropic.com", "/v1/messages"
    found["request"]["url"] = "https://api.anthropic.com/v1/messages"
    if error:
        found["response"]["status"] = 529
    return found
