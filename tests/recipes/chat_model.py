"""Replies in the shape of OpenAI's chat completions, whole and streamed, for servers that follow a script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.dialogue import Respond

from sessiontap.demo.provider_replies import sse

JSON = [("content-type", "application/json")]


def tool_call(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def usage(asked: Mapping[str, Any], text: str) -> dict[str, int]:
    """A token is four characters, and the prompt is all that was sent."""
    prompt, completion = len(json.dumps(asked["messages"])) // 4, len(text) // 4
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def reply(
    respond: Respond,
    asked: Mapping[str, Any],
    text: str | None,
    calls: Iterable[dict[str, Any]] = (),
    headers: Iterable[tuple[str, str]] = (),
) -> None:
    """Answer a chat completion: in one piece, or streamed word by word if it was asked so."""
    tools = list(calls)
    counted = usage(asked, (text or "") + "".join(call["function"]["arguments"] for call in tools))
    ending = "tool_calls" if tools else "stop"
    about = {"id": "chatcmpl-recipe", "created": 1735689600, "model": asked["model"]}
    if asked.get("stream"):
        await respond.start(200, [("content-type", "text/event-stream"), *headers])
        for word in (text or "").split(" "):
            choice = {"index": 0, "delta": {"role": "assistant", "content": f"{word} "}, "finish_reason": None}
            await respond.send(sse({**about, "object": "chat.completion.chunk", "choices": [choice]}))
        last = {"index": 0, "delta": {}, "finish_reason": ending}
        await respond.send(sse({**about, "object": "chat.completion.chunk", "choices": [last], "usage": counted}))
        await respond.send(sse("[DONE]"))
        await respond.end()
        return
    message = {"role": "assistant", "content": text, **({"tool_calls": tools} if tools else {})}
    choices = [{"index": 0, "message": message, "finish_reason": ending}]
    body = {**about, "object": "chat.completion", "choices": choices, "usage": counted}
    await respond.whole(200, json.dumps(body).encode(), [*JSON, *headers])


async def refuse(respond: Respond, status: int, code: str, message: str) -> None:
    """Answer with an error."""
    error = {"message": message, "type": "invalid_request_error", "code": code}
    await respond.whole(status, json.dumps({"error": error}).encode(), JSON)
