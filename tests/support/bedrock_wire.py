"""Amazon Bedrock's Converse and InvokeModel for Claude, whole and as event-stream frames.

Source: docs.aws.amazon.com/bedrock/latest/APIReference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from tests.llm.llm_frames import EVENTSTREAM, chunk, event

from sessiontap.demo import anthropic_wire, model
from sessiontap.demo.model import Completion, Prompt
from sessiontap.demo.provider_replies import BadRequest, HeaderList, Ids, StreamedReply, WholeReply

_ROUTE = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke|invoke-with-response-stream)$")


def error(status: int, kind: str, message: str) -> WholeReply:
    """An error in Bedrock's shape: its type stands in a header."""
    return WholeReply({"message": message}, status, [("x-amzn-errortype", kind)])


def reply_headers(ids: Ids) -> HeaderList:
    lengths = (8, 4, 4, 4, 12)
    return [("x-amzn-requestid", "-".join(ids.hex("", length) for length in lengths))]


def answer(path: str, body: dict[str, Any], ids: Ids) -> WholeReply | StreamedReply:
    """The reply to a POST. Raises BadRequest."""
    found = _ROUTE.search(path)
    if found is None:
        raise BadRequest(error(404, "UnknownOperationException", ""))
    name, method = unquote(found[1]), found[2]
    if method.startswith("invoke"):
        return _invoke(name, body, ids, streams=method != "invoke")
    texts = [block.get("text", "") for message in body["messages"] for block in message["content"]]
    said = model.answer(Prompt(name, user=texts[-1]))
    if isinstance(said, model.PromptedError):
        raise BadRequest(error(said.status, "ThrottlingException", f"The prompt asked for status {said.status}."))
    given = model.count_prompt(texts)[0]
    usage = {"inputTokens": given, "outputTokens": said.tokens, "totalTokens": given + said.tokens}
    end = {"usage": usage, "metrics": {"latencyMs": 431}}
    if method == "converse":
        message = {"role": "assistant", "content": [{"text": said.text}]}
        return WholeReply({"output": {"message": message}, "stopReason": "end_turn"} | end)
    return StreamedReply(_converse_events(said, end), EVENTSTREAM)


def _converse_events(said: Completion, end: dict[str, Any]) -> Iterator[bytes]:
    yield event("messageStart", {"role": "assistant", "p": "abcdefgh"})
    for piece in model.pieces(said.text):
        yield event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abcd"})
    yield event("contentBlockStop", {"contentBlockIndex": 0, "p": "abcdef"})
    yield event("messageStop", {"stopReason": "end_turn", "p": "ab"})
    yield event("metadata", end | {"p": "abcdefghijk"})


def _invoke(name: str, body: dict[str, Any], ids: Ids, *, streams: bool) -> WholeReply | StreamedReply:
    """Claude's own messages; Bedrock states the counts once more."""
    asked = body | {"model": re.sub(r"^(\w+\.)?anthropic\.", "", name), "stream": streams}
    reply = anthropic_wire.messages(asked, ids)
    if isinstance(reply, StreamedReply):
        return StreamedReply(_claude_chunks(reply.events), EVENTSTREAM)
    if reply.status != 200:
        return error(reply.status, "ThrottlingException", reply.body["error"]["message"])
    usage = reply.body["usage"]
    counts = [
        ("x-amzn-bedrock-invocation-latency", "431"),
        ("x-amzn-bedrock-input-token-count", str(usage["input_tokens"])),
        ("x-amzn-bedrock-output-token-count", str(usage["output_tokens"])),
    ]
    return WholeReply(reply.body, headers=counts)


def _claude_chunks(events: Iterator[bytes]) -> Iterator[bytes]:
    usage: dict[str, int] = {}
    for one in events:
        value = json.loads(one.partition(b"data: ")[2])
        usage |= (value.get("message") or {}).get("usage") or value.get("usage") or {}
        if value["type"] == "ping":
            continue
        if value["type"] == "message_stop":
            value["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": usage["input_tokens"],
                "outputTokenCount": usage["output_tokens"],
                "invocationLatency": 431,
                "firstByteLatency": 211,
            }
        yield chunk(value)
