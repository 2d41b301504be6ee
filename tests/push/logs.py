"""Logs of plain values for tests of pushing, and a sender that takes what a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.support.gate import PATIENCE

from sessiontap.push.target import Item, PushedCall, Target, TargetAnswer, UserTurn
from sessiontap.trace import Writer
from sessiontap.trace.body import Plain

SECOND = 10**9
START = 1_795_237_563 * SECOND  # 2026-11-21T05:06:03Z
ACCEPTED = TargetAnswer("accepted")
CALLER = {"type": "caller", "id": "0aa5b8a2-0000-5000-8000-000000000001", "pid": 4711, "name": "agent.py"}


def call(
    id: str,
    at: float = 0.0,
    *,
    lasts: float = 0.5,
    session: str | None = "s1",
    step: int = 0,
    conversation: str | None = None,
    parent: str | None = None,
    kind: str | None = None,
    asks: Sequence[str] = (),
    results: Sequence[str] = (),
    outcome: str = "ok",
    finish: str | None = None,
    lineage: Sequence[str] = (),
    root: str | None = None,
    asked: bytes = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}',
    answered: bytes = b'{"choices": [{"message": {"role": "assistant", "content": "Hi."}}]}',
    **more: Any,
) -> dict[str, Any]:
    """The record of a call that began `at` seconds after START. `asks`: tools that its reply calls."""
    json = [["content-type", "application/json"]]
    return {
        "type": "call",
        "id": id,
        "time": START + round(at * SECOND),
        "duration": round(lasts * SECOND),
        "session": {"id": session, "name": "Course", "path": "/", "step": step} if session else None,
        "conversation": conversation,
        "parent": parent,
        "evidence": "strong" if parent else "new",
        "link": {"kind": kind or ("continue" if parent else "new"), "root": root or conversation, "lineage": lineage},
        "caller": CALLER["id"],
        "llm": {
            "provider": "openai",
            "family": "openai-chat",
            "operation": "chat",
            "request_model": "gpt-4o",
            "finish_reason": finish or ("tool_calls" if asks else "stop"),
            "tool_calls": list(asks),
            "tool_results": list(results),
            "usage": {"input": 3, "output": 4},
        },
        "outcome": outcome,
        "host": "api.openai.com",
        "route": "/v1/chat/completions",
        "request": {
            "method": "POST",
            "url": "https://api.openai.com/v1/chat/completions",
            "headers": json,
            "body": Plain(asked, None, {}),
        },
        "response": {"status": 200, "headers": json, "body": Plain(answered, None, {})},
        **more,
    }


class Log:
    """A log as the recorder writes it, call by call."""

    def __init__(self, folder: Path, *, rotate_bytes: int = 64 << 20, host: str | None = None) -> None:
        self.folder = folder
        self._writer = Writer(
            folder,
            writer_info={"pid": 1, "machine": "m", **({"host": host} if host else {})},
            fsync_seconds=None,
            rotate_bytes=rotate_bytes,
        )
        self._writer.start()

    def write(self, calls: Iterable[dict[str, Any]]) -> None:
        for one in calls:
            assert self._writer.submit(lambda one=one: [CALLER, one], 100)  # type: ignore[misc]

    def settle(self) -> None:
        """Wait until what was given is in the file."""
        written = threading.Event()

        def nothing() -> list[dict[str, Any]]:
            written.set()
            return []

        assert self._writer.submit(nothing, 1)
        assert written.wait(PATIENCE)

    def close(self) -> Path:
        assert self._writer.close()
        return self.folder


def log_of(folder: Path, *calls: dict[str, Any]) -> Path:
    """A log of these calls, closed."""
    log = Log(folder)
    log.write(calls)
    return log.close()


def target(**more: Any) -> Target:
    """The descriptor of a made-up target."""
    return Target("made-up", "a target of the tests", "no module", **more)


class ScriptedSender:
    """Makes an item of each call and of each turn, and answers as the test says."""

    max_bytes = 16 << 20
    max_items = 1000

    def __init__(self, answer: Callable[[list[str]], TargetAnswer] = lambda sent: ACCEPTED, size: int = 100) -> None:
        self._answer, self._size = answer, size
        self.requests: list[list[str]] = []
        """The items of each request, whatever the answer was."""
        self.taken: list[str] = []
        """The items that were accepted."""
        self.calls: list[PushedCall] = []
        self.turns: list[UserTurn] = []

    def call_items(self, call: PushedCall) -> Iterable[Item]:
        self.calls.append(call)
        return [Item(call.call.id, call.call.id, self._size)]

    def turn_items(self, turn: UserTurn) -> Iterable[Item]:
        self.turns.append(turn)
        return [Item(turn.id, f"turn {turn.id}", self._size)]

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        data = [item.data for item in items]
        self.requests.append(data)
        answer = self._answer(data)
        if answer.kind == "accepted":
            self.taken += [one for at, one in enumerate(data) if at not in answer.rejected]
        return answer
