"""Recorded calls as push targets get them, made of a few words each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sessiontap.export.exported_call import export_call
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.push.target import PushedCall, UserTurn
from sessiontap.trace import RecordedCall, body
from sessiontap.trace.views import CallCost

SECOND = 1_000_000_000
START = 1_795_237_563 * SECOND  # 2026-11-21T05:06:03Z
SESSION = "1db5055c-ed54-5a42-b919-793b95b7114c"
CALLER = {"type": "caller", "id": "c", "pid": 7, "started": START, "name": "bot.py", "cwd": "/srv", "ancestors": []}
JSON = [["content-type", "application/json"]]
COST = CallCost(0.25, (0.1, 0.02, 0.03, 0.1, 0.0))


def pushed(
    id: str,
    at: float = 0.0,
    *,
    turn: str | None = None,
    seconds: float | None = 2.0,
    asked: Any = None,
    told: Any = None,
    status: int | None = 200,
    content: bool = True,
    first_new: int = 0,
    number: int | None = 0,
    path: str = "/main",
    session: Mapping[str, Any] | None = None,
    llm: Mapping[str, Any] | None = None,
    cost: CallCost = COST,
    **more: Any,
) -> PushedCall:
    """A call that began `at` seconds behind `START`; `asked` and `told` are its bodies, `more` changes its record."""
    request = json.dumps(asked if asked is not None else {"model": "gpt-4o"}).encode()
    response = json.dumps(told if told is not None else {"ok": True}).encode()
    record: dict[str, Any] = {
        "type": "call",
        "id": id,
        "time": START + int(at * SECOND),
        "session": {"id": SESSION, "name": "Course", "path": path, "step": 0, "source": "native", **(session or {})},
        "conversation": "conversation-1",
        "parent": None,
        "evidence": "declared",
        "link": {"kind": "new"},
        "llm": {
            "provider": "openai",
            "family": "openai-chat",
            "operation": "chat",
            "request_model": "gpt-4o",
            "response_model": "gpt-4o-2024-08-06",
            **(llm or {}),
        },
        "outcome": "ok",
        "flags": [],
        "duration": None if seconds is None else int(seconds * SECOND),
        "host": "api.openai.com",
        "forwarded_host": "api.openai.com",
        "route": "/v1/chat/completions",
        "request": {
            "method": "POST",
            "url": "https://api.openai.com/v1/chat/completions",
            "headers": JSON,
            "body": body.encode(request),
        },
        "response": {"status": status, "headers": JSON, "body": body.encode(response)} if status else None,
        **more,
    }
    recorded = RecordedCall(record, CALLER, lambda _, stored: body.decode(stored))
    parts = recorded_parts(record, request, response) if content else None
    return PushedCall(export_call(recorded, lambda _: cost), turn or id, number, parts, first_new, None)


def turn_of(*calls: PushedCall) -> UserTurn:
    """The turn of these calls."""
    return UserTurn(calls[0].turn, tuple(calls))


def chat(*messages: tuple[str, str], tools: Sequence[str] = ()) -> dict[str, Any]:
    """A request in OpenAI's form."""
    body: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": role, "content": text} for role, text in messages]}
    if tools:
        body["tools"] = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in tools]
    return body


def says(text: str | None, *calls: tuple[str, str, str]) -> dict[str, Any]:
    """A reply in OpenAI's form; `calls` are (id, name, arguments)."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": given}} for id, name, given in calls
        ]
    return {"model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def results(*brought: tuple[str, str]) -> list[dict[str, Any]]:
    """Messages with results; each is (id of the call, text)."""
    return [{"role": "tool", "tool_call_id": id, "content": text} for id, text in brought]


def coding_turn(content: bool = True, **more: Any) -> UserTurn:
    """A turn of Claude Code in OpenAI's form: it reads two files at once, begins a sub-agent, and answers.

    Seconds: 0 main call; 5 main call with both results (one failed); 8 to 12 the sub-agent's two calls; 15 the reply.
    """
    agent = {"agent": "claude-code", "turn": "a", "content": content, **more}
    explore = {**agent, "subagent": "explore", "path": "/main/explore", "conversation": "conversation-2"}
    question = chat(("user", "Fix the dates."))
    reads = says(None, ("r1", "Read", '{"path": "a.py"}'), ("r2", "Read", '{"path": "b.py"}'))
    after = {**question, "messages": [*question["messages"], reads["choices"][0]["message"]]}
    after["messages"] += results(("r1", "import datetime"), ("r2", "Error: no such file"))
    task = says("I look.", ("t1", "Task", '{"prompt": "Look for all uses of dates in the project."}'))
    last = {**after, "messages": [*after["messages"], task["choices"][0]["message"], *results(("t1", "3 uses"))]}
    looks = chat(("user", "Look for all uses of dates in the project."))
    grep = says(None, ("g1", "Grep", '{"pattern": "date"}'))
    found = {**looks, "messages": [*looks["messages"], grep["choices"][0]["message"], *results(("g1", "3 lines"))]}
    go_on = {"link": {"kind": "continue"}}
    return turn_of(
        pushed(
            "a", 0, asked=question, told=reads, **agent,
            llm={"tool_calls": ["Read", "Read"], "tool_call_ids": ["r1", "r2"]},
        ),
        pushed(
            "b", 5, asked=after, told=task, parent="a", first_new=2, **go_on, **agent,
            llm={"tool_calls": ["Task"], "tool_call_ids": ["t1"], "tool_results": ["Read"]},
        ),
        pushed(
            "c", 8, asked=looks, told=grep, parent="b", seconds=1.0, link={"kind": "subagent"}, **explore,
            llm={"tool_calls": ["Grep"], "tool_call_ids": ["g1"]},
        ),
        pushed(
            "d", 11, asked=found, told=says("3 uses"), parent="c", seconds=1.0, first_new=1, **go_on, **explore,
            llm={"tool_results": ["Grep"]},
        ),
        pushed(
            "e", 15, asked=last, told=says("Done."), parent="b", first_new=4, **go_on, **agent,
            llm={"tool_results": ["Task"]},
        ),
    )  # fmt: skip
