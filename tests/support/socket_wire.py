"""OpenAI's realtime API for text, and Responses over a WebSocket: a socket's requests answered one after the other.

Sources: https://platform.openai.com/docs/api-reference/realtime, developers.openai.com/api/docs/guides/websocket-mode.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from tests.support import responses_wire
from tests.support.websocket import WebSocket

from sessiontap.demo import model
from sessiontap.demo.model import Prompt
from sessiontap.demo.provider_replies import BadRequest, Ids, WholeReply, text_of

Event = dict[str, Any]


async def serve_responses(socket: WebSocket, ids: Ids, delay: float = 0.0) -> None:
    """Responses: each `response.create` is a request's body, its events are those of the stream."""
    known: dict[str, list[Any]] = {}
    async for message in socket:
        body = _object(message)
        if body.pop("type", None) != "response.create":
            await socket.send(_error(400, "invalid_request_error", "Expected response.create."))
            continue
        before = body.get("previous_response_id")
        if before is not None and before not in known:
            await socket.send(_error(400, "previous_response_not_found", f"No response {before!r}."))
            continue
        given = body.get("input")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or [])
        history = [*known.get(before or "", []), *items]
        try:
            for number, event in enumerate(_responses({**body, "input": history}, ids)):
                if number and delay:
                    await asyncio.sleep(delay)
                done = event.get("response") or {}
                if done.get("status") in ("completed", "incomplete"):
                    known[done["id"]] = [*history, *done["output"]]
                await socket.send(json.dumps(event))
        except BadRequest as bad:
            error = bad.reply.body["error"]
            await socket.send(json.dumps({"type": "error", "status": bad.reply.status, "error": error}))


def _responses(body: dict[str, Any], ids: Ids) -> Iterator[Event]:
    """The events of one response; a warm-up has none between its first and its last. Raises BadRequest."""
    generates = body.pop("generate", None) is not False
    reply = responses_wire.responses({**body, "stream": True}, ids)
    if isinstance(reply, WholeReply):
        raise BadRequest(reply)
    events = map(_data, reply.events)
    if generates:
        yield from events
        return
    first, *_, last = events
    usage = last["response"]["usage"]
    usage |= {"output_tokens": 0, "total_tokens": usage["input_tokens"]}
    usage |= {"output_tokens_details": {"reasoning_tokens": 0}}
    yield first
    yield last | {"response": last["response"] | {"output": [], "usage": usage}}


async def serve_realtime(socket: WebSocket, name: str, ids: Ids) -> None:
    """Realtime: items make up the conversation, `response.create` asks for the model's next one; text only."""
    session: dict[str, Any] = {"id": ids.take("sess_", 21), "object": "realtime.session", "model": name}
    items: list[Any] = []
    await socket.send(json.dumps(_stamped(ids, "session.created", session=session)))
    async for message in socket:
        frame = _object(message)
        match frame.get("type"):
            case "session.update":
                session |= frame.get("session") or {}
                await socket.send(json.dumps(_stamped(ids, "session.updated", session=session)))
            case "conversation.item.create":
                item = {"id": ids.take("item_", 21), **(frame.get("item") or {})}
                items.append(item)
                await socket.send(json.dumps(_stamped(ids, "conversation.item.added", item=item)))
            case "response.create":
                for event in _realtime_reply(name, session, items, ids):
                    await socket.send(json.dumps(event))
            case kind:
                text = f"Invalid value: {kind!r}."
                error = {"type": "invalid_request_error", "code": "invalid_value", "message": text}
                await socket.send(json.dumps(_stamped(ids, "error", error=error | {"event_id": frame.get("event_id")})))


def _realtime_reply(name: str, session: dict[str, Any], items: list[Any], ids: Ids) -> Iterator[Event]:
    response_id = ids.take("resp_", 21)
    begun: Event = {"id": response_id, "object": "realtime.response", "status": "in_progress", "output": []}
    yield _stamped(ids, "response.created", response=begun)
    newest = max((at for at, item in enumerate(items) if item.get("role") == "user"), default=-1)
    results = [str(item.get("output")) for item in items[newest + 1 :] if item.get("type") == "function_call_output"]
    tools = tuple(tool["name"] for tool in session.get("tools") or () if tool.get("type") == "function")
    prompt = Prompt(
        model=name,
        system=str(session.get("instructions") or ""),
        user=text_of(items[newest].get("content")) if newest >= 0 else "",
        tools=tools,
        results=tuple(results),
        done=len(results),
    )
    answer = model.answer(prompt)
    assert not isinstance(answer, model.PromptedError), "realtime refuses nothing by status"
    output: list[Any] = []
    for use in answer.tool_uses:
        at = {"response_id": response_id, "item_id": ids.take("item_", 21), "output_index": len(output)}
        call = {"id": at["item_id"], "type": "function_call", "name": use.name, "call_id": ids.take("call_", 16)}
        yield _stamped(ids, "response.output_item.added", response_id=response_id, item=call | {"arguments": ""})
        for piece in model.pieces(use.json):
            yield _stamped(ids, "response.function_call_arguments.delta", **at, delta=piece)
        output.append(call | {"arguments": use.json})
        yield _stamped(ids, "response.output_item.done", response_id=response_id, item=output[-1])
    if answer.text:
        at = {"response_id": response_id, "item_id": ids.take("item_", 21), "output_index": len(output)}
        said = {"id": at["item_id"], "type": "message", "role": "assistant"}
        yield _stamped(ids, "response.output_item.added", response_id=response_id, item=said | {"content": []})
        for piece in model.pieces(answer.text):
            yield _stamped(ids, "response.output_text.delta", **at, content_index=0, delta=piece)
        output.append(said | {"content": [{"type": "output_text", "text": answer.text}]})
        yield _stamped(ids, "response.output_item.done", response_id=response_id, item=output[-1])
    items.extend(output)
    total, cached = model.count_prompt([text_of(item.get("content")) for item in items])
    usage = {
        "total_tokens": total + answer.tokens,
        "input_tokens": total,
        "output_tokens": answer.tokens,
        "input_token_details": {"cached_tokens": cached, "text_tokens": total, "audio_tokens": 0},
        "output_token_details": {"text_tokens": answer.tokens, "audio_tokens": 0},
    }
    ended = begun | {"status": "completed", "status_details": None, "output": output, "usage": usage}
    yield _stamped(ids, "response.done", response=ended)


def _stamped(ids: Ids, kind: str, **fields: Any) -> Event:
    return {"type": kind, "event_id": ids.take("event_", 21), **fields}


def _object(message: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(message)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _data(event: bytes) -> Event:
    """The JSON of a server-sent event."""
    value: Event = json.loads(event.partition(b"data: ")[2])
    return value


def _error(status: int, code: str, message: str) -> str:
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
    return json.dumps({"type": "error", "status": status, "error": error})
