"""A TraceForge server as its session contract has it: it counts nothing itself, so a call without headers is step 0."""

from __future__ import annotations

import itertools
import json
import uuid

from tests.recipes import chat_model
from tests.support.dialogue import Request, Respond

WORDS = ("session-id", "step-index", "state", "parent-trace-id")
_FLIGHT = "TP 762"
_DAYS, _ANY_DAY = ("01", "03"), ("01", "02", "11", "12", "21", "23")


class TraceForge:
    """A handler for `Server`. Days that end in 1 or 2 are full; a flexible user is asked to look at many."""

    def __init__(self) -> None:
        self.traces: list[dict[str, str | None]] = []
        """What each call said of its session, and the trace that the server made of it, oldest first."""
        self._numbers = itertools.count(1)

    async def __call__(self, request: Request, respond: Respond) -> None:
        asked = json.loads(await request.body())
        assert all(message["role"] in ("system", "user", "assistant") for message in asked["messages"])
        said = {word: request.headers.get(f"x-traceforge-{word}") for word in WORDS}
        trace = f"tr_{next(self._numbers):04}"
        self.traces.append({**said, "trace": trace})
        told = [
            ("X-TraceForge-Session-ID", said["session-id"] or str(uuid.uuid4())),
            ("X-TraceForge-Trace-ID", trace),
            ("X-TraceForge-Next-Step", str(int(said["step-index"] or 0) + 1)),
        ]
        await chat_model.reply(respond, asked, _next(asked["messages"]), headers=told)


def _next(messages: list[dict[str, str]]) -> str:
    newest, looked = messages[-1]["content"], sum("search_flights" in one["content"] for one in messages[2:]) // 2
    if newest.startswith("RESULT book: "):
        return newest.removeprefix("RESULT book: ").capitalize()
    days = _ANY_DAY if "any day" in messages[1]["content"] else _DAYS
    if looked < len(days):
        return f'ACTION search_flights {{"day": "2026-03-{days[looked]}"}}'
    return f'ACTION book {{"flight": "{_FLIGHT}"}}'
