"""OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses), whole and as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sessiontap.demo import model
from sessiontap.demo.model import Completion, Prompt
from sessiontap.demo.openai_wire import error, known_model, refusal
from sessiontap.demo.provider_replies import BadRequest, Ids, StreamedReply, WholeReply, now, sse, text_of

Item = dict[str, Any]
_CALLS = ("function_call", "custom_tool_call")
_RESULTS = tuple(f"{kind}_output" for kind in _CALLS)


def responses(body: dict[str, Any], ids: Ids) -> WholeReply | StreamedReply:
    """`POST /v1/responses`. Raises BadRequest."""
    name = known_model(body)
    asked = body.get("input")
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadRequest(error(400, "Missing required parameter: 'input'.", param="input"))
    answer = model.answer(_prompt(name, items, body))
    if isinstance(answer, model.PromptedError):
        return refusal(answer.status)
    texts = [str(body["instructions"])] if body.get("instructions") else []
    texts += [_countable(item) for item in items]
    tools = body.get("tools")
    prompt = model.count_prompt(texts, json.dumps(tools) if tools else "")
    output = _output(answer, _tools(items, body), ids)
    response = _response(name, body, ids.hex("resp_", 48))
    done = _completed(response, output, answer, prompt)
    return StreamedReply(_events(response, done, output)) if body.get("stream") else WholeReply(done)


def _prompt(name: str, items: list[Item], body: dict[str, Any]) -> Prompt:
    def is_reply(item: Item) -> bool:
        return item.get("role") == "assistant" or item.get("type") in (*_CALLS, "reasoning")

    last_reply = max((i for i, item in enumerate(items) if is_reply(item)), default=-1)
    fresh = items[last_reply + 1 :]
    newest = max((i for i, item in enumerate(items) if item.get("role") == "user"), default=-1)
    prompts = [text_of(item.get("content")) for item in items if item.get("role") in ("system", "developer")]
    return Prompt(
        model=name,
        system="\n".join([text_of(body.get("instructions")), *prompts]).strip(),
        user=text_of(items[newest].get("content")) if newest >= 0 else "",
        tools=tuple(_tools(items, body)),
        results=tuple(text_of(item.get("output")) for item in fresh if item.get("type") in _RESULTS),
        done=sum(item.get("type") in _RESULTS for item in items[newest + 1 :]),
        limit=body.get("max_output_tokens"),
    )


def _tools(items: list[Item], body: dict[str, Any]) -> dict[str, Item]:
    """What can be called, by name, with its `namespace` if it is in one. Codex offers its tools within the input."""
    found: dict[str, Item] = {}
    offered = [*(body.get("tools") or ())]
    offered += [tool for item in items if item.get("type") == "additional_tools" for tool in item.get("tools") or ()]
    for tool in offered:
        if tool.get("type") == "namespace":
            found |= {inner["name"]: inner | {"namespace": tool["name"]} for inner in tool["tools"]}
        elif tool.get("type") in ("function", "custom"):
            found[tool["name"]] = tool
    return found


def _countable(item: Item) -> str:
    if item.get("type") in _CALLS:
        return f"{item.get('name', '')}{item.get('arguments', '')}{item.get('input', '')}"
    return text_of(item.get("content")) or text_of(item.get("output"))


def _output(answer: Completion, tools: dict[str, Item], ids: Ids) -> list[Item]:
    items: list[Item] = []
    if answer.reasoning:
        items.append({"id": ids.hex("rs_", 48), "type": "reasoning", "summary": []})
    if answer.text:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text}
        status = "incomplete" if answer.cut else "completed"
        items.append(
            {"id": ids.hex("msg_", 48), "type": "message", "status": status, "role": "assistant", "content": [part]}
        )
    for use in answer.tool_uses:
        tool = tools[use.name]
        custom = tool["type"] == "custom"
        call = {
            "id": ids.hex("ctc_" if custom else "fc_", 48),
            "type": "custom_tool_call" if custom else "function_call",
            "status": "completed",
            **({"input": str(use.arguments.get("input", ""))} if custom else {"arguments": use.json}),
            "call_id": ids.take("call_", 24),
            "name": use.name,
        }
        items.append(call | ({"namespace": tool["namespace"]} if "namespace" in tool else {}))
    return items


def _response(name: str, body: dict[str, Any], response_id: str) -> dict[str, Any]:
    """The response as it stands at its start."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": now(),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": name,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _completed(
    response: dict[str, Any], output: list[Item], answer: Completion, prompt: tuple[int, int]
) -> dict[str, Any]:
    total, cached = prompt
    return response | {
        "status": "incomplete" if answer.cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if answer.cut else None,
        "output": output,
        "usage": {
            "input_tokens": total,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": answer.tokens,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning},
            "total_tokens": total + answer.tokens,
        },
    }


def _events(response: dict[str, Any], done: dict[str, Any], output: list[Item]) -> Iterator[bytes]:
    number = -1

    def event(kind: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        return sse({"type": kind, "sequence_number": number, **fields}, kind)

    yield event("response.created", response=response)
    yield event("response.in_progress", response=response)
    for index, item in enumerate(output):
        at = {"item_id": item["id"], "output_index": index}
        match item["type"]:
            case "message":
                part = item["content"][0]
                spot = at | {"content_index": 0}
                begun = item | {"status": "in_progress", "content": []}
                yield event("response.output_item.added", output_index=index, item=begun)
                yield event("response.content_part.added", **spot, part=part | {"text": ""})
                for piece in model.pieces(part["text"]):
                    yield event("response.output_text.delta", **spot, delta=piece, logprobs=[])
                yield event("response.output_text.done", **spot, text=part["text"], logprobs=[])
                yield event("response.content_part.done", **spot, part=part)
            case "function_call" | "custom_tool_call" as kind:
                key = "input" if kind == "custom_tool_call" else "arguments"
                begun = item | {"status": "in_progress", key: ""}
                yield event("response.output_item.added", output_index=index, item=begun)
                for piece in model.pieces(item[key]):
                    yield event(f"response.{kind}_{key}.delta", **at, delta=piece)
                yield event(f"response.{kind}_{key}.done", **at, name=item["name"], **{key: item[key]})
            case _:
                yield event("response.output_item.added", output_index=index, item=item)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event(f"response.{done['status']}", response=done)
