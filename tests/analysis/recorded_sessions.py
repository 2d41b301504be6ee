"""Made sessions as the proxy's own writer leaves them in a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.analysis.made_sessions import MadeSession, MadeTurn
from tests.cli import recorded
from tests.support.call_spec import CallSpec, RequestSpec, ResponseSpec

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.read import read_reply, read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.recording.decode import DecodedBody
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.sessions.session import Link, Session

HOSTS = {"anthropic": ("api.anthropic.com", "/v1/messages"), "openai": ("api.openai.com", "/v1/chat/completions")}
JSON = Headers([("content-type", "application/json")])
SECOND = 10**9


def write(folder: Path, sessions: list[MadeSession]) -> Path:
    """A trace with these sessions, by their names."""
    calls = [_call(turn, one.name, step) for one in sessions for step, turn in enumerate(one.turns)]
    return recorded.write(folder, calls)


def write_turns(folder: Path, session: str, turns: Sequence[MadeTurn]) -> Path:
    """A trace with these turns as one session."""
    return recorded.write(folder, [_call(turn, session, step) for step, turn in enumerate(turns)])


def _call(turn: MadeTurn, session: str, step: int) -> CallSpec:
    host, path = HOSTS[turn.wire]
    body, answer = json.dumps(turn.body).encode(), json.dumps(_answer(turn)).encode()
    request = Request("POST", host, path, JSON, body)
    understood = read_request(request, endpoint_of("POST", host, path, turn.wire))
    status = 529 if turn.usage is None else 200
    came = Response(status, JSON, answer)
    return CallSpec(
        id=turn.id,
        time=recorded.START + round(turn.time * SECOND),
        duration=round((turn.first_byte + 1 - turn.time) * SECOND),
        time_to_first_byte=round((turn.first_byte - turn.time) * SECOND),
        request=RequestSpec("POST", request.url, "HTTP/2.0", JSON, DecodedBody(body)),
        response=ResponseSpec(status, "HTTP/2.0", JSON, DecodedBody(answer)),
        outcome="ok" if turn.usage else "http_error",
        host=host,
        forwarded_host=host,
        call=understood,
        reply=read_reply(understood, request, came),
        decision=Decision(wants_session=True, name="Made"),
        filled=FilledSettings(path="/main"),
        session=Session(session, "Made", step, "process"),
        link=Link(turn.conversation, turn.parent, "exact" if turn.parent else "new"),
    )


def _answer(turn: MadeTurn) -> dict[str, Any]:
    if turn.usage is None:
        return {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    if turn.wire == "openai":
        usage = {
            "prompt_tokens": turn.usage["prompt_tokens"],
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": turn.usage["cached_tokens"]},
        }
        message = {"role": "assistant", "content": "Very well."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": turn.id, "model": turn.body["model"], "choices": [choice], "usage": usage}
    hour = turn.usage["ephemeral_1h_input_tokens"]
    written = turn.usage["cache_creation_input_tokens"]
    usage = {key: value for key, value in turn.usage.items() if key != "ephemeral_1h_input_tokens"} | {
        "output_tokens": 20,
        "cache_creation": {"ephemeral_1h_input_tokens": hour, "ephemeral_5m_input_tokens": written - hour},
    }
    content = list(turn.reply)
    why = "tool_use" if content[-1]["type"] == "tool_use" else "end_turn"
    return {"id": turn.id, "type": "message", "role": "assistant", "model": turn.body["model"], "content": content,
            "stop_reason": why, "usage": usage}  # fmt: skip
